//! Request bodies sent in blocks: bytes, and slices of files that are read while they are sent.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};

use crate::base64::BASE64;
use crate::clock::deadline;
use crate::error::{Error, Kind, Phase};
use crate::lock::{get_or_try_init, lock};
use crate::off_thread::{is_caller_thread, join};
use crate::platform::read_at;

/// The size of a block of a file: smaller ones cost more per byte, larger ones exceed the
/// processor's cache.
const BLOCK: usize = 256 << 10;
/// Bytes that fill a block after base64 encoding.
const BASE64_BLOCK: usize = BLOCK / 4 * 3;

/// How often a body that is being sent is checked for progress.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// A part of a body.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    content: Content,
    is_base64: bool,
    /// Used in error messages.
    name: Arc<str>,
}

#[derive(Clone, Debug)]
enum Content {
    Memory(Bytes),
    Disk(Arc<FileSlice>),
}

/// A file from an offset to its end.
#[derive(Debug)]
struct FileSlice {
    /// Opened at the first read: many uploads may be queued.
    file: OnceLock<File>,
    path: PathBuf,
    offset: u64,
    length: u64,
}

impl Part {
    pub(crate) fn memory(bytes: Bytes) -> Self {
        Self {
            content: Content::Memory(bytes),
            is_base64: false,
            name: "the file".into(),
        }
    }

    /// Create a part of a file from `offset` on, which is read when it is sent. `at_once` opens it
    /// now, for a path that does not last.
    pub(crate) fn disk(path: &Path, offset: u64, at_once: bool) -> Result<Self, Error> {
        // Checked before it is opened: opening a pipe waits for its writer.
        let metadata = std::fs::metadata(path)
            .map_err(|error| Error::file(path.display(), &error).at(path))?;
        if !metadata.is_file() {
            let message = format!("{} is not a file", path.display());
            let error = if metadata.is_dir() {
                Error::file(message, &std::io::ErrorKind::IsADirectory.into())
            } else {
                Error::new(Kind::File, message)
            };
            return Err(error.at(path));
        }
        let length = metadata.len().saturating_sub(offset);
        let name = path.display().to_string();
        let slice = FileSlice {
            file: OnceLock::new(),
            path: path.to_owned(),
            offset,
            length,
        };
        if at_once {
            slice.open(&name)?;
        }
        Ok(Self {
            content: Content::Disk(Arc::new(slice)),
            is_base64: false,
            name: name.into(),
        })
    }

    /// Set the name for error messages.
    pub(crate) fn named(self, name: &str) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Send the part in base64.
    pub(crate) fn in_base64(self) -> Self {
        Self {
            is_base64: true,
            ..self
        }
    }

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

    /// Read the whole content and return it in base64.
    pub(crate) fn read_base64(&self) -> Result<String, Error> {
        Ok(BASE64.encode(self.read()?))
    }

    /// Return the length of the content before base64, in bytes.
    pub(crate) fn content_length(&self) -> u64 {
        match &self.content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Disk(slice) => slice.length,
        }
    }

    fn length(&self) -> u64 {
        let length = self.content_length();
        if self.is_base64 {
            length.div_ceil(3) * 4
        } else {
            length
        }
    }
}

/// A body of known length that can be sent more than once.
#[derive(Debug)]
pub(crate) struct Upload {
    parts: Vec<Part>,
    length: u64,
    /// The progress of the latest attempt. An attempt that was abandoned may still send, and has
    /// its own.
    latest: Mutex<Option<Progress>>,
}

impl Upload {
    pub(crate) fn new(parts: Vec<Part>) -> Self {
        let length = parts.iter().map(Part::length).sum();
        Self {
            parts,
            length,
            latest: Mutex::default(),
        }
    }

    /// Return the length of the body in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Read the whole body as it is sent.
    pub(crate) fn read(&self) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        for part in &self.parts {
            if part.is_base64 {
                body.extend_from_slice(part.read_base64()?.as_bytes());
            } else {
                body.extend_from_slice(&part.read()?);
            }
        }
        Ok(body)
    }

    /// Return how many bytes the latest attempt has sent.
    pub(crate) fn sent(&self) -> u64 {
        lock(&self.latest).as_ref().map_or(0, Progress::sent)
    }

    /// Return a body for one attempt, and its progress.
    pub(crate) fn body(&self) -> (reqwest::Body, Progress) {
        let progress = self.begin_attempt();
        let blocks = BlockReader::new(&self.parts, progress.clone()).into_stream();
        (reqwest::Body::wrap_stream(blocks), progress)
    }

    fn begin_attempt(&self) -> Progress {
        let progress = Progress(Arc::new(State {
            start: Instant::now(),
            length: self.length,
            last_moved: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            has_begun: AtomicBool::new(false),
            failure: Mutex::default(),
        }));
        *lock(&self.latest) = Some(progress.clone());
        progress
    }
}

/// The progress of one attempt to send a body.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<State>);

#[derive(Debug)]
struct State {
    start: Instant,
    length: u64,
    /// In milliseconds after the start.
    last_moved: AtomicU64,
    sent: AtomicU64,
    has_begun: AtomicBool,
    failure: Mutex<Option<Error>>,
}

impl Progress {
    /// Restart the timeout.
    pub(crate) fn touch(&self) {
        let millis = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_moved.store(millis, Ordering::Relaxed);
    }

    fn add(&self, bytes: usize) {
        self.touch();
        self.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Return whether a connection has begun to read the body, which happens after the head is
    /// sent.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.has_begun.load(Ordering::Acquire)
    }

    fn fail(&self, error: Error) -> std::io::Error {
        let shown = std::io::Error::other(error.message.clone());
        *lock(&self.0.failure) = Some(error);
        shown
    }

    /// Take the error of reading the body.
    pub(crate) fn failure(&self) -> Option<Error> {
        lock(&self.0.failure).take()
    }

    /// Return whether the connection has taken the whole body.
    pub(crate) fn is_complete(&self) -> bool {
        self.sent() >= self.0.length
    }

    /// Wait until no byte was sent for `write`, or no response began within `read` after the last
    /// one, and return the error. A limit of None never expires.
    pub(crate) async fn timed_out(&self, write: Option<Duration>, read: Option<Duration>) -> Error {
        loop {
            let (phase, limit) = if self.is_complete() {
                (Phase::Response, read)
            } else {
                (Phase::Sending, write)
            };
            let moved = Duration::from_millis(self.0.last_moved.load(Ordering::Relaxed));
            let (moved, now) = (deadline(self.0.start, moved), Instant::now());
            match limit {
                Some(limit) if now >= deadline(moved, limit) => {
                    return Error::timeout(phase, limit);
                }
                // Checked often, since nothing notifies this task when the phase changes.
                Some(limit) => sleep_until(deadline(moved, limit).min(now + CHECK_INTERVAL)).await,
                None => sleep(CHECK_INTERVAL).await,
            }
        }
    }
}

/// Reads a body block by block.
struct BlockReader {
    parts: VecDeque<Part>,
    offset: u64,
    buffers: BufferPool,
    next: Option<Block>,
    /// Whether blocks are read on this thread: if nothing else runs on it, another thread would
    /// only add cost.
    reads_here: bool,
    progress: Progress,
}

enum Block {
    Ready(Result<Bytes, Error>),
    Reading(JoinHandle<Result<Bytes, Error>>),
}

impl BlockReader {
    fn new(parts: &[Part], progress: Progress) -> Self {
        Self {
            parts: parts.iter().cloned().collect(),
            offset: 0,
            buffers: BufferPool::default(),
            next: None,
            reads_here: is_caller_thread(),
            progress,
        }
    }

    fn into_stream(self) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
        stream::unfold(Some(self), |reader| async move {
            let mut reader = reader?;
            reader.progress.0.has_begun.store(true, Ordering::Release);
            match reader.next().await? {
                Ok(block) => {
                    reader.progress.add(block.len());
                    Some((Ok(block), Some(reader)))
                }
                Err(error) => Some((Err(reader.progress.fail(error)), None)),
            }
        })
    }

    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            let block = match self.next.take() {
                Some(block) => block,
                None => self.start_next()?,
            };
            if !self.reads_here {
                self.next = self.start_next();
            }
            let block = match block {
                Block::Ready(block) => block,
                Block::Reading(mut task) => join(&mut task).await,
            };
            if block.as_ref().map_or(true, |block| !block.is_empty()) {
                return Some(block);
            }
        }
    }

    /// Begin to read the next block.
    fn start_next(&mut self) -> Option<Block> {
        let part = self.parts.front()?.clone();
        let max = if part.is_base64 { BASE64_BLOCK } else { BLOCK };
        let (start, left) = (
            self.offset,
            part.content_length().saturating_sub(self.offset),
        );
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(max);
        let is_last = size as u64 == left;
        self.offset = if is_last {
            0
        } else {
            self.offset + size as u64
        };
        if is_last {
            self.parts.pop_front();
        }
        let (buffers, name, is_base64) = (self.buffers.clone(), part.name, part.is_base64);
        let encode = move |block: Bytes| match is_base64 {
            true => buffers.encode(&block),
            false => Ok(block),
        };
        Some(match part.content {
            Content::Memory(bytes) => {
                let start = usize::try_from(start)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                Block::Ready(encode(bytes.slice(start..start + size)))
            }
            Content::Disk(slice) => {
                let buffers = self.buffers.clone();
                let read = move || {
                    let fill = |buffer: &mut [u8]| slice.read(buffer, start, is_last, &name);
                    encode(buffers.fill(size, fill)?)
                };
                if self.reads_here {
                    Block::Ready(read())
                } else {
                    Block::Reading(spawn_blocking(read))
                }
            }
        })
    }
}

impl FileSlice {
    fn open(&self, name: &str) -> Result<&File, Error> {
        get_or_try_init(&self.file, || {
            File::open(&self.path).map_err(|error| Error::file(name, &error).at(&self.path))
        })
    }

    /// Fill `buffer` from `start` on. The last block checks that the length of the file is still
    /// the same.
    fn read(&self, buffer: &mut [u8], start: u64, is_last: bool, name: &str) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::file(name, &error).at(&self.path);
        let changed = || {
            Error::new(
                Kind::File,
                format!("{name} changed its size while it was sent"),
            )
        };
        let file = self.open(name)?;
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match read_at(file, rest, self.offset + start + done as u64) {
                Ok(0) => return Err(changed()),
                Ok(read) => done += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        if is_last {
            let size = file.metadata().map_err(failed)?.len();
            if size.saturating_sub(self.offset) != self.length {
                return Err(changed());
            }
        }
        Ok(())
    }
}

/// Buffers of blocks that were sent, to be used again: new memory would have to be cleared each
/// time.
#[derive(Clone, Debug, Default)]
struct BufferPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl BufferPool {
    /// Return a block of `size` bytes, at most `BLOCK`.
    fn fill(
        &self,
        size: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), Error>,
    ) -> Result<Bytes, Error> {
        let free = lock(&self.0).pop().filter(|buffer| buffer.len() >= size);
        // Large buffers have the same size, so that each serves any block.
        let new = || vec![0; if size > BLOCK / 2 { BLOCK } else { size }];
        let mut buffer = free.unwrap_or_else(new);
        fill(buffer.get_mut(..size).unwrap_or_default())?;
        Ok(Bytes::from_owner(PooledBlock {
            buffer,
            size,
            pool: self.clone(),
        }))
    }

    fn encode(&self, block: &[u8]) -> Result<Bytes, Error> {
        self.fill(block.len().div_ceil(3) * 4, |buffer| {
            let encoded = BASE64.encode_slice(block, buffer);
            encoded
                .map(drop)
                .map_err(|error| Error::invalid(error.to_string()))
        })
    }
}

/// A block that returns its buffer when it is dropped.
struct PooledBlock {
    buffer: Vec<u8>,
    size: usize,
    pool: BufferPool,
}

impl AsRef<[u8]> for PooledBlock {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.size).unwrap_or_default()
    }
}

impl Drop for PooledBlock {
    fn drop(&mut self) {
        lock(&self.pool.0).push(std::mem::take(&mut self.buffer));
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
                let progress = upload.begin_attempt();
                let reader = BlockReader::new(&upload.parts, progress.clone());
                let blocks = tokio::spawn(reader.into_stream().try_collect::<Vec<_>>())
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
        for length in [0, 1, 2, 3, BLOCK - 1, BLOCK, BASE64_BLOCK, 2 * BLOCK + 1] {
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
            let given_up = upload.begin_attempt();
            let mut left =
                std::pin::pin!(BlockReader::new(&upload.parts, given_up.clone()).into_stream());
            left.try_next().await.unwrap();
            assert_eq!(upload.sent(), BLOCK as u64);
            let next = upload.begin_attempt();
            assert_eq!((upload.sent(), next.has_begun()), (0, false));
            // The connection of the abandoned attempt still takes the rest of the body.
            left.try_next().await.unwrap();
            assert!(given_up.is_complete());
            assert_eq!(
                (upload.sent(), next.is_complete(), next.has_begun()),
                (0, false, false)
            );
            // A failure of the abandoned attempt does not affect the next one.
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
