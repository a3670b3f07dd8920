//! Downloads to disk, multipart uploads from disk, and `data:` URIs.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use percent_encoding::percent_decode_str;
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, Kind};
use crate::http::{self, Call, Pool};

/// Files move in blocks of this many bytes: below it the cost of a block shows, above it the memory.
const BLOCK: usize = 256 << 10;

/// A multipart body: some bytes, a part of a file or more bytes, some bytes.
#[derive(Debug)]
pub struct Upload {
    head: Bytes,
    content: Content,
    tail: Bytes,
}

#[derive(Debug)]
enum Content {
    Memory(Bytes),
    Disk { path: PathBuf, length: u64 },
}

impl Upload {
    /// Bytes that are already in memory, between `head` and `tail`.
    pub fn from_memory(head: Bytes, content: Bytes, tail: Bytes) -> Self {
        Self { head, content: Content::Memory(content), tail }
    }

    /// A file, read while it is sent.
    pub fn from_disk(head: Bytes, path: PathBuf, tail: Bytes) -> Result<Self, Error> {
        let about = std::fs::metadata(&path).map_err(|error| Error::file(path.display(), &error))?;
        if !about.is_file() {
            return Err(Error::new(Kind::File, format!("{} is not a file", path.display())));
        }
        Ok(Self { head, content: Content::Disk { path, length: about.len() }, tail })
    }

    /// The length of the whole body, in bytes.
    pub fn length(&self) -> u64 {
        let content = match &self.content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Disk { length, .. } => *length,
        };
        self.head.len() as u64 + content + self.tail.len() as u64
    }

    /// A body for one attempt, from the start, and how far it has got.
    pub fn body(&self) -> Result<(reqwest::Body, Progress), Error> {
        let progress = Progress::start();
        let content = match &self.content {
            Content::Memory(bytes) => blocks_of(bytes.clone()).left_stream(),
            Content::Disk { path, length } => blocks_from(path, *length)?.right_stream(),
        };
        let sent = progress.clone();
        let parts = stream::iter([Ok(self.head.clone())])
            .chain(content)
            .chain(stream::iter([Ok(self.tail.clone())]))
            .inspect(move |_| sent.touch());
        Ok((reqwest::Body::wrap_stream(parts), progress))
    }
}

fn blocks_of(bytes: Bytes) -> impl stream::Stream<Item = std::io::Result<Bytes>> + Send {
    stream::unfold(bytes, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        let block = rest.split_to(BLOCK.min(rest.len()));
        Some((Ok(block), rest))
    })
}

fn blocks_from(path: &Path, length: u64) -> Result<impl stream::Stream<Item = std::io::Result<Bytes>> + Send + use<>, Error> {
    let file = File::open(path).map_err(|error| Error::file(path.display(), &error))?;
    Ok(stream::unfold(Some((file, length)), |state| async move {
        let (mut file, left) = state.filter(|(_, left)| *left > 0)?;
        let step = move || read_block(&mut file, left).map(|block| (block, file));
        match tokio::task::spawn_blocking(step).await.map_err(std::io::Error::other).flatten() {
            Ok((block, file)) => {
                let left = left.saturating_sub(block.len() as u64);
                Some((Ok(block), Some((file, left))))
            }
            Err(error) => Some((Err(error), None)),
        }
    }))
}

/// The next block of a file that had `left` bytes more when the upload began.
fn read_block(file: &mut File, left: u64) -> std::io::Result<Bytes> {
    let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK);
    let mut block = Vec::with_capacity(wanted);
    Read::by_ref(file).take(wanted as u64).read_to_end(&mut block)?;
    if block.len() < wanted {
        return Err(std::io::Error::other("the file became shorter while it was uploaded"));
    }
    Ok(block.into())
}

/// When an upload last moved.
#[derive(Clone, Debug)]
pub struct Progress {
    start: Instant,
    last: Arc<AtomicU64>,
}

impl Progress {
    fn start() -> Self {
        Self { start: Instant::now(), last: Arc::default() }
    }

    fn touch(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    /// Ends when nothing has moved for `limit`.
    pub async fn stalled(&self, limit: Duration) {
        loop {
            let end = self.start + Duration::from_millis(self.last.load(Ordering::Relaxed)) + limit;
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// Downloads to `target`, which is either as before or complete: a temporary file beside it takes its place at the end.
///
/// Returns the number of bytes.
pub async fn download(pool: &Pool, call: &Call, target: &Path) -> Result<u64, Error> {
    let mut incoming = http::open(pool, call).await?;
    let expected = incoming.length();
    let target = target.to_owned();
    let mut file = on_disk(move || Partial::create(&target)).await?;
    let mut block = BytesMut::with_capacity(2 * BLOCK);
    while let Some(chunk) = incoming.chunk().await? {
        block.extend_from_slice(&chunk);
        if block.len() >= BLOCK {
            let full = block.split().freeze();
            block.reserve(2 * BLOCK);
            file = on_disk(move || file.with(&full)).await?;
        }
    }
    let last = block.freeze();
    let file = on_disk(move || file.with(&last)).await?;
    if let Some(expected) = expected
        && expected != file.length
    {
        let message = format!("the file ended after {} of {expected} bytes", file.length);
        return Err(Error { sent: true, ..Error::new(Kind::Disconnected, message) });
    }
    on_disk(move || file.finish()).await
}

/// Keeps the disk's waits off the runtime's thread.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::new(Kind::File, error.to_string())))
}

/// Writes `content` to `target` under the same promise as [`download`].
pub fn write(target: &Path, content: &[u8]) -> Result<u64, Error> {
    let mut file = Partial::create(target)?;
    file.write(content)?;
    file.finish()
}

/// A file that takes its name only when it is complete; dropped before, it is removed.
struct Partial {
    target: PathBuf,
    temporary: PathBuf,
    file: File,
    length: u64,
    done: bool,
}

impl Partial {
    fn create(target: &Path) -> Result<Self, Error> {
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().ok_or_else(|| Error::new(Kind::File, format!("{} is not a file name", target.display())))?);
        name.push(format!(".{:016x}.part", fastrand::u64(..)));
        let temporary = target.with_file_name(name);
        let file = File::options().write(true).create_new(true).open(&temporary);
        let file = file.map_err(|error| Error::file(target.display(), &error))?;
        Ok(Self { target: target.to_owned(), temporary, file, length: 0, done: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|error| Error::file(self.target.display(), &error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn with(mut self, bytes: &[u8]) -> Result<Self, Error> {
        self.write(bytes)?;
        Ok(self)
    }

    fn finish(mut self) -> Result<u64, Error> {
        let moved = self.file.sync_all().and_then(|()| std::fs::rename(&self.temporary, &self.target));
        moved.map_err(|error| Error::file(self.target.display(), &error))?;
        self.done = true;
        Ok(self.length)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.done {
            // Nothing is left to do about a file that cannot be removed either.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// A `data:` URI taken apart (RFC 2397).
#[derive(Debug, PartialEq, Eq)]
pub struct DataUri {
    /// The media type with its parameters; `text/plain;charset=US-ASCII` where none is given.
    pub media_type: String,
    /// The content.
    pub content: Vec<u8>,
}

/// Forgiving about padding, strict about the alphabet.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl DataUri {
    /// Reads a URI, or says what is wrong with it.
    pub fn parse(uri: &str) -> Result<Self, Error> {
        let rest = uri.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")).and_then(|_| uri.get(5..));
        let (about, data) = rest
            .and_then(|rest| rest.split_once(','))
            .ok_or_else(|| Error::invalid("not a data URI: data:[<type>][;base64],<data>"))?;
        let (media_type, base64) = match about.len().checked_sub(7).and_then(|at| Some((about.get(..at)?, about.get(at..)?))) {
            Some((media_type, mark)) if mark.eq_ignore_ascii_case(";base64") => (media_type, true),
            _ => (about, false),
        };
        if !media_type.is_empty() && !is_media_type(media_type) {
            return Err(Error::invalid("the data URI has no media type before its comma"));
        }
        let media_type = if media_type.is_empty() { "text/plain;charset=US-ASCII" } else { media_type };
        let bytes = percent_decode_str(data);
        let content = if base64 {
            let text: Vec<u8> = bytes.filter(|byte| !byte.is_ascii_whitespace()).collect();
            BASE64.decode(text).map_err(|error| Error::invalid(format!("the data URI's base64 is broken: {error}")))?
        } else {
            bytes.collect()
        };
        Ok(Self { media_type: media_type.to_owned(), content })
    }
}

fn is_media_type(text: &str) -> bool {
    let kind = text.split(';').next().unwrap_or_default();
    let token =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte));
    kind.is_empty() || kind.split_once('/').is_some_and(|(first, second)| token(first) && token(second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn data_uris_are_read_in_both_encodings() {
        for (uri, media_type, content) in [
            ("data:text/plain;base64,aGk=", "text/plain", "hi"),
            ("data:text/plain;charset=utf-8;base64,aGk", "text/plain;charset=utf-8", "hi"),
            ("data:,a%20b", "text/plain;charset=US-ASCII", "a b"),
            ("DATA:image/svg+xml,<svg/>", "image/svg+xml", "<svg/>"),
            ("data:;base64,aGk=", "text/plain;charset=US-ASCII", "hi"),
        ] {
            let expected = DataUri { media_type: media_type.into(), content: content.into() };
            assert_eq!(DataUri::parse(uri).unwrap(), expected, "{uri}");
        }
    }

    #[test]
    fn text_that_only_looks_like_a_data_uri_is_refused() {
        for text in ["data: hi, you", "data:", "data:x", "data:a b/c,x", "data:text/plain;base64,@@", "http://x", "", "dätä:,"]
        {
            assert!(DataUri::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_no_trace() {
        let folder = std::env::temp_dir().join(format!("replicate-rs-{:x}", fastrand::u64(..)));
        std::fs::create_dir(&folder).unwrap();
        let target = folder.join("out");
        write(&target, b"old").unwrap();
        let mut partial = Partial::create(&target).unwrap();
        partial.write(b"new, but not all").unwrap();
        drop(partial);
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    proptest! {
        #[test]
        fn any_text_is_a_verdict(text in ".*", tail in ".*") {
            let _ = DataUri::parse(&text);
            let _ = DataUri::parse(&format!("data:{text},{tail}"));
        }

        #[test]
        fn what_is_encoded_comes_back(content in any::<Vec<u8>>()) {
            let uri = format!("data:application/octet-stream;base64,{}", BASE64.encode(&content));
            prop_assert_eq!(DataUri::parse(&uri).unwrap().content, content);
        }
    }
}
