//! Many streams at once, each event at its time: what is due is known before, so that the server's
//! own lateness can be told.

use std::io::{ErrorKind, Result, Write as _};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::streams;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds between the order and the first event, for the answer to arrive before it.
pub const HEAD_START: u64 = 50_000_000;

/// The time between the last event and the end, so that what it costs to close streams is not
/// measured.
const LINGER: Duration = Duration::from_millis(500);

/// How often is looked for what is due.
const TICK: Duration = Duration::from_millis(1);

/// Nanoseconds since the server's beginning.
pub fn clock() -> u64 {
    nanoseconds(BEGAN.elapsed())
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What the connections ask for.
pub enum Order {
    /// One more stream, which waits for the start.
    Join(TcpStream),
    /// So many events for each, an interval apart; the streams take turns within it. Without an
    /// interval, as fast as they are read.
    Start {
        /// When the first of all is due.
        start: u64,
        interval: Duration,
        events: u64,
    },
}

struct Stream {
    socket: TcpStream,
    /// What the socket did not take yet.
    waiting: Vec<u8>,
    left: bool,
}

impl Stream {
    /// Writes what waits, as far as the socket takes it.
    fn write(&mut self) {
        while !self.left && !self.waiting.is_empty() {
            match self.socket.try_write(&self.waiting) {
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.left = true,
            }
        }
    }

    /// Tells whether the client is there; it sends nothing after its request.
    fn is_open(&self) -> bool {
        matches!(self.socket.try_read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

/// Does what is ordered, for as long as the server runs.
pub async fn follow(mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut streams = Vec::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Join(socket) => {
                // Here and not where it was asked for: who has read the opening is among the
                // streams.
                if let Ok(stream) = join(socket).await {
                    streams.push(stream);
                }
            }
            Order::Start {
                interval: Duration::ZERO,
                events,
                ..
            } => {
                for mut stream in streams.drain(..) {
                    tokio::spawn(
                        async move { streams::send_rest(&mut stream.socket, events).await },
                    );
                }
            }
            Order::Start {
                start,
                interval,
                events,
            } => {
                streams.retain(Stream::is_open);
                let _ = run(&mut streams, start, nanoseconds(interval), events).await;
                tokio::time::sleep(LINGER).await;
                for stream in streams.drain(..) {
                    tokio::spawn(leave(stream));
                }
            }
        }
    }
}

async fn join(mut socket: TcpStream) -> Result<Stream> {
    socket.write_all(&streams::opening()?).await?;
    Ok(Stream {
        socket,
        waiting: Vec::new(),
        left: false,
    })
}

async fn leave(mut stream: Stream) -> Result<()> {
    streams::end(&mut stream.waiting)?;
    stream.socket.write_all(&stream.waiting).await
}

async fn run(streams: &mut [Stream], start: u64, interval: u64, events: u64) -> Result<()> {
    let count = u64::try_from(streams.len()).unwrap_or_default();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut payload = Vec::new();
    let due = |turn: u64, place: u64| start + turn * interval + place * interval / count;
    for turn in 0..events {
        // Late or not, the runtime must learn which sockets take more.
        tokio::task::yield_now().await;
        for (place, stream) in (0..).zip(streams.iter_mut()) {
            let due = due(turn, place);
            let mut now = clock();
            while due > now {
                ticks.tick().await;
                now = clock();
            }
            payload.clear();
            write!(payload, "id: {turn}\nevent: output\ndata: {now} {due}\n\n")?;
            streams::chunk(&mut stream.waiting, &payload)?;
            stream.write();
        }
    }
    Ok(())
}
