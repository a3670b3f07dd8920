//! The runtime of awaited calls and streams, and its thread, which ends before a fork and begins
//! again after it.
//!
//! CPython 3.12 and newer warn of a fork while other threads run, because a lock that one of them
//! holds is never released in the child. Tasks and sockets belong to the runtime, not to the thread
//! that drives it, so that nothing is lost while there is none.

use std::fs::read_link;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use crate::lock::lock;
use crate::off_thread::mark_shared_thread;

const NAME: &str = "replicate_rs";
/// How long a thread for name resolution or disks waits for more work. Until it ends, a fork waits
/// for it.
const KEEP_ALIVE: Duration = Duration::from_millis(10);
/// How long a fork waits for the end of threads. It goes on without the end of one that is busy.
const MAX_PAUSE: Duration = Duration::from_millis(500);
const PAUSE_TICK: Duration = Duration::from_micros(100);

/// Where Linux lists the threads of the runtimes. A thread is listed, and counted by CPython, a
/// moment longer than it can be waited for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Threads(Arc<Mutex<Vec<PathBuf>>>);

impl Threads {
    /// Return a builder of a runtime without a thread of its own, whose other threads are noted.
    pub(crate) fn runtime(&self) -> Builder {
        let threads = self.clone();
        let mut builder = Builder::new_current_thread();
        builder
            .enable_all()
            .thread_name(NAME)
            .thread_keep_alive(KEEP_ALIVE)
            .on_thread_start(move || threads.note_current());
        builder
    }

    fn note_current(&self) {
        // Elsewhere than on Linux there is no such link.
        let Ok(link) = read_link("/proc/thread-self") else {
            return;
        };
        let mut threads = lock(&self.0);
        threads.retain(|thread| thread.exists());
        threads.push(Path::new("/proc").join(link));
    }

    /// Wait until no thread of a runtime is left, or for `MAX_PAUSE`.
    pub(crate) fn wait_for_end(&self) {
        let start = Instant::now();
        while !self.have_ended() && start.elapsed() < MAX_PAUSE {
            thread::sleep(PAUSE_TICK);
        }
    }

    fn have_ended(&self) -> bool {
        let mut threads = lock(&self.0);
        threads.retain(|thread| thread.exists());
        threads.is_empty()
    }
}

/// A runtime that one thread of its own drives, except while the process forks.
#[derive(Debug)]
pub(crate) struct SharedRuntime {
    runtime: Arc<Runtime>,
    driver: Mutex<Option<Driver>>,
    is_paused: AtomicBool,
    threads: Threads,
}

#[derive(Debug)]
struct Driver {
    stop: Arc<Notify>,
    thread: JoinHandle<()>,
}

impl SharedRuntime {
    /// Create a runtime, and start its thread.
    pub(crate) fn new(threads: &Threads) -> io::Result<Self> {
        let this = Self {
            runtime: Arc::new(threads.runtime().build()?),
            driver: Mutex::default(),
            is_paused: AtomicBool::new(true),
            threads: threads.clone(),
        };
        this.resume()?;
        Ok(this)
    }

    /// End the thread, at most after `MAX_PAUSE`. Tasks wait until `resume`.
    pub(crate) fn pause(&self) {
        let Some(driver) = self.stop() else { return };
        let start = Instant::now();
        while !driver.thread.is_finished() && start.elapsed() < MAX_PAUSE {
            thread::sleep(PAUSE_TICK);
        }
        // One that is busy ends later. tokio hands the runtime to the next thread then.
        if driver.thread.is_finished() {
            let _ = driver.thread.join();
        }
    }

    /// Start a thread if there is none.
    pub(crate) fn resume(&self) -> io::Result<()> {
        if !self.is_paused.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut driver = lock(&self.driver);
        if driver.is_none() {
            *driver = Some(self.start()?);
        }
        self.is_paused.store(false, Ordering::Release);
        Ok(())
    }

    fn start(&self) -> io::Result<Driver> {
        let (runtime, threads) = (self.runtime.clone(), self.threads.clone());
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let drive = move || {
            threads.note_current();
            mark_shared_thread();
            runtime.block_on(stopped.notified());
        };
        let thread = thread::Builder::new().name(NAME.to_owned()).spawn(drive)?;
        Ok(Driver { stop, thread })
    }

    fn stop(&self) -> Option<Driver> {
        let mut driver = lock(&self.driver);
        self.is_paused.store(true, Ordering::Release);
        let driver = driver.take()?;
        driver.stop.notify_one();
        Some(driver)
    }
}

impl Deref for SharedRuntime {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        &self.runtime
    }
}

impl Drop for SharedRuntime {
    /// Of two that were created at the same time, one is dropped.
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use tokio::task::{spawn_blocking, yield_now};
    use tokio::time::{Instant, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn runtime() -> (SharedRuntime, Threads) {
        let threads = Threads::default();
        (SharedRuntime::new(&threads).unwrap(), threads)
    }

    #[test]
    fn tasks_go_on_after_each_pause() {
        let (runtime, threads) = runtime();
        let (sender, results) = channel();
        for _ in 0..8 {
            let sender = sender.clone();
            runtime.spawn(async move {
                for turn in 0..200 {
                    match turn % 3 {
                        0 => sleep(Duration::from_micros(500)).await,
                        1 => spawn_blocking(|| ()).await.unwrap(),
                        _ => yield_now().await,
                    }
                }
                sender.send(()).unwrap();
            });
        }
        for _ in 0..100 {
            runtime.pause();
            threads.wait_for_end();
            assert!(threads.have_ended());
            let (sender, spawned) = channel();
            runtime.spawn(async move { sender.send(()).unwrap() });
            assert!(spawned.try_recv().is_err());
            runtime.resume().unwrap();
            spawned.recv_timeout(LIMIT).unwrap();
        }
        for _ in 0..8 {
            results.recv_timeout(LIMIT).unwrap();
        }
    }

    #[test]
    fn a_busy_thread_is_not_waited_for_and_tasks_go_on_after_it() {
        let (runtime, _) = runtime();
        let (sender, begun) = channel();
        let (end, ended) = channel();
        runtime.spawn(async move {
            sender.send(()).unwrap();
            ended.recv_timeout(LIMIT).unwrap();
        });
        begun.recv_timeout(LIMIT).unwrap();
        let start = Instant::now();
        runtime.pause();
        assert!((MAX_PAUSE..LIMIT).contains(&start.elapsed()));
        runtime.resume().unwrap();
        end.send(()).unwrap();
        let (sender, spawned) = channel();
        runtime.spawn(async move { sender.send(()).unwrap() });
        spawned.recv_timeout(LIMIT).unwrap();
    }

    #[test]
    fn a_panic_ends_its_task_only() {
        let (runtime, _) = runtime();
        let task = runtime.spawn(async { assert_eq!(1, 2) });
        let (sender, seen) = channel();
        runtime.spawn(async move { sender.send(task.await.unwrap_err().is_panic()).unwrap() });
        assert!(seen.recv_timeout(LIMIT).unwrap());
    }

    #[test]
    fn threads_may_pause_and_resume_at_once() {
        let (runtime, _) = runtime();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        runtime.pause();
                        runtime.resume().unwrap();
                    }
                });
            }
        });
        let (sender, spawned) = channel();
        runtime.spawn(async move { sender.send(()).unwrap() });
        spawned.recv_timeout(LIMIT).unwrap();
    }
}
