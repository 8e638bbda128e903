//! How long to wait before the host is called again.

use std::time::Duration;

/// The pause before the `attempt`th try, counted from 0: from half of what the profile says for it to all of that, by chance,
/// so that the terminals of a host that was away don't all come back at once. After the last of `pauses_s` it stays.
pub(in crate::host) fn pause(pauses_s: &[u16], attempt: usize) -> Duration {
    // Without chance, all of it is waited.
    spread(whole(pauses_s, attempt), getrandom::u32().unwrap_or(u32::MAX))
}

fn whole(pauses_s: &[u16], attempt: usize) -> Duration {
    const DEFAULT_S: u16 = 60;
    Duration::from_secs(pauses_s.get(attempt).or(pauses_s.last()).copied().unwrap_or(DEFAULT_S).into())
}

/// `chance` is uniform.
fn spread(whole: Duration, chance: u32) -> Duration {
    let half = whole / 2;
    half + half.mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_as_the_profile_says_are_spread_by_chance_and_never_longer() {
        let pauses = [0, 5, 60];
        let seconds = [0, 1, 2, 3, 99].map(|attempt| whole(&pauses, attempt).as_secs());
        assert_eq!(seconds, [0, 5, 60, 60, 60]);
        let minute = Duration::from_secs(60);
        assert_eq!((spread(minute, 0), spread(minute, u32::MAX)), (minute / 2, minute));
        for chance in [1, 77, u32::MAX / 3, u32::MAX - 1] {
            assert!((minute / 2..=minute).contains(&spread(minute, chance)), "{chance}");
        }
    }
}
