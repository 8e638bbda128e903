use proptest::prelude::*;

use super::*;

const TEXT: &str = "\
smartpos-emv-trace 1
parameters terminal.toml aids.toml capks.toml
flow full
type 09
amount 1234
other 200
currency 156
exponent 2
date 26-11-22
time 12:13:14
unpredictable-number A1B2C3D4
random-percent 50
sequence 7
online-only yes
force-online no

! choose 2
! pin entered
! host approve arc=00 code=123456 data=910A01020304050607083030
> 00A404000E315041592E5359532E444446303100
< 6A82
> 0020008008****************
< 9000
> 80AE800000
! removed
";

fn refused(text: &str) -> (usize, String) {
    let error = Trace::parse(text).err().unwrap();
    (error.line, error.problem)
}

#[test]
fn a_trace_is_written_as_it_was_read() {
    assert_eq!(Trace::parse(TEXT).unwrap().to_string(), TEXT);
}

#[test]
fn a_pin_is_in_no_trace() {
    let verify =
        [&[0x00, 0x20, 0x00, 0x80, 0x08][..], &[0x24, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]].concat();
    let exchange = Exchange::new(&verify, Answer::Response(vec![0x90, 0x00]));
    assert_eq!(exchange.command, [0x00, 0x20, 0x00, 0x80, 0x08]);
    assert_eq!(exchange.to_string(), "> 0020008008****************\n< 9000\n");
    let (line, problem) = refused(&TEXT.replace("****************", "241234FFFFFFFFFF"));
    assert!(line == 22 && problem.contains("no trace holds a PIN"), "{line} {problem}");
    // Neither as a part of it, nor behind the asterisks.
    assert_eq!(refused(&TEXT.replace("****************", "24************")).0, 22);
    assert_eq!(refused(&TEXT.replace("****************", "****************24")).0, 22);
    assert!(refused(&TEXT.replace("! pin entered", "! pin 1234")).1.contains("no place here"));
}

#[test]
fn an_error_names_its_line_and_what_is_wanted() {
    let cases = [
        (TEXT.replace("smartpos-emv-trace 1", "smartpos-emv-trace 2"), 1, "begins with"),
        (TEXT.replace("amount 1234", "amount 12.34"), 5, "not a number"),
        (TEXT.replace("other 200", "amount 200"), 6, "twice"),
        (TEXT.replace("type 09", "kind 09"), 4, "unknown"),
        (TEXT.replace("terminal.toml", "../terminal.toml"), 2, "without folders"),
        (TEXT.replace("arc=00", "arc=000"), 19, "response code"),
        (TEXT.replace("< 6A82", "< 6"), 21, "hex digits"),
        (TEXT.replace("< 6A82", ""), 22, "has no answer"),
        (TEXT.replace("! removed", ""), 25, "the last command has no answer"),
        (TEXT.replace("amount 1234\n", ""), 24, "amount is missing"),
        (format!("{TEXT}amount 5"), 26, "before the first command"),
        (format!("{TEXT}< 9000"), 26, "follows a command"),
        (format!("{TEXT}> {}", "00".repeat(262)), 26, "4 to 261"),
        (format!("{TEXT}{}", "\n".repeat(5000)), 4097, "at most"),
        (String::new(), 0, "begins with"),
    ];
    for (text, line, problem) in cases {
        let (at, said) = refused(&text);
        assert!(at == line && said.contains(problem), "line {at}: {said}, and not line {line}: {problem}");
    }
}

#[test]
fn debug_shows_no_card_data() {
    let trace = Trace::parse(&TEXT.replace("< 6A82", "< 5A0862284800000012349000")).unwrap();
    assert_eq!(format!("{:?}", trace.exchanges[0]), "line 20: 00A40400… <12 bytes>");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(lines in proptest::collection::vec("[ -~]{0,40}", 0..30), at in 0..25_usize) {
        let mut text: Vec<&str> = TEXT.lines().collect();
        text.splice(at.min(text.len()).., lines.iter().map(String::as_str));
        if let Ok(trace) = Trace::parse(&text.join("\n")) {
            let written = trace.to_string();
            prop_assert_eq!(Trace::parse(&written).unwrap().to_string(), written);
        }
    }
}
