//! How often to ask for predictions that have not ended, over all that a client waits for.
//!
//! A few are asked for one by one, at first often and then at intervals that grow with their age. Many share a rate that leaves
//! room below the API's limit (3,000 requests a minute: <https://replicate.com/docs/topics/predictions/rate-limits>), and are
//! told by the list of recent predictions, a hundred of them in one request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::sync::Notify;

use crate::clock::deadline;
use crate::retry::LONGEST_ADVICE;

/// The shortest and the longest interval of one that is alone.
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(2);
/// Up to this age the interval is the shortest: a request that is held open would tell of the end at once for so long.
const PROMPT: Duration = Duration::from_secs(60);
/// From then on the interval is this part of what the age is beyond it.
const PART_OF_AGE: f64 = 0.1;
/// Requests per second for all together.
const RATE: f64 = 30.0;
/// The same where the list tells of most.
const RATE_BESIDE_LIST: f64 = 10.0;
/// From so many on, the list is asked for.
const CROWD: usize = 20;
/// Between two looks at the list.
const TICK: Duration = Duration::from_millis(900);
/// How long a list that does not help is left alone.
const UNHELPFUL: Duration = Duration::from_secs(60);
/// How much of what the server says is left this client takes; others may share the token.
const OUR_PART: f64 = 0.5;

/// How often to ask for predictions that have not ended.
#[derive(Debug, Default)]
pub struct Pace {
    state: Mutex<State>,
    /// Whoever holds it looks at the list, for all.
    pub lead: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<String, Waiting>,
    /// What the server allows per second, and until when that holds.
    allowed: Option<(f64, Instant)>,
    /// When the list is to be asked for next.
    next_list: Option<Instant>,
    list_helps: bool,
}

#[derive(Debug)]
struct Waiting {
    callers: usize,
    ended: Arc<Notify>,
    /// When the list last told of it.
    seen: Option<Instant>,
    /// What it said.
    has_ended: bool,
}

impl Pace {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins those who wait, for as long as the guard lives.
    pub fn join(&self, id: &str) -> Turn<'_> {
        let mut state = self.state();
        let new = || Waiting {
            callers: 0,
            ended: Arc::default(),
            seen: None,
            has_ended: false,
        };
        let waiting = state.waiting.entry(id.to_owned()).or_insert_with(new);
        waiting.callers += 1;
        Turn {
            pace: self,
            id: id.to_owned(),
            ended: waiting.ended.clone(),
        }
    }

    /// How long one of this age waits before it is asked for again; `jitter` is a random number from 0 to 1.
    pub fn interval(&self, age: Duration, jitter: f64, now: Instant) -> Duration {
        let state = self.state();
        let alone = age
            .saturating_sub(PROMPT)
            .mul_f64(PART_OF_AGE)
            .clamp(SHORTEST, LONGEST);
        let own = if state.list_helps {
            RATE_BESIDE_LIST
        } else {
            RATE
        };
        let rate = match state.allowed {
            Some((allowed, until)) if now < until => own.min(allowed),
            _ => own,
        };
        let share = Duration::try_from_secs_f64(state.crowd() / rate).unwrap_or(UNHELPFUL);
        // Spread, so that those who began together do not ask together; but no faster than their share.
        if share > alone {
            share.mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0))
        } else {
            alone
        }
    }

    /// Takes note of what an answer says is left of the server's limit.
    pub fn observe(&self, headers: &HeaderMap, now: Instant) {
        let number = |name| {
            headers
                .get(name)?
                .to_str()
                .ok()?
                .trim()
                .parse::<f64>()
                .ok()
                .filter(|number| *number >= 0.0)
        };
        let (Some(left), Some(reset)) = (number("ratelimit-remaining"), number("ratelimit-reset"))
        else {
            return;
        };
        // Some servers give a date as seconds since 1970: like any advice, it is not obeyed for longer than a minute.
        let reset = reset.clamp(1.0, LONGEST_ADVICE.as_secs_f64());
        let allowed = (left * OUR_PART / reset).max(1.0 / reset);
        self.state().allowed = Some((allowed, deadline(now, Duration::from_secs_f64(reset))));
    }

    /// When to look at the list; None while too few wait for that.
    pub fn next_list(&self, now: Instant) -> Option<Instant> {
        let state = self.state();
        (state.waiting.len() >= CROWD).then(|| state.next_list.unwrap_or(now))
    }

    /// Takes note of a page of the list; whether it told of any that are waited for.
    pub fn listed<'a>(&self, items: impl Iterator<Item = (&'a str, bool)>, now: Instant) -> bool {
        let mut state = self.state();
        let mut helps = false;
        for (id, has_ended) in items {
            let Some(waiting) = state.waiting.get_mut(id) else {
                continue;
            };
            helps = true;
            (waiting.seen, waiting.has_ended) = (Some(now), has_ended);
        }
        helps
    }

    /// Whether there are some whom the list of this moment has not told of.
    pub fn has_unseen(&self, now: Instant) -> bool {
        self.state()
            .waiting
            .values()
            .any(|waiting| waiting.seen != Some(now))
    }

    /// The look at the list is over; those that have ended are told now, since the one who looked may be among them.
    pub fn looked(&self, helps: bool, now: Instant) {
        let mut state = self.state();
        state
            .waiting
            .values()
            .filter(|waiting| waiting.has_ended)
            .for_each(|waiting| waiting.ended.notify_waiters());
        state.list_helps = helps;
        state.next_list = Some(deadline(now, if helps { TICK } else { UNHELPFUL }));
    }
}

impl State {
    #[allow(
        clippy::cast_precision_loss,
        reason = "nobody waits for 2^52 predictions"
    )]
    fn crowd(&self) -> f64 {
        self.waiting.len() as f64
    }
}

/// One that is waited for.
#[derive(Debug)]
pub struct Turn<'a> {
    pace: &'a Pace,
    id: String,
    /// Told when the list says that it has ended.
    pub ended: Arc<Notify>,
}

impl Turn<'_> {
    /// When the list last told of it.
    pub fn seen(&self) -> Option<Instant> {
        self.pace.state().waiting.get(&self.id)?.seen
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.pace.state();
        if let Some(waiting) = state.waiting.get_mut(&self.id) {
            waiting.callers -= 1;
            if waiting.callers == 0 {
                state.waiting.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YOUNG: Duration = Duration::ZERO;

    fn headers(left: &str, reset: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit-remaining", left.parse().unwrap());
        headers.insert("ratelimit-reset", reset.parse().unwrap());
        headers
    }

    #[test]
    fn one_alone_is_asked_for_often_at_first() {
        let (pace, now) = (Pace::default(), Instant::now());
        let _turn = pace.join("a");
        let ages = [0, 59, 70, 3600].map(|age| pace.interval(Duration::from_secs(age), 1.0, now));
        assert_eq!(ages, [250, 250, 1000, 2000].map(Duration::from_millis));
    }

    #[test]
    fn many_share_a_rate() {
        let (pace, now) = (Pace::default(), Instant::now());
        let turns: Vec<_> = (0..300).map(|n| pace.join(&n.to_string())).collect();
        assert_eq!(pace.interval(YOUNG, 0.0, now), Duration::from_secs(10));
        assert_eq!(pace.interval(YOUNG, 1.0, now), Duration::from_secs(12));
        pace.looked(true, now);
        assert_eq!(pace.interval(YOUNG, 0.0, now), Duration::from_secs(30));
        // As long as an old one waits alone: nothing has to be spread.
        let turns = turns.into_iter().take(20).collect::<Vec<_>>();
        assert_eq!(pace.interval(Duration::from_secs(3600), 1.0, now), LONGEST);
        drop(turns);
        assert_eq!(pace.interval(YOUNG, 0.0, now), SHORTEST);
        assert!(pace.state().waiting.is_empty());
    }

    #[test]
    fn a_server_that_has_little_left_is_asked_little() {
        let (pace, now) = (Pace::default(), Instant::now());
        let _turn = pace.join("a");
        pace.observe(&headers("59999", "1"), now);
        assert_eq!(pace.interval(YOUNG, 0.0, now), SHORTEST);
        pace.observe(&headers("4", "20"), now);
        assert_eq!(pace.interval(YOUNG, 0.0, now), Duration::from_secs(10));
        pace.observe(&headers("0", "20"), now);
        assert_eq!(pace.interval(YOUNG, 0.0, now), Duration::from_secs(20));
        assert_eq!(
            pace.interval(YOUNG, 0.0, now + Duration::from_secs(21)),
            SHORTEST
        );
        for (left, reset) in [("soon", "1"), ("1", "-1"), ("nan", "1")] {
            pace.observe(&headers(left, reset), now + Duration::from_secs(30));
            assert_eq!(
                pace.interval(YOUNG, 0.0, now + Duration::from_secs(30)),
                SHORTEST,
                "{left} {reset}"
            );
        }
    }

    #[test]
    fn a_reset_that_is_far_away_is_obeyed_for_a_minute() {
        for reset in ["61", "1790000000", "9e18", "1e300", "inf"] {
            let (pace, now) = (Pace::default(), Instant::now());
            let _turn = pace.join("a");
            pace.observe(&headers("0", reset), now);
            assert_eq!(
                pace.interval(YOUNG, 0.0, now),
                Duration::from_secs(60),
                "{reset}"
            );
            assert_eq!(
                pace.interval(YOUNG, 0.0, now + Duration::from_secs(60)),
                SHORTEST,
                "{reset}"
            );
        }
    }

    #[test]
    fn the_list_is_asked_for_only_by_a_crowd_that_it_helps() {
        let (pace, now) = (Pace::default(), Instant::now());
        let few: Vec<_> = (0..CROWD - 1).map(|n| pace.join(&n.to_string())).collect();
        assert_eq!(pace.next_list(now), None);
        let _last = pace.join("last");
        assert_eq!(pace.next_list(now), Some(now));
        assert!(pace.listed([("0", false), ("x", true)].into_iter(), now));
        assert_eq!(few.first().and_then(Turn::seen), Some(now));
        assert!(pace.has_unseen(now));
        let ids: Vec<_> = (0..CROWD - 1)
            .map(|n| n.to_string())
            .chain(["last".to_owned()])
            .collect();
        pace.listed(ids.iter().map(|id| (id.as_str(), false)), now);
        assert!(!pace.has_unseen(now));
        assert!(pace.has_unseen(now + TICK));
        assert!(!pace.listed([("x", true)].into_iter(), now));
        pace.looked(false, now);
        assert_eq!(pace.next_list(now), Some(now + UNHELPFUL));
    }
}
