//! Arithmetic with points in time that cannot overflow.

use std::time::{Duration, Instant};

/// Longer than any program runs, and within the range of every clock.
const MAX_WAIT: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Return the time `after` from `now`, at most thirty years.
///
/// `now + after` would panic for a duration from a caller or a server that no clock can represent.
pub(crate) fn deadline<T: From<Instant> + Into<Instant>>(now: T, after: Duration) -> T {
    let now = now.into();
    now.checked_add(after.min(MAX_WAIT)).unwrap_or(now).into()
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
        assert_eq!(deadline(now, Duration::MAX), now + MAX_WAIT);
        assert_eq!(
            deadline(tokio::time::Instant::from_std(now), Duration::MAX).into_std(),
            now + MAX_WAIT
        );
    }
}
