//! Turns of create requests that were refused with a 429.
//!
//! All of them are told nearly the same time. If they returned at that time, the first would be
//! accepted and all others refused again. So they return one after another, at an interval that is
//! learned from the server: shorter with each turn, longer after a refusal.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::clock::deadline;
use crate::lock::lock;

const MIN_INTERVAL: Duration = Duration::from_millis(5);
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// The longest interval to begin with. A limit may be lifted as a whole when its time is over.
const MAX_FIRST_INTERVAL: Duration = Duration::from_secs(2);
/// What one turn makes of the interval, before and after the first refusal of a turn, and what a
/// refusal makes of it.
const PROBING: f64 = 0.8;
const SETTLED: f64 = 0.98;
const REFUSED: f64 = 1.5;
/// How long the interval is valid without a turn.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The turns of all calls of a client.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// Held by the one call whose turn is next; others wait in the order in which they came.
    queue: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the next turn may begin; None before the first refusal.
    next: Option<Instant>,
    interval: Duration,
    is_settled: bool,
    /// When the interval was last made longer.
    lengthened: Option<Instant>,
}

impl State {
    /// Note that a request, begun at `start`, was refused for `delay`.
    fn refuse(&mut self, start: Instant, now: Instant, delay: Duration, had_turn: bool) {
        if self
            .next
            .is_none_or(|next| now.saturating_duration_since(next) > MAX_AGE)
        {
            *self = Self {
                interval: delay.clamp(MIN_INTERVAL, MAX_FIRST_INTERVAL),
                ..Self::default()
            };
        } else if had_turn && self.lengthened.is_none_or(|time| time < start) {
            // Requests that were sent before the interval was made longer say nothing new.
            self.interval = self.interval.mul_f64(REFUSED).min(MAX_INTERVAL);
            self.is_settled = true;
            self.lengthened = Some(now);
        }
        let next = deadline(now, delay);
        self.next = Some(self.next.map_or(next, |time| time.max(next)));
    }

    /// Begin a turn, or return when it may begin.
    fn begin(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(next) = self.next.filter(|next| now < *next) {
            return Err(next);
        }
        self.next = Some(deadline(now, self.interval));
        let factor = if self.is_settled { SETTLED } else { PROBING };
        self.interval = self.interval.mul_f64(factor).max(MIN_INTERVAL);
        Ok(())
    }
}

impl Throttle {
    /// Note that a request, begun at `start`, was refused for `delay`. `had_turn` says whether it
    /// had waited for its turn.
    pub(crate) fn refuse(&self, start: Instant, delay: Duration, had_turn: bool) {
        lock(&self.state).refuse(start, Instant::now(), delay, had_turn);
    }

    /// Wait for a turn. A call that leaves gives its place to the next.
    pub(crate) async fn turn(&self) {
        let _place = self.queue.lock().await;
        loop {
            let begun = lock(&self.state).begin(Instant::now());
            match begun {
                Ok(()) => return,
                Err(next) => sleep_until(next.into()).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Let `count` callers have their turns at a server with a token bucket that holds one second's
    /// requests, and tells seconds, rounded up. Return how many were refused after their first
    /// attempt, and how long it took in seconds.
    fn simulate(per_second: f64, count: usize) -> (usize, f64) {
        let (start, mut state) = (Instant::now(), State::default());
        let (mut tokens, mut filled, mut refused) = (0.0, start, 0);
        let delay = |tokens: f64| Duration::from_secs_f64(((1.0 - tokens) / per_second).ceil());
        for _ in 0..count {
            state.refuse(start, start, delay(0.0), false);
        }
        let (mut now, mut accepted) = (start, 0);
        while accepted < count {
            if let Err(next) = state.begin(now) {
                now = next;
                continue;
            }
            let passed = now.duration_since(filled).as_secs_f64();
            tokens = f64::min(tokens + passed * per_second, per_second.max(1.0));
            filled = now;
            if tokens >= 1.0 {
                tokens -= 1.0;
                accepted += 1;
            } else {
                refused += 1;
                state.refuse(now, now + MIN_INTERVAL, delay(tokens), true);
            }
        }
        (refused, now.duration_since(start).as_secs_f64())
    }

    #[test]
    fn turns_find_the_rate_of_the_server() {
        for (a_minute, count) in [(6.0, 50), (30.0, 50), (600.0, 300), (3000.0, 1000)] {
            let rate = a_minute / 60.0;
            let (refused, seconds) = simulate(rate, count);
            let least = count as f64 / rate;
            println!(
                "{a_minute} a minute: {refused} of {count} refused, {seconds:.0} s, at least {least:.0}"
            );
            assert!(refused <= count / 5, "{a_minute}: {refused}");
            assert!(seconds <= 1.5 * least + 10.0, "{a_minute}: {seconds}");
        }
    }

    #[test]
    fn refusals_of_the_same_moment_count_once() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut state = State::default();
        for _ in 0..50 {
            state.refuse(start, start, second, false);
        }
        assert_eq!(
            (state.interval, state.begin(start)),
            (second, Err(start + second))
        );
        assert_eq!(state.begin(start + second), Ok(()));
        for _ in 0..50 {
            state.refuse(start + second, start + 2 * second, second, true);
        }
        assert_eq!(state.interval, second.mul_f64(PROBING).mul_f64(REFUSED));
        assert_eq!(state.begin(start + 2 * second), Err(start + 3 * second));
    }

    #[test]
    fn a_long_delay_is_no_interval_and_an_old_interval_is_forgotten() {
        let (start, minute) = (Instant::now(), Duration::from_secs(60));
        let mut state = State::default();
        state.refuse(start, start, minute, false);
        assert_eq!(state.interval, MAX_FIRST_INTERVAL);
        let later = start + 3 * minute;
        state.refuse(later, later, Duration::ZERO, true);
        assert_eq!((state.interval, state.is_settled), (MIN_INTERVAL, false));
        assert_eq!(state.begin(later), Ok(()));
    }

    #[test]
    fn turns_come_one_after_another_and_one_that_leaves_holds_up_nobody() {
        super::super::test_server::run(async {
            let throttle = Throttle::default();
            let delay = Duration::from_millis(40);
            throttle.refuse(Instant::now(), delay, false);
            let start = Instant::now();
            let left = tokio::time::timeout(Duration::from_millis(5), throttle.turn()).await;
            assert!(left.is_err());
            tokio::join!(throttle.turn(), throttle.turn());
            assert!(start.elapsed() >= delay + delay.mul_f64(0.5));
        });
    }
}
