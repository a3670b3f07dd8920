//! Readers of a service that relays streams. They use little CPU time, and check that each receives
//! every event, in order, and the end.
//!
//! They run in the server's process: both share a core, and one clock measures how long an event
//! takes from the server to a reader.

use std::io::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::body::Chunks;
use crate::files::read_head;
use crate::pace::clock;

/// How many readers connect at a time.
const OPENING: usize = 50;

/// How long to wait for the next reader to open.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// The interval at which open readers are counted.
const TICK: Duration = Duration::from_millis(1);

/// The size of a read buffer, in bytes.
const BLOCK: usize = 64 * 1024;

/// The current readers. Opening others ends them.
pub static READERS: Mutex<Option<Readers>> = Mutex::new(None);

/// The counts and times of all readers.
#[derive(Default)]
struct Seen {
    opened: AtomicUsize,
    events: AtomicUsize,
    ended: AtomicUsize,
    /// The latency and the server's delay of each event with a time, in nanoseconds.
    times: Mutex<(Vec<u64>, Vec<u64>)>,
    wrong: Mutex<String>,
}

/// The readers of one service.
pub struct Readers {
    seen: Arc<Seen>,
    /// Dropping this ends the readers.
    _tasks: JoinSet<()>,
}

impl Readers {
    /// Return the counts so far as JSON, with the 50th and 99th percentile of the latency and the
    /// 99th percentile of the server's delay.
    pub fn told(&self) -> String {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let (mut taken, mut late) = self
            .seen
            .times
            .lock()
            .map(|times| times.clone())
            .unwrap_or_default();
        let (half, most, late) = (
            rank(&mut taken, 50),
            rank(&mut taken, 99),
            rank(&mut late, 99),
        );
        let wrong = self
            .seen
            .wrong
            .lock()
            .map(|wrong| wrong.clone())
            .unwrap_or_default();
        let (events, ended) = (count(&self.seen.events), count(&self.seen.ended));
        format!(
            r#"{{"events":{events},"ended":{ended},"p50":{half},"p99":{most},"late":{late},"wrong":"{wrong}"}}"#
        )
    }
}

/// Return a percentile.
fn rank(times: &mut [u64], percent: usize) -> u64 {
    let place = times.len() * percent / 100;
    if place >= times.len() {
        0
    } else {
        *times.select_nth_unstable(place).1
    }
}

/// Open readers of a path of a service. Return how many have received an event, once all have or
/// no further one has within `MAX_WAIT`.
pub async fn open(port: u16, count: usize, path: &str) -> usize {
    // The previous readers are closed first, so that they put no load on the service.
    drop(READERS.lock().map(|mut readers| readers.take()));
    let seen = Arc::new(Seen::default());
    let turns = Arc::new(Semaphore::new(OPENING));
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let (seen, turns, path) = (seen.clone(), turns.clone(), path.to_owned());
        tasks.spawn(async move {
            if let Err(error) = read(port, &path, &seen, &turns).await
                && let Ok(mut wrong) = seen.wrong.lock()
                && wrong.is_empty()
            {
                // Only the first error is kept: later ones may be its consequence.
                *wrong = error.to_string().replace('"', "'");
            }
        });
    }
    if let Ok(mut readers) = READERS.lock() {
        *readers = Some(Readers {
            seen: seen.clone(),
            _tasks: tasks,
        });
    }
    let (mut before, mut moved) = (0, Instant::now());
    loop {
        let opened = seen.opened.load(Ordering::Relaxed);
        if opened > before {
            (before, moved) = (opened, Instant::now());
        }
        if opened >= count || moved.elapsed() > MAX_WAIT {
            return opened;
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Read one stream to its end.
async fn read(port: u16, path: &str, seen: &Seen, turns: &Semaphore) -> Result<()> {
    let mut turn = turns.acquire().await.ok();
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket
        .write_all(format!("GET /{path} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes())
        .await?;
    let mut buffer = Vec::with_capacity(BLOCK);
    if !read_head(&mut socket, &mut buffer).await? || !buffer.starts_with(b"HTTP/1.1 200 ") {
        return Err(Error::other(
            String::from_utf8_lossy(&buffer)
                .lines()
                .next()
                .unwrap_or("no answer")
                .to_owned(),
        ));
    }
    let end = memmem::find(&buffer, b"\r\n\r\n").unwrap_or_default() + 4;
    buffer.drain(..end);
    let mut chunks = Chunks::default();
    let mut reader = Reader::default();
    loop {
        let is_over = chunks.feed(&buffer, &mut |bytes| reader.rest.extend_from_slice(bytes));
        if !reader.take(seen) {
            return Err(Error::other(format!(
                "not the event {} of a stream",
                reader.place
            )));
        }
        if reader.place > 0 && turn.take().is_some() {
            seen.opened.fetch_add(1, Ordering::Relaxed);
        }
        if is_over {
            break;
        }
        buffer.clear();
        if socket.read_buf(&mut buffer).await? == 0 {
            return Err(Error::other(format!(
                "broken off after {} events",
                reader.place
            )));
        }
    }
    if !reader.is_done {
        return Err(Error::other("a stream without its end"));
    }
    seen.ended.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// The state of one stream.
#[derive(Default)]
struct Reader {
    /// The bytes of an incomplete event.
    rest: Vec<u8>,
    /// How many events were received.
    place: u64,
    is_done: bool,
}

impl Reader {
    /// Process the complete events; return whether they are the expected ones.
    fn take(&mut self, seen: &Seen) -> bool {
        let mut begin = 0;
        let rest = std::mem::take(&mut self.rest);
        while let Some(block) = rest
            .get(begin..)
            .and_then(|rest| rest.get(..memmem::find(rest, b"\n\n")?))
        {
            begin += block.len() + 2;
            // Comments only keep the connection alive.
            if !block.starts_with(b":") && !self.is_next(&String::from_utf8_lossy(block), seen) {
                return false;
            }
        }
        self.rest
            .extend_from_slice(rest.get(begin..).unwrap_or_default());
        true
    }

    fn is_next(&mut self, block: &str, seen: &Seen) -> bool {
        let field = |name: &str| {
            block
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .unwrap_or_default()
        };
        let (event, id, data) = (field("event"), field("id"), field("data"));
        if self.is_done {
            return false;
        }
        let place = self.place;
        self.place += 1;
        seen.events.fetch_add(1, Ordering::Relaxed);
        if event == "done" {
            self.is_done = true;
            return (id, data) == ("end", "{}");
        }
        // After the opening event, numbers start at 0 again.
        let number = id
            .rsplit(':')
            .next()
            .and_then(|number| number.parse::<u64>().ok());
        let is_told = data == " token" || note(seen, data).is_some();
        event == "output" && is_told && number == Some(place.saturating_sub(1))
    }
}

/// Record the latency of an event and the delay of the server, if the event has its times.
fn note(seen: &Seen, data: &str) -> Option<()> {
    let (left, due) = data.split_once(' ')?;
    let (left, due): (u64, u64) = (left.parse().ok()?, due.parse().ok()?);
    let mut times = seen.times.lock().ok()?;
    times.0.push(clock().saturating_sub(left));
    times.1.push(left.saturating_sub(due));
    Some(())
}
