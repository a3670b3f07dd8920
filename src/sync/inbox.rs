//! The parts that a reader has received and the consumer has not taken. The consumer is a task, a
//! thread, or a thread that drives the reader.
//!
//! Rules of this file:
//! * taking returns everything that has arrived so far;
//! * an abandoned wait loses nothing, since nothing leaves the inbox before it is taken;
//! * one task or thread waits at a time: a second one is refused, and never replaces the first;
//! * the reader waits while the inbox is full, and is woken when there is space.

use std::future::poll_fn;
use std::mem;
use std::sync::PoisonError;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::{Condvar, Mutex, locked};

/// The contents of an inbox.
pub(crate) trait Contents {
    /// Return whether nothing can be taken.
    fn is_empty(&self) -> bool;
    /// Return whether the reader must wait.
    fn is_full(&self) -> bool;
    /// Note that nothing more will arrive.
    fn close(&mut self);
}

/// A task that waits.
pub(crate) trait Waiter {
    /// Return whether the task has stopped waiting.
    fn is_gone(&self) -> bool;
    /// Wake the task.
    fn notify(self);
}

/// How a stream's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With an event that ends the stream.
    Complete,
    /// Without an event that ends the stream.
    Closed,
    /// It was idle for too long.
    Idle,
    /// It may not continue where the connection before it ended.
    Unproven,
}

/// What a consumer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitFor {
    /// The head of the response.
    Head,
    /// Parts, or the end.
    Parts,
    /// A full buffer, or the end: fewer wake-ups for a consumer that wants everything.
    FullBuffer,
}

/// The result of an attempt to wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Subscribed {
    /// The waiter will be notified.
    Waits,
    /// There is nothing to wait for.
    Ready,
    /// Another task or thread waits already.
    Refused,
}

/// The result of an attempt to take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken<T> {
    /// The contents.
    All(T),
    /// The whole was wanted, and the end has not arrived: nothing was taken.
    Incomplete,
    /// Nothing: another consumer was faster.
    Nothing,
}

struct State<C, E, W> {
    contents: C,
    has_head: bool,
    /// An error stays until it is raised.
    ended: Option<Result<Ended, E>>,
    waiter: Option<(WaitFor, W)>,
    /// A thread waits, or is about to wait.
    has_thread: bool,
    /// Whether the reader runs only while a thread waits and drives it.
    is_driven: bool,
    /// The thread that drives the reader.
    driver: Option<(WaitFor, Waker)>,
    /// A thread waits, and was not woken yet.
    blocked: Option<WaitFor>,
    /// Whether anything was taken. The first part is delivered without delay.
    has_delivered: bool,
    /// The reader, while it waits for space.
    reader: Option<Waker>,
}

impl<C: Contents, E, W> State<C, E, W> {
    fn has(&self, what: WaitFor) -> bool {
        self.ended.is_some()
            || match what {
                WaitFor::Head => self.has_head,
                WaitFor::Parts => !self.contents.is_empty(),
                WaitFor::FullBuffer => self.contents.is_full(),
            }
    }

    /// Return whether a consumer is waiting.
    fn is_awaited(&self) -> bool
    where
        W: Waiter,
    {
        self.has_thread
            || self
                .waiter
                .as_ref()
                .is_some_and(|(_, waiter)| !waiter.is_gone())
    }

    /// Return whether the reader may go on. One that is driven stops between two waits: the timeout
    /// of a read must not run while nothing can arrive.
    fn has_space(&self) -> bool {
        !self.contents.is_full() && (self.driver.is_some() || !self.is_driven)
    }

    /// Take the reader if it may go on again.
    fn take_reader(&mut self) -> Option<Waker> {
        if self.has_space() {
            self.reader.take()
        } else {
            None
        }
    }

    /// Take the error if everything before it was taken.
    fn error(&mut self) -> Option<E> {
        if !self.contents.is_empty() || !matches!(self.ended, Some(Err(_))) {
            return None;
        }
        self.ended.replace(Ok(Ended::Closed)).and_then(Result::err)
    }
}

/// The contents, and the consumer that waits for them.
pub(crate) struct Inbox<C, E, W> {
    state: Mutex<State<C, E, W>>,
    filled: Condvar,
}

impl<C: Contents, E, W: Waiter> Inbox<C, E, W> {
    /// Create an inbox that holds `contents`.
    pub(crate) fn new(contents: C) -> Self {
        let state = State {
            contents,
            has_head: false,
            ended: None,
            waiter: None,
            has_thread: false,
            is_driven: false,
            driver: None,
            blocked: None,
            has_delivered: false,
            reader: None,
        };
        Self {
            state: Mutex::new(state),
            filled: Condvar::new(),
        }
    }

    // For the reader.

    /// Note that the head of the response has arrived.
    pub(crate) fn begin(&self, wake: impl FnOnce(bool)) {
        self.change(|state| state.has_head = true, wake);
    }

    /// Change the contents. `wake` must call `wake_blocked`: at once, or, if its argument is true,
    /// after the other tasks that are ready on this worker.
    pub(crate) fn fill<T>(&self, fill: impl FnOnce(&mut C) -> T, wake: impl FnOnce(bool)) -> T {
        self.change(|state| fill(&mut state.contents), wake)
    }

    /// Note the end of the stream. Only the first call counts.
    pub(crate) fn end(&self, how: Result<Ended, E>, wake: impl FnOnce(bool)) {
        let refused = self.change(
            |state| {
                state.contents.close();
                if state.ended.is_some() {
                    return Some(how);
                }
                state.ended = Some(how);
                None
            },
            wake,
        );
        drop(refused);
    }

    /// Note that the reader runs only while a thread waits and drives it.
    pub(crate) fn set_driven(&self) {
        locked(&self.state).is_driven = true;
    }

    /// Wait while the inbox is full, and, if this is driven, while no thread waits.
    pub(crate) async fn has_space(&self) {
        poll_fn(|context| {
            let mut state = locked(&self.state);
            if state.has_space() {
                return Poll::Ready(());
            }
            state.reader = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut State<C, E, W>) -> T,
        wake: impl FnOnce(bool),
    ) -> T {
        let mut state = locked(&self.state);
        let changed = change(&mut state);
        let waiter = match &state.waiter {
            Some((what, _)) if state.has(*what) => state.waiter.take(),
            _ => None,
        };
        let driver = match &state.driver {
            Some((what, _)) if state.has(*what) => state.driver.take(),
            _ => None,
        };
        let blocked = match state.blocked {
            Some(what) if state.has(what) => state.blocked.take(),
            _ => None,
        };
        let has_delivered = state.has_delivered;
        drop(state);
        if let Some((_, waiter)) = waiter {
            waiter.notify();
        }
        if let Some((_, waker)) = driver {
            waker.wake();
        }
        if blocked.is_some() {
            wake(has_delivered);
        }
        changed
    }

    /// Wake threads that wait.
    pub(crate) fn wake_blocked(&self) {
        self.filled.notify_all();
    }

    // For the consumer.

    /// Return whether there is nothing to wait for.
    pub(crate) fn has(&self, what: WaitFor) -> bool {
        locked(&self.state).has(what)
    }

    /// Register a task to be notified. `waiter` is only called if the task has to wait.
    pub(crate) fn subscribe(&self, what: WaitFor, waiter: impl FnOnce() -> W) -> Subscribed {
        let mut state = locked(&self.state);
        if state.has(what) {
            return Subscribed::Ready;
        }
        if state.is_awaited() {
            return Subscribed::Refused;
        }
        let before = state.waiter.replace((what, waiter()));
        drop(state);
        drop(before);
        Subscribed::Waits
    }

    /// Register this thread as the waiter. If the result is `Waits`, it must call `leave`.
    pub(crate) fn enter(&self, what: WaitFor) -> Subscribed {
        let mut state = locked(&self.state);
        if state.has(what) {
            return Subscribed::Ready;
        }
        if state.is_awaited() {
            return Subscribed::Refused;
        }
        state.has_thread = true;
        Subscribed::Waits
    }

    /// Note that the thread that entered has stopped waiting.
    pub(crate) fn leave(&self) {
        let mut state = locked(&self.state);
        (state.has_thread, state.blocked) = (false, None);
        let driver = state.driver.take();
        drop(state);
        drop(driver);
    }

    /// Block this thread, at most for `limit`; return whether there is nothing more to wait for.
    pub(crate) fn wait(&self, what: WaitFor, limit: Option<Duration>) -> bool {
        let mut state = locked(&self.state);
        if state.has(what) {
            return true;
        }
        state.blocked = Some(what);
        let state = match limit {
            Some(limit) => {
                self.filled
                    .wait_timeout(state, limit)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
            None => self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
        };
        state.has(what)
    }

    /// Wait on a thread that drives the reader meanwhile.
    pub(crate) async fn until(&self, what: WaitFor) {
        poll_fn(|context| {
            let mut state = locked(&self.state);
            if state.has(what) {
                return Poll::Ready(());
            }
            state.driver = Some((what, context.waker().clone()));
            let reader = state.take_reader();
            drop(state);
            reader.into_iter().for_each(Waker::wake);
            Poll::Pending
        })
        .await;
    }

    /// Return whether the head of the response has arrived.
    pub(crate) fn is_open(&self) -> bool {
        locked(&self.state).has_head
    }

    /// Return the error of a stream without a head.
    pub(crate) fn head(&self) -> Result<(), E> {
        let mut state = locked(&self.state);
        let has_head = state.has_head;
        match &mut state.ended {
            Some(ended @ Err(_)) if !has_head => mem::replace(ended, Ok(Ended::Closed)).map(drop),
            _ => Ok(()),
        }
    }

    /// Take contents with `take`. The reader continues at once.
    pub(crate) fn take<T>(
        &self,
        what: WaitFor,
        take: impl FnOnce(&mut C) -> T,
    ) -> Result<Taken<T>, E> {
        let mut state = locked(&self.state);
        if let Some(error) = state.error() {
            return Err(error);
        }
        if !state.has(what) {
            return Ok(Taken::Nothing);
        }
        if what == WaitFor::FullBuffer && state.ended.is_none() {
            return Ok(Taken::Incomplete);
        }
        state.has_delivered = true;
        let taken = take(&mut state.contents);
        let reader = state.take_reader();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
        Ok(Taken::All(taken))
    }

    /// Take contents with `take` and pass them to `give`; None if another consumer was faster. The
    /// reader continues after `give` has dropped them: it reuses their memory, and new memory costs
    /// more than a copy.
    pub(crate) fn lend<T, U>(
        &self,
        take: impl FnOnce(&mut C) -> T,
        give: impl FnOnce(T) -> U,
    ) -> Result<Option<U>, E> {
        let mut state = locked(&self.state);
        if let Some(error) = state.error() {
            return Err(error);
        }
        if state.contents.is_empty() && state.ended.is_none() {
            return Ok(None);
        }
        let taken = take(&mut state.contents);
        let reader = state.take_reader();
        drop(state);
        let result = give(taken);
        reader.into_iter().for_each(Waker::wake);
        Ok(Some(result))
    }

    /// Change how much the contents may hold. The reader continues if there is space now.
    pub(crate) fn resize(&self, resize: impl FnOnce(&mut C)) {
        let mut state = locked(&self.state);
        resize(&mut state.contents);
        let reader = state.take_reader();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Return how the stream ended, once everything was taken.
    pub(crate) fn ended(&self) -> Option<Ended> {
        let state = locked(&self.state);
        match &state.ended {
            Some(Ok(ended)) if state.contents.is_empty() => Some(*ended),
            _ => None,
        }
    }
}

#[cfg(all(test, not(feature = "python")))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::task::Context;

    use loom::future::block_on;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use loom::thread;

    use super::super::OnDrop;
    use super::*;

    /// Numbers, of which one fills the inbox, and how many more may wait.
    #[derive(Default)]
    struct Numbers(Vec<u32>, usize);

    impl Contents for Numbers {
        fn is_empty(&self) -> bool {
            self.0.is_empty()
        }

        fn is_full(&self) -> bool {
            self.0.len() > self.1
        }

        fn close(&mut self) {}
    }

    /// A waiter that counts how often it was woken.
    #[derive(Clone, Default)]
    struct Task {
        woken: Arc<AtomicUsize>,
        is_gone: Arc<AtomicBool>,
    }

    impl Waiter for Task {
        fn is_gone(&self) -> bool {
            self.is_gone.load(Ordering::SeqCst)
        }

        fn notify(self) {
            self.woken.fetch_add(1, Ordering::SeqCst);
        }
    }

    type Parts = Inbox<Numbers, &'static str, Task>;

    fn new() -> Arc<Parts> {
        Arc::new(Inbox::new(Numbers::default()))
    }

    fn fill(inbox: &Parts, number: u32) {
        inbox.fill(|numbers| numbers.0.push(number), |_| inbox.wake_blocked());
    }

    fn end(inbox: &Parts) {
        inbox.end(Ok(Ended::Closed), |_| inbox.wake_blocked());
    }

    fn taken(inbox: &Parts) -> Vec<u32> {
        match inbox.take(WaitFor::Parts, |numbers| mem::take(&mut numbers.0)) {
            Ok(Taken::All(numbers)) => numbers,
            Ok(Taken::Incomplete | Taken::Nothing) | Err(_) => Vec::new(),
        }
    }

    #[test]
    fn a_task_that_waits_is_woken_once_whatever_comes() {
        loom::model(|| {
            let (inbox, task) = (new(), Task::default());
            let reader = {
                let inbox = inbox.clone();
                thread::spawn(move || {
                    fill(&inbox, 1);
                    end(&inbox);
                })
            };
            let waits = inbox.subscribe(WaitFor::Parts, || task.clone());
            assert_ne!(waits, Subscribed::Refused);
            reader.join().unwrap();
            assert_eq!(
                task.woken.load(Ordering::SeqCst),
                usize::from(waits == Subscribed::Waits)
            );
            assert_eq!(
                (taken(&inbox), inbox.ended()),
                (vec![1], Some(Ended::Closed))
            );
        });
    }

    #[test]
    fn a_second_task_is_refused_while_the_first_waits() {
        loom::model(|| {
            let (inbox, first, second) = (new(), Task::default(), Task::default());
            assert_eq!(
                inbox.subscribe(WaitFor::Parts, || first.clone()),
                Subscribed::Waits
            );
            assert_eq!(
                inbox.subscribe(WaitFor::Parts, || second.clone()),
                Subscribed::Refused
            );
            let reader = {
                let inbox = inbox.clone();
                thread::spawn(move || fill(&inbox, 1))
            };
            // A waiter that has stopped waiting may be replaced.
            first.is_gone.store(true, Ordering::SeqCst);
            let waits = inbox.subscribe(WaitFor::Parts, || second.clone());
            reader.join().unwrap();
            let woken = [&first, &second].map(|task| task.woken.load(Ordering::SeqCst));
            assert_eq!(
                woken,
                if waits == Subscribed::Waits {
                    [0, 1]
                } else {
                    [1, 0]
                }
            );
        });
    }

    #[test]
    fn a_thread_that_waits_gets_everything() {
        loom::model(|| {
            let inbox = new();
            let reader = {
                let inbox = inbox.clone();
                thread::spawn(move || {
                    fill(&inbox, 1);
                    fill(&inbox, 2);
                    end(&inbox);
                })
            };
            let mut sum = 0;
            while inbox.ended().is_none() {
                while !inbox.wait(WaitFor::Parts, None) {}
                sum += taken(&inbox).into_iter().sum::<u32>();
            }
            reader.join().unwrap();
            assert_eq!(sum, 3);
        });
    }

    #[test]
    fn a_reader_that_waits_for_room_goes_on() {
        loom::model(|| {
            let inbox = new();
            fill(&inbox, 1);
            let reader = {
                let inbox = inbox.clone();
                thread::spawn(move || {
                    block_on(inbox.has_space());
                    fill(&inbox, 2);
                })
            };
            let lent = inbox.lend(
                |numbers| mem::take(&mut numbers.0),
                |numbers| numbers.into_iter().sum::<u32>(),
            );
            let mut sum = lent.unwrap().unwrap();
            reader.join().unwrap();
            sum += taken(&inbox).into_iter().sum::<u32>();
            assert_eq!(sum, 3);
        });
    }

    #[test]
    fn a_reader_goes_on_when_more_may_wait() {
        loom::model(|| {
            let inbox = new();
            fill(&inbox, 1);
            let reader = {
                let inbox = inbox.clone();
                thread::spawn(move || block_on(inbox.has_space()))
            };
            inbox.resize(|numbers| numbers.1 = 1);
            reader.join().unwrap();
            assert_eq!(taken(&inbox), [1]);
        });
    }

    #[test]
    fn a_thread_that_drives_is_woken_by_an_end() {
        loom::model(|| {
            let inbox = new();
            let other = {
                let inbox = inbox.clone();
                thread::spawn(move || inbox.end(Err("broken"), |_| inbox.wake_blocked()))
            };
            block_on(inbox.until(WaitFor::Head));
            other.join().unwrap();
            assert_eq!(inbox.head(), Err("broken"));
            end(&inbox);
            assert_eq!(inbox.ended(), Some(Ended::Closed));
        });
    }

    #[test]
    fn a_thread_and_a_task_never_wait_at_once() {
        loom::model(|| {
            let (inbox, task) = (new(), Task::default());
            let other = {
                let (inbox, task) = (inbox.clone(), task.clone());
                thread::spawn(move || inbox.subscribe(WaitFor::Parts, || task))
            };
            let entered = inbox.enter(WaitFor::Parts);
            let subscribed = other.join().unwrap();
            let waits = [&entered, &subscribed]
                .into_iter()
                .filter(|each| **each == Subscribed::Waits)
                .count();
            assert_eq!(
                (waits, inbox.enter(WaitFor::Parts)),
                (1, Subscribed::Refused)
            );
            fill(&inbox, 1);
            assert_eq!(
                task.woken.load(Ordering::SeqCst),
                usize::from(subscribed == Subscribed::Waits)
            );
            inbox.leave();
            assert_eq!(inbox.enter(WaitFor::Parts), Subscribed::Ready);
        });
    }

    #[test]
    fn what_another_has_taken_is_not_mistaken_for_the_end() {
        loom::model(|| {
            let inbox = new();
            fill(&inbox, 1);
            let other = {
                let inbox = inbox.clone();
                thread::spawn(move || taken(&inbox))
            };
            let here = inbox
                .take(WaitFor::Parts, |numbers| mem::take(&mut numbers.0))
                .unwrap();
            let there = other.join().unwrap();
            assert!(matches!(
                (here, &*there),
                (Taken::All(_), []) | (Taken::Nothing, [1])
            ));
            assert_eq!(
                inbox.lend(|numbers| numbers.0.len(), |count| count),
                Ok(None)
            );
            end(&inbox);
            assert_eq!(
                inbox.take(WaitFor::Parts, |numbers| numbers.0.len()),
                Ok(Taken::All(0))
            );
        });
    }

    #[test]
    fn a_close_beside_the_reader_wakes_a_task_once_and_ends_once() {
        loom::model(|| {
            let (inbox, task) = (new(), Task::default());
            assert_eq!(
                inbox.subscribe(WaitFor::FullBuffer, || task.clone()),
                Subscribed::Waits
            );
            let reader = {
                let inbox = inbox.clone();
                thread::spawn(move || {
                    fill(&inbox, 1);
                    inbox.end(Err("broken"), |_| inbox.wake_blocked());
                })
            };
            end(&inbox);
            reader.join().unwrap();
            assert_eq!(task.woken.load(Ordering::SeqCst), 1);
            assert_eq!(taken(&inbox), [1]);
            // The first end counts; an error is returned once.
            let end = inbox.take(WaitFor::Parts, |numbers| numbers.0.len());
            assert!(matches!(end, Ok(Taken::All(0)) | Err("broken")));
            assert_eq!(inbox.ended(), Some(Ended::Closed));
        });
    }

    #[test]
    fn a_reader_that_panics_leaves_nobody_waiting() {
        loom::model(|| {
            let inbox = new();
            let reader = {
                let inbox = inbox.clone();
                thread::spawn(move || {
                    let end = inbox.clone();
                    let read = move || {
                        let _at_end =
                            OnDrop::new(move || end.end(Err("lost"), |_| end.wake_blocked()));
                        fill(&inbox, 1);
                        std::panic::panic_any("on purpose")
                    };
                    drop(catch_unwind(AssertUnwindSafe(read)));
                })
            };
            assert_ne!(inbox.enter(WaitFor::FullBuffer), Subscribed::Refused);
            while !inbox.wait(WaitFor::FullBuffer, None) {}
            inbox.leave();
            reader.join().unwrap();
            assert_eq!(taken(&inbox), [1]);
            assert_eq!(inbox.take(WaitFor::Parts, |_| ()), Err("lost"));
        });
    }

    #[test]
    fn a_driven_reader_stops_between_two_waits() {
        loom::model(|| {
            let (inbox, context) = (new(), &mut Context::from_waker(Waker::noop()));
            inbox.set_driven();
            assert!(pin!(inbox.has_space()).poll(context).is_pending());
            let mut wait = pin!(inbox.until(WaitFor::Parts));
            assert!(wait.as_mut().poll(context).is_pending());
            assert!(pin!(inbox.has_space()).poll(context).is_ready());
            fill(&inbox, 1);
            assert!(wait.poll(context).is_ready());
            assert_eq!(taken(&inbox), [1]);
            assert!(pin!(inbox.has_space()).poll(context).is_pending());
            // A wait that is left is none.
            assert!(pin!(inbox.until(WaitFor::Parts)).poll(context).is_pending());
            inbox.leave();
            assert!(pin!(inbox.has_space()).poll(context).is_pending());
        });
    }
}
