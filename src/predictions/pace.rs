//! How often to poll predictions, over all that a client waits for.
//!
//! A few are polled one by one, at first often and then at intervals that grow with their age. Many
//! share a rate below the API's limit (3,000 requests a minute:
//! <https://replicate.com/docs/topics/predictions/rate-limits>), and the list of recent predictions
//! is read for them, a hundred in one request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::clock::deadline;
use crate::lock::lock;

/// The interval of a prediction that is polled alone.
const MIN_INTERVAL: Duration = Duration::from_millis(250);
const MAX_INTERVAL: Duration = Duration::from_secs(2);
/// The age up to which the interval is the shortest: the longest time for which the API holds a
/// request open.
const FAST_POLLING: Duration = Duration::from_secs(60);
/// Beyond that age, the interval is this part of the additional age.
const PART_OF_AGE: f64 = 0.1;
/// Requests per second for all predictions together, without and with the list.
const RATE: f64 = 30.0;
const RATE_WITH_LIST: f64 = 10.0;
/// How many predictions must be waited for before the list is read.
const MIN_FOR_LIST: usize = 20;
/// The interval of the list.
const LIST_INTERVAL: Duration = Duration::from_millis(900);
/// How long a list that contained none of the predictions is not read again.
const LIST_PAUSE: Duration = Duration::from_secs(60);

/// The predictions that a client waits for.
#[derive(Debug, Default)]
pub struct Pace {
    state: Mutex<State>,
    /// Held by the one waiter that reads the list for all.
    pub list_reader: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    awaited: HashMap<String, Awaited>,
    next_list: Option<Instant>,
    list_helps: bool,
}

#[derive(Debug)]
struct Awaited {
    waiters: usize,
    ended: Arc<Notify>,
    /// When it was last in the list.
    listed: Option<Instant>,
    has_ended: bool,
}

impl Pace {
    /// Wait for a prediction, for as long as the guard lives.
    pub fn join(&self, id: &str) -> Waiter<'_> {
        let mut state = lock(&self.state);
        let new = || Awaited {
            waiters: 0,
            ended: Arc::default(),
            listed: None,
            has_ended: false,
        };
        let awaited = state.awaited.entry(id.to_owned()).or_insert_with(new);
        awaited.waiters += 1;
        Waiter {
            pace: self,
            id: id.to_owned(),
            ended: awaited.ended.clone(),
        }
    }

    /// Return how long to wait between two polls of a prediction of this age. `allowed` is the rate
    /// per second that the server allows; `jitter` is a random number from 0 to 1.
    pub fn interval(&self, age: Duration, allowed: Option<f64>, jitter: f64) -> Duration {
        let state = lock(&self.state);
        let alone = age.saturating_sub(FAST_POLLING).mul_f64(PART_OF_AGE);
        let alone = alone.clamp(MIN_INTERVAL, MAX_INTERVAL);
        let rate = if state.list_helps {
            RATE_WITH_LIST
        } else {
            RATE
        };
        let rate = allowed.map_or(rate, |allowed| rate.min(allowed));
        #[allow(
            clippy::cast_precision_loss,
            reason = "nobody waits for 2^52 predictions"
        )]
        let count = state.awaited.len() as f64;
        let share = Duration::try_from_secs_f64(count / rate).unwrap_or(LIST_PAUSE);
        // Jitter spreads predictions that began together. It only lengthens, to keep the rate.
        if share > alone {
            share.mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0))
        } else {
            alone
        }
    }

    /// Return when to read the list; None while too few predictions are waited for.
    pub fn next_list(&self, now: Instant) -> Option<Instant> {
        let state = lock(&self.state);
        (state.awaited.len() >= MIN_FOR_LIST).then(|| state.next_list.unwrap_or(now))
    }

    /// Note the ids of a page of the list, and whether they have ended. Return whether any is
    /// waited for.
    pub fn note_page<'a>(
        &self,
        items: impl Iterator<Item = (&'a str, bool)>,
        now: Instant,
    ) -> bool {
        let mut state = lock(&self.state);
        let mut helps = false;
        for (id, has_ended) in items {
            if let Some(awaited) = state.awaited.get_mut(id) {
                helps = true;
                awaited.listed = Some(now);
                awaited.has_ended = has_ended;
            }
        }
        helps
    }

    /// Return whether some predictions are not in the list of this time.
    pub fn has_unlisted(&self, now: Instant) -> bool {
        lock(&self.state)
            .awaited
            .values()
            .any(|awaited| awaited.listed != Some(now))
    }

    /// Note that the list was read, and notify the waiters. They are not notified earlier, because
    /// the waiter that reads the list may be among them.
    pub fn finish_list(&self, helps: bool, now: Instant) {
        let mut state = lock(&self.state);
        for awaited in state.awaited.values().filter(|awaited| awaited.has_ended) {
            awaited.ended.notify_waiters();
        }
        state.list_helps = helps;
        state.next_list = Some(deadline(
            now,
            if helps { LIST_INTERVAL } else { LIST_PAUSE },
        ));
    }
}

/// The wait for one prediction.
#[derive(Debug)]
pub struct Waiter<'a> {
    pace: &'a Pace,
    id: String,
    /// Notified when the list shows that the prediction has ended.
    pub ended: Arc<Notify>,
}

impl Waiter<'_> {
    /// Return when the prediction was last in the list.
    pub fn listed(&self) -> Option<Instant> {
        lock(&self.pace.state).awaited.get(&self.id)?.listed
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.pace.state);
        if let Some(awaited) = state.awaited.get_mut(&self.id) {
            awaited.waiters -= 1;
            if awaited.waiters == 0 {
                state.awaited.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YOUNG: Duration = Duration::ZERO;

    #[test]
    fn one_alone_is_asked_for_often_at_first() {
        let pace = Pace::default();
        let _waiter = pace.join("a");
        let ages = [0, 59, 70, 3600].map(|age| pace.interval(Duration::from_secs(age), None, 1.0));
        assert_eq!(ages, [250, 250, 1000, 2000].map(Duration::from_millis));
    }

    #[test]
    fn many_share_a_rate() {
        let pace = Pace::default();
        let waiters: Vec<_> = (0..300).map(|n| pace.join(&n.to_string())).collect();
        assert_eq!(pace.interval(YOUNG, None, 0.0), Duration::from_secs(10));
        assert_eq!(pace.interval(YOUNG, None, 1.0), Duration::from_secs(12));
        pace.finish_list(true, Instant::now());
        assert_eq!(pace.interval(YOUNG, None, 0.0), Duration::from_secs(30));
        // With few predictions the interval is that of a single old one, without jitter.
        let waiters = waiters.into_iter().take(20).collect::<Vec<_>>();
        assert_eq!(
            pace.interval(Duration::from_secs(3600), None, 1.0),
            MAX_INTERVAL
        );
        drop(waiters);
        assert_eq!(pace.interval(YOUNG, None, 0.0), MIN_INTERVAL);
        assert!(lock(&pace.state).awaited.is_empty());
    }

    #[test]
    fn a_server_that_has_little_left_is_asked_little() {
        let pace = Pace::default();
        let _waiter = pace.join("a");
        for (allowed, seconds) in [(29999.5, 0.25), (0.1, 10.0), (0.05, 20.0), (0.0, 60.0)] {
            let expected = Duration::from_secs_f64(seconds);
            assert_eq!(
                pace.interval(YOUNG, Some(allowed), 0.0),
                expected,
                "{allowed}"
            );
        }
    }

    #[test]
    fn the_list_is_asked_for_only_by_a_crowd_that_it_helps() {
        let (pace, now) = (Pace::default(), Instant::now());
        let few: Vec<_> = (0..MIN_FOR_LIST - 1)
            .map(|n| pace.join(&n.to_string()))
            .collect();
        assert_eq!(pace.next_list(now), None);
        let _last = pace.join("last");
        assert_eq!(pace.next_list(now), Some(now));
        assert!(pace.note_page([("0", false), ("x", true)].into_iter(), now));
        assert_eq!(few.first().and_then(Waiter::listed), Some(now));
        assert!(pace.has_unlisted(now));
        let ids: Vec<_> = (0..MIN_FOR_LIST - 1)
            .map(|n| n.to_string())
            .chain(["last".to_owned()])
            .collect();
        pace.note_page(ids.iter().map(|id| (id.as_str(), false)), now);
        assert!(!pace.has_unlisted(now));
        assert!(pace.has_unlisted(now + LIST_INTERVAL));
        assert!(!pace.note_page([("x", true)].into_iter(), now));
        pace.finish_list(false, now);
        assert_eq!(pace.next_list(now), Some(now + LIST_PAUSE));
    }
}
