//! Many streams at once, with each event at a scheduled time. Each event contains the time at which
//! it was due, so that the server's own delay can be measured.

use std::io::{ErrorKind, Result, Write as _};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::streams;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds from a start to its first event, so that the response arrives before the event.
pub const HEAD_START: u64 = 50_000_000;

/// The pause between the last event and the end of the streams, so that the cost of closing them is
/// not measured.
const LINGER: Duration = Duration::from_millis(500);

/// The interval at which the schedule is checked.
const TICK: Duration = Duration::from_millis(1);

/// Return the nanoseconds since the clock's first use.
pub fn clock() -> u64 {
    nanoseconds(BEGAN.elapsed())
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A command from a connection.
pub enum Order {
    /// Add a stream, which waits for the start.
    Join(TcpStream),
    /// Send `events` events to each stream at this interval, evenly spread over the streams. If the
    /// interval is zero, send them as fast as the clients read.
    Start {
        /// When the first event is due.
        start: u64,
        interval: Duration,
        events: u64,
    },
}

struct Stream {
    socket: TcpStream,
    /// Bytes that the socket has not accepted yet.
    waiting: Vec<u8>,
    left: bool,
}

impl Stream {
    /// Write as many waiting bytes as the socket accepts.
    fn write(&mut self) {
        while !self.left && !self.waiting.is_empty() {
            match self.socket.try_write(&self.waiting) {
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.left = true,
            }
        }
    }

    /// Return whether the client is still connected. It sends nothing after its request, so a read
    /// that does not block means the end of the connection.
    fn is_open(&self) -> bool {
        matches!(self.socket.try_read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

/// Execute commands for as long as the server runs.
pub async fn follow(mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut streams = Vec::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Join(socket) => {
                // The opening is sent here and not by the connection: a client that has received it
                // is then certainly included in the next start.
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
        // Even when events are late, the runtime must poll which sockets are writable.
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
