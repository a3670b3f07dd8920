"""Every file of an output, saved at once."""

from __future__ import annotations

from ._checks import abort_signal, file_path, flag, limit
from ._operation import Async, Sync, run, unchecked
from ._typing import TYPE_CHECKING, defer_annotations, is_array, is_object
from .exceptions import FileError
from .file_name import apart
from .file_output import FileOutput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike
    from pathlib import Path

    from ._checks import Limit
    from ._core import AbortSignal, Core

# Files that are fetched at a time.
MOST = 16


def save_all(
    output: object,
    folder: str | PathLike[str],
    overwrite: bool = True,
    *,
    signal: AbortSignal | None = None,
    timeout: Limit | None = None,
) -> list[Path]:
    """Save every file in an output, at any depth, several at a time.

    Each is called as its host or its URL calls it; equal names are told apart by a number (``out.png``, ``out-2.png``).

    Args:
        output: What a model gave: a `FileOutput`, or lists and dicts with some of them.
        folder: Where to; it is made if it does not exist.
        overwrite: Replace files that are there; else that is an error, and nothing is fetched.
        signal: Stops it.
        timeout: Seconds for each file.

    Returns:
        Their paths, in the order of the output.

    Raises:
        FileError: The folder, or a file in it, cannot be written.
        APIStatusError: A file's host refuses it.
        APIConnectionError: A file cannot be fetched. Those under way are given up; each of the others is whole or not there.

    """
    return run(_saved(Sync, output, folder, overwrite, signal, timeout))


async def asave_all(
    output: object,
    folder: str | PathLike[str],
    overwrite: bool = True,
    *,
    signal: AbortSignal | None = None,
    timeout: Limit | None = None,
) -> list[Path]:
    """Do the same as `save_all`, on an event loop."""
    return await _saved(Async, output, folder, overwrite, signal, timeout)


async def _saved(
    mode: type[Sync | Async],
    output: object,
    folder: str | PathLike[str],
    overwrite: bool,
    signal: AbortSignal | None,
    timeout: Limit | None,
) -> list[Path]:
    file_path("folder", folder)
    flag("overwrite", overwrite)
    signal, total = None if signal is None else abort_signal("signal", signal), limit("timeout", timeout)
    files = list(_files(output))
    paths = await mode.transport.call(_places, files, folder, overwrite)
    fetched: dict[Core, list[tuple[FileOutput, Path]]] = {}
    for file, path in zip(files, paths, strict=True):
        if file._is_inline:
            await unchecked(FileOutput.save)(file._in(mode), path, overwrite)
        else:
            fetched.setdefault(file._core, []).append((file, path))
    for core, some in fetched.items():
        targets = [(file.url, path) for file, path in some]
        download = core.download_all(targets, MOST, overwrite=overwrite, total=total, signal=signal)
        for (file, _), said in zip(some, await mode.transport.finish(download), strict=True):
            file._known.note(said)
    return paths


def _files(output: object) -> Iterator[FileOutput]:
    """Give the files of an output in order."""
    if isinstance(output, FileOutput):
        yield output
    elif is_object(output):
        for each in output.values():
            yield from _files(each)
    elif is_array(output):
        for each in output:
            yield from _files(each)


def _places(files: list[FileOutput], folder: str | PathLike[str], overwrite: bool) -> list[Path]:
    from pathlib import Path

    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(detail=f"{place}: {error.strerror or error}") from error
    paths = [place / name for name in apart(file.filename for file in files)]
    if not overwrite:
        for path in paths:
            if path.exists():
                raise FileError(detail=f"{path}: there is a file of this name, and overwrite is False")
    return paths


defer_annotations(globals())
