//! What reads an answer into its inbox, wherever it runs: events, as far as it is known that they go on, or the bytes of a file.
//!
//! It stops reading the socket while the inbox is full, and knows no Python.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::batch::{Batch, Form};
use super::event::too_large;
use super::inbox::{Ended, Inbox};
use crate::clock::deadline;
use crate::files::download::{Download, Info, Next};
use crate::error::{Error, Kind};
use crate::http::exchange::{self as http, Call, Incoming};
use crate::http::pool::Pool;
use crate::stream::resume::{Place, Verdict};
use crate::stream::sse::Parser;
use crate::sync::locked;

/// How often a relayed stream that is silent says that it is alive.
const BEAT: Duration = Duration::from_secs(15);
/// What a server may still send after the last event, in time and bytes, before its connection is closed.
const LAST_WORDS: (Duration, usize) = (Duration::from_secs(1), 64 << 10);

/// What it takes to read a stream of events.
pub struct Reader {
    pub pool: Arc<Pool>,
    pub call: Arc<Call>,
    pub form: Form,
    pub place: Arc<Mutex<Place>>,
    pub inbox: Arc<Inbox>,
    pub idle: Option<Duration>,
}

impl Reader {
    /// Reads until it ends, or until nobody can tell that it goes on.
    pub async fn read(self) -> Result<Ended, Error> {
        // What opening needs is large, and not needed after it.
        let incoming = Box::pin(http::open(&self.pool, &self.call)).await?;
        check(&incoming)?;
        locked(&self.place).connect();
        self.inbox.begin();
        let mut parser = Parser::new(self.call.limit);
        let ended = self.events(incoming, &mut parser).await;
        locked(&self.place).disconnect(parser.reconnection_time());
        ended
    }

    async fn events(&self, mut incoming: Incoming, parser: &mut Parser) -> Result<Ended, Error> {
        let mut silence = pin!(sleep_until(Instant::now()));
        loop {
            self.inbox.room().await;
            let Some(part) = self.part(&mut incoming, silence.as_mut()).await? else {
                return Ok(Ended::Silent);
            };
            let Some(bytes) = part else {
                return Ok(if parser.timed_out() {
                    Ended::Silent
                } else {
                    Ended::Closed
                });
            };
            let ended = self
                .inbox
                .fill(|batch| take(parser, &mut locked(&self.place), &bytes, batch))?;
            if let Some(ended) = ended {
                if ended == Ended::Complete {
                    tokio::spawn(clear(incoming));
                }
                return Ok(ended);
            }
        }
    }

    /// The next part of the body, or None if it does not come in time.
    async fn part(
        &self,
        incoming: &mut Incoming,
        mut timer: Pin<&mut Sleep>,
    ) -> Result<Option<Option<Bytes>>, Error> {
        let since = Instant::now();
        let mut last_beat = since;
        let mut part = pin!(incoming.part());
        loop {
            let beat = (self.form == Form::Frames).then(|| last_beat + BEAT);
            let end = self.idle.map(|idle| deadline(since, idle));
            let Some(next) = beat.into_iter().chain(end).min() else {
                return part.await.map(Some);
            };
            tokio::select! {
                biased;
                part = part.as_mut() => return part.map(Some),
                // The timer of the part before is left to ring where it rings: most parts come long before.
                () = timer.as_mut() => {}
            }
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                return Ok(None);
            }
            if beat.is_some_and(|beat| now >= beat) {
                last_beat = now;
                self.inbox.fill(Batch::push_beat);
                continue;
            }
            timer.as_mut().reset(next);
        }
    }
}

/// Reads a file from its byte `start` on.
pub async fn read_file(
    pool: Arc<Pool>,
    call: Arc<Call>,
    start: u64,
    inbox: Arc<Inbox>,
    info: Arc<OnceLock<Info>>,
) -> Result<Ended, Error> {
    let mut download = Box::pin(Download::open(pool, &call, start)).await?;
    info.get_or_init(|| download.info().clone());
    inbox.begin();
    let mut has_given = false;
    loop {
        inbox.room().await;
        match download.next().await? {
            Next::Bytes(piece) => {
                has_given = true;
                inbox.fill(|batch| batch.push_bytes(piece));
            }
            Next::Restart if has_given || start > 0 => {
                let message = "the file broke off, and its host gives neither its rest nor surely the same file again";
                return Err(Error {
                    sent: true,
                    ..Error::new(Kind::Disconnected, message)
                });
            }
            Next::Restart => {}
            Next::End => return Ok(Ended::Closed),
        }
    }
}

/// Takes the next bytes of a stream of events; how it ended, if it did.
pub fn take(
    parser: &mut Parser,
    place: &mut Place,
    bytes: &[u8],
    batch: &mut Batch,
) -> Result<Option<Ended>, Error> {
    let mut ended = None;
    let fed = parser.feed(bytes, |event| {
        if ended.is_some() {
            return;
        }
        match place.admit(&event) {
            Verdict::New => batch.push(event),
            Verdict::Known => {}
            Verdict::Unproven => ended = Some(Ended::Unproven),
        }
        if place.end().is_some() {
            ended = Some(Ended::Complete);
        }
    });
    match (ended, fed) {
        (None, Err(large)) => Err(too_large(large)),
        (ended, _) => Ok(ended),
    }
}

fn check(incoming: &Incoming) -> Result<(), Error> {
    let media_type = incoming
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = media_type.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("text/event-stream") {
        return Ok(());
    }
    let message = format!("expected an event stream, but the server answered {media_type:?}");
    Err(Error {
        sent: true,
        ..Error::new(Kind::Protocol, message)
    })
}

/// Reads what a server still sends after the last event, so that the connection can be used again.
async fn clear(mut incoming: Incoming) {
    let (time, most) = LAST_WORDS;
    let read = async {
        let mut size = 0_usize;
        while let Ok(Some(bytes)) = incoming.part().await {
            size = size.saturating_add(bytes.len());
            if size > most {
                return;
            }
        }
    };
    // Whatever comes of it, the connection is let go.
    drop(timeout(time, read).await);
}
