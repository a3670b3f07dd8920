//! Files that are written: a target is either as before or complete, whatever happens.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tempfile::NamedTempFile;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::{Error, Kind};

/// What is written at once, at least, and what waits for the disk at most, in bytes. Receiving in turns with writing costs most
/// where the turns are short: with 256 KiB a tenth of the rate is lost.
const BLOCK: usize = 768 << 10;
const MOST_WAITING: usize = 2 << 20;

/// Writes `content` to `target`; gives the number of bytes.
pub fn write(target: &Path, content: &[u8], overwrite: bool) -> Result<u64, Error> {
    let mut file = Partial::create(target, overwrite)?;
    file.write(content)?;
    file.finish()
}

/// A file that takes its name only when it is complete; dropped before, it is removed.
#[derive(Debug)]
pub struct Partial {
    target: PathBuf,
    file: NamedTempFile<File>,
    length: u64,
    overwrite: bool,
}

impl Partial {
    /// An empty one in the folder of `target`, with the permissions that writing to `target` would give it.
    pub fn create(target: &Path, overwrite: bool) -> Result<Self, Error> {
        let target = behind_links(target);
        let failed = |error: &io::Error| Error::file(target.display(), error).at(&target);
        let folder = target
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        if target.file_name().is_none() {
            return Err(Error::new(
                Kind::File,
                format!("{} is not a file's name", target.display()),
            ));
        }
        let before = match fs::metadata(&target) {
            Ok(before) => Some(before),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&error)),
        };
        check(&target, before.as_ref(), overwrite)?;
        // Its own name may be as long as names can be, so it is no part of this one.
        let mut name = tempfile::Builder::new();
        name.prefix(".replicate-").suffix(".part").rand_bytes(16);
        // Opened here, so that its permissions are the umask's and its errors the operating system's.
        let open = |path: &Path| File::options().write(true).create_new(true).open(path);
        let file = name
            .make_in(folder, open)
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => Error::file(
                    format!("{}: its folder does not exist", target.display()),
                    &error,
                )
                .at(&target),
                _ => failed(&error),
            })?;
        let file = Self {
            target,
            file,
            length: 0,
            overwrite,
        };
        if let Some(before) = before {
            file.file
                .as_file()
                .set_permissions(before.permissions())
                .map_err(|error| file.failed(&error))?;
        }
        Ok(file)
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::file(self.target.display(), error).at(&self.target)
    }

    /// The name that it has until it is complete.
    fn temporary(&self) -> &Path {
        self.file.path()
    }

    /// Adds to its end.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .as_file_mut()
            .write_all(bytes)
            .map_err(|error| self.failed(&error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what was written.
    pub fn restart(&mut self) -> Result<(), Error> {
        let file = self.file.as_file_mut();
        let emptied = file.set_len(0).and_then(|()| file.rewind());
        emptied.map_err(|error| self.failed(&error))?;
        self.length = 0;
        Ok(())
    }

    /// Gives it its name, once it is on the disk; gives the number of bytes.
    pub fn finish(self) -> Result<u64, Error> {
        let Self {
            target,
            file,
            length,
            overwrite,
        } = self;
        // In its own folder, whatever the current one is now.
        let place = target
            .file_name()
            .map_or_else(|| target.clone(), |name| file.path().with_file_name(name));
        let named = file
            .as_file()
            .sync_all()
            .and_then(|()| publish(file, &place, overwrite));
        named
            .map(|()| length)
            .map_err(|error| Error::file(target.display(), &error).at(&target))
    }
}

fn publish(file: NamedTempFile<File>, target: &Path, overwrite: bool) -> io::Result<()> {
    let named = if overwrite {
        file.persist(target)
    } else {
        file.persist_noclobber(target)
    };
    match named {
        Ok(_) => Ok(()),
        // Not every file system has a rename that keeps what exists, or links.
        Err(failed)
            if !overwrite
                && failed.error.kind() != ErrorKind::AlreadyExists
                && !target.exists() =>
        {
            failed
                .file
                .persist(target)
                .map(drop)
                .map_err(|failed| failed.error)
        }
        Err(failed) => Err(failed.error),
    }
}

/// Where writing to a path ends up; a link may point to what does not exist yet.
fn behind_links(target: &Path) -> PathBuf {
    match fs::read_link(target) {
        Ok(next) => fs::canonicalize(target).unwrap_or_else(|_| target.with_file_name(next)),
        Err(_) => target.to_owned(),
    }
}

fn check(target: &Path, before: Option<&Metadata>, overwrite: bool) -> Result<(), Error> {
    let refused = |kind: ErrorKind| Err(Error::file(target.display(), &kind.into()).at(target));
    match before {
        Some(before) if before.is_dir() => refused(ErrorKind::IsADirectory),
        Some(before) if !before.is_file() => Err(Error::new(
            Kind::File,
            format!(
                "{} is a device, and cannot be replaced by a file",
                target.display()
            ),
        )),
        Some(_) if !overwrite => refused(ErrorKind::AlreadyExists),
        _ => Ok(()),
    }
}

/// Whether this thread drives a blocking call, and nobody minds if it waits for a disk's memory.
fn is_alone() -> bool {
    Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread
}

/// Keeps the disk's waits off the runtime's thread.
pub async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    if is_alone() {
        work()
    } else {
        finished(&mut spawn_blocking(work)).await
    }
}

async fn finished<T>(task: &mut JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    task.await
        .unwrap_or_else(|error| Err(Error::new(Kind::File, error.to_string())))
}

/// Writes while the next bytes arrive; where nothing else runs on this thread, right here.
///
/// Dropped before `finish` is over, it removes the file at once, though another thread may still write to it.
pub struct Sink {
    temporary: PathBuf,
    file: Option<Partial>,
    writing: Option<JoinHandle<Result<Partial, Error>>>,
    finishing: Option<JoinHandle<Result<u64, Error>>>,
    waiting: Vec<Bytes>,
    size: usize,
    alone: bool,
}

impl Sink {
    /// Writes to the end of `file`.
    pub fn new(file: Partial) -> Self {
        let (temporary, alone) = (file.temporary().to_owned(), is_alone());
        Self {
            temporary,
            file: Some(file),
            writing: None,
            finishing: None,
            waiting: Vec::new(),
            size: 0,
            alone,
        }
    }

    /// Takes what came next.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.size += bytes.len();
        self.waiting.push(bytes);
        if let (true, Some(file)) = (self.alone, &mut self.file) {
            if self.size >= BLOCK {
                self.size = 0;
                for bytes in self.waiting.drain(..) {
                    file.write(&bytes)?;
                }
            }
            return Ok(());
        }
        let is_idle = self.writing.as_ref().is_none_or(JoinHandle::is_finished);
        if self.size >= MOST_WAITING || (is_idle && self.size >= BLOCK) {
            let mut file = self.idle().await?;
            let waiting = self.empty();
            self.writing = Some(spawn_blocking(move || {
                for bytes in waiting {
                    file.write(&bytes)?;
                }
                Ok(file)
            }));
        }
        Ok(())
    }

    fn empty(&mut self) -> Vec<Bytes> {
        self.size = 0;
        std::mem::take(&mut self.waiting)
    }

    /// The file, once everything that was handed on is written.
    async fn idle(&mut self) -> Result<Partial, Error> {
        // It is kept until it is over: whoever waits here may be dropped.
        if let Some(writing) = &mut self.writing {
            let file = finished(writing).await;
            self.writing = None;
            return file;
        }
        self.file
            .take()
            .ok_or_else(|| Error::new(Kind::File, "the file was given up"))
    }

    /// Forgets what was written.
    pub async fn restart(&mut self) -> Result<(), Error> {
        drop(self.empty());
        let mut file = self.idle().await?;
        file.restart()?;
        self.file = Some(file);
        Ok(())
    }

    /// Removes what was written, once nobody writes any more.
    pub async fn give_up(&mut self) {
        drop(self.empty());
        // An error is one more reason to go.
        match &mut self.finishing {
            Some(finishing) => drop(finished(finishing).await),
            None => drop(self.idle().await),
        }
        self.finishing = None;
    }

    /// Gives the file its name, once everything is written; gives the number of bytes.
    pub async fn finish(&mut self) -> Result<u64, Error> {
        let mut file = self.idle().await?;
        let waiting = self.empty();
        let write = move || {
            for bytes in waiting {
                file.write(&bytes)?;
            }
            Ok::<_, Error>(file)
        };
        // Until it is on the disk may take long: others go on meanwhile, and Ctrl-C is heard.
        let finishing = if self.alone {
            let file = write()?;
            spawn_blocking(move || file.finish())
        } else {
            spawn_blocking(move || write()?.finish())
        };
        let length = finished(self.finishing.insert(finishing)).await;
        self.finishing = None;
        length
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.writing.is_some() || self.finishing.is_some() {
            // Nothing is left to do about a file that cannot be removed.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("replicate-rs-{:x}", fastrand::u64(..)));
            fs::create_dir(&folder).unwrap();
            Self(folder)
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<_> = fs::read_dir(&self.0)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_no_trace() {
        let folder = Folder::new();
        let target = folder.0.join("out");
        write(&target, b"old", true).unwrap();
        let mut partial = Partial::create(&target, true).unwrap();
        partial.write(b"new, but not all").unwrap();
        drop(partial);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(folder.names(), ["out"]);
    }

    #[test]
    fn what_exists_is_kept_where_that_was_asked_for() {
        let folder = Folder::new();
        let target = folder.0.join("out");
        // One that comes while the content is on its way too.
        let partial = Partial::create(&target, false).unwrap();
        write(&target, b"first", false).unwrap();
        assert!(matches!(partial.finish().unwrap_err().kind, Kind::File));
        assert!(matches!(
            Partial::create(&target, false).unwrap_err().kind,
            Kind::File
        ));
        assert_eq!(fs::read(&target).unwrap(), b"first");
        assert_eq!(folder.names(), ["out"]);
    }

    #[test]
    fn what_another_thread_still_writes_is_gone_at_once_when_it_is_given_up() {
        let folder = Folder::new();
        let target = folder.0.join("out");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .max_blocking_threads(1)
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            // Nothing that is handed to another thread begins before this ends.
            let (release, held) = std::sync::mpsc::channel::<()>();
            spawn_blocking(move || held.recv());
            let sink = || Sink::new(Partial::create(&target, true).unwrap());
            let block = || Bytes::from(vec![0; BLOCK]);

            let mut writing = sink();
            writing.write(block()).await.unwrap();
            assert_eq!(folder.names().len(), 1);
            drop(writing);
            assert!(folder.names().is_empty());

            let mut finishing = sink();
            assert!(
                tokio::time::timeout(std::time::Duration::from_millis(1), finishing.finish())
                    .await
                    .is_err()
            );
            assert_eq!(folder.names().len(), 1);
            drop(finishing);
            assert!(folder.names().is_empty());

            let mut given_up = sink();
            given_up.write(block()).await.unwrap();
            assert!(
                tokio::time::timeout(std::time::Duration::from_millis(1), given_up.write(block()))
                    .await
                    .is_ok()
            );
            drop(release);
            given_up.give_up().await;
            assert!(folder.names().is_empty());
        });
        drop(runtime);
        assert!(folder.names().is_empty());
    }

    #[test]
    fn a_restart_forgets_what_was_written() {
        let folder = Folder::new();
        let target = folder.0.join("x".repeat(255));
        let mut partial = Partial::create(&target, true).unwrap();
        partial.write(b"something longer").unwrap();
        partial.restart().unwrap();
        partial.write(b"short").unwrap();
        assert_eq!(partial.finish().unwrap(), 5);
        assert_eq!(fs::read(&target).unwrap(), b"short");
    }

    #[test]
    #[cfg(unix)]
    fn links_are_followed_and_permissions_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = Folder::new();
        let [target, link, dangling] = ["out", "link", "dangling"].map(|name| folder.0.join(name));
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("out", &link).unwrap();
        symlink("later", &dangling).unwrap();
        write(&link, b"new", true).unwrap();
        write(&dangling, b"now", true).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&target).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(folder.names(), ["dangling", "later", "link", "out"]);
    }

    #[test]
    fn only_files_are_replaced() {
        for target in ["/", "/dev/null", "..", ""] {
            assert!(
                matches!(
                    Partial::create(Path::new(target), true).unwrap_err().kind,
                    Kind::File
                ),
                "{target}"
            );
        }
    }
}
