//! Request bodies that are sent piece by piece: bytes, and parts of files, which are read meanwhile.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::clock::deadline;
use crate::files::data_uri::BASE64;
use crate::error::{Error, Kind, Phase};

/// Files move in blocks of this many bytes: below it the cost of a block shows, above it the processor's cache is missed.
const BLOCK: usize = 256 << 10;
/// What becomes a block in base64.
const BLOCK_IN_BASE64: usize = BLOCK / 4 * 3;

/// How often a body that is under way is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// A piece of a body.
#[derive(Clone, Debug)]
pub struct Part {
    content: Content,
    base64: bool,
    /// What it is called in errors.
    name: Arc<str>,
}

#[derive(Clone, Debug)]
enum Content {
    Memory(Bytes),
    Disk(Arc<Slice>),
}

/// A file from some offset to its end.
#[derive(Debug)]
struct Slice {
    /// Opened when it is read first: many may wait for their turn.
    opened: OnceLock<File>,
    path: PathBuf,
    offset: u64,
    length: u64,
}

impl Part {
    /// Bytes.
    pub fn memory(bytes: Bytes) -> Self {
        Self {
            content: Content::Memory(bytes),
            base64: false,
            name: "the file".into(),
        }
    }

    /// A file from `offset` on, read when it is sent; `at_once` opens it here, where its path will not last.
    pub fn disk(path: &Path, offset: u64, at_once: bool) -> Result<Self, Error> {
        // What is no file is not opened: a pipe would wait for its writer.
        let about = std::fs::metadata(path)
            .map_err(|error| Error::file(path.display(), &error).at(path))?;
        if !about.is_file() {
            let told = format!("{} is not a file", path.display());
            let is_a_directory = std::io::ErrorKind::IsADirectory.into();
            let error = if about.is_dir() {
                Error::file(told, &is_a_directory)
            } else {
                Error::new(Kind::File, told)
            };
            return Err(error.at(path));
        }
        let length = about.len().saturating_sub(offset);
        let name = path.display().to_string();
        let slice = Slice {
            opened: OnceLock::new(),
            path: path.to_owned(),
            offset,
            length,
        };
        if at_once {
            slice.file(&name)?;
        }
        Ok(Self {
            content: Content::Disk(Arc::new(slice)),
            base64: false,
            name: name.into(),
        })
    }

    /// The same, called `name` in errors.
    pub fn named(self, name: &str) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    /// What it is called in errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same, sent in base64.
    pub fn in_base64(self) -> Self {
        Self {
            base64: true,
            ..self
        }
    }

    /// All of its content, before base64.
    fn read(&self) -> Result<Bytes, Error> {
        match &self.content {
            Content::Memory(bytes) => Ok(bytes.clone()),
            Content::Disk(slice) => {
                let size = usize::try_from(slice.length)
                    .map_err(|error| Error::invalid(error.to_string()))?;
                let mut content = vec![0; size];
                slice.read(&mut content, 0, true, &self.name)?;
                Ok(content.into())
            }
        }
    }

    /// All of its content, in base64, whatever it is sent in.
    pub fn read_base64(&self) -> Result<String, Error> {
        Ok(BASE64.encode(self.read()?))
    }

    /// The bytes it has, before base64.
    pub fn content_length(&self) -> u64 {
        match &self.content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Disk(slice) => slice.length,
        }
    }

    /// The bytes it takes in the body.
    fn length(&self) -> u64 {
        let length = self.content_length();
        if self.base64 {
            length.div_ceil(3) * 4
        } else {
            length
        }
    }
}

/// A body of known length, which can be sent again from its beginning.
#[derive(Debug)]
pub struct Upload {
    parts: Vec<Part>,
    length: u64,
    /// What the newest attempt has sent. One that was given up may go on for a moment, and counts for itself.
    sent: Mutex<Arc<AtomicU64>>,
}

impl Upload {
    /// One of these parts.
    pub fn new(parts: Vec<Part>) -> Self {
        let length = parts.iter().map(Part::length).sum();
        Self {
            parts,
            length,
            sent: Mutex::default(),
        }
    }

    /// The length of the whole body, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The whole body, as it is sent.
    pub fn read(&self) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        for part in &self.parts {
            if part.base64 {
                body.extend_from_slice(part.read_base64()?.as_bytes());
            } else {
                body.extend_from_slice(&part.read()?);
            }
        }
        Ok(body)
    }

    /// How much of it has been sent, in bytes; an attempt after the first begins anew.
    pub fn sent(&self) -> u64 {
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .load(Ordering::Relaxed)
    }

    /// A body for one attempt, and how it fares.
    pub fn body(&self) -> (reqwest::Body, Progress) {
        let progress = self.attempt();
        (
            reqwest::Body::wrap_stream(Walk::new(&self.parts, progress.clone()).blocks()),
            progress,
        )
    }

    fn attempt(&self) -> Progress {
        let sent = Arc::<AtomicU64>::default();
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = sent.clone();
        let (start, length) = (Instant::now(), self.length);
        Progress {
            start,
            length,
            sent,
            last: Arc::default(),
            has_begun: Arc::default(),
            failure: Arc::default(),
        }
    }
}

/// How an attempt fares.
#[derive(Clone, Debug)]
pub struct Progress {
    start: Instant,
    length: u64,
    last: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    has_begun: Arc<AtomicBool>,
    failure: Arc<Mutex<Option<Error>>>,
}

impl Progress {
    /// Waiting begins now.
    pub fn touch(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    fn moved(&self, bytes: usize) {
        self.touch();
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether a connection has asked for the body: it has sent the head then.
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    fn fail(&self, error: Error) -> std::io::Error {
        let told = std::io::Error::other(error.message.clone());
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        told
    }

    /// Why the body itself could not be sent to its end.
    pub fn failure(&self) -> Option<Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Whether all of the body was taken by the connection.
    pub fn is_complete(&self) -> bool {
        self.sent.load(Ordering::Relaxed) >= self.length
    }

    /// Ends when nothing of the body has moved for `write`, or no answer has begun for `read` after the whole body; with what to
    /// say. Does not end where there is no limit.
    pub async fn stalled(&self, write: Option<Duration>, read: Option<Duration>) -> Error {
        loop {
            let (phase, limit) = if self.is_complete() {
                (Phase::Response, read)
            } else {
                (Phase::Sending, write)
            };
            let (last, now) = (
                deadline(
                    self.start,
                    Duration::from_millis(self.last.load(Ordering::Relaxed)),
                ),
                Instant::now(),
            );
            match limit {
                Some(limit) if now >= deadline(last, limit) => return Error::timeout(phase, limit),
                // The other limit begins to count at a time that nobody tells of.
                Some(limit) => sleep_until(deadline(last, limit).min(now + GLANCE)).await,
                None => sleep(GLANCE).await,
            }
        }
    }
}

/// The way through a body, a block at a time.
struct Walk {
    parts: VecDeque<Part>,
    at: u64,
    spare: Spare,
    ahead: Option<Load>,
    /// Where nothing else runs on this thread, reading on another would only cost.
    alone: bool,
    progress: Progress,
}

enum Load {
    Done(Result<Bytes, Error>),
    Later(JoinHandle<Result<Bytes, Error>>),
}

impl Walk {
    fn new(parts: &[Part], progress: Progress) -> Self {
        let alone = Handle::try_current()
            .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::CurrentThread);
        Self {
            parts: parts.iter().cloned().collect(),
            at: 0,
            spare: Spare::default(),
            ahead: None,
            alone,
            progress,
        }
    }

    fn blocks(self) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
        stream::unfold(Some(self), |walk| async move {
            let mut walk = walk?;
            walk.progress.has_begun.store(true, Ordering::Release);
            match walk.next().await? {
                Ok(block) => {
                    walk.progress.moved(block.len());
                    Some((Ok(block), Some(walk)))
                }
                Err(error) => Some((Err(walk.progress.fail(error)), None)),
            }
        })
    }

    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            let load = match self.ahead.take() {
                Some(load) => load,
                None => self.load()?,
            };
            if !self.alone {
                self.ahead = self.load();
            }
            let block = match load {
                Load::Done(block) => block,
                Load::Later(task) => task
                    .await
                    .unwrap_or_else(|error| Err(Error::new(Kind::File, error.to_string()))),
            };
            if block.as_ref().map_or(true, |block| !block.is_empty()) {
                return Some(block);
            }
        }
    }

    /// Begins with the next block.
    fn load(&mut self) -> Option<Load> {
        let part = self.parts.front()?.clone();
        let most = if part.base64 { BLOCK_IN_BASE64 } else { BLOCK };
        let (from, left) = (self.at, part.content_length().saturating_sub(self.at));
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(most);
        let is_last = size as u64 == left;
        self.at = if is_last { 0 } else { self.at + size as u64 };
        if is_last {
            self.parts.pop_front();
        }
        let (spare, name) = (self.spare.clone(), part.name);
        Some(match part.content {
            Content::Memory(bytes) => {
                let start = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
                let block = bytes.slice(start..start + size);
                Load::Done(if part.base64 {
                    spare.encoded(&block)
                } else {
                    Ok(block)
                })
            }
            Content::Disk(slice) => {
                let read = move || {
                    let block =
                        spare.filled(size, |buffer| slice.read(buffer, from, is_last, &name))?;
                    if part.base64 {
                        spare.encoded(&block)
                    } else {
                        Ok(block)
                    }
                };
                if self.alone {
                    Load::Done(read())
                } else {
                    Load::Later(tokio::task::spawn_blocking(read))
                }
            }
        })
    }
}

impl Slice {
    fn file(&self, name: &str) -> Result<&File, Error> {
        if let Some(file) = self.opened.get() {
            return Ok(file);
        }
        let file =
            File::open(&self.path).map_err(|error| Error::file(name, &error).at(&self.path))?;
        Ok(self.opened.get_or_init(|| file))
    }

    /// Fills `buffer` with what there is from `from` on.
    fn read(&self, buffer: &mut [u8], from: u64, is_last: bool, name: &str) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::file(name, &error).at(&self.path);
        let changed = || {
            Error::new(
                Kind::File,
                format!("{name} changed its size while it was sent"),
            )
        };
        let file = self.file(name)?;
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match read_at(file, rest, self.offset + from + done as u64) {
                Ok(0) => return Err(changed()),
                Ok(read) => done += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        if is_last
            && file
                .metadata()
                .map_err(failed)?
                .len()
                .saturating_sub(self.offset)
                != self.length
        {
            return Err(changed());
        }
        Ok(())
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

/// Buffers that blocks give back when they were sent: new memory would have to be cleared each time.
#[derive(Clone, Debug, Default)]
struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spare {
    /// A block of `size` bytes, at most `BLOCK`.
    fn filled(
        &self,
        size: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), Error>,
    ) -> Result<Bytes, Error> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // All of one size where there are many, so that each serves any block.
        let new = || vec![0; if size > BLOCK / 2 { BLOCK } else { size }];
        let mut buffer = kept
            .filter(|buffer| buffer.len() >= size)
            .unwrap_or_else(new);
        fill(buffer.get_mut(..size).unwrap_or_default())?;
        Ok(Bytes::from_owner(Lent {
            buffer,
            size,
            home: self.clone(),
        }))
    }

    fn encoded(&self, block: &[u8]) -> Result<Bytes, Error> {
        self.filled(block.len().div_ceil(3) * 4, |buffer| {
            BASE64
                .encode_slice(block, buffer)
                .map(drop)
                .map_err(|error| Error::invalid(error.to_string()))
        })
    }
}

struct Lent {
    buffer: Vec<u8>,
    size: usize,
    home: Spare,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.size).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::TryStreamExt;
    use proptest::prelude::*;

    struct Kept(PathBuf);

    impl Kept {
        fn new(content: &[u8]) -> Self {
            let path = std::env::temp_dir().join(format!("replicate-rs-{:x}", fastrand::u64(..)));
            std::fs::write(&path, content).unwrap();
            Self(path)
        }
    }

    impl Drop for Kept {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn collected(upload: &Upload, workers: bool) -> Result<Vec<u8>, Error> {
        use tokio::runtime::Builder;
        let mut builder = if workers {
            Builder::new_multi_thread()
        } else {
            Builder::new_current_thread()
        };
        builder
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
            .block_on(async {
                let progress = upload.attempt();
                let walk = Walk::new(&upload.parts, progress.clone());
                let blocks = tokio::spawn(walk.blocks().try_collect::<Vec<_>>())
                    .await
                    .unwrap();
                blocks
                    .map(|blocks| blocks.concat())
                    .map_err(|_| progress.failure().unwrap())
            })
    }

    fn numbered(length: usize) -> Vec<u8> {
        (0..length)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect()
    }

    #[test]
    fn what_is_sent_is_what_there_is_and_can_be_sent_again() {
        for length in [0, 1, 2, 3, BLOCK - 1, BLOCK, BLOCK_IN_BASE64, 2 * BLOCK + 1] {
            let content = numbered(length + 5);
            let kept = Kept::new(&content);
            let part = Part::disk(&kept.0, 5, true).unwrap();
            let rest = content.get(5..).unwrap();
            let between = |part: Part| {
                Upload::new(vec![
                    Part::memory("<".into()),
                    part,
                    Part::memory(Bytes::new()),
                    Part::memory(">".into()),
                ])
            };
            for part in [part, Part::memory(Bytes::copy_from_slice(rest))] {
                let plain = between(part.clone());
                let expected = [b"<", rest, b">"].concat();
                assert_eq!(plain.length(), expected.len() as u64);
                for workers in [false, true, false] {
                    assert_eq!(collected(&plain, workers).unwrap(), expected);
                    assert_eq!(plain.sent(), plain.length());
                }
                let encoded = between(part.in_base64());
                let expected = format!("<{}>", BASE64.encode(rest));
                assert_eq!(encoded.length(), expected.len() as u64);
                assert_eq!(collected(&encoded, true).unwrap(), expected.as_bytes());
            }
        }
    }

    #[test]
    fn an_attempt_that_was_given_up_does_not_count_for_the_next_one() {
        let upload = Upload::new(vec![Part::memory(Bytes::from(numbered(2 * BLOCK)))]);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let given_up = upload.attempt();
            let mut left = std::pin::pin!(Walk::new(&upload.parts, given_up.clone()).blocks());
            left.try_next().await.unwrap();
            assert_eq!(upload.sent(), BLOCK as u64);
            let next = upload.attempt();
            assert_eq!((upload.sent(), next.has_begun()), (0, false));
            // Its connection takes the rest of it all the same.
            left.try_next().await.unwrap();
            assert!(given_up.is_complete());
            assert_eq!(
                (upload.sent(), next.is_complete(), next.has_begun()),
                (0, false, false)
            );
            // What it fails of is not what the next one fails of.
            given_up.fail(Error::invalid("gone".to_owned()));
            assert!(next.failure().is_none());
        });
    }

    #[test]
    fn a_file_that_changes_its_size_is_an_error() {
        for (before, after) in [(10, 5), (5, 10), (BLOCK + 1, BLOCK), (0, 1)] {
            let kept = Kept::new(&numbered(before));
            let upload = Upload::new(vec![Part::disk(&kept.0, 0, false).unwrap()]);
            std::fs::write(&kept.0, numbered(after)).unwrap();
            let error = collected(&upload, true).unwrap_err();
            assert!(
                error
                    .message
                    .ends_with("changed its size while it was sent"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        for path in ["/", "/dev/zero", "/nonexistent", ""] {
            assert!(
                matches!(
                    Part::disk(Path::new(path), 0, true).unwrap_err().kind,
                    Kind::File
                ),
                "{path}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_parts_are_sent_in_order(parts in prop::collection::vec((any::<Vec<u8>>(), any::<bool>()), 0..6)) {
            let made = parts.iter().map(|(bytes, base64)| {
                let part = Part::memory(Bytes::copy_from_slice(bytes));
                if *base64 { part.in_base64() } else { part }
            });
            let upload = Upload::new(made.collect());
            let expected: Vec<u8> = parts
                .iter()
                .flat_map(|(bytes, base64)| if *base64 { BASE64.encode(bytes).into_bytes() } else { bytes.clone() })
                .collect();
            prop_assert_eq!(upload.length(), expected.len() as u64);
            prop_assert_eq!(collected(&upload, false).unwrap(), expected);
        }
    }
}
