"""Save every file of an output at once."""

from __future__ import annotations

from .._base.checks import abort_signal, file_path, flag, limit, plain_progress
from .._base.operation import run_blocking, unchecked
from .._base.package import default_client
from .._base.resource import Namespace, Resource, check_resource
from .._base.session import Async, Sync
from .._base.typing import TYPE_CHECKING, defer_annotations, is_array, is_object
from .._core import DownloadCounters
from ..exceptions import FileError
from .names import to_unique_names
from .output import FileOutput, is_file_output
from .reporting import Reporter, finish_reporting
from .urls import await_file, is_file_url

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path
    from typing import Any

    from .._base.checks import Limit
    from .._core import AbortSignal, Core
    from .types import FileNames as FileNames
    from .types import OnSaved as OnSaved

# Concurrent downloads.
MAX_DOWNLOADS = 16
# Values that a message lists, and the characters of each.
MAX_LISTED = 5
MAX_EXCERPT = 60


def save_all(
    output: object,
    folder: str | PathLike[str],
    overwrite: bool = True,
    *,
    names: FileNames | None = None,
    client: Namespace[Any] | None = None,
    progress: bool | OnSaved | None = None,
    signal: AbortSignal | None = None,
    timeout: Limit | None = None,
) -> list[Path]:
    """Save every file in an output, at any depth, several at a time.

    Each file has the name that its host or its URL gives; equal names get a number (``out.png``,
    ``out-2.png``). Text that is a file's URL, as in a prediction's `output`, is a file too. A
    warning lists other text and exceptions, which are left out.

    Args:
        output: A `FileOutput`, or lists and dicts with some in them.
        folder: Created if it does not exist.
        overwrite: Replace existing files; if False, they are an error, and nothing is fetched.
        names: A name for each file, in the order of the output; or a function of a file's index and
            the file that returns its name.
        client: Fetches the files whose URL is text; by default the default client.
        progress: Called several times a second and at the end with the files saved and the files
            in all. True for a progress bar.
        signal: Stops the downloads.
        timeout: Seconds for each file.

    Returns:
        The paths, in the order of the output.

    Raises:
        ValueError: There is no file in the output.
        FileError: The folder, or a file in it, cannot be written.
        APIStatusError: A file's host answers with an error.
        APIConnectionError: A file cannot be fetched. The other downloads are stopped; each file is
            complete or absent.

    """
    return run_blocking(
        _save_all(Sync, output, folder, overwrite, names, client, progress, signal, timeout)
    )


async def asave_all(
    output: object,
    folder: str | PathLike[str],
    overwrite: bool = True,
    *,
    names: FileNames | None = None,
    client: Namespace[Any] | None = None,
    progress: bool | OnSaved | None = None,
    signal: AbortSignal | None = None,
    timeout: Limit | None = None,
) -> list[Path]:
    """Save every file in an output, on an event loop; see `save_all`."""
    return await _save_all(
        Async, output, folder, overwrite, names, client, progress, signal, timeout
    )


async def _save_all(
    mode: type[Sync | Async],
    output: object,
    folder: str | PathLike[str],
    overwrite: bool,
    names: FileNames | None,
    client: Resource[Any] | None,
    progress: bool | OnSaved | None,
    signal: AbortSignal | None,
    timeout: Limit | None,
) -> list[Path]:
    file_path("folder", folder)
    flag("overwrite", overwrite)
    if progress is not None:
        plain_progress("progress", progress)
    if signal is not None:
        signal = abort_signal("signal", signal)
    total = limit("timeout", timeout)
    search = _Search(None if client is None else check_resource("client", client))
    search.add(output, "output")
    files = search.files
    if not files:
        raise search.no_files_error(output)
    paths = await mode.transport.call(_get_paths, _get_names(files, names), folder, overwrite)
    by_core: dict[Core, list[tuple[FileOutput[Any], Path]]] = {}
    count = 0
    with Reporter(progress, "files", "save_all") as report:
        for file, path in zip(files, paths, strict=True):
            if file._is_inline:
                await unchecked(FileOutput.save)(file._in(mode), path, overwrite)
                count += 1
            else:
                by_core.setdefault(file._core, []).append((file, path))
        counters = DownloadCounters()

        def report_files(*, is_last: bool = False) -> None:
            from .._base.progress_bar import format_bytes

            saved = len(files) if is_last else count + counters.files
            report(saved, len(files), received=format_bytes(counters.received))

        for core, items in by_core.items():
            targets = [(file.url, path) for file, path in items]
            download = core.download_all(
                targets,
                MAX_DOWNLOADS,
                overwrite=overwrite,
                total=total,
                signal=signal,
                counters=counters,
            )
            infos = await await_file(
                finish_reporting(mode.transport, core, download, report_files, signal)
                if report.is_wanted
                else mode.transport.finish(download)
            )
            for (file, _), info in zip(items, infos, strict=True):
                file._metadata.update(info)
        report_files(is_last=True)
    search.warn(5 if mode is Sync else 4)
    return paths


class _Search:
    """Finds the files of an output, in order, and remembers what else is in it."""

    def __init__(self, client: Resource[Any] | None) -> None:
        self.files: list[FileOutput[Any]] = []
        self._client = client
        self._left_out: list[str] = []
        self._error: BaseException | None = None

    def add(self, value: Any, path: str) -> None:
        """Find the files in a value at a path in the output."""
        if is_file_output(value):
            self.files.append(value)
        elif isinstance(value, str):
            if is_file_url(value):
                self.files.append(FileOutput(value, self._get_client()))
            else:
                self._left_out.append(f"{path} (text: {_shorten(value)})")
        elif isinstance(value, BaseException):
            self._error = self._error or value
            self._left_out.append(f"{path} ({type(value).__name__}: {_shorten(str(value))})")
        elif is_object(value):
            for key, each in value.items():
                self.add(each, f"{path}[{key!r}]")
        elif is_array(value):
            for index, each in enumerate(value):
                self.add(each, f"{path}[{index}]")

    def _get_client(self) -> Resource[Any]:
        if self._client is None:
            self._client = default_client()
        return self._client

    def no_files_error(self, output: object) -> ValueError:
        """Return the error for an output without a file."""
        content = "; ".join(self._left_out[:MAX_LISTED]) or f"it is {repr(output)[:MAX_EXCERPT]}"
        hint = ": pass prediction.files()" if isinstance(output, Resource) else ""
        error = ValueError(f"the output holds no file to save{hint} ({content})")
        error.__cause__ = self._error
        return error

    def warn(self, stacklevel: int) -> None:
        """Warn of what was left out."""
        if self._left_out:
            from warnings import warn

            more = len(self._left_out) - MAX_LISTED
            listed = ", ".join(self._left_out[:MAX_LISTED])
            listed += f" and {more} more" if more > 0 else ""
            warn(f"save_all left out what is no file: {listed}", stacklevel=stacklevel)


def _shorten(text: str) -> str:
    return repr(text if len(text) <= MAX_EXCERPT else f"{text[:MAX_EXCERPT]}…")


def _get_names(files: list[FileOutput[Any]], names: FileNames | None) -> list[str]:
    """Return the files' names in their folder."""
    if names is None:
        return to_unique_names(file.filename for file in files)
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
    indices: dict[str, int] = {}
    for index, name in enumerate(chosen):
        if not isinstance(name, str):
            raise TypeError(f"names[{index}] must be a str, not {type(name).__name__}")
        if name in ("", ".", "..") or any(each in name for each in "/\\\0"):
            raise ValueError(f"names[{index}] must be a file's name without a folder, not {name!r}")
        first = indices.setdefault(name.casefold(), index)
        if first != index:
            raise ValueError(
                f"names[{index}] must be another name than names[{first}], {chosen[first]!r}"
            )
    return chosen


def _get_paths(names: list[str], folder: str | PathLike[str], overwrite: bool) -> list[Path]:
    """Create the folder, and return the files' paths in it."""
    from pathlib import Path

    parent = Path(folder)
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(detail=f"{parent}: {error.strerror or error}") from error
    paths = [parent / name for name in names]
    if not overwrite:
        for path in paths:
            if path.exists():
                raise FileError(
                    detail=f"{path}: there is a file of this name, and overwrite is False"
                )
    return paths


defer_annotations(globals())
