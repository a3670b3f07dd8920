//! Whether a failed attempt is repeated, and after how long.
//!
//! Idempotent methods (RFC 9110 §9.2.2) and `QUERY`, which is safe, may be repeated. Any other
//! request (POST, PATCH) is repeated only if no byte of it was sent, or if the server says that it
//! did not accept it (429).
//!
//! A 429 is no failure of the server: it is waited for as long as the caller's deadline allows, and
//! does not use up the retries.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use http::Method;
use http::header::{DATE, RETRY_AFTER};

use crate::error::{Error, Kind, Phase};
use crate::lock::lock;
use crate::response::Response;

/// The longest delay that is accepted from a server. For a longer one, the error is raised.
pub const MAX_SERVER_DELAY: Duration = Duration::from_secs(60);
/// How long one call without a deadline waits because of 429 responses.
pub const MAX_THROTTLED: Duration = Duration::from_secs(600);
/// A server that refuses again and again is asked at most this often, whatever it says.
const MIN_REPEATED_DELAY: Duration = Duration::from_secs(1);
const MIN_BACKOFF: Duration = Duration::from_millis(250);
const MAX_BACKOFF: Duration = Duration::from_secs(8);

/// Retries that all calls of a client may make at once, and how many per second after that.
const BURST: f64 = 500.0;
const RATE: f64 = 50.0;
/// The longest wait for a retry, in seconds; the error is raised where it would be longer.
const MAX_BUDGET_WAIT: f64 = 30.0;

/// The retry budget of a client: however many callers wait for a server that is down, its retries
/// come at a limited rate.
#[derive(Debug)]
pub struct Budget(Mutex<Bucket>);

/// A token bucket. A negative count means tokens that were promised for later.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    updated: Option<Instant>,
}

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(Bucket {
            tokens: BURST,
            updated: None,
        }))
    }
}

impl Budget {
    /// Take a token; return how long to wait for it, or None if too many calls wait already.
    pub fn take(&self, now: Instant) -> Option<Duration> {
        let mut bucket = lock(&self.0);
        let passed = bucket
            .updated
            .map_or(Duration::ZERO, |time| now.saturating_duration_since(time));
        bucket.tokens = (bucket.tokens + passed.as_secs_f64() * RATE).min(BURST);
        bucket.updated = Some(now);
        let wait = (1.0 - bucket.tokens).max(0.0) / RATE;
        if wait > MAX_BUDGET_WAIT {
            return None;
        }
        bucket.tokens -= 1.0;
        to_duration(wait)
    }
}

/// The attempts of one call.
#[derive(Debug)]
pub struct Attempts {
    is_retried: bool,
    retries_left: u32,
    failed: u32,
    is_repeatable: bool,
    deadline: Option<Instant>,
    /// How long the call has waited because of 429 responses.
    throttled: Duration,
}

impl Attempts {
    /// Create the state of a call that may be repeated `retries` times.
    pub fn new(method: &Method, retries: u32) -> Self {
        let is_repeatable = method.is_idempotent() || method.as_str() == "QUERY";
        Self {
            is_retried: retries > 0,
            retries_left: retries,
            failed: 0,
            is_repeatable,
            deadline: None,
            throttled: Duration::ZERO,
        }
    }

    /// Set the time when the caller stops waiting. The caller enforces it; here it decides which
    /// delays of a server are worth waiting for.
    pub fn until(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    /// Return how many attempts failed before the current one.
    pub fn failed(&self) -> u32 {
        self.failed
    }

    /// Note a wait because of a 429 response, beyond the delay that `next_delay` returned.
    pub fn note_throttled(&mut self, time: Duration) {
        self.throttled = self.throttled.saturating_add(time);
    }

    /// Return how much longer the call may wait because of 429 responses; None if only its deadline
    /// limits that.
    pub fn throttle_left(&self) -> Option<Duration> {
        match self.deadline {
            Some(_) => None,
            None => Some(MAX_THROTTLED.saturating_sub(self.throttled)),
        }
    }

    /// Return whether a response is a 429 whose delay is acceptable, but ends after the deadline.
    pub fn is_too_late(&self, response: &Response) -> bool {
        let left = self
            .deadline
            .map(|time| time.saturating_duration_since(Instant::now()));
        let delay = advised_delay(response).filter(|delay| *delay <= MAX_SERVER_DELAY);
        self.is_retried
            && response.status == 429
            && delay.zip(left).is_some_and(|(delay, left)| delay >= left)
    }

    /// Return how long to wait before the next attempt, or None to give up.
    ///
    /// `jitter` is a random number from 0 to 1 (full jitter).
    pub fn next_delay(&mut self, error: &Error, jitter: f64, budget: &Budget) -> Option<Duration> {
        if !self.is_retried || !self.may_repeat(error) {
            return None;
        }
        if let Kind::Status(response) = &error.kind
            && response.status == 429
        {
            return self.throttle_delay(response, jitter);
        }
        self.retries_left = self.retries_left.checked_sub(1)?;
        // A server that closes idle connections is healthy: the first retry waits only for the
        // budget.
        let backoff = if error.stale && self.failed == 0 {
            Duration::ZERO
        } else {
            backoff(self.failed, jitter)
        };
        self.failed = self.failed.saturating_add(1);
        let Kind::Status(response) = &error.kind else {
            return Some(backoff.max(budget.take(Instant::now())?));
        };
        let delay = match advised_delay(response) {
            Some(delay) if delay > MAX_SERVER_DELAY => return None,
            Some(delay) => delay + spread(delay, jitter),
            None => backoff,
        };
        Some(delay.max(budget.take(Instant::now())?))
    }

    /// Return how long to wait after a 429, or None to give up. The server limits its own load, so
    /// that neither the retries nor the budget are needed.
    fn throttle_delay(&mut self, response: &Response, jitter: f64) -> Option<Duration> {
        if self.is_too_late(response) {
            return None;
        }
        let delay = match advised_delay(response) {
            Some(delay) if delay > MAX_SERVER_DELAY => return None,
            Some(delay) => {
                let least = if self.failed > 0 {
                    MIN_REPEATED_DELAY
                } else {
                    Duration::ZERO
                };
                let delay = delay.max(least);
                // The deadline shall not end a call that has been told a time before it.
                let left = self
                    .deadline
                    .map(|time| time.saturating_duration_since(Instant::now()));
                let most = left.map_or(delay, |left| left.saturating_sub(delay) / 2);
                delay + spread(delay, jitter).min(most)
            }
            None => backoff(self.failed, jitter),
        };
        if self.throttle_left().is_some_and(|left| delay > left) {
            return None;
        }
        self.failed = self.failed.saturating_add(1);
        self.note_throttled(delay);
        Some(delay)
    }

    fn may_repeat(&self, error: &Error) -> bool {
        match &error.kind {
            Kind::Status(response) => match response.status {
                429 => true,
                408 | 500..=599 => self.is_repeatable,
                _ => false,
            },
            Kind::Connect | Kind::Timeout(Phase::Connect, _) => true,
            Kind::Disconnected
            | Kind::Timeout(Phase::Sending | Phase::Response | Phase::Body, _) => {
                self.is_repeatable || !error.sent
            }
            _ => false,
        }
    }
}

/// Return how long to wait after `failures` earlier failures; `jitter` is a random number from 0 to
/// 1.
pub fn backoff(failures: u32, jitter: f64) -> Duration {
    let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
    MIN_BACKOFF
        .saturating_mul(factor)
        .min(MAX_BACKOFF)
        .mul_f64(jitter.clamp(0.0, 1.0))
}

/// Return what is added to a server's delay: at most a tenth, so that callers with the same response
/// do not return together.
fn spread(delay: Duration, jitter: f64) -> Duration {
    delay.mul_f64(jitter.clamp(0.0, 1.0) / 10.0)
}

fn advised_delay(response: &Response) -> Option<Duration> {
    let text = |name| {
        response
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    server_delay(text(RETRY_AFTER), text(DATE), &response.body)
}

/// Return the delay that a server asks for: in `Retry-After` (RFC 9110 §10.2.3), else in
/// `retry_after` of a problem document, else in the words of its `detail`.
///
/// A `Retry-After` that is a date is compared with the response's own `Date`, since clocks differ.
pub fn server_delay(
    retry_after: Option<&str>,
    date: Option<&str>,
    body: &[u8],
) -> Option<Duration> {
    if let Some(text) = retry_after.map(str::trim) {
        if let Some(delay) = text.parse().ok().and_then(to_duration) {
            return Some(delay);
        }
        if let Ok(due) = httpdate::parse_http_date(text) {
            let now = date.and_then(|date| httpdate::parse_http_date(date.trim()).ok());
            return Some(
                due.duration_since(now.unwrap_or_else(SystemTime::now))
                    .unwrap_or_default(),
            );
        }
    }
    let problem: serde_json::Value = serde_json::from_slice(body).ok()?;
    let number = problem
        .get("retry_after")
        .and_then(|number| to_duration(number.as_f64()?));
    number.or_else(|| delay_in_words(problem.get("detail")?.as_str()?))
}

/// Read "Your rate limit resets in ~5s." and "Expected available in 1 second."
fn delay_in_words(detail: &str) -> Option<Duration> {
    let phrases = ["resets in", "available in"];
    let (_, delay) = phrases
        .iter()
        .find_map(|phrase| detail.split_once(phrase))?;
    let delay = delay.trim_start_matches([' ', '~']);
    let is_number = |each: char| each.is_ascii_digit() || each == '.';
    let (number, unit) = delay.split_at(delay.find(|each| !is_number(each)).unwrap_or(delay.len()));
    let unit: String = unit
        .trim_start()
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    let unit = match unit.as_str() {
        "ms" => 0.001,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        _ => return None,
    };
    to_duration(number.parse::<f64>().ok()? * unit)
}

fn to_duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(code: u16, retry_after: Option<&str>, body: &str) -> Error {
        let mut response = Response::new(code, body);
        if let Some(text) = retry_after {
            response.headers.insert(RETRY_AFTER, text.parse().unwrap());
        }
        Error::status(response)
    }

    fn disconnected(sent: bool) -> Error {
        Error {
            sent,
            ..Error::disconnected("")
        }
    }

    #[test]
    fn a_create_is_repeated_only_when_it_was_not_taken() {
        let after = |error: &Error| {
            Attempts::new(&Method::POST, 5).next_delay(error, 0.5, &Budget::default())
        };
        assert!(after(&status(429, None, "")).is_some());
        assert!(after(&Error::new(Kind::Connect, "")).is_some());
        assert!(after(&disconnected(false)).is_some());
        assert!(after(&disconnected(true)).is_none());
        assert!(after(&status(503, None, "")).is_none());
        assert!(after(&Error::timeout(Phase::Response, Duration::from_secs(1))).is_none());
    }

    #[test]
    fn a_fetch_is_repeated_on_passing_faults_only() {
        let after = |error: &Error| {
            Attempts::new(&Method::GET, 5).next_delay(error, 0.5, &Budget::default())
        };
        assert!(after(&status(500, None, "")).is_some());
        assert!(after(&status(408, None, "")).is_some());
        assert!(after(&disconnected(true)).is_some());
        assert!(after(&status(404, None, "")).is_none());
        assert!(after(&Error::timeout(Phase::Total, Duration::from_secs(1))).is_none());
    }

    #[test]
    fn attempts_are_counted_and_waits_grow() {
        let mut attempts = Attempts::new(&Method::GET, 3);
        let waits: Vec<_> = std::iter::from_fn(|| {
            attempts.next_delay(&disconnected(true), 1.0, &Budget::default())
        })
        .collect();
        assert_eq!(waits, [250, 500, 1000].map(Duration::from_millis));
        let mut attempts = Attempts::new(&Method::GET, 3);
        let counts = std::iter::from_fn(|| {
            let count = attempts.failed();
            attempts
                .next_delay(&disconnected(true), 1.0, &Budget::default())
                .map(|_| count)
        });
        assert_eq!(counts.collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(attempts.failed(), 3);
    }

    #[test]
    fn advice_comes_in_all_its_forms() {
        let wait = |header: Option<&str>, body: &str| server_delay(header, None, body.as_bytes());
        assert_eq!(wait(Some("2"), ""), Some(Duration::from_secs(2)));
        assert_eq!(wait(Some("1.5"), ""), Some(Duration::from_millis(1500)));
        assert_eq!(
            wait(None, r#"{"retry_after": 5}"#),
            Some(Duration::from_secs(5))
        );
        assert_eq!(wait(Some("soon"), ""), None);
        let resets =
            r#"{"detail": "Request was throttled. Your rate limit resets in ~5s.", "status": 429}"#;
        let available = r#"{"detail": "Request was throttled. Expected available in 1 second."}"#;
        assert_eq!(wait(None, resets), Some(Duration::from_secs(5)));
        assert_eq!(wait(None, available), Some(Duration::from_secs(1)));
        assert_eq!(
            wait(None, r#"{"detail": "It resets in 1.5 minutes"}"#),
            Some(Duration::from_secs(90))
        );
        assert_eq!(
            wait(None, r#"{"detail": "It resets in 250 ms"}"#),
            Some(Duration::from_millis(250))
        );
        assert_eq!(
            wait(None, r#"{"detail": "It resets in 2h"}"#),
            Some(Duration::from_secs(7200))
        );
        assert_eq!(
            wait(None, r#"{"detail": "It resets in ~5s", "retry_after": 7}"#),
            Some(Duration::from_secs(7))
        );
        assert_eq!(wait(Some("3"), resets), Some(Duration::from_secs(3)));
        for nothing in [
            "resets in",
            "resets in ~",
            "resets in 5",
            "resets in 5 parsecs",
            "resets in ..5s",
            "5s",
            "resets in -5s",
        ] {
            assert_eq!(
                wait(None, &format!(r#"{{"detail": "{nothing}"}}"#)),
                None,
                "{nothing}"
            );
        }
        assert_eq!(wait(Some("-3"), "[]"), None);
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(20));
        assert!(wait(Some(&date), "").is_some_and(|wait| wait > Duration::from_secs(18)));
    }

    #[test]
    fn a_date_is_read_by_the_clock_that_wrote_it() {
        let (hour, now) = (Duration::from_secs(3600), SystemTime::now());
        for server in [now, now + hour, now - hour] {
            let (due, date) = (
                httpdate::fmt_http_date(server + Duration::from_secs(2)),
                httpdate::fmt_http_date(server),
            );
            assert_eq!(
                server_delay(Some(&due), Some(&date), b""),
                Some(Duration::from_secs(2))
            );
            // A date in the past is also relative to the server's clock.
            assert_eq!(
                server_delay(Some(&date), Some(&due), b""),
                Some(Duration::ZERO)
            );
            let mut limited = status(429, Some(&due), "");
            if let Kind::Status(response) = &mut limited.kind {
                response.headers.insert(DATE, date.parse().unwrap());
            }
            let wait = Attempts::new(&Method::GET, 1).next_delay(&limited, 0.0, &Budget::default());
            assert_eq!(wait, Some(Duration::from_secs(2)));
        }
        let due = httpdate::fmt_http_date(now + Duration::from_secs(20));
        assert!(
            server_delay(Some(&due), Some("today"), b"")
                .is_some_and(|wait| wait > Duration::from_secs(18))
        );
    }

    #[test]
    fn what_is_idempotent_or_safe_is_repeated() {
        for (method, is_repeated) in [
            ("GET", true),
            ("HEAD", true),
            ("OPTIONS", true),
            ("PUT", true),
            ("DELETE", true),
            ("QUERY", true),
            ("POST", false),
            ("PATCH", false),
            ("CONNECT", false),
            ("PURGE", false),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            for error in [disconnected(true), status(503, None, "")] {
                let wait = Attempts::new(&method, 5).next_delay(&error, 0.5, &Budget::default());
                assert_eq!(wait.is_some(), is_repeated, "{method}");
            }
        }
    }

    #[test]
    fn a_connection_that_was_closed_as_idle_costs_no_pause_once() {
        let stale = || Error {
            stale: true,
            ..disconnected(true)
        };
        let (budget, mut attempts) = (Budget::default(), Attempts::new(&Method::GET, 5));
        assert_eq!(
            attempts.next_delay(&stale(), 1.0, &budget),
            Some(Duration::ZERO)
        );
        assert_eq!(
            attempts.next_delay(&stale(), 1.0, &budget),
            Some(Duration::from_millis(500))
        );
        // This retry needs the budget like any other, and a create request is not repeated.
        assert!((0..=600).any(|_| {
            budget
                .take(Instant::now())
                .is_none_or(|wait| !wait.is_zero())
        }));
        assert!(
            Attempts::new(&Method::GET, 5)
                .next_delay(&stale(), 1.0, &budget)
                .is_some_and(|wait| !wait.is_zero())
        );
        assert_eq!(
            Attempts::new(&Method::POST, 5).next_delay(&stale(), 1.0, &Budget::default()),
            None
        );
    }

    proptest! {
        #[test]
        fn any_advice_is_a_wait_or_none(header in ".{0,12}", body: Vec<u8>, detail in ".*(resets|available) in ~?[0-9.]*.*") {
            let _ = server_delay(Some(&header), Some(&header), &body);
            let _ = server_delay(None, None, serde_json::json!({ "detail": detail }).to_string().as_bytes());
        }
    }

    #[test]
    fn advice_above_the_cap_is_not_slept_through() {
        assert!(
            Attempts::new(&Method::GET, 5)
                .next_delay(&status(429, Some("86400"), ""), 0.0, &Budget::default())
                .is_none()
        );
        let wait = Attempts::new(&Method::GET, 5).next_delay(
            &status(429, Some("2"), ""),
            0.0,
            &Budget::default(),
        );
        assert_eq!(wait, Some(Duration::from_secs(2)));
        let longest = Attempts::new(&Method::GET, 5).next_delay(
            &status(429, Some("60"), ""),
            0.0,
            &Budget::default(),
        );
        assert_eq!(longest, Some(MAX_SERVER_DELAY));
    }

    #[test]
    fn callers_that_are_told_the_same_come_back_within_a_tenth_of_it() {
        for (jitter, millis) in [(0.0, 20_000), (0.5, 21_000), (1.0, 22_000)] {
            let wait = Attempts::new(&Method::GET, 5).next_delay(
                &status(429, Some("20"), ""),
                jitter,
                &Budget::default(),
            );
            assert_eq!(wait, Some(Duration::from_millis(millis)));
        }
    }

    #[test]
    fn an_outage_is_not_multiplied() {
        let (budget, now) = (Budget::default(), Instant::now());
        let turns: Vec<_> = (0..5000).filter_map(|_| budget.take(now)).collect();
        let at_once = turns.iter().filter(|wait| wait.is_zero()).count();
        assert_eq!(at_once, 500);
        // The others follow at a fixed rate, for at most half a minute.
        assert_eq!(turns.len(), 500 + 1500);
        assert!(
            turns
                .last()
                .is_some_and(|wait| (29..=30).contains(&wait.as_secs()))
        );
        assert_eq!(budget.take(now), None);
        assert!(budget.take(now + Duration::from_secs(1)).is_some());
        // Without retries, the budget is refilled.
        let calm = now + Duration::from_secs(60);
        assert_eq!(
            (0..600)
                .filter(|_| budget.take(calm).is_some_and(|wait| wait.is_zero()))
                .count(),
            500
        );
    }

    #[test]
    fn a_429_uses_up_no_retries() {
        let budget = Budget::default();
        let mut attempts = Attempts::new(&Method::POST, 1);
        for _ in 0..20 {
            let delay = attempts.next_delay(&status(429, Some("2"), ""), 0.0, &budget);
            assert_eq!(delay, Some(Duration::from_secs(2)));
        }
        assert_eq!(attempts.failed(), 20);
        assert!(
            attempts
                .next_delay(&disconnected(false), 0.0, &budget)
                .is_some()
        );
        // The one retry is used up, for all but a 429.
        assert!(
            attempts
                .next_delay(&disconnected(false), 0.0, &budget)
                .is_none()
        );
        assert!(
            attempts
                .next_delay(&status(429, None, ""), 0.0, &budget)
                .is_some()
        );
        let mut never = Attempts::new(&Method::GET, 0);
        assert!(
            never
                .next_delay(&status(429, Some("0"), ""), 0.0, &budget)
                .is_none()
        );
    }

    #[test]
    fn without_a_deadline_429s_are_waited_for_ten_minutes() {
        for advice in [Some("7"), Some("0"), Some("60"), None] {
            let (budget, mut attempts) = (Budget::default(), Attempts::new(&Method::GET, 5));
            let next = || attempts.next_delay(&status(429, advice, ""), 1.0, &budget);
            let waits: Vec<_> = std::iter::from_fn(next).collect();
            let waited: Duration = waits.iter().sum();
            assert!(waited <= MAX_THROTTLED, "{advice:?}: {waited:?}");
            assert!(waited >= Duration::from_secs(530), "{advice:?}: {waited:?}");
            // Not more than one request a second, whatever the server says.
            assert!(waits.len() <= 602, "{advice:?}: {}", waits.len());
            assert_eq!(
                attempts.throttle_left(),
                Some(MAX_THROTTLED.saturating_sub(waited))
            );
        }
        let mut attempts = Attempts::new(&Method::GET, 5);
        attempts.note_throttled(Duration::from_secs(599));
        let delay = attempts.next_delay(&status(429, Some("2"), ""), 0.0, &Budget::default());
        assert_eq!(delay, None);
    }

    #[test]
    fn a_deadline_decides_which_429s_are_waited_for() {
        let budget = Budget::default();
        let limited = |advice| status(429, Some(advice), "");
        let within = |seconds| {
            let deadline = Instant::now() + Duration::from_secs(seconds);
            Attempts::new(&Method::POST, 5).until(Some(deadline))
        };
        let is_late = |attempts: &Attempts, error: &Error| matches!(&error.kind, Kind::Status(response) if attempts.is_too_late(response));
        let mut attempts = within(20);
        assert!(is_late(&attempts, &limited("30")));
        assert_eq!(attempts.next_delay(&limited("30"), 0.0, &budget), None);
        // Above a minute, the deadline is not the reason.
        assert!(!is_late(&attempts, &limited("61")));
        assert_eq!(attempts.next_delay(&limited("61"), 0.0, &budget), None);
        assert!(!is_late(&attempts, &status(503, Some("30"), "")));
        // What is added to the delay leaves time for the request.
        let delay = attempts.next_delay(&limited("19"), 1.0, &budget).unwrap();
        assert!(delay >= Duration::from_secs(19) && delay <= Duration::from_millis(19_500));
        // A deadline that is far away is the only limit.
        let mut attempts = within(3600);
        assert!((0..40).all(|_| attempts.next_delay(&limited("60"), 0.0, &budget).is_some()));
        assert_eq!(attempts.throttle_left(), None);
        // Without advice, the deadline ends the wait.
        let mut attempts = within(1);
        assert!((0..20).all(|_| {
            attempts
                .next_delay(&status(429, None, ""), 1.0, &budget)
                .is_some()
        }));
    }

    #[test]
    fn a_server_that_throttles_costs_nothing() {
        let budget = Budget::default();
        let (now, limited) = (Instant::now(), status(429, Some("1"), ""));
        assert!((0..=2000).any(|_| budget.take(now).is_none()));
        assert!(
            Attempts::new(&Method::GET, 5)
                .next_delay(&limited, 0.0, &budget)
                .is_some()
        );
        assert!(
            Attempts::new(&Method::GET, 5)
                .next_delay(&disconnected(true), 0.0, &budget)
                .is_none()
        );
    }
}
