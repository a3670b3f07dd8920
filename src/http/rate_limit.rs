//! The rate limit that responses announce in their headers.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::HeaderMap;

use crate::clock::deadline;
use crate::lock::lock;
use crate::retry::MAX_SERVER_DELAY;

/// The share of the remaining requests that this client takes; others may use the same token.
const SHARE: f64 = 0.5;

/// The request rate that the server allows at present.
#[derive(Debug, Default)]
pub struct RateLimit(Mutex<Option<(f64, Instant)>>);

impl RateLimit {
    /// Read the headers of a response.
    pub fn update(&self, headers: &HeaderMap, now: Instant) {
        let number = |name| -> Option<f64> {
            let number = headers.get(name)?.to_str().ok()?.trim().parse().ok()?;
            (number >= 0.0).then_some(number)
        };
        let (Some(remaining), Some(reset)) =
            (number("ratelimit-remaining"), number("ratelimit-reset"))
        else {
            return;
        };
        // Some servers send seconds since 1970 instead. A longer wait than a minute is never
        // accepted from a server.
        let reset = reset.clamp(1.0, MAX_SERVER_DELAY.as_secs_f64());
        let rate = (remaining * SHARE / reset).max(1.0 / reset);
        *lock(&self.0) = Some((rate, deadline(now, Duration::from_secs_f64(reset))));
    }

    /// Return how many requests per second the server allows, if it has announced that lately.
    pub fn per_second(&self, now: Instant) -> Option<f64> {
        lock(&self.0)
            .filter(|(_, until)| now < *until)
            .map(|(rate, _)| rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(remaining: &str, reset: &str, after: u64) -> Option<f64> {
        let (limit, now, mut headers) = (RateLimit::default(), Instant::now(), HeaderMap::new());
        headers.insert("ratelimit-remaining", remaining.parse().unwrap());
        headers.insert("ratelimit-reset", reset.parse().unwrap());
        limit.update(&headers, now);
        limit.per_second(now + Duration::from_secs(after))
    }

    #[test]
    fn half_of_what_is_left_is_used_until_the_reset() {
        assert_eq!(limited("59999", "1", 0), Some(29999.5));
        assert_eq!(limited("4", "20", 19), Some(0.1));
        assert_eq!(limited("4", "20", 20), None);
        // At least one request until the reset.
        assert_eq!(limited("0", "20", 0), Some(0.05));
    }

    #[test]
    fn a_reset_that_is_far_away_is_obeyed_for_a_minute() {
        for reset in ["61", "1790000000", "9e18", "1e300", "inf"] {
            assert_eq!(limited("0", reset, 59), Some(1.0 / 60.0), "{reset}");
            assert_eq!(limited("0", reset, 60), None, "{reset}");
        }
    }

    #[test]
    fn malformed_headers_are_ignored() {
        for (remaining, reset) in [("soon", "1"), ("1", "-1"), ("nan", "1")] {
            assert_eq!(limited(remaining, reset, 0), None, "{remaining} {reset}");
        }
    }
}
