//! Downloads: the bytes of a file in order, over as many connections as needed, or straight to
//! disk.
//!
//! Rules of this file:
//! * after a broken connection the rest is requested, and accepted only if the host shows that it
//!   belongs to the same version;
//! * the length and the digest that the host announced are compared with what arrived.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::header::{
    CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderValue, IF_RANGE,
    LAST_MODIFIED, RANGE,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::checksum::Checksum;
use super::disk::{FileWriter, PartialFile};
use crate::error::{Error, Kind};
use crate::http::exchange::{self, Incoming};
use crate::http::pool::Pool;
use crate::http::request::Request;
use crate::http::timing::with_deadline;
use crate::off_thread::off_thread;
use crate::retry::Attempts;

/// The maximum number of connections for one file, for hosts that repeatedly send little and close.
const MAX_CONNECTIONS: u32 = 100;
/// How long before a response a file must have changed for the date of the change to identify its
/// version.
const MIN_AGE: Duration = Duration::from_secs(60);

/// The metadata of a file from its host.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileInfo {
    pub(crate) content_type: Option<String>,
    /// The length of the whole file in bytes.
    pub(crate) length: Option<u64>,
    /// `Content-Disposition`, which may have a file name.
    pub(crate) disposition: Option<String>,
    /// `ETag`, or the date of the last change. If it differs between two responses, the file has
    /// changed.
    pub(crate) validator: Option<String>,
}

/// The next step of a download.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next bytes.
    Bytes(Bytes),
    /// The file follows from its beginning: the host cannot resume.
    Restart,
    End,
}

/// A file that is being downloaded.
pub(crate) struct Download {
    pool: Arc<Pool>,
    request: Arc<Request>,
    incoming: Option<Incoming>,
    info: FileInfo,
    /// Identifies the version of the file.
    version: Option<HeaderValue>,
    checksum: Option<Checksum>,
    /// The position of the next byte to return.
    position: u64,
    /// How many of the next bytes were returned before.
    skip: u64,
    /// The furthest position so far.
    furthest: u64,
    attempts: Attempts,
    connections: u32,
}

impl Download {
    /// Request a file from the byte `start` on. The deadline for the whole call is left to the
    /// caller.
    pub(crate) async fn open(
        pool: Arc<Pool>,
        request: &Request,
        start: u64,
    ) -> Result<Self, Error> {
        let mut request = request.clone();
        request.timeouts.caller = request.timeouts.total.take();
        let mut download = Self {
            pool,
            attempts: Attempts::new(&request.method, request.retries),
            request: Arc::new(request),
            incoming: None,
            info: FileInfo::default(),
            version: None,
            checksum: None,
            position: start,
            skip: 0,
            furthest: start,
            connections: 0,
        };
        match download.connect().await {
            // The file ends before `start`.
            Err(Error {
                kind: Kind::Status(response),
                ..
            }) if start > 0 && response.status == 416 => {
                let range = ContentRange::parse(&response.headers);
                download.info.length = range.and_then(|range| range.total);
                download.info.validator = validator(&response.headers);
            }
            incoming => download.begin(incoming?)?,
        }
        Ok(download)
    }

    pub(crate) fn info(&self) -> &FileInfo {
        &self.info
    }

    /// Request the file from the current position on.
    ///
    /// If a host compresses the file although the request does not allow it, the request is
    /// repeated with a client that decompresses. Lengths, digests and ranges are then ignored,
    /// because they refer to the compressed file.
    async fn connect(&mut self) -> Result<Incoming, Error> {
        let mut incoming = self.request_rest().await?;
        if incoming.is_encoded() && self.request.is_raw {
            drop(incoming);
            self.request = Arc::new(Request {
                is_raw: false,
                ..Request::clone(&self.request)
            });
            incoming = self.request_rest().await?;
        }
        if incoming.is_encoded() {
            let message = "the host sent the file in a compression that it was not asked for";
            return Err(Error::protocol(message).sent());
        }
        Ok(incoming)
    }

    async fn request_rest(&mut self) -> Result<Incoming, Error> {
        self.connections += 1;
        if self.position == 0 || !self.request.is_raw {
            return exchange::open(&self.pool, &self.request).await;
        }
        let mut request = Request::clone(&self.request);
        let range = HeaderValue::try_from(format!("bytes={}-", self.position))
            .map_err(|error| Error::invalid(error.to_string()))?;
        request.headers.insert(RANGE, range);
        if let Some(version) = &self.version {
            request.headers.insert(IF_RANGE, version.clone());
        }
        exchange::open(&self.pool, &request).await
    }

    /// Accept the first response, or the first after a restart.
    fn begin(&mut self, mut incoming: Incoming) -> Result<(), Error> {
        let headers = incoming.headers();
        let text = |name| headers.get(name)?.to_str().ok().map(ToOwned::to_owned);
        self.info = FileInfo {
            content_type: text(CONTENT_TYPE),
            length: incoming.length(),
            disposition: text(CONTENT_DISPOSITION),
            validator: validator(headers),
        };
        self.version = strong_validator(headers);
        if incoming.is_partial() {
            let range = ContentRange::parse(headers)
                .filter(|range| range.start == self.position && self.position > 0);
            self.info.length = range.ok_or_else(other_range)?.total;
        } else {
            self.skip = self.position;
            let is_comparable = self.position == 0 && self.request.is_raw;
            self.checksum = if is_comparable {
                Checksum::from_headers(headers)
            } else {
                None
            };
        }
        self.refuse_error_page()?;
        incoming.drop_headers();
        self.incoming = Some(incoming);
        Ok(())
    }

    /// Refuse a web page in place of another kind of file: some hosts send error pages with a
    /// status of success.
    fn refuse_error_page(&self) -> Result<(), Error> {
        let kind = self
            .info
            .content_type
            .as_deref()
            .unwrap_or_default()
            .trim_start();
        if !kind
            .get(..9)
            .is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"))
        {
            return Ok(());
        }
        let name = self
            .request
            .url
            .path_segments()
            .and_then(Iterator::last)
            .unwrap_or_default();
        let extension = Path::new(name)
            .extension()
            .and_then(|extension| extension.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            None | Some("html" | "htm" | "xhtml") => Ok(()),
            Some(extension) => Err(Error::protocol(format!(
                "the host answered with a web page (text/html) instead of a .{extension} file"
            ))
            .sent()),
        }
    }

    /// Return the next step.
    pub(crate) async fn next(&mut self) -> Result<Step, Error> {
        loop {
            let Some(incoming) = &mut self.incoming else {
                return Ok(Step::End);
            };
            let error = match incoming.next().await {
                Ok(Some(bytes)) => match self.accept(bytes) {
                    Some(bytes) => return Ok(Step::Bytes(bytes)),
                    None => continue,
                },
                Ok(None) => match self.end() {
                    Ok(()) => return Ok(Step::End),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if !self.resume(error).await? {
                return Ok(Step::Restart);
            }
        }
    }

    /// Count bytes that arrived; return those that were not returned before, if any.
    fn accept(&mut self, mut bytes: Bytes) -> Option<Bytes> {
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
        self.position += bytes.len() as u64;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&bytes);
        }
        Some(bytes)
    }

    /// Compare length and digest at the end of a response.
    fn end(&mut self) -> Result<(), Error> {
        self.incoming = None;
        // Bytes to skip that did not arrive are beyond the end of the file.
        let end = self.position - self.skip;
        if let Some(length) = self.info.length.filter(|length| *length != end) {
            let message = format!("the file ended after {end} of {length} bytes");
            return Err(Error::disconnected(message));
        }
        if self.checksum.take().is_none_or(Checksum::matches) {
            return Ok(());
        }
        Err(Error::protocol("the file that came is not what its host's checksum says").sent())
    }

    /// Request the rest after an error. Return whether the download continues where it was; if not,
    /// it restarts.
    async fn resume(&mut self, mut error: Error) -> Result<bool, Error> {
        self.incoming = None;
        let has_progressed = self.position > self.furthest;
        if has_progressed {
            self.furthest = self.position;
            self.attempts = Attempts::new(&self.request.method, self.request.retries);
        }
        loop {
            let budget = &self.pool.shared.budget;
            let delay = self
                .attempts
                .next_delay(&error, fastrand::f64(), budget)
                .filter(|_| self.connections < MAX_CONNECTIONS);
            match delay {
                None => return Err(error),
                // The first retry after progress needs no pause.
                Some(_) if has_progressed && self.attempts.failed() <= 1 => {}
                Some(delay) => sleep(delay).await,
            }
            if self.version.is_none() {
                // The version is unknown, so the rest cannot be matched to it.
                self.restart();
            }
            match self.connect().await {
                Ok(incoming) => return self.continue_with(incoming),
                // The file was complete; only the end of the connection was broken.
                Err(error) if self.is_complete(&error) => return self.end().map(|()| true),
                // Error responses were retried already.
                Err(next) if matches!(next.kind, Kind::Disconnected | Kind::Timeout(..)) => {
                    error = next;
                }
                Err(next) => return Err(next),
            }
        }
    }

    /// Return whether an error says that the file ends at the current position (``Content-Range:
    /// bytes */N``).
    fn is_complete(&self, error: &Error) -> bool {
        let Kind::Status(response) = &error.kind else {
            return false;
        };
        let total = ContentRange::parse(&response.headers).and_then(|range| range.total);
        response.status == 416 && self.skip == 0 && total == Some(self.position)
    }

    fn restart(&mut self) {
        self.position = 0;
        self.skip = 0;
        self.checksum = None;
    }

    /// Accept the response after a broken connection.
    fn continue_with(&mut self, mut incoming: Incoming) -> Result<bool, Error> {
        let headers = incoming.headers();
        if incoming.is_partial() {
            let is_rest = |range: ContentRange| {
                let lengths = range.total.zip(self.info.length);
                range.start == self.position && lengths.is_none_or(|(new, old)| new == old)
            };
            if !ContentRange::parse(headers).is_some_and(is_rest) {
                return Err(other_range());
            }
            // The previous response may have restarted, and failed before it reached new bytes.
            self.skip = 0;
        } else if self.position > 0
            && self.version.is_some()
            && strong_validator(headers) == self.version
        {
            // The host ignores ranges, but sends the same version again.
            self.skip = self.position;
        } else {
            self.restart();
            self.begin(incoming)?;
            return Ok(false);
        }
        incoming.drop_headers();
        self.incoming = Some(incoming);
        Ok(true)
    }
}

fn other_range() -> Error {
    let message = "the host answered with another part of the file than was asked for";
    Error::protocol(message).sent()
}

/// Return what differs between two versions of a file.
fn validator(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(ETAG).or_else(|| headers.get(LAST_MODIFIED))?;
    value.to_str().ok().map(ToOwned::to_owned)
}

/// Return a value for `If-Range` (RFC 9110 §13.1.5): a strong entity tag, or the date of the last
/// change if it is a strong validator.
fn strong_validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let tag = headers
        .get(ETAG)
        .filter(|tag| tag.as_bytes().starts_with(b"\""));
    let value = tag.or_else(|| {
        headers
            .get(LAST_MODIFIED)
            .filter(|_| is_date_strong(headers))
    });
    // A copy: a clone is a slice of the connection's read buffer.
    HeaderValue::from_bytes(value?.as_bytes()).ok()
}

/// Return whether the last change is long enough before the response that no other change can have
/// the same date (RFC 9110 §8.8.2.2). One second would do for one clock, but the two dates may come
/// from two machines.
fn is_date_strong(headers: &HeaderMap) -> bool {
    let date = |name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
    let age = date(DATE)
        .zip(date(LAST_MODIFIED))
        .and_then(|(now, changed)| now.duration_since(changed).ok());
    age.is_some_and(|age| age >= MIN_AGE)
}

/// `Content-Range`: ``bytes 5-9/10``, or ``bytes */10`` if there is no such range.
#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    start: u64,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let start = if range == "*" {
            0
        } else {
            range.split_once('-')?.0.parse().ok()?
        };
        Some(Self {
            start,
            total: total.parse().ok(),
        })
    }
}

/// What downloads to disk have achieved; read by other threads while they go on.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Bytes of all files.
    pub(crate) received: AtomicU64,
    /// The length of the file whose response came last; 0 if it is unknown.
    pub(crate) length: AtomicU64,
    /// Complete files.
    pub(crate) files: AtomicU64,
}

/// Download to `target`, which keeps its old content until the new content is complete.
pub(crate) async fn save(
    pool: Arc<Pool>,
    request: &Request,
    target: &Path,
    overwrite: bool,
    counters: &Counters,
) -> Result<FileInfo, Error> {
    let stop = CancellationToken::new();
    save_unless_stopped(&stop, pool, request, target, overwrite, counters).await
}

/// Download to `target` until `stop` is cancelled.
async fn save_unless_stopped(
    stop: &CancellationToken,
    pool: Arc<Pool>,
    request: &Request,
    target: &Path,
    overwrite: bool,
    counters: &Counters,
) -> Result<FileInfo, Error> {
    let stopped = || {
        let message = format!(
            "{} was given up, because another file failed",
            target.display()
        );
        Error::new(Kind::File, message)
    };
    if stop.is_cancelled() {
        return Err(stopped());
    }
    let path = target.to_owned();
    // First, so that nothing is requested for a target that cannot be written.
    let file = off_thread(move || PartialFile::create(&path, overwrite)).await?;
    let mut writer = FileWriter::new(file);
    let saved = {
        let work = pin!(download_into(pool, request, &mut writer, counters));
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(stopped()),
            saved = with_deadline(request.timeouts.total, work) => saved,
        }
    };
    if saved.is_err() {
        // When the caller sees the error, the temporary file is gone.
        writer.discard().await;
    }
    saved
}

async fn download_into(
    pool: Arc<Pool>,
    request: &Request,
    writer: &mut FileWriter,
    counters: &Counters,
) -> Result<FileInfo, Error> {
    let mut download = Box::pin(Download::open(pool, request, 0)).await?;
    let mut received = 0;
    loop {
        let length = download.info().length.unwrap_or(0);
        counters.length.store(length, Ordering::Relaxed);
        match download.next().await? {
            Step::Bytes(bytes) => {
                let count = bytes.len() as u64;
                writer.write(bytes).await?;
                received += count;
                counters.received.fetch_add(count, Ordering::Relaxed);
            }
            Step::Restart => {
                writer.restart().await?;
                counters.received.fetch_sub(received, Ordering::Relaxed);
                received = 0;
            }
            Step::End => break,
        }
    }
    let length = Some(writer.finish().await?);
    counters.files.fetch_add(1, Ordering::Relaxed);
    Ok(FileInfo {
        length,
        ..download.info
    })
}

/// Download many files, `max` at a time. When one fails, the others are stopped and their temporary
/// files removed.
pub(crate) async fn save_all(
    pool: Arc<Pool>,
    files: Vec<(Request, PathBuf)>,
    overwrite: bool,
    max: usize,
    counters: &Counters,
) -> Result<Vec<FileInfo>, Error> {
    let mut infos = vec![FileInfo::default(); files.len()];
    let stop = CancellationToken::new();
    let saves = files
        .into_iter()
        .enumerate()
        .map(|(index, (request, target))| {
            let (pool, stop) = (pool.clone(), stop.clone());
            async move {
                (
                    index,
                    save_unless_stopped(&stop, pool, &request, &target, overwrite, counters).await,
                )
            }
        });
    let mut failure = None;
    // All are awaited, also after a failure: each removes its temporary file before the error is
    // raised.
    let mut saves = pin!(stream::iter(saves).buffer_unordered(max.max(1)));
    while let Some((index, saved)) = saves.next().await {
        match saved {
            Ok(saved) => {
                if let Some(info) = infos.get_mut(index) {
                    *info = saved;
                }
            }
            Err(error) => {
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
    use crate::http::connect::ConnectOptions;
    use crate::http::test_server::{get, pool, run, serve};
    use proptest::prelude::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn parts_are_known_by_their_range() {
        let read = |text: &str| {
            ContentRange::parse(&with("content-range", text))
                .map(|range| (range.start, range.total))
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
        assert_eq!(strong_validator(&with("etag", "\"a\"")).unwrap(), "\"a\"");
        assert_eq!(strong_validator(&with("etag", "W/\"a\"")), None);
        let buffer = Bytes::from(b"\"a\"".to_vec());
        let value = HeaderValue::from_maybe_shared(buffer.clone()).unwrap();
        let copy = strong_validator(&HeaderMap::from_iter([(ETAG, value)]));
        assert!(copy.is_some() && buffer.is_unique());
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
            assert_eq!(strong_validator(&headers).is_some(), is_strong, "{date:?}");
        }
        let mut odd = with("last-modified", "yesterday");
        odd.insert(DATE, changed.parse().unwrap());
        assert_eq!(strong_validator(&odd), None);
    }

    async fn download(responses: Vec<&'static str>) -> Result<Vec<Step>, Error> {
        let (url, _requests) = serve(responses).await;
        let request = Request {
            is_raw: true,
            ..get(url)
        };
        let mut download = Download::open(pool(ConnectOptions::default()), &request, 0).await?;
        let mut steps = Vec::new();
        loop {
            match download.next().await? {
                Step::End => return Ok(steps),
                step => steps.push(step),
            }
        }
    }

    fn bytes(text: &'static str) -> Step {
        Step::Bytes(Bytes::from_static(text.as_bytes()))
    }

    /// A response whose connection is closed after half of the body.
    const CLOSED: &str = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 6\r\n\r\nabc";

    #[test]
    fn the_rest_of_the_same_version_is_accepted() {
        let rest = "HTTP/1.1 206 X\r\nETag: \"a\"\r\nContent-Range: bytes 3-5/6\r\nContent-Length: 3\r\n\r\ndef";
        let again = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 6\r\n\r\nabcdef";
        for next in [rest, again] {
            let steps = run(async { download(vec![CLOSED, next]).await.unwrap() });
            assert_eq!(steps, [bytes("abc"), bytes("def")], "{next}");
        }
    }

    #[test]
    fn another_version_restarts_and_another_range_is_refused() {
        let other = "HTTP/1.1 200 OK\r\nETag: \"b\"\r\nContent-Length: 3\r\n\r\nxyz";
        let steps = run(async { download(vec![CLOSED, other]).await.unwrap() });
        assert_eq!(steps, [bytes("abc"), Step::Restart, bytes("xyz")]);
        let range = "HTTP/1.1 206 X\r\nETag: \"a\"\r\nContent-Range: bytes 4-5/6\r\nContent-Length: 2\r\n\r\nef";
        let error = run(async { download(vec![CLOSED, range]).await.unwrap_err() });
        assert!(matches!(error.kind, Kind::Protocol), "{error}");
    }

    #[test]
    fn length_and_digest_are_compared() {
        let wrong =
            "HTTP/1.1 200 OK\r\nx-goog-hash: crc32c=AAAAAA==\r\nContent-Length: 5\r\n\r\nhello";
        let error = run(async { download(vec![wrong]).await.unwrap_err() });
        assert!(error.message.contains("checksum"), "{error}");
        let right =
            "HTTP/1.1 200 OK\r\nx-goog-hash: crc32c=mnG7TA==\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(
            run(async { download(vec![right]).await.unwrap() }),
            [bytes("hello")]
        );
    }

    #[test]
    fn a_compressed_file_is_requested_again_for_decompression() {
        let compressed = "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx";
        let plain = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(
            run(async { download(vec![compressed, plain]).await.unwrap() }),
            [bytes("abc")]
        );
        let error = run(async { download(vec![compressed, compressed]).await.unwrap_err() });
        assert!(error.message.contains("compression"), "{error}");
    }

    proptest! {
        #[test]
        fn any_range_is_a_verdict(text in "[ -~]{0,30}") {
            let _ = ContentRange::parse(&with("content-range", &text));
        }
    }
}
