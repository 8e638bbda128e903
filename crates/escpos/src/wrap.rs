//! Breaking text into lines: Latin at spaces, Chinese anywhere but where its punctuation forbids it.

use crate::layout::Glyph;

/// May not begin a line.
const CLOSING: &str = "”’，。、；：？！）》」』】〕…—·,.;:?!)]}%";
/// May not end a line.
const OPENING: &str = "“‘（《「『【〔([{￥¥$";

/// Breaks one paragraph into lines at most `width` half-width cells wide; an empty one is one empty line.
/// The spaces at a break are dropped. `width` is at least 2, so that a full-width character fits.
pub(crate) fn wrap(paragraph: &[Glyph], width: usize) -> Vec<Vec<Glyph>> {
    let mut lines = Vec::new();
    let mut rest = paragraph;
    loop {
        let fitting = fitting(rest, width);
        if fitting == rest.len() {
            lines.push(rest.to_vec());
            return lines;
        }
        let at = (1..=fitting).rev().find(|at| may_break(rest, *at)).unwrap_or(fitting.max(1));
        let (line, next) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        let end = line.iter().rposition(|glyph| glyph.character != ' ').map_or(0, |last| last + 1);
        lines.push(line.iter().take(end).copied().collect());
        let start = next.iter().position(|glyph| glyph.character != ' ').unwrap_or(next.len());
        rest = next.get(start..).unwrap_or_default();
        if rest.is_empty() {
            return lines;
        }
    }
}

/// How many glyphs fit into `width` cells.
fn fitting(glyphs: &[Glyph], width: usize) -> usize {
    let mut used = 0;
    glyphs
        .iter()
        .take_while(|glyph| {
            used += glyph.cells();
            used <= width
        })
        .count()
}

/// Whether a line may end before the glyph at `at`.
fn may_break(glyphs: &[Glyph], at: usize) -> bool {
    let (Some(before), Some(after)) = (glyphs.get(at - 1), glyphs.get(at)) else { return true };
    if before.character == ' ' || after.character == ' ' {
        return true;
    }
    (before.wide || after.wide) && !OPENING.contains(before.character) && !CLOSING.contains(after.character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glyphs(text: &str) -> Vec<Glyph> {
        text.chars().map(|character| Glyph { character, wide: !character.is_ascii() }).collect()
    }

    fn wrapped(text: &str, width: usize) -> Vec<String> {
        wrap(&glyphs(text), width)
            .iter()
            .map(|line| line.iter().map(|glyph| glyph.character).collect())
            .collect()
    }

    #[test]
    fn words_stay_whole_and_long_ones_are_split() {
        assert_eq!(wrapped("to be or not", 6), ["to be", "or not"]);
        assert_eq!(wrapped("incomprehensible", 6), ["incomp", "rehens", "ible"]);
        assert_eq!(wrapped("", 6), [""]);
        assert_eq!(wrapped("abc   ", 4), ["abc"]);
    }

    #[test]
    fn chinese_breaks_anywhere_but_before_its_closing_punctuation() {
        assert_eq!(wrapped("谢谢惠顾欢迎", 8), ["谢谢惠顾", "欢迎"]);
        assert_eq!(wrapped("谢谢惠顾，欢迎", 8), ["谢谢惠", "顾，欢迎"]);
        assert_eq!(wrapped("合计（元）", 6), ["合计", "（元）"]);
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_wide_and_nothing_but_spaces_is_lost(text in "[a-c 中，（]{0,60}", width in 2_usize..20) {
            let lines = wrap(&glyphs(&text), width);
            for line in &lines {
                proptest::prop_assert!(line.iter().map(Glyph::cells).sum::<usize>() <= width);
            }
            let kept: String = lines.iter().flatten().map(|glyph| glyph.character).filter(|c| *c != ' ').collect();
            proptest::prop_assert_eq!(kept, text.replace(' ', ""));
        }
    }
}
