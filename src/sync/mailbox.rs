//! What waits to be taken to one event loop, and whether the loop has to be told.
//!
//! Rules this file keeps:
//! * the bell is rung once for everything that is put in before the loop takes it;
//! * a bell that could not be rung is rung again by whoever puts something in next;
//! * nothing that was put in is dropped while the lock is held.

use std::mem;

use super::{Mutex, locked};

/// Items on their way to an event loop.
#[derive(Debug)]
pub struct Mailbox<S>(Mutex<State<S>>);

#[derive(Debug)]
struct State<S> {
    items: Vec<S>,
    is_rung: bool,
    is_open: bool,
}

impl<S> Default for Mailbox<S> {
    fn default() -> Self {
        Self(Mutex::new(State {
            items: Vec::new(),
            is_rung: false,
            is_open: true,
        }))
    }
}

impl<S> Mailbox<S> {
    /// Put items in; return whether the bell has to be rung for them.
    pub fn push(&self, items: impl IntoIterator<Item = S>) -> bool {
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
        !mem::replace(&mut state.is_rung, true)
    }

    /// Take everything. What is put in from now on rings again.
    pub fn take(&self) -> Vec<S> {
        let mut state = locked(&self.0);
        state.is_rung = false;
        mem::take(&mut state.items)
    }

    /// Note that the bell could not be rung; return whether something waits for it.
    pub fn ring_failed(&self) -> bool {
        let mut state = locked(&self.0);
        state.is_rung = false;
        !state.items.is_empty()
    }

    /// Note that the bell is about to be rung once more; return whether it still has to be.
    pub fn ring_again(&self) -> bool {
        let mut state = locked(&self.0);
        state.is_open && !state.items.is_empty() && !mem::replace(&mut state.is_rung, true)
    }

    /// Return whether items are still taken.
    pub fn is_open(&self) -> bool {
        locked(&self.0).is_open
    }

    /// Take no more items; return those that nobody took.
    pub fn close(&self) -> Vec<S> {
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

    /// A loop that takes what is there each time the bell rings, as long as something is missing.
    #[test]
    fn a_loop_that_listens_to_the_bell_gets_everything() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::default());
            let bell = Arc::new((Mutex::new(0_usize), Condvar::new()));
            let workers: Vec<_> = [1, 2]
                .into_iter()
                .map(|item| {
                    let (mailbox, bell) = (mailbox.clone(), bell.clone());
                    thread::spawn(move || {
                        if mailbox.push([item]) {
                            *bell.0.lock().unwrap() += 1;
                            bell.1.notify_one();
                        }
                    })
                })
                .collect();
            let (mut sum, mut rings) = (0, 0);
            while sum < 3 {
                let mut rung = bell.0.lock().unwrap();
                while *rung == 0 {
                    rung = bell.1.wait(rung).unwrap();
                }
                rings += mem::take(&mut *rung);
                drop(rung);
                sum += mailbox.take().into_iter().sum::<usize>();
            }
            for worker in workers {
                worker.join().unwrap();
            }
            assert_eq!(sum, 3);
            assert!(rings <= 2);
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
            let rings = worker.join().unwrap();
            assert!(!mailbox.is_open());
            assert_eq!(dropped.load(Ordering::SeqCst), 1);
            assert!(left == 0 || rings);
            assert!(!mailbox.push([Counted(dropped.clone())]));
        });
    }

    #[test]
    fn a_bell_that_failed_is_rung_again() {
        loom::model(|| {
            let mailbox = Mailbox::default();
            assert!(mailbox.push([1]));
            assert!(!mailbox.push([2]));
            assert!(mailbox.ring_failed());
            assert!(mailbox.ring_again());
            assert!(!mailbox.ring_again());
            assert_eq!(mailbox.take(), [1, 2]);
            assert!(!mailbox.ring_again());
            assert!(!mailbox.push([]));
            assert!(mailbox.push([3]));
        });
    }
}
