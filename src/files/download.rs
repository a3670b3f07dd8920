//! A file from its host: its parts in order, over as many connections as that takes, or straight to disk.
//!
//! Rules this file keeps:
//! * after a break the rest is asked for, and taken only where the host shows that it is the rest of the same file;
//! * what the host says of length and digest is compared with what came.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::header::{
    CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderValue, IF_RANGE,
    LAST_MODIFIED, RANGE,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::files::checksum::Checksum;
use crate::files::disk::{Partial, Sink, beside};
use crate::error::{Error, Kind};
use crate::http::exchange::{self as http, Call, Incoming};
use crate::http::pool::Pool;
use crate::retry::Attempts;
use crate::http::timing::within;

/// Connections for one file: a host that gives a little and hangs up is not asked for ever.
const MOST_CONNECTIONS: u32 = 100;
/// The least time from a file's last change to an answer after which that date tells it from another version.
const SETTLED: Duration = Duration::from_secs(60);

/// What a host says of a file.
#[derive(Clone, Debug, Default)]
pub struct Info {
    /// The media type.
    pub content_type: Option<String>,
    /// The whole length, in bytes.
    pub length: Option<u64>,
    /// The header that may have a name for it.
    pub disposition: Option<String>,
    /// Its `ETag`, else the date of its last change: where two answers differ in it, the file has changed between them.
    pub validator: Option<String>,
}

/// What comes next of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// More of it.
    Bytes(Bytes),
    /// All from the beginning: the host does not give the rest of what was given before.
    Restart,
    /// Nothing.
    End,
}

/// A file that is on its way.
pub struct Download {
    pool: Arc<Pool>,
    call: Arc<Call>,
    incoming: Option<Incoming>,
    info: Info,
    /// What tells this file from another at the same address.
    version: Option<HeaderValue>,
    checksum: Option<Checksum>,
    /// The next byte to give.
    at: u64,
    /// Bytes that come again and were given before.
    skip: u64,
    /// The furthest it has come.
    best: u64,
    attempts: Attempts,
    connections: u32,
}

impl Download {
    /// Asks for a file, from its byte `from` on. The call's limit over everything is for the caller to keep.
    pub async fn open(pool: Arc<Pool>, call: &Call, from: u64) -> Result<Self, Error> {
        let mut call = call.clone();
        call.timeouts.total = None;
        let attempts = Attempts::new(&call.method, call.retries);
        let (info, call) = (Info::default(), Arc::new(call));
        let mut download = Self {
            pool,
            call,
            incoming: None,
            info,
            version: None,
            checksum: None,
            at: from,
            skip: 0,
            best: from,
            attempts,
            connections: 0,
        };
        let answer = download.connect().await;
        match answer {
            // There is nothing from there on.
            Err(Error {
                kind: Kind::Status(response),
                ..
            }) if from > 0 && response.status == 416 => {
                download.info.length = range(&response.headers).and_then(|range| range.total);
                download.info.validator = validator(&response.headers);
                return Ok(download);
            }
            answer => download.begin(answer?)?,
        }
        Ok(download)
    }

    /// What the host said.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// A host that sends a file compressed, though nobody asked for that, is asked again, for what can be decompressed while it comes:
    /// nothing that it says of length, digest and parts is of the file then.
    async fn connect(&mut self) -> Result<Incoming, Error> {
        let incoming = self.ask().await?;
        if !incoming.is_encoded() {
            return Ok(incoming);
        }
        if self.call.raw {
            drop(incoming);
            self.call = Arc::new(Call {
                raw: false,
                ..Call::clone(&self.call)
            });
            let incoming = self.ask().await?;
            if !incoming.is_encoded() {
                return Ok(incoming);
            }
        }
        Err(protocol(
            "the host sent the file in a compression that it was not asked for",
        ))
    }

    async fn ask(&mut self) -> Result<Incoming, Error> {
        self.connections += 1;
        if self.at == 0 || !self.call.raw {
            return http::open(&self.pool, &self.call).await;
        }
        let mut call = Call::clone(&self.call);
        call.headers.insert(
            RANGE,
            HeaderValue::try_from(format!("bytes={}-", self.at))
                .map_err(|error| Error::invalid(error.to_string()))?,
        );
        if let Some(version) = &self.version {
            call.headers.insert(IF_RANGE, version.clone());
        }
        http::open(&self.pool, &call).await
    }

    /// Takes the first answer.
    fn begin(&mut self, incoming: Incoming) -> Result<(), Error> {
        let headers = incoming.headers();
        let text = |name| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(ToOwned::to_owned)
        };
        self.info = Info {
            content_type: text(CONTENT_TYPE),
            length: incoming.length(),
            disposition: text(CONTENT_DISPOSITION),
            validator: validator(headers),
        };
        self.version = version(headers);
        if incoming.is_partial() {
            let range = range(headers).filter(|range| range.start == self.at && self.at > 0);
            let range = range.ok_or_else(|| {
                protocol("the host answered with another part of the file than was asked for")
            })?;
            self.info.length = range.total;
        } else {
            self.skip = self.at;
            self.checksum = if self.at == 0 && self.call.raw {
                Checksum::of(headers)
            } else {
                None
            };
        }
        self.check_type()?;
        self.incoming = Some(incoming);
        Ok(())
    }

    /// Error pages of hosts come with a status of success too, and must not pass for a picture.
    fn check_type(&self) -> Result<(), Error> {
        let is_html = self.info.content_type.as_deref().is_some_and(|kind| {
            kind.trim_start()
                .get(..9)
                .is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"))
        });
        let name = self
            .call
            .url
            .path_segments()
            .and_then(Iterator::last)
            .unwrap_or_default();
        let ending = Path::new(name)
            .extension()
            .and_then(|ending| ending.to_str())
            .map(str::to_ascii_lowercase);
        match ending.as_deref() {
            None | Some("html" | "htm" | "xhtml") => Ok(()),
            Some(ending) if is_html => Err(protocol(format!(
                "the host answered with a web page (text/html) instead of a .{ending} file"
            ))),
            Some(_) => Ok(()),
        }
    }

    /// What comes next.
    pub async fn next(&mut self) -> Result<Next, Error> {
        loop {
            let Some(incoming) = &mut self.incoming else {
                return Ok(Next::End);
            };
            let error = match incoming.chunk().await {
                Ok(Some(bytes)) => match self.take(bytes) {
                    Some(bytes) => return Ok(Next::Bytes(bytes)),
                    None => continue,
                },
                Ok(None) => match self.end() {
                    Ok(()) => return Ok(Next::End),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if !self.resume(error).await? {
                return Ok(Next::Restart);
            }
        }
    }

    /// Counts what came; None if all of it was given before.
    fn take(&mut self, mut bytes: Bytes) -> Option<Bytes> {
        if self.skip > 0 {
            let known = usize::try_from(self.skip)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            self.skip -= known as u64;
            drop(bytes.split_to(known));
            if bytes.is_empty() {
                return None;
            }
        }
        self.at += bytes.len() as u64;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&bytes);
        }
        Some(bytes)
    }

    fn end(&mut self) -> Result<(), Error> {
        self.incoming = None;
        // What was to be left out and did not come is beyond the end.
        let reached = self.at - self.skip;
        if let Some(length) = self.info.length.filter(|length| *length != reached) {
            return Err(broken(format!(
                "the file ended after {reached} of {length} bytes"
            )));
        }
        if self.checksum.take().is_none_or(Checksum::holds) {
            return Ok(());
        }
        Err(protocol(
            "the file that came is not what its host's checksum says",
        ))
    }

    /// Asks for the rest after a break; whether that is what comes now. False if it begins anew.
    async fn resume(&mut self, mut error: Error) -> Result<bool, Error> {
        self.incoming = None;
        let came_further = self.at > self.best;
        if came_further {
            self.best = self.at;
            self.attempts = Attempts::new(&self.call.method, self.call.retries);
        }
        loop {
            let wait = self
                .attempts
                .after(&error, fastrand::f64(), &self.pool.shared.budget)
                .filter(|_| self.connections < MOST_CONNECTIONS);
            match wait {
                None => return Err(error),
                Some(_) if came_further && self.attempts.is_first() => {}
                Some(wait) => sleep(wait).await,
            }
            if self.version.is_none() {
                // Nothing could tell whether it is the same file's.
                self.begin_anew();
            }
            match self.connect().await {
                Ok(incoming) => return self.go_on(incoming),
                // Nothing is left to ask for: what broke off was the end of the connection, not of the file.
                Err(next) if self.is_at_end(&next) => return self.end().map(|()| true),
                // A host's refusal was tried again already.
                Err(next) if matches!(next.kind, Kind::Disconnected | Kind::Timeout(..)) => {
                    error = next
                }
                Err(next) => return Err(next),
            }
        }
    }

    /// Whether a refusal says that the file ends where this has come to (``Content-Range: bytes */N``).
    fn is_at_end(&self, error: &Error) -> bool {
        matches!(&error.kind, Kind::Status(response) if response.status == 416
            && self.skip == 0 && range(&response.headers).is_some_and(|range| range.total == Some(self.at)))
    }

    fn begin_anew(&mut self) {
        (self.at, self.skip) = (0, 0);
        self.checksum = None;
    }

    /// Takes the answer after a break.
    fn go_on(&mut self, incoming: Incoming) -> Result<bool, Error> {
        let headers = incoming.headers();
        if incoming.is_partial() {
            let same_length = |total: Option<u64>| {
                total.is_none() || self.info.length.is_none() || total == self.info.length
            };
            let is_rest = range(headers)
                .is_some_and(|range| range.start == self.at && same_length(range.total));
            if !is_rest {
                return Err(protocol(
                    "the host answered with another part of the file than was asked for",
                ));
            }
            // The answer before may have begun anew, and broken off before it came to what is new.
            self.skip = 0;
        } else if self.at > 0 && version(headers).is_some() && version(headers) == self.version {
            // It gives no parts, but the same file again.
            self.skip = self.at;
        } else {
            self.begin_anew();
            self.begin(incoming)?;
            return Ok(false);
        }
        self.incoming = Some(incoming);
        Ok(true)
    }
}

fn protocol(message: impl Into<String>) -> Error {
    Error {
        sent: true,
        ..Error::new(Kind::Protocol, message)
    }
}

fn broken(message: String) -> Error {
    Error {
        sent: true,
        ..Error::new(Kind::Disconnected, message)
    }
}

/// What differs between two versions of a file, as text.
fn validator(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(ETAG).or_else(|| headers.get(LAST_MODIFIED))?;
    value.to_str().ok().map(ToOwned::to_owned)
}

/// What `If-Range` may carry (RFC 9110 §13.1.5): a strong entity tag, else the date of the last change if that is a strong validator.
fn version(headers: &HeaderMap) -> Option<HeaderValue> {
    let strong = headers
        .get(ETAG)
        .filter(|tag| tag.as_bytes().starts_with(b"\""));
    strong
        .or_else(|| headers.get(LAST_MODIFIED).filter(|_| is_settled(headers)))
        .cloned()
}

/// Whether the last change lies so far before the answer that no other can share its date (RFC 9110 §8.8.2.2). A second would do for one
/// clock; the two dates may come from two machines.
fn is_settled(headers: &HeaderMap) -> bool {
    let date = |name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
    let apart = date(DATE)
        .zip(date(LAST_MODIFIED))
        .and_then(|(now, changed)| now.duration_since(changed).ok());
    apart.is_some_and(|apart| apart >= SETTLED)
}

/// What `Content-Range` says: ``bytes 5-9/10``, or ``bytes */10`` where there is no such part.
struct Range {
    start: u64,
    total: Option<u64>,
}

fn range(headers: &HeaderMap) -> Option<Range> {
    let (part, total) = headers
        .get(CONTENT_RANGE)?
        .to_str()
        .ok()?
        .strip_prefix("bytes ")?
        .split_once('/')?;
    let start = if part == "*" {
        0
    } else {
        part.split_once('-')?.0.parse().ok()?
    };
    Some(Range {
        start,
        total: total.parse().ok(),
    })
}

/// Downloads to `target`, which is either as before or complete.
pub async fn save(
    pool: Arc<Pool>,
    call: &Call,
    target: &Path,
    overwrite: bool,
) -> Result<Info, Error> {
    save_until(&CancellationToken::new(), pool, call, target, overwrite).await
}

/// The same, given up when `stop` is cancelled.
async fn save_until(
    stop: &CancellationToken,
    pool: Arc<Pool>,
    call: &Call,
    target: &Path,
    overwrite: bool,
) -> Result<Info, Error> {
    let stopped = || {
        Error::new(
            Kind::File,
            format!(
                "{} was given up, because another file failed",
                target.display()
            ),
        )
    };
    if stop.is_cancelled() {
        return Err(stopped());
    }
    let path = target.to_owned();
    // First, so that nothing is fetched for a target that cannot be written.
    let mut sink = Sink::new(beside(move || Partial::create(&path, overwrite)).await?);
    let saved = {
        let work = pin!(pour(pool, call, &mut sink));
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(stopped()),
            saved = within(call.timeouts.total, work) => saved,
        }
    };
    if saved.is_err() {
        // Whoever is told of the error finds nothing of the file.
        sink.give_up().await;
    }
    saved
}

async fn pour(pool: Arc<Pool>, call: &Call, sink: &mut Sink) -> Result<Info, Error> {
    let mut download = Box::pin(Download::open(pool, call, 0)).await?;
    loop {
        match download.next().await? {
            Next::Bytes(bytes) => sink.write(bytes).await?,
            Next::Restart => sink.restart().await?,
            Next::End => break,
        }
    }
    let length = Some(sink.finish().await?);
    Ok(Info {
        length,
        ..download.info
    })
}

/// Downloads many, `most` at a time; when one fails, those under way are given up, and nothing of them is left.
pub async fn save_all(
    pool: Arc<Pool>,
    files: Vec<(Call, PathBuf)>,
    overwrite: bool,
    most: usize,
) -> Result<Vec<Info>, Error> {
    let mut infos = vec![Info::default(); files.len()];
    let stop = CancellationToken::new();
    let saves = files
        .into_iter()
        .enumerate()
        .map(|(place, (call, target))| {
            let (pool, stop) = (pool.clone(), stop.clone());
            async move {
                (
                    place,
                    save_until(&stop, pool, &call, &target, overwrite).await,
                )
            }
        });
    let mut failure = None;
    // None is dropped on its way: each removes what it wrote before the error is raised.
    let mut saves = pin!(stream::iter(saves).buffer_unordered(most.max(1)));
    while let Some((place, saved)) = saves.next().await {
        match (saved, infos.get_mut(place)) {
            (Ok(saved), Some(info)) => *info = saved,
            (Ok(_), None) => {}
            (Err(error), _) => {
                stop.cancel();
                failure.get_or_insert(error);
            }
        }
    }
    failure.map_or(Ok(infos), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn parts_are_known_by_their_range() {
        let read = |text: &str| {
            range(&with("content-range", text)).map(|range| (range.start, range.total))
        };
        assert_eq!(read("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(read("bytes 5-9/*"), Some((5, None)));
        assert_eq!(read("bytes */10"), Some((0, Some(10))));
        for wrong in [
            "",
            "bytes",
            "bytes 5/10",
            "items 5-9/10",
            "bytes x-9/10",
            "bytes 5-9",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_weak_tag_tells_nothing() {
        assert_eq!(version(&with("etag", "\"a\"")).unwrap(), "\"a\"");
        assert_eq!(version(&with("etag", "W/\"a\"")), None);
    }

    #[test]
    fn a_date_tells_only_what_had_settled_before_the_answer() {
        let changed = "Tue, 24 Nov 2026 19:00:00 GMT";
        for (date, is_strong) in [
            (Some("Tue, 24 Nov 2026 19:01:00 GMT"), true),
            (Some("Tue, 24 Nov 2026 19:00:59 GMT"), false),
            (Some(changed), false),
            (Some("Tue, 24 Nov 2026 18:00:00 GMT"), false),
            (Some("now"), false),
            (None, false),
        ] {
            let mut headers = with("etag", "W/\"a\"");
            headers.insert(LAST_MODIFIED, changed.parse().unwrap());
            headers.extend(date.map(|date| (DATE, date.parse().unwrap())));
            assert_eq!(version(&headers).is_some(), is_strong, "{date:?}");
        }
        let mut odd = with("last-modified", "yesterday");
        odd.insert(DATE, changed.parse().unwrap());
        assert_eq!(version(&odd), None);
    }

    proptest! {
        #[test]
        fn any_range_is_a_verdict(text in "[ -~]{0,30}") {
            let _ = range(&with("content-range", &text));
        }
    }
}
