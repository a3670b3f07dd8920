//! Items on their way to one event loop, and whether the loop must be woken for them.
//!
//! Rules of this file:
//! * the loop is woken once for all items that are added before it takes them;
//! * after a failed wake-up, the next item wakes the loop again;
//! * no item is dropped while the lock is held.

use std::mem;

use super::{Mutex, locked};

/// Items on their way to an event loop.
#[derive(Debug)]
pub(crate) struct Mailbox<S>(Mutex<State<S>>);

#[derive(Debug)]
struct State<S> {
    items: Vec<S>,
    is_woken: bool,
    is_open: bool,
}

impl<S> Default for Mailbox<S> {
    fn default() -> Self {
        Self(Mutex::new(State {
            items: Vec::new(),
            is_woken: false,
            is_open: true,
        }))
    }
}

impl<S> Mailbox<S> {
    /// Add items; return whether the loop must be woken.
    pub(crate) fn push(&self, items: impl IntoIterator<Item = S>) -> bool {
        let mut items = items.into_iter().peekable();
        let mut state = locked(&self.0);
        if !state.is_open {
            drop(state);
            drop(items);
            return false;
        }
        if items.peek().is_none() {
            return false;
        }
        state.items.extend(items);
        !mem::replace(&mut state.is_woken, true)
    }

    /// Take all items. Later ones wake the loop again.
    pub(crate) fn take(&self) -> Vec<S> {
        let mut state = locked(&self.0);
        state.is_woken = false;
        mem::take(&mut state.items)
    }

    /// Note that the loop could not be woken; return whether items are waiting.
    pub(crate) fn wake_failed(&self) -> bool {
        let mut state = locked(&self.0);
        state.is_woken = false;
        !state.items.is_empty()
    }

    /// Return whether the loop must be woken again, and note that it will be.
    pub(crate) fn must_wake_again(&self) -> bool {
        let mut state = locked(&self.0);
        state.is_open && !state.items.is_empty() && !mem::replace(&mut state.is_woken, true)
    }

    /// Return whether items are accepted.
    pub(crate) fn is_open(&self) -> bool {
        locked(&self.0).is_open
    }

    /// Accept no more items; return those that were not taken.
    pub(crate) fn close(&self) -> Vec<S> {
        let mut state = locked(&self.0);
        state.is_open = false;
        mem::take(&mut state.items)
    }
}

#[cfg(all(test, not(feature = "python")))]
mod tests {
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    use super::*;

    /// A loop that takes all items at each wake-up until it has all.
    #[test]
    fn a_loop_that_takes_at_each_wake_up_gets_everything() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::default());
            let wakeups = Arc::new((Mutex::new(0_usize), Condvar::new()));
            let workers: Vec<_> = [1, 2]
                .into_iter()
                .map(|item| {
                    let (mailbox, wakeups) = (mailbox.clone(), wakeups.clone());
                    thread::spawn(move || {
                        if mailbox.push([item]) {
                            *wakeups.0.lock().unwrap() += 1;
                            wakeups.1.notify_one();
                        }
                    })
                })
                .collect();
            let (mut sum, mut woken) = (0, 0);
            while sum < 3 {
                let mut count = wakeups.0.lock().unwrap();
                while *count == 0 {
                    count = wakeups.1.wait(count).unwrap();
                }
                woken += mem::take(&mut *count);
                drop(count);
                sum += mailbox.take().into_iter().sum::<usize>();
            }
            for worker in workers {
                worker.join().unwrap();
            }
            assert_eq!(sum, 3);
            assert!(woken <= 2);
            assert!(mailbox.take().is_empty());
        });
    }

    #[test]
    fn what_is_put_in_beside_a_close_is_taken_or_dropped_by_one_of_both() {
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        loom::model(|| {
            let (mailbox, dropped) = (Arc::new(Mailbox::default()), Arc::new(AtomicUsize::new(0)));
            let worker = {
                let (mailbox, item) = (mailbox.clone(), Counted(dropped.clone()));
                thread::spawn(move || mailbox.push([item]))
            };
            let left = mailbox.close().len();
            let woken = worker.join().unwrap();
            assert!(!mailbox.is_open());
            assert_eq!(dropped.load(Ordering::SeqCst), 1);
            assert!(left == 0 || woken);
            assert!(!mailbox.push([Counted(dropped.clone())]));
        });
    }

    #[test]
    fn a_failed_wake_up_is_repeated() {
        loom::model(|| {
            let mailbox = Mailbox::default();
            assert!(mailbox.push([1]));
            assert!(!mailbox.push([2]));
            assert!(mailbox.wake_failed());
            assert!(mailbox.must_wake_again());
            assert!(!mailbox.must_wake_again());
            assert_eq!(mailbox.take(), [1, 2]);
            assert!(!mailbox.must_wake_again());
            assert!(!mailbox.push([]));
            assert!(mailbox.push([3]));
        });
    }
}
