//! Writing files: a target keeps its old content until the new content is complete.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tempfile::NamedTempFile;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::{Error, Kind};
use crate::off_thread::{is_caller_thread, join};

/// The minimum size of a write, and the maximum that waits for the disk, in bytes. Receiving
/// alternates with writing, and small writes are slow: blocks of 256 KiB lose a tenth of the rate.
const BLOCK: usize = 768 << 10;
const MAX_BUFFERED: usize = 2 << 20;

/// Write `content` to `target` and return the number of bytes.
pub(crate) fn write(target: &Path, content: &[u8], overwrite: bool) -> Result<u64, Error> {
    let mut file = PartialFile::create(target, overwrite)?;
    file.write(content)?;
    file.finish()
}

/// A temporary file that is renamed to its target when it is complete, and removed when it is
/// dropped before.
#[derive(Debug)]
pub(crate) struct PartialFile {
    target: PathBuf,
    file: NamedTempFile<File>,
    length: u64,
    overwrite: bool,
}

impl PartialFile {
    /// Create an empty file in the folder of `target`, with the permissions that `target` has or
    /// would get.
    pub(crate) fn create(target: &Path, overwrite: bool) -> Result<Self, Error> {
        let target = resolve_symlinks(target);
        let failed = |error: &io::Error| Error::file(target.display(), error).at(&target);
        if target.file_name().is_none() {
            let message = format!("{} is not a file's name", target.display());
            return Err(Error::new(Kind::File, message));
        }
        let existing = match fs::metadata(&target) {
            Ok(existing) => Some(existing),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&error)),
        };
        check_target(&target, existing.as_ref(), overwrite)?;
        // The target's name is not a part of this one, which would become too long.
        let mut builder = tempfile::Builder::new();
        builder.prefix(".replicate-").suffix(".part").rand_bytes(16);
        // tempfile would restrict the permissions, and wrap the operating system's errors.
        let open = |path: &Path| File::options().write(true).create_new(true).open(path);
        let folder = target
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let file = builder.make_in(folder.unwrap_or(Path::new(".")), open);
        let file = file.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                let message = format!("{}: its folder does not exist", target.display());
                Error::file(message, &error).at(&target)
            }
            _ => failed(&error),
        })?;
        if let Some(existing) = existing {
            let set = file.as_file().set_permissions(existing.permissions());
            set.map_err(|error| failed(&error))?;
        }
        Ok(Self {
            target,
            file,
            length: 0,
            overwrite,
        })
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::file(self.target.display(), error).at(&self.target)
    }

    fn temporary_path(&self) -> &Path {
        self.file.path()
    }

    /// Append to the file.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.as_file_mut().write_all(bytes);
        written.map_err(|error| self.failed(&error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn write_all(&mut self, blocks: impl IntoIterator<Item = Bytes>) -> Result<(), Error> {
        blocks.into_iter().try_for_each(|block| self.write(&block))
    }

    /// Discard the content.
    pub(crate) fn restart(&mut self) -> Result<(), Error> {
        let file = self.file.as_file_mut();
        let emptied = file.set_len(0).and_then(|()| file.rewind());
        emptied.map_err(|error| self.failed(&error))?;
        self.length = 0;
        Ok(())
    }

    /// Sync the file and rename it to its target; return the number of bytes.
    pub(crate) fn finish(self) -> Result<u64, Error> {
        let Self {
            target,
            file,
            length,
            overwrite,
        } = self;
        // In the folder of the temporary file, whose path is absolute: the working directory may
        // have changed.
        let path = match target.file_name() {
            Some(name) => file.path().with_file_name(name),
            None => target.clone(),
        };
        let synced = file.as_file().sync_all();
        let renamed = synced.and_then(|()| rename(file, &path, overwrite));
        renamed.map_err(|error| Error::file(target.display(), &error).at(&target))?;
        Ok(length)
    }
}

fn rename(file: NamedTempFile<File>, target: &Path, overwrite: bool) -> io::Result<()> {
    let renamed = if overwrite {
        file.persist(target)
    } else {
        file.persist_noclobber(target)
    };
    let Err(failed) = renamed else {
        return Ok(());
    };
    // Some file systems have neither hard links nor a rename that refuses to overwrite.
    if overwrite || failed.error.kind() == ErrorKind::AlreadyExists || target.exists() {
        return Err(failed.error);
    }
    failed
        .file
        .persist(target)
        .map(drop)
        .map_err(|failed| failed.error)
}

/// Return the path that a link finally points to, whether it exists or not.
fn resolve_symlinks(target: &Path) -> PathBuf {
    match fs::read_link(target) {
        Ok(next) => fs::canonicalize(target).unwrap_or_else(|_| target.with_file_name(next)),
        Err(_) => target.to_owned(),
    }
}

fn check_target(target: &Path, existing: Option<&Metadata>, overwrite: bool) -> Result<(), Error> {
    let refused = |kind: ErrorKind| Err(Error::file(target.display(), &kind.into()).at(target));
    match existing {
        Some(existing) if existing.is_dir() => refused(ErrorKind::IsADirectory),
        Some(existing) if !existing.is_file() => {
            let path = target.display();
            let message = format!("{path} is a device, and cannot be replaced by a file");
            Err(Error::new(Kind::File, message))
        }
        Some(_) if !overwrite => refused(ErrorKind::AlreadyExists),
        _ => Ok(()),
    }
}

/// Writes a file while the next bytes arrive: on this thread if nothing else runs on it, otherwise
/// on another one.
///
/// If it is dropped before `finish` has returned, it removes the file at once, even if another
/// thread is still writing to the file.
pub(crate) struct FileWriter {
    temporary_path: PathBuf,
    file: Option<PartialFile>,
    writing: Option<JoinHandle<Result<PartialFile, Error>>>,
    finishing: Option<JoinHandle<Result<u64, Error>>>,
    buffered: Vec<Bytes>,
    size: usize,
    writes_here: bool,
}

impl FileWriter {
    pub(crate) fn new(file: PartialFile) -> Self {
        Self {
            temporary_path: file.temporary_path().to_owned(),
            file: Some(file),
            writing: None,
            finishing: None,
            buffered: Vec::new(),
            size: 0,
            writes_here: is_caller_thread(),
        }
    }

    /// Append to the file.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.size += bytes.len();
        self.buffered.push(bytes);
        if let (true, Some(file)) = (self.writes_here, &mut self.file) {
            if self.size >= BLOCK {
                self.size = 0;
                file.write_all(self.buffered.drain(..))?;
            }
            return Ok(());
        }
        let is_idle = self.writing.as_ref().is_none_or(JoinHandle::is_finished);
        if self.size >= MAX_BUFFERED || (is_idle && self.size >= BLOCK) {
            let mut file = self.take_file().await?;
            let buffered = self.take_buffered();
            self.writing = Some(spawn_blocking(move || {
                file.write_all(buffered).map(|()| file)
            }));
        }
        Ok(())
    }

    fn take_buffered(&mut self) -> Vec<Bytes> {
        self.size = 0;
        std::mem::take(&mut self.buffered)
    }

    /// Return the file when everything that was handed to another thread is written.
    async fn take_file(&mut self) -> Result<PartialFile, Error> {
        // The task stays in its field until it ends, since this future may be dropped.
        if let Some(writing) = &mut self.writing {
            let file = join(writing).await;
            self.writing = None;
            return file;
        }
        self.file
            .take()
            .ok_or_else(|| Error::new(Kind::File, "the file was given up"))
    }

    /// Discard the content.
    pub(crate) async fn restart(&mut self) -> Result<(), Error> {
        drop(self.take_buffered());
        let mut file = self.take_file().await?;
        file.restart()?;
        self.file = Some(file);
        Ok(())
    }

    /// Remove the file when no thread is writing to it any more.
    pub(crate) async fn discard(&mut self) {
        drop(self.take_buffered());
        match &mut self.finishing {
            Some(finishing) => drop(join(finishing).await),
            None => drop(self.take_file().await),
        }
        self.finishing = None;
    }

    /// Write what is buffered and rename the file to its target; return the number of bytes.
    pub(crate) async fn finish(&mut self) -> Result<u64, Error> {
        let mut file = self.take_file().await?;
        let buffered = self.take_buffered();
        // Syncing may take long. On another thread it delays no other call, and Ctrl-C is answered.
        let finishing = if self.writes_here {
            file.write_all(buffered)?;
            spawn_blocking(move || file.finish())
        } else {
            spawn_blocking(move || file.write_all(buffered).and_then(|()| file.finish()))
        };
        let length = join(self.finishing.insert(finishing)).await;
        self.finishing = None;
        length
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        if self.writing.is_some() || self.finishing.is_some() {
            // An error is ignored: a destructor cannot return it.
            let _ = fs::remove_file(&self.temporary_path);
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
        let mut partial = PartialFile::create(&target, true).unwrap();
        partial.write(b"new, but not all").unwrap();
        drop(partial);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(folder.names(), ["out"]);
    }

    #[test]
    fn what_exists_is_kept_where_that_was_asked_for() {
        let folder = Folder::new();
        let target = folder.0.join("out");
        // A file that appears during the download is kept too.
        let partial = PartialFile::create(&target, false).unwrap();
        write(&target, b"first", false).unwrap();
        assert!(matches!(partial.finish().unwrap_err().kind, Kind::File));
        assert!(matches!(
            PartialFile::create(&target, false).unwrap_err().kind,
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
            // This occupies the only blocking thread: no other blocking work starts before it ends.
            let (release, held) = std::sync::mpsc::channel::<()>();
            spawn_blocking(move || held.recv());
            let sink = || FileWriter::new(PartialFile::create(&target, true).unwrap());
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
            given_up.discard().await;
            assert!(folder.names().is_empty());
        });
        drop(runtime);
        assert!(folder.names().is_empty());
    }

    #[test]
    fn a_restart_forgets_what_was_written() {
        let folder = Folder::new();
        let target = folder.0.join("x".repeat(255));
        let mut partial = PartialFile::create(&target, true).unwrap();
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
                    PartialFile::create(Path::new(target), true)
                        .unwrap_err()
                        .kind,
                    Kind::File
                ),
                "{target}"
            );
        }
    }
}
