//! Reading a response into its inbox: events, or the bytes of a file.
//!
//! The socket is not read while the inbox is full.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::batch::{Batch, Form};
use super::inbox::{Ended, Inbox, Waiter};
use super::resume::{StreamPosition, Verdict};
use super::sse::{Parser, TooLarge};
use crate::clock::deadline;
use crate::error::{Error, Kind};
use crate::files::download::{Download, FileInfo, Step};
use crate::http::exchange::{self, Incoming};
use crate::http::pool::Pool;
use crate::http::request::Request;
use crate::lock::lock;

/// How often a relayed stream that is idle sends a comment.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long, and for how many bytes, a server may go on after the last event before its connection
/// is closed.
const MAX_TAIL_TIME: Duration = Duration::from_secs(1);
const MAX_TAIL: usize = 64 << 10;

/// Reads a stream of events.
pub(crate) struct EventReader<W> {
    pub(crate) pool: Arc<Pool>,
    pub(crate) request: Arc<Request>,
    pub(crate) position: Arc<Mutex<StreamPosition>>,
    pub(crate) inbox: Arc<Inbox<W>>,
    pub(crate) idle_timeout: Option<Duration>,
}

impl<W: Waiter + Send + 'static> EventReader<W> {
    /// Read until the stream ends, or until it cannot be shown to be complete.
    pub(crate) async fn read(self) -> Result<Ended, Error> {
        // Boxed: opening needs a large future, which is of no use afterwards.
        let mut incoming = Box::pin(exchange::open(&self.pool, &self.request)).await?;
        check_media_type(&incoming)?;
        incoming.drop_headers();
        lock(&self.position).connect();
        self.inbox.begin();
        let mut parser = Parser::new(self.request.max_bytes);
        let ended = self.read_events(incoming, &mut parser).await;
        lock(&self.position).disconnect(parser.reconnection_time());
        ended
    }

    async fn read_events(
        &self,
        mut incoming: Incoming,
        parser: &mut Parser,
    ) -> Result<Ended, Error> {
        let mut timer = pin!(sleep_until(Instant::now()));
        loop {
            self.inbox.has_space().await;
            let Some(part) = self.next_part(&mut incoming, timer.as_mut()).await? else {
                return Ok(Ended::Idle);
            };
            let Some(bytes) = part else {
                return Ok(if parser.timed_out() {
                    Ended::Idle
                } else {
                    Ended::Closed
                });
            };
            let parse =
                |batch: &mut Batch| parse_into(parser, &mut lock(&self.position), &bytes, batch);
            if let Some(ended) = self.inbox.fill(parse)? {
                if ended == Ended::Complete {
                    tokio::spawn(read_tail(incoming));
                }
                return Ok(ended);
            }
        }
    }

    /// Return the next part of the body; None if it does not arrive within the idle timeout.
    async fn next_part(
        &self,
        incoming: &mut Incoming,
        mut timer: Pin<&mut Sleep>,
    ) -> Result<Option<Option<Bytes>>, Error> {
        let start = Instant::now();
        let mut last_keepalive = start;
        let mut part = pin!(incoming.next_unlimited());
        loop {
            let keepalive = (self.inbox.form == Form::Frames).then(|| last_keepalive + KEEPALIVE);
            let end = self.idle_timeout.map(|timeout| deadline(start, timeout));
            let Some(next) = keepalive.into_iter().chain(end).min() else {
                return part.await.map(Some);
            };
            tokio::select! {
                biased;
                part = part.as_mut() => return part.map(Some),
                // The timer of the part before is only reset when it expires: most parts arrive
                // long before.
                () = timer.as_mut() => {}
            }
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                return Ok(None);
            }
            if keepalive.is_some_and(|keepalive| now >= keepalive) {
                last_keepalive = now;
                self.inbox.fill(Batch::push_keepalive);
                continue;
            }
            timer.as_mut().reset(next);
        }
    }
}

/// Read a file from the byte `start` on.
pub(crate) async fn read_file<W: Waiter + Send + 'static>(
    pool: Arc<Pool>,
    request: Arc<Request>,
    start: u64,
    inbox: Arc<Inbox<W>>,
    info: Arc<OnceLock<FileInfo>>,
) -> Result<Ended, Error> {
    let mut download = Box::pin(Download::open(pool, &request, start)).await?;
    info.get_or_init(|| download.info().clone());
    inbox.begin();
    let mut has_delivered = start > 0;
    loop {
        inbox.has_space().await;
        match download.next().await? {
            Step::Bytes(piece) => {
                has_delivered = true;
                inbox.fill(|batch| batch.push_bytes(piece));
            }
            Step::Restart if has_delivered => {
                let message = "the file broke off, and its host gives neither its rest nor surely the same file again";
                return Err(Error::disconnected(message));
            }
            Step::Restart => {}
            Step::End => return Ok(Ended::Closed),
        }
    }
}

/// Parse the next bytes of a stream into a batch. Return how the stream ended, if it did.
pub(crate) fn parse_into(
    parser: &mut Parser,
    position: &mut StreamPosition,
    bytes: &[u8],
    batch: &mut Batch,
) -> Result<Option<Ended>, Error> {
    let mut ended = None;
    let parsed = parser.feed(bytes, |event| {
        if ended.is_some() {
            return;
        }
        match position.admit(&event) {
            Verdict::New => batch.push(event),
            Verdict::Known => {}
            Verdict::Unproven => ended = Some(Ended::Unproven),
        }
        if position.end().is_some() {
            ended = Some(Ended::Complete);
        }
    });
    match ended {
        Some(ended) => Ok(Some(ended)),
        None => Ok(parsed.map(|()| None)?),
    }
}

impl From<TooLarge> for Error {
    fn from(TooLarge(limit): TooLarge) -> Self {
        let message = format!("an event of the stream is larger than {limit} bytes");
        Error::new(Kind::EventTooLarge, message).sent()
    }
}

fn check_media_type(incoming: &Incoming) -> Result<(), Error> {
    let value = incoming.headers().get("content-type");
    let media_type = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("text/event-stream") {
        return Ok(());
    }
    let message = format!("expected an event stream, but the server answered {media_type:?}");
    Err(Error::protocol(message).sent())
}

/// Read what a server sends after the last event, so that the connection can be used again.
async fn read_tail(mut incoming: Incoming) {
    let read = async {
        let mut size = 0_usize;
        while let Ok(Some(bytes)) = incoming.next_unlimited().await {
            size = size.saturating_add(bytes.len());
            if size > MAX_TAIL {
                return;
            }
        }
    };
    // In any case the connection is released.
    drop(timeout(MAX_TAIL_TIME, read).await);
}
