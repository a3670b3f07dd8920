//! The runtime of awaited calls and streams, and its thread, which ends before a fork and begins
//! again after it.
//!
//! CPython 3.12 and newer warn of a fork while other threads run, because a lock that one of them
//! holds is never released in the child. Tasks and sockets belong to the runtime, not to the thread
//! that drives it, so that nothing is lost while there is none.

use std::fs::{DirEntry, read_dir, read_to_string};
use std::io;
use std::ops::Deref;
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

/// The threads of runtimes, which Linux lists by their name. A thread is listed, and counted by
/// CPython, from the moment at which another one creates it, whose name it has until it runs, and a
/// moment longer than it can be waited for.
#[derive(Clone, Debug)]
pub(crate) struct Threads {
    name: Arc<str>,
}

impl Default for Threads {
    fn default() -> Self {
        Self { name: NAME.into() }
    }
}

impl Threads {
    /// Return a builder of a runtime without a thread of its own.
    pub(crate) fn runtime(&self) -> Builder {
        let mut builder = Builder::new_current_thread();
        builder
            .enable_all()
            .thread_name(&*self.name)
            .thread_keep_alive(KEEP_ALIVE);
        builder
    }

    /// Wait until no thread of a runtime is left, or for `MAX_PAUSE`, and return whether none is.
    pub(crate) fn wait_for_end(&self) -> bool {
        let start = Instant::now();
        while !self.have_ended() {
            if start.elapsed() >= MAX_PAUSE {
                return false;
            }
            thread::sleep(PAUSE_TICK);
        }
        true
    }

    /// Return whether no thread of a runtime is left.
    ///
    /// While one thread ends, Linux may leave out another one, which runs. A list is therefore
    /// relied on only if it is as long as the number of threads that is read after it, and if all
    /// that it contains are alive after that.
    fn have_ended(&self) -> bool {
        // Elsewhere than on Linux there is no such folder.
        let Ok(tasks) = read_dir("/proc/self/task") else {
            return true;
        };
        let tasks: Vec<_> = tasks.collect();
        let is_other = |task: io::Result<DirEntry>| {
            task.and_then(|task| read_to_string(task.path().join("comm")))
                .is_ok_and(|name| name.trim_end() != &*self.name)
        };
        thread_count().is_none_or(|count| tasks.len() == count) && tasks.into_iter().all(is_other)
    }
}

/// Return the number of threads of this process. See proc_pid_status(5).
fn thread_count() -> Option<usize> {
    let status = read_to_string("/proc/self/status").ok()?;
    let count = status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"));
    count?.trim().parse().ok()
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
        let (runtime, name) = (self.runtime.clone(), self.threads.name.to_string());
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let drive = move || {
            mark_shared_thread();
            runtime.block_on(stopped.notified());
        };
        let thread = thread::Builder::new().name(name).spawn(drive)?;
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
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc::channel;
    use std::thread::ScopedJoinHandle;

    use tokio::task::{spawn_blocking, yield_now};
    use tokio::time::{Instant, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Return a runtime whose threads have a name of their own: tests run at the same time.
    fn runtime() -> (SharedRuntime, Threads) {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("runtime {}", COUNT.fetch_add(1, Ordering::Relaxed));
        let threads = Threads { name: name.into() };
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
            assert!(threads.wait_for_end());
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
    fn a_thread_is_found_while_others_end() {
        let start_and_end = || {
            for _ in 0..5000 {
                thread::spawn(|| ()).join().unwrap();
            }
        };
        thread::scope(|scope| {
            let others = [(); 3].map(|()| scope.spawn(start_and_end));
            while !others.iter().all(ScopedJoinHandle::is_finished) {
                // Its thread is listed after threads that end.
                let (runtime, threads) = runtime();
                // A thread has its name when it runs.
                let (sender, begun) = channel();
                runtime.spawn(async move { sender.send(()).unwrap() });
                begun.recv_timeout(LIMIT).unwrap();
                for _ in 0..20 {
                    assert!(!threads.have_ended());
                }
            }
        });
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
