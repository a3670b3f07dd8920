"""Save the files of outputs, in a folder or in a file system of `fsspec`, named by their keys."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import suppress
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast
from unicodedata import normalize

from .._base.operation import unchecked
from .._base.session import Async
from .._files.names import make_temporary_path, to_safe_name
from .._files.output import FileOutput
from ..exceptions import APIStatusError, FileError

if TYPE_CHECKING:
    from typing import Any, Protocol

    class Place(Protocol):
        """Where files are saved."""

        async def save(self, file: FileOutput[Any], name: str) -> str:
            """Save a file, whole or not at all; return its path or its URL."""
            ...

        def prepare(self) -> None:
            """Raise `FileError` if no file can be saved here; may block."""
            ...


# Files that are saved at the same time.
MAX_SAVES = 16
# Outputs that are saved, or wait for that, while their runs count as ended.
MAX_OUTPUTS = 64
# Attempts to save one file, and seconds between the first two.
ATTEMPTS = 4
FIRST_PAUSE = 1.0
# Bytes of a key that are part of a file's name, of an extension, and of a digest of the key.
MAX_NAME = 120
MAX_EXTENSION = 32
DIGEST_SIZE = 8
# Protocols of `fsspec` whose files are written in place, so that they are renamed when complete.
# Object stores show an object when all of it has arrived.
IN_PLACE = ("arrow_hdfs", "ftp", "hdfs", "sftp", "smb", "ssh", "webhdfs")
LOCAL = ("file", "local")
# Protocols whose paths begin with a bucket, which the caller creates; folders need not exist.
STORES = ("abfs", "abfss", "az", "gcs", "gs", "oss", "s3", "s3a")
# Numbers of errors that the next file would end in, too.
LASTING = (errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS)


def place_of(target: str | os.PathLike[str]) -> Place:
    """Return the place that ``save_to=`` names: a folder, or a URL of `fsspec`.

    Raises:
        ImportError: `fsspec` is needed and is not installed.
        ValueError: `fsspec` does not know the protocol.

    """
    text = os.fspath(target)
    protocol, separator, rest = text.partition("://")
    if not separator:
        return Folder(Path(text))
    if protocol in LOCAL:
        return Folder(Path(rest))
    url_to_fs = _import_fsspec(text).core.url_to_fs
    system, path = cast("tuple[Any, str]", url_to_fs(text))
    return FileSystem(system, path.rstrip("/"), protocol)


def check_place(target: str) -> None:
    """Refuse a URL whose protocol is not known, or whose package is missing; open nothing.

    Raises:
        ImportError: `fsspec`, or its package for the protocol, is not installed.
        ValueError: `fsspec` does not know the protocol.

    """
    protocols, separator, _ = target.partition("://")
    if separator and protocols not in LOCAL:
        library = _import_fsspec(target)
        for protocol in protocols.split("::"):
            library.get_filesystem_class(protocol)


def _import_fsspec(target: str) -> Any:
    try:
        return import_module("fsspec")
    except ImportError as error:
        raise ImportError(
            f'save_to={target!r} needs the package fsspec: pip install "replicate-rs[fsspec]"'
        ) from error


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path.expanduser().absolute()

    def prepare(self) -> None:
        """Create the folder; raise `FileError` if no file can be saved in it."""
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            if not os.access(self._path, os.W_OK | os.X_OK):
                raise PermissionError(13, "the folder may not be written", str(self._path))
        except OSError as error:
            raise FileError(detail=f"save_to: {self._path}: {error.strerror or error}") from error

    async def save(self, file: FileOutput[Any], name: str) -> str:
        """Save a file, whole or not at all; return its path."""
        path = self._path / name
        await unchecked(FileOutput.save)(file._in(Async), path)
        return str(path)


class FileSystem:
    """A folder in a file system of `fsspec`."""

    def __init__(self, system: Any, path: str, protocol: str) -> None:
        self._system = system
        self._path = path
        self._is_in_place = protocol in IN_PLACE
        self._bucket = path.partition("/")[0] if protocol in STORES else None

    def prepare(self) -> None:
        """Create the folder; raise `FileError` if it cannot be, or if its bucket does not exist."""
        try:
            if self._bucket is None:
                self._system.makedirs(self._path, exist_ok=True)
                return
            # Whoever may write objects need not be allowed to look at the bucket.
            with suppress(PermissionError):
                if not self._system.exists(self._bucket):
                    raise FileError(f"save_to: the bucket {self._bucket} does not exist")
        except FileError:
            raise
        except Exception as error:
            raise FileError(
                detail=f"save_to: {self._path}: {type(error).__name__}: {error}"
            ) from error

    async def save(self, file: FileOutput[Any], name: str) -> str:
        """Save a file, whole or not at all; return its URL."""
        copy = await asyncio.to_thread(make_temporary_path, name)
        try:
            await unchecked(FileOutput.save)(file._in(Async), copy)
            return await asyncio.to_thread(self._put, copy, f"{self._path}/{name}")
        finally:
            await asyncio.to_thread(_remove, copy)

    def _put(self, copy: Path, path: str) -> str:
        size = copy.stat().st_size
        target = f"{path}.part" if self._is_in_place else path
        try:
            self._system.put_file(str(copy), target)
            if (stored := self._system.size(target)) != size:
                raise FileError(detail=f"{path} has {stored} bytes instead of {size}")
            if target != path:
                self._system.mv(target, path)
        except FileError:
            raise
        except OSError as error:
            if error.errno not in LASTING:
                # Of the network, most often: it is tried again.
                raise
            raise FileError(detail=f"save_to: {path}: {error.strerror or error}") from error
        except Exception as error:
            raise FileError(detail=f"{path}: {type(error).__name__}: {error}") from error
        return str(self._system.unstrip_protocol(path))


def _remove(copy: Path) -> None:
    copy.unlink(missing_ok=True)
    copy.parent.rmdir()


class Saver:
    """Saves the files of outputs, a limited number at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._slots = asyncio.Semaphore(MAX_SAVES)
        self._outputs = asyncio.Semaphore(MAX_OUTPUTS)

    async def prepare(self) -> None:
        """Raise `FileError` if no file can be saved."""
        await asyncio.to_thread(self._place.prepare)

    async def enter(self) -> None:
        """Wait until another output may be saved; `leave` ends it."""
        await self._outputs.acquire()

    def leave(self) -> None:
        """Count an output as saved."""
        self._outputs.release()

    async def save(self, key: str, files: list[FileOutput[Any]]) -> list[str]:
        """Save the files of one output; return their paths or URLs, in order.

        Raises:
            FileError: They cannot be written.
            APIError: They cannot be fetched, for example because they are gone.

        """
        jobs = [
            self._save(file, file_name(key, _extension(file), None if len(files) == 1 else number))
            for number, file in enumerate(files, 1)
        ]
        # One that fails does not leave the others behind, unattended.
        saved = await asyncio.gather(*jobs, return_exceptions=True)
        for each in saved:
            if isinstance(each, BaseException):
                raise each
        return [each for each in saved if isinstance(each, str)]

    async def _save(self, file: FileOutput[Any], name: str) -> str:
        async with self._slots:
            for attempt in range(ATTEMPTS):
                try:
                    return await self._place.save(file, name)
                except FileError:
                    raise
                except (APIStatusError, OSError) as error:
                    status = getattr(error, "status", None)
                    is_lasting = status is not None and status < 500 and status != 429
                    if is_lasting or attempt == ATTEMPTS - 1:
                        raise
                await asyncio.sleep(FIRST_PAUSE * 2**attempt)
        raise AssertionError("a loop that returns or raises")


def file_name(key: str, extension: str, number: int | None = None) -> str:
    """Return the name of a file of a key, with a number if there are several.

    Keys that differ have names that differ, on systems that ignore the case of names too.
    """
    stem = to_safe_name(key.replace("/", "_").replace("\\", "_"))
    stem = stem.encode()[:MAX_NAME].decode(errors="ignore").rstrip(". ")
    is_plain = (
        stem == key
        and key == normalize("NFC", key).casefold()
        # It could be the name of a numbered file, or one with an extension, of another key.
        and not ("." in key and key.rpartition(".")[2].isdigit())
        and (extension or "." not in key)
    )
    if not is_plain:
        stem = f"{stem}-{blake2b(key.encode(), digest_size=DIGEST_SIZE).hexdigest()}"
    return f"{stem}{extension}" if number is None else f"{stem}.{number}{extension}"


def _extension(file: FileOutput[Any]) -> str:
    _, dot, extension = file.filename.rpartition(".")
    return f".{extension}" if dot and len(extension.encode()) <= MAX_EXTENSION else ""
