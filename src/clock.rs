//! Points in time that cannot overflow.

use std::time::{Duration, Instant};

/// Longer than any program runs, and short enough for every clock.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Returns the time that is `after` from `now`, at most thirty years.
///
/// `now + after` panics where a caller or a server gives a number that no clock can hold.
pub fn deadline<T: From<Instant> + Into<Instant>>(now: T, after: Duration) -> T {
    let now = now.into();
    now.checked_add(after.min(FAR)).unwrap_or(now).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_never_overflows() {
        let now = Instant::now();
        assert_eq!(
            deadline(now, Duration::from_secs(1)),
            now + Duration::from_secs(1)
        );
        assert_eq!(deadline(now, Duration::MAX), now + FAR);
        assert_eq!(
            deadline(tokio::time::Instant::from_std(now), Duration::MAX).into_std(),
            now + FAR
        );
    }
}
