"""Every file of an output, saved at once."""

from __future__ import annotations

from .._base.checks import abort_signal, file_path, flag, limit
from .._base.operation import run_blocking, unchecked
from .._base.package import default_client
from .._base.resource import Namespace, Resource, check_resource
from .._base.session import Async, Sync
from .._base.typing import TYPE_CHECKING, defer_annotations, is_array, is_object
from ..exceptions import FileError
from .errors import fetched
from .names import apart
from .output import FileOutput, is_file_output
from .text import is_file

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path
    from typing import Any

    from .._base.checks import Limit
    from .._core import AbortSignal, Core
    from .types import FileNames as FileNames

    # A name for each file, in order, or a function of a file's index and the file that returns one.

# Files that are fetched at a time.
MOST = 16
# What was left out that a warning tells of, and the characters of text that it shows.
MAX_TOLD = 5
MAX_EXCERPT = 60


def save_all(
    output: object,
    folder: str | PathLike[str],
    overwrite: bool = True,
    *,
    names: FileNames | None = None,
    client: Namespace[Any] | None = None,
    signal: AbortSignal | None = None,
    timeout: Limit | None = None,
) -> list[Path]:
    """Save every file in an output, at any depth, several at a time.

    Each is called as its host or its URL calls it; equal names are told apart by a number
    (``out.png``, ``out-2.png``). Text that is a file's address, as in a prediction's `output`, is a
    file too. Other text, and exceptions, are left out with a warning that says where they were.

    Args:
        output: What a model gave: a `FileOutput`, or lists and dicts with some of them.
        folder: Where to; it is made if it does not exist.
        overwrite: Replace files that are there; else that is an error, and nothing is fetched.
        names: A name for each file, in the order of the output; or a function of a file's index and
            the file that returns one.
        client: Whose connections fetch what is there as text; without it, the default client's.
        signal: Stops it.
        timeout: Seconds for each file.

    Returns:
        Their paths, in the order of the output.

    Raises:
        ValueError: There is no file in the output.
        FileError: The folder, or a file in it, cannot be written.
        APIStatusError: A file's host refuses it.
        APIConnectionError: A file cannot be fetched. Those under way are given up; each of the
            others is whole or not there.

    """
    return run_blocking(_saved(Sync, output, folder, overwrite, names, client, signal, timeout))


async def asave_all(
    output: object,
    folder: str | PathLike[str],
    overwrite: bool = True,
    *,
    names: FileNames | None = None,
    client: Namespace[Any] | None = None,
    signal: AbortSignal | None = None,
    timeout: Limit | None = None,
) -> list[Path]:
    """Do the same as `save_all`, on an event loop."""
    return await _saved(Async, output, folder, overwrite, names, client, signal, timeout)


async def _saved(
    mode: type[Sync | Async],
    output: object,
    folder: str | PathLike[str],
    overwrite: bool,
    names: FileNames | None,
    client: Resource[Any] | None,
    signal: AbortSignal | None,
    timeout: Limit | None,
) -> list[Path]:
    file_path("folder", folder)
    flag("overwrite", overwrite)
    signal, total = (
        None if signal is None else abort_signal("signal", signal),
        limit("timeout", timeout),
    )
    found = _Found(None if client is None else check_resource("client", client))
    found.look_through(output, "output")
    files = found.files
    if not files:
        raise found.nothing(output)
    paths = await mode.transport.call(_places, _names(files, names), folder, overwrite)
    by_client: dict[Core, list[tuple[FileOutput, Path]]] = {}
    for file, path in zip(files, paths, strict=True):
        if file._is_inline:
            await unchecked(FileOutput.save)(file._in(mode), path, overwrite)
        else:
            by_client.setdefault(file._core, []).append((file, path))
    for core, some in by_client.items():
        targets = [(file.url, path) for file, path in some]
        download = core.download_all(targets, MOST, overwrite=overwrite, total=total, signal=signal)
        for (file, _), said in zip(
            some, await fetched(mode.transport.finish(download)), strict=True
        ):
            file._known.note(said)
    found.warn(5 if mode is Sync else 4)
    return paths


class _Found:
    """The files of an output, in order, and what else was in it."""

    def __init__(self, client: Resource[Any] | None) -> None:
        self.files: list[FileOutput[Any]] = []
        self._client = client
        self._left_out: list[str] = []
        self._error: BaseException | None = None

    def look_through(self, value: Any, where: str) -> None:
        """Find the files in a value, which is at a place in the output."""
        if is_file_output(value):
            self.files.append(value)
        elif isinstance(value, str):
            if is_file(value):
                self.files.append(FileOutput(value, self._owner))
            else:
                self._left_out.append(f"{where} (text: {_excerpt(value)})")
        elif isinstance(value, BaseException):
            self._error = self._error or value
            self._left_out.append(f"{where} ({type(value).__name__}: {_excerpt(str(value))})")
        elif is_object(value):
            for key, each in value.items():
                self.look_through(each, f"{where}[{key!r}]")
        elif is_array(value):
            for index, each in enumerate(value):
                self.look_through(each, f"{where}[{index}]")

    @property
    def _owner(self) -> Resource[Any]:
        if self._client is None:
            self._client = default_client()
        return self._client

    def nothing(self, output: object) -> ValueError:
        """Return the error for an output without a file."""
        what = "; ".join(self._left_out[:MAX_TOLD]) or f"it is {repr(output)[:MAX_EXCERPT]}"
        hint = ": pass prediction.files()" if isinstance(output, Resource) else ""
        error = ValueError(f"the output holds no file to save{hint} ({what})")
        error.__cause__ = self._error
        return error

    def warn(self, level: int) -> None:
        """Tell what was left out, to the caller that is so many frames away."""
        if self._left_out:
            from warnings import warn

            more = len(self._left_out) - MAX_TOLD
            told = ", ".join(self._left_out[:MAX_TOLD]) + (f" and {more} more" if more > 0 else "")
            warn(f"save_all left out what is no file: {told}", stacklevel=level)


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= MAX_EXCERPT else f"{text[:MAX_EXCERPT]}…")


def _names(files: list[FileOutput[Any]], names: FileNames | None) -> list[str]:
    """Return what the files are called in their folder."""
    if names is None:
        return apart(file.filename for file in files)
    if callable(names):
        chosen: list[Any] = [names(index, file) for index, file in enumerate(files)]
    elif is_array(names):
        chosen = [*names]
    else:
        raise TypeError(
            "names must be a list of names, or a function of an index and a file, not"
            f" {type(names).__name__}"
        )
    if len(chosen) != len(files):
        raise ValueError(
            f"names must have one for each of the {len(files)} files, not {len(chosen)}"
        )
    taken: dict[str, int] = {}
    for index, name in enumerate(chosen):
        if not isinstance(name, str):
            raise TypeError(f"names[{index}] must be a str, not {type(name).__name__}")
        if name in ("", ".", "..") or any(each in name for each in "/\\\0"):
            raise ValueError(f"names[{index}] must be a file's name without a folder, not {name!r}")
        first = taken.setdefault(name.casefold(), index)
        if first != index:
            raise ValueError(
                f"names[{index}] must be another name than names[{first}], {chosen[first]!r}"
            )
    return chosen


def _places(names: list[str], folder: str | PathLike[str], overwrite: bool) -> list[Path]:
    from pathlib import Path

    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(detail=f"{place}: {error.strerror or error}") from error
    paths = [place / name for name in names]
    if not overwrite:
        for path in paths:
            if path.exists():
                raise FileError(
                    detail=f"{path}: there is a file of this name, and overwrite is False"
                )
    return paths


defer_annotations(globals())
