//! Wait how long before the next attempt, or give up.
//!
//! What is idempotent (RFC 9110 §9.2.2), and `QUERY`, which is safe, may be repeated. Any other request (POST, PATCH) is sent again only
//! where no byte of it left, or where the server says that it did not take it (429).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::Method;
use http::header::{DATE, RETRY_AFTER};

use crate::error::{Error, Kind, Phase};

/// The longest advice of a server that is obeyed; a longer one is the caller's to decide.
pub(crate) const LONGEST_ADVICE: Duration = Duration::from_secs(60);
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);

/// Attempts after the first that all calls of a client may make at once, and those that it may make per second from then on.
const BURST: f64 = 500.0;
const RATE: f64 = 50.0;
/// The longest wait for an attempt's turn; beyond it the failure is the caller's to know.
const LONGEST_TURN: f64 = 30.0;

/// What attempts after the first cost, over all calls of a client: however many callers wait for a server that is down, it is asked
/// again no faster than this.
#[derive(Debug)]
pub struct Budget(Mutex<Spent>);

#[derive(Debug)]
struct Spent {
    /// Below 0 are turns that were given for later.
    left: f64,
    at: Option<Instant>,
}

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(Spent {
            left: BURST,
            at: None,
        }))
    }
}

impl Budget {
    /// How long to wait for a turn, or None where too many wait already.
    pub fn turn(&self, now: Instant) -> Option<Duration> {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = spent
            .at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let left = (spent.left + passed.as_secs_f64() * RATE).min(BURST) - 1.0;
        let wait = (-left).max(0.0) / RATE;
        (spent.at, spent.left) = (
            Some(now),
            if wait > LONGEST_TURN {
                left + 1.0
            } else {
                left
            },
        );
        if wait > LONGEST_TURN {
            None
        } else {
            seconds(wait)
        }
    }
}

/// The attempts of one call.
pub struct Attempts {
    left: u32,
    made: u32,
    repeatable: bool,
}

impl Attempts {
    /// `retries` attempts may follow the first.
    pub fn new(method: &Method, retries: u32) -> Self {
        Self {
            left: retries,
            made: 0,
            repeatable: method.is_idempotent() || method.as_str() == "QUERY",
        }
    }

    /// How many attempts came before the one that is under way.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Whether the next attempt is the first after the first.
    pub fn is_first(&self) -> bool {
        self.made <= 1
    }

    /// How long to wait before the next attempt, or None to give up.
    ///
    /// `jitter` is a random number from 0 to 1 (full jitter).
    pub fn after(&mut self, error: &Error, jitter: f64, budget: &Budget) -> Option<Duration> {
        let repeat = match &error.kind {
            Kind::Status(response) => match response.status {
                429 => true,
                408 | 500..=599 => self.repeatable,
                _ => false,
            },
            Kind::Connect | Kind::Timeout(Phase::Connect, _) => true,
            Kind::Disconnected
            | Kind::Timeout(Phase::Sending | Phase::Response | Phase::Body, _) => {
                self.repeatable || !error.sent
            }
            _ => false,
        };
        self.left = if repeat {
            self.left.checked_sub(1)?
        } else {
            return None;
        };
        // A server that closes idle connections is well: the first repetition needs no pause, only its turn.
        let backoff = if error.stale && self.made == 0 {
            Duration::ZERO
        } else {
            backoff(self.made, jitter)
        };
        self.made = self.made.saturating_add(1);
        let advised = match &error.kind {
            Kind::Status(response) => {
                let text = |name| {
                    response
                        .headers
                        .get(name)
                        .and_then(|value| value.to_str().ok())
                };
                advice(text(RETRY_AFTER), text(DATE), &response.body)
            }
            _ => None,
        };
        let wait = match advised {
            Some(wait) if wait > LONGEST_ADVICE => return None,
            // Spread over a tenth, so that callers told the same do not come back together.
            Some(wait) => wait + wait.mul_f64(jitter.clamp(0.0, 1.0) / 10.0),
            None => backoff,
        };
        // A server that says 429 sees to its load itself.
        let is_throttled = matches!(&error.kind, Kind::Status(response) if response.status == 429);
        Some(if is_throttled {
            wait
        } else {
            wait.max(budget.turn(Instant::now())?)
        })
    }
}

/// How long to wait after so many failures before this one; `jitter` is a random number from 0 to 1.
pub fn backoff(failures: u32, jitter: f64) -> Duration {
    let longest = FIRST_BACKOFF
        .saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX))
        .min(LONGEST_BACKOFF);
    longest.mul_f64(jitter.clamp(0.0, 1.0))
}

/// What the server said about when to come back: `Retry-After` (RFC 9110 §10.2.3), else `retry_after` in a problem document, else
/// what its `detail` says in words.
///
/// A `Retry-After` that is a date is compared with the answer's own `Date`: the server's clock and this machine's may differ.
pub fn advice(retry_after: Option<&str>, date: Option<&str>, body: &[u8]) -> Option<Duration> {
    if let Some(text) = retry_after.map(str::trim) {
        if let Some(wait) = text.parse().ok().and_then(seconds) {
            return Some(wait);
        }
        if let Ok(due) = httpdate::parse_http_date(text) {
            let now = date
                .and_then(|date| httpdate::parse_http_date(date.trim()).ok())
                .unwrap_or_else(SystemTime::now);
            return Some(due.duration_since(now).unwrap_or_default());
        }
    }
    let problem: serde_json::Value = serde_json::from_slice(body).ok()?;
    let number = problem
        .get("retry_after")
        .and_then(|number| number.as_f64().and_then(seconds));
    number.or_else(|| words(problem.get("detail")?.as_str()?))
}

/// "Your rate limit resets in ~5s.", "Expected available in 1 second."
fn words(detail: &str) -> Option<Duration> {
    let (_, wait) = ["resets in", "available in"]
        .iter()
        .find_map(|phrase| detail.split_once(phrase))?;
    let wait = wait.trim_start_matches([' ', '~']);
    let (number, unit) = wait.split_at(
        wait.find(|each: char| !each.is_ascii_digit() && each != '.')
            .unwrap_or(wait.len()),
    );
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
    seconds(number.parse::<f64>().ok()? * unit)
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::Response;
    use proptest::prelude::*;

    fn status(code: u16, retry_after: Option<&str>, body: &str) -> Error {
        let mut response = Response::new(code, body);
        if let Some(text) = retry_after {
            response.headers.insert(RETRY_AFTER, text.parse().unwrap());
        }
        Error {
            sent: true,
            ..Error::new(Kind::Status(Box::new(response)), "")
        }
    }

    fn disconnected(sent: bool) -> Error {
        Error {
            sent,
            ..Error::new(Kind::Disconnected, "")
        }
    }

    #[test]
    fn a_create_is_repeated_only_when_it_was_not_taken() {
        let after =
            |error: &Error| Attempts::new(&Method::POST, 5).after(error, 0.5, &Budget::default());
        assert!(after(&status(429, None, "")).is_some());
        assert!(after(&Error::new(Kind::Connect, "")).is_some());
        assert!(after(&disconnected(false)).is_some());
        assert!(after(&disconnected(true)).is_none());
        assert!(after(&status(503, None, "")).is_none());
        assert!(after(&Error::timeout(Phase::Response, Duration::from_secs(1))).is_none());
    }

    #[test]
    fn a_fetch_is_repeated_on_passing_faults_only() {
        let after =
            |error: &Error| Attempts::new(&Method::GET, 5).after(error, 0.5, &Budget::default());
        assert!(after(&status(500, None, "")).is_some());
        assert!(after(&status(408, None, "")).is_some());
        assert!(after(&disconnected(true)).is_some());
        assert!(after(&status(404, None, "")).is_none());
        assert!(after(&Error::timeout(Phase::Total, Duration::from_secs(1))).is_none());
    }

    #[test]
    fn attempts_are_counted_and_waits_grow() {
        let mut attempts = Attempts::new(&Method::GET, 3);
        let waits: Vec<_> =
            std::iter::from_fn(|| attempts.after(&disconnected(true), 1.0, &Budget::default()))
                .collect();
        assert_eq!(waits, [250, 500, 1000].map(Duration::from_millis));
        let mut attempts = Attempts::new(&Method::GET, 3);
        let counts = std::iter::from_fn(|| {
            let count = (attempts.made(), attempts.is_first());
            attempts
                .after(&disconnected(true), 1.0, &Budget::default())
                .map(|_| count)
        });
        assert_eq!(
            counts.collect::<Vec<_>>(),
            [(0, true), (1, true), (2, false)]
        );
        assert_eq!(attempts.made(), 3);
    }

    #[test]
    fn advice_comes_in_all_its_forms() {
        let wait = |header: Option<&str>, body: &str| advice(header, None, body.as_bytes());
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
                advice(Some(&due), Some(&date), b""),
                Some(Duration::from_secs(2))
            );
            // What is over is over by the same clock.
            assert_eq!(advice(Some(&date), Some(&due), b""), Some(Duration::ZERO));
            let mut limited = status(429, Some(&due), "");
            if let Kind::Status(response) = &mut limited.kind {
                response.headers.insert(DATE, date.parse().unwrap());
            }
            let wait = Attempts::new(&Method::GET, 1).after(&limited, 0.0, &Budget::default());
            assert_eq!(wait, Some(Duration::from_secs(2)));
        }
        let due = httpdate::fmt_http_date(now + Duration::from_secs(20));
        assert!(
            advice(Some(&due), Some("today"), b"")
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
                let wait = Attempts::new(&method, 5).after(&error, 0.5, &Budget::default());
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
        assert_eq!(attempts.after(&stale(), 1.0, &budget), Some(Duration::ZERO));
        assert_eq!(
            attempts.after(&stale(), 1.0, &budget),
            Some(Duration::from_millis(500))
        );
        // It has its turn like any other, and a create is not repeated.
        assert!((0..=600).any(|_| {
            budget
                .turn(Instant::now())
                .is_none_or(|wait| !wait.is_zero())
        }));
        assert!(
            Attempts::new(&Method::GET, 5)
                .after(&stale(), 1.0, &budget)
                .is_some_and(|wait| !wait.is_zero())
        );
        assert_eq!(
            Attempts::new(&Method::POST, 5).after(&stale(), 1.0, &Budget::default()),
            None
        );
    }

    proptest! {
        #[test]
        fn any_advice_is_a_wait_or_none(header in ".{0,12}", body: Vec<u8>, detail in ".*(resets|available) in ~?[0-9.]*.*") {
            let _ = advice(Some(&header), Some(&header), &body);
            let _ = advice(None, None, serde_json::json!({ "detail": detail }).to_string().as_bytes());
        }
    }

    #[test]
    fn advice_above_the_cap_is_not_slept_through() {
        assert!(
            Attempts::new(&Method::GET, 5)
                .after(&status(429, Some("86400"), ""), 0.0, &Budget::default())
                .is_none()
        );
        let wait = Attempts::new(&Method::GET, 5).after(
            &status(429, Some("2"), ""),
            0.0,
            &Budget::default(),
        );
        assert_eq!(wait, Some(Duration::from_secs(2)));
        let longest = Attempts::new(&Method::GET, 5).after(
            &status(429, Some("60"), ""),
            0.0,
            &Budget::default(),
        );
        assert_eq!(longest, Some(LONGEST_ADVICE));
    }

    #[test]
    fn callers_that_are_told_the_same_come_back_within_a_tenth_of_it() {
        for (jitter, millis) in [(0.0, 20_000), (0.5, 21_000), (1.0, 22_000)] {
            let wait = Attempts::new(&Method::GET, 5).after(
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
        let turns: Vec<_> = (0..5000).filter_map(|_| budget.turn(now)).collect();
        let at_once = turns.iter().filter(|wait| wait.is_zero()).count();
        assert_eq!(at_once, 500);
        // The others come one after the other, and none later than in half a minute.
        assert_eq!(turns.len(), 500 + 1500);
        assert!(
            turns
                .last()
                .is_some_and(|wait| (29..=30).contains(&wait.as_secs()))
        );
        assert_eq!(budget.turn(now), None);
        assert!(budget.turn(now + Duration::from_secs(1)).is_some());
        // After a calm there is as much as in the beginning.
        let calm = now + Duration::from_secs(60);
        assert_eq!(
            (0..600)
                .filter(|_| budget.turn(calm).is_some_and(|wait| wait.is_zero()))
                .count(),
            500
        );
    }

    #[test]
    fn a_server_that_throttles_costs_nothing() {
        let budget = Budget::default();
        let (now, limited) = (Instant::now(), status(429, Some("1"), ""));
        assert!((0..=2000).any(|_| budget.turn(now).is_none()));
        assert!(
            Attempts::new(&Method::GET, 5)
                .after(&limited, 0.0, &budget)
                .is_some()
        );
        assert!(
            Attempts::new(&Method::GET, 5)
                .after(&disconnected(true), 0.0, &budget)
                .is_none()
        );
    }
}
