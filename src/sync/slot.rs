//! The outcome of some work, and its waiters.
//!
//! Rules of this file:
//! * each decision is made under one lock: an outcome that arrives during a cancellation is either
//!   delivered, or returned to the worker;
//! * nothing that a caller stored is dropped while the lock is held, since its destructor may use
//!   the slot.

use std::mem;
use std::sync::Arc;

use super::{Mutex, locked};

/// An outcome `T`, and waiters `W`.
#[derive(Debug)]
pub(crate) struct Slot<T, W>(Mutex<State<T, W>>);

#[derive(Debug)]
enum State<T, W> {
    Working(Waiters<W>),
    /// The outcome has arrived; its waiters must be woken.
    Done(Waiters<W>, T),
    Taken(Waiters<W>),
    Cancelled,
}

/// Waiters. Nearly always there is one, which needs no allocation.
#[derive(Debug)]
pub(crate) struct Waiters<W> {
    first: Option<W>,
    more: Vec<W>,
}

impl<W> Waiters<W> {
    const fn none() -> Self {
        Self {
            first: None,
            more: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn push(&mut self, waiter: W) {
        match &self.first {
            None => self.first = Some(waiter),
            Some(_) => self.more.push(waiter),
        }
    }

    /// Remove and return the waiters for which `matches` is true.
    fn remove(&mut self, matches: impl Fn(&W) -> bool) -> Vec<W> {
        let (removed, mut kept): (Vec<_>, Vec<_>) = mem::replace(self, Self::none())
            .into_iter()
            .partition(matches);
        kept.reverse();
        self.first = kept.pop();
        kept.reverse();
        self.more = kept;
        removed
    }

    /// Iterate in the order of subscription.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &W> {
        self.first.iter().chain(&self.more)
    }
}

impl<W> From<W> for Waiters<W> {
    fn from(waiter: W) -> Self {
        Self {
            first: Some(waiter),
            more: Vec::new(),
        }
    }
}

impl<W> IntoIterator for Waiters<W> {
    type Item = W;
    type IntoIter = std::iter::Chain<std::option::IntoIter<W>, std::vec::IntoIter<W>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more)
    }
}

/// The result of a subscription.
#[derive(Debug)]
pub(crate) enum Subscribed<W> {
    /// The waiter will be woken.
    Waits,
    /// The outcome has arrived: the caller must wake the waiters.
    IsDone,
    /// The wait was cancelled. The waiter is returned.
    Refused(W),
}

/// The state of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Working,
    Done,
    Taken,
    Cancelled,
}

impl<T, W> Default for Slot<T, W> {
    fn default() -> Self {
        Self(Mutex::new(State::Working(Waiters::none())))
    }
}

impl<T, W> Slot<T, W> {
    pub(crate) fn status(&self) -> Status {
        match &*locked(&self.0) {
            State::Working(_) => Status::Working,
            State::Done(..) => Status::Done,
            State::Taken(_) => Status::Taken,
            State::Cancelled => Status::Cancelled,
        }
    }

    /// Store the outcome; return whether waiters must be woken. The outcome of a cancelled wait is
    /// returned.
    pub(crate) fn finish(&self, outcome: T) -> Result<bool, T> {
        let mut state = locked(&self.0);
        let State::Working(waiters) = &mut *state else {
            return Err(outcome);
        };
        let waiters = mem::replace(waiters, Waiters::none());
        let is_awaited = !waiters.is_empty();
        *state = State::Done(waiters, outcome);
        Ok(is_awaited)
    }

    /// Add a waiter.
    pub(crate) fn subscribe(&self, waiter: W) -> Subscribed<W> {
        match &mut *locked(&self.0) {
            State::Working(waiters) => {
                waiters.push(waiter);
                Subscribed::Waits
            }
            State::Done(waiters, _) | State::Taken(waiters) => {
                waiters.push(waiter);
                Subscribed::IsDone
            }
            State::Cancelled => Subscribed::Refused(waiter),
        }
    }

    /// Map all waiters.
    pub(crate) fn waiters<U>(&self, look: impl FnMut(&W) -> U) -> Vec<U> {
        match &*locked(&self.0) {
            State::Working(waiters) | State::Done(waiters, _) | State::Taken(waiters) => {
                waiters.iter().map(look).collect()
            }
            State::Cancelled => Vec::new(),
        }
    }

    /// Remove and return the waiters for which `matches` is true.
    pub(crate) fn unsubscribe(&self, matches: impl Fn(&W) -> bool) -> Vec<W> {
        match &mut *locked(&self.0) {
            State::Working(waiters) | State::Done(waiters, _) | State::Taken(waiters) => {
                waiters.remove(matches)
            }
            State::Cancelled => Vec::new(),
        }
    }

    /// Return the waiters that must be woken, once each, when the outcome has arrived.
    pub(crate) fn call_waiters(&self) -> Waiters<W> {
        match &mut *locked(&self.0) {
            State::Done(waiters, _) | State::Taken(waiters) => {
                mem::replace(waiters, Waiters::none())
            }
            State::Working(_) | State::Cancelled => Waiters::none(),
        }
    }

    /// Take the outcome if it has arrived. The other waiters must still be woken.
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = locked(&self.0);
        let State::Done(waiters, _) = &mut *state else {
            return None;
        };
        let waiters = mem::replace(waiters, Waiters::none());
        match mem::replace(&mut *state, State::Taken(waiters)) {
            State::Done(_, outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Cancel the wait unless the outcome has arrived; return the waiters, which must be woken.
    pub(crate) fn cancel(&self) -> Option<Waiters<W>> {
        let mut state = locked(&self.0);
        let State::Working(waiters) = &mut *state else {
            return None;
        };
        let waiters = mem::replace(waiters, Waiters::none());
        *state = State::Cancelled;
        Some(waiters)
    }

    /// Close the slot; return an outcome that was not taken, and the waiters.
    pub(crate) fn close(&self) -> (Option<T>, Waiters<W>) {
        match mem::replace(&mut *locked(&self.0), State::Cancelled) {
            State::Working(waiters) | State::Taken(waiters) => (None, waiters),
            State::Done(waiters, outcome) => (Some(outcome), waiters),
            State::Cancelled => (None, Waiters::none()),
        }
    }

    /// Visit all waiters, unless the slot is locked.
    pub(crate) fn try_each_waiter<E>(
        &self,
        look: impl FnMut(&W) -> Result<(), E>,
    ) -> Result<(), E> {
        let Ok(state) = self.0.try_lock() else {
            return Ok(());
        };
        match &*state {
            State::Working(waiters) | State::Done(waiters, _) | State::Taken(waiters) => {
                waiters.iter().try_for_each(look)
            }
            State::Cancelled => Ok(()),
        }
    }
}

/// Stores an outcome in a slot even if the work panics.
pub(crate) struct Finish<T, W, A: FnOnce(Arc<Slot<T, W>>)> {
    slot: Arc<Slot<T, W>>,
    /// Wakes the waiters; None after the outcome was stored.
    arrive: Option<A>,
    lost: fn() -> T,
}

impl<T, W, A: FnOnce(Arc<Slot<T, W>>)> Finish<T, W, A> {
    /// Create a guard that calls `arrive` if waiters must be woken, and stores `lost` if the work
    /// stores nothing.
    pub(crate) fn new(slot: Arc<Slot<T, W>>, arrive: A, lost: fn() -> T) -> Self {
        Self {
            slot,
            arrive: Some(arrive),
            lost,
        }
    }

    /// Store the outcome; that of a cancelled wait is returned.
    pub(crate) fn finish(&mut self, outcome: T) -> Result<(), T> {
        let arrive = self.arrive.take();
        if self.slot.finish(outcome)?
            && let Some(arrive) = arrive
        {
            arrive(self.slot.clone());
        }
        Ok(())
    }
}

impl<T, W, A: FnOnce(Arc<Slot<T, W>>)> Drop for Finish<T, W, A> {
    fn drop(&mut self) {
        if self.arrive.is_some() {
            // The work panicked, or was aborted after a cancellation.
            drop(self.finish((self.lost)()));
        }
    }
}

#[cfg(all(test, not(feature = "python")))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    use super::*;

    /// Counts how often a waiter was woken, by the outcome or by a cancellation.
    type Woken = loom::sync::Arc<AtomicUsize>;

    fn wake(waiters: Waiters<Woken>) {
        for waiter in waiters {
            waiter.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn finish(slot: &Slot<&'static str, Woken>) -> Option<&'static str> {
        match slot.finish("answer") {
            Ok(true) => {
                wake(slot.call_waiters());
                None
            }
            Ok(false) => None,
            Err(refused) => Some(refused),
        }
    }

    #[test]
    fn a_cancellation_beside_the_answer_leaves_nobody_waiting() {
        loom::model(|| {
            let slot = Arc::new(Slot::default());
            let woken = Woken::default();
            assert!(matches!(slot.subscribe(woken.clone()), Subscribed::Waits));
            let worker = {
                let slot = slot.clone();
                thread::spawn(move || finish(&slot))
            };
            let cancelled = slot.cancel();
            let was_cancelled = cancelled.is_some();
            cancelled.into_iter().for_each(wake);
            let refused = worker.join().unwrap();
            // The waiter is woken once, by the worker or by the cancellation, and the outcome is
            // not lost.
            assert_eq!(woken.load(Ordering::SeqCst), 1);
            assert_eq!(refused.is_some(), was_cancelled);
            assert_eq!(slot.take().is_some(), !was_cancelled);
        });
    }

    #[test]
    fn whoever_subscribes_is_woken_once() {
        loom::model(|| {
            let slot = Arc::new(Slot::default());
            let worker = {
                let slot = slot.clone();
                thread::spawn(move || finish(&slot))
            };
            let (first, second) = (Woken::default(), Woken::default());
            for waiter in [&first, &second] {
                if matches!(slot.subscribe(waiter.clone()), Subscribed::IsDone) {
                    wake(slot.call_waiters());
                }
            }
            worker.join().unwrap();
            assert_eq!(
                (first.load(Ordering::SeqCst), second.load(Ordering::SeqCst)),
                (1, 1)
            );
            assert_eq!(slot.take(), Some("answer"));
            assert_eq!((slot.take(), slot.status()), (None, Status::Taken));
        });
    }

    #[test]
    fn an_answer_that_is_closed_upon_is_with_one_of_both() {
        loom::model(|| {
            let slot: Arc<Slot<_, Woken>> = Arc::new(Slot::default());
            let worker = {
                let slot = slot.clone();
                thread::spawn(move || finish(&slot))
            };
            let (left, _) = slot.close();
            let refused = worker.join().unwrap();
            assert_eq!(left.into_iter().chain(refused).count(), 1);
        });
    }

    #[test]
    fn those_who_no_longer_wait_are_not_woken() {
        loom::model(|| {
            let slot = Arc::new(Slot::default());
            let waiters: Vec<_> = (0..3).map(|_| Woken::default()).collect();
            for waiter in &waiters {
                slot.subscribe(waiter.clone());
            }
            assert_eq!(
                slot.unsubscribe(|each| loom::sync::Arc::ptr_eq(each, &waiters[0]))
                    .len(),
                1
            );
            finish(&slot);
            let counts: Vec<_> = waiters
                .iter()
                .map(|each| each.load(Ordering::SeqCst))
                .collect();
            assert_eq!(counts, [0, 1, 1]);
            assert!(slot.cancel().is_none());
        });
    }

    #[test]
    fn cancel_subscribe_and_finish_at_once_wake_each_waiter_once() {
        loom::model(|| {
            let slot = Arc::new(Slot::default());
            let (first, second) = (Woken::default(), Woken::default());
            assert!(matches!(slot.subscribe(first.clone()), Subscribed::Waits));
            let worker = {
                let slot = slot.clone();
                thread::spawn(move || finish(&slot))
            };
            let other = {
                let (slot, second) = (slot.clone(), second.clone());
                thread::spawn(move || match slot.subscribe(second) {
                    Subscribed::Waits => {}
                    Subscribed::IsDone => wake(slot.call_waiters()),
                    Subscribed::Refused(waiter) => wake(Waiters::from(waiter)),
                })
            };
            let cancelled = slot.cancel();
            let was_cancelled = cancelled.is_some();
            cancelled.into_iter().for_each(wake);
            let refused = worker.join().unwrap();
            other.join().unwrap();
            assert_eq!(
                (first.load(Ordering::SeqCst), second.load(Ordering::SeqCst)),
                (1, 1)
            );
            assert_eq!(
                (refused.is_some(), slot.take().is_some()),
                (was_cancelled, !was_cancelled)
            );
        });
    }

    #[test]
    fn a_close_beside_an_answer_and_a_subscriber_leaves_each_waiter_with_one_of_them() {
        loom::model(|| {
            let slot = Arc::new(Slot::default());
            let (first, second) = (Woken::default(), Woken::default());
            slot.subscribe(first.clone());
            let worker = {
                let slot = slot.clone();
                thread::spawn(move || finish(&slot))
            };
            let other = {
                let (slot, second) = (slot.clone(), second.clone());
                thread::spawn(move || match slot.subscribe(second) {
                    Subscribed::Waits => {}
                    Subscribed::IsDone => wake(slot.call_waiters()),
                    Subscribed::Refused(waiter) => wake(Waiters::from(waiter)),
                })
            };
            // `close` returns the waiters and the outcome; this thread wakes the waiters.
            let (left, waiters) = slot.close();
            wake(waiters);
            let refused = worker.join().unwrap();
            other.join().unwrap();
            assert_eq!(left.into_iter().chain(refused).count(), 1);
            assert_eq!(
                (first.load(Ordering::SeqCst), second.load(Ordering::SeqCst)),
                (1, 1)
            );
            assert_eq!((slot.status(), slot.take()), (Status::Cancelled, None));
            assert!(slot.cancel().is_none());
        });
    }

    #[test]
    fn a_waiter_that_is_removed_beside_the_answer_is_removed_or_woken() {
        loom::model(|| {
            let slot = Arc::new(Slot::default());
            let (removed, kept) = (Woken::default(), Woken::default());
            slot.subscribe(removed.clone());
            slot.subscribe(kept.clone());
            let worker = {
                let slot = slot.clone();
                thread::spawn(move || finish(&slot))
            };
            let count = slot
                .unsubscribe(|each| loom::sync::Arc::ptr_eq(each, &removed))
                .len();
            worker.join().unwrap();
            assert_eq!(count + removed.load(Ordering::SeqCst), 1);
            assert_eq!(kept.load(Ordering::SeqCst), 1);
        });
    }

    #[test]
    fn two_who_take_get_one_answer_between_them() {
        loom::model(|| {
            let slot: Arc<Slot<_, Woken>> = Arc::new(Slot::default());
            assert_eq!(finish(&slot), None);
            assert_eq!(slot.finish("another"), Err("another"));
            let other = {
                let slot = slot.clone();
                thread::spawn(move || slot.take())
            };
            let taken = [slot.take(), other.join().unwrap()];
            assert_eq!(taken.into_iter().flatten().count(), 1);
        });
    }

    /// Run work that may panic in a thread, with one waiter at its slot.
    fn lost_or_found(work: fn() -> &'static str) {
        loom::model(move || {
            let slot = Arc::new(Slot::default());
            let woken = Woken::default();
            let arrive = |slot: Arc<Slot<_, Woken>>| wake(slot.call_waiters());
            let mut guard = Finish::new(slot.clone(), arrive, || "lost");
            let worker = thread::spawn(move || {
                let done = catch_unwind(AssertUnwindSafe(move || guard.finish(work())));
                done.is_err()
            });
            if matches!(slot.subscribe(woken.clone()), Subscribed::IsDone) {
                wake(slot.call_waiters());
            }
            let panicked = worker.join().is_ok_and(|panicked| panicked);
            assert_eq!(woken.load(Ordering::SeqCst), 1);
            assert_eq!(slot.take(), Some(if panicked { "lost" } else { "found" }));
        });
    }

    #[test]
    fn work_that_panics_leaves_nobody_waiting() {
        lost_or_found(|| std::panic::panic_any("on purpose"));
    }

    #[test]
    fn work_that_is_done_leaves_one_outcome() {
        lost_or_found(|| "found");
    }

    #[test]
    fn work_that_is_dropped_after_a_cancellation_wakes_nobody() {
        loom::model(|| {
            let slot = Arc::new(Slot::default());
            let woken = Woken::default();
            slot.subscribe(woken.clone());
            let guard = Finish::new(
                slot.clone(),
                |slot: Arc<Slot<_, Woken>>| wake(slot.call_waiters()),
                || "lost",
            );
            let worker = thread::spawn(move || drop(guard));
            slot.cancel().into_iter().for_each(wake);
            worker.join().unwrap();
            assert_eq!(woken.load(Ordering::SeqCst), 1);
        });
    }
}
