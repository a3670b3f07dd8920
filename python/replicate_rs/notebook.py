"""Contact sheets of output files in notebooks.

Predictions, pages, models and files show themselves, and so do lists of files. A contact sheet is
for files with captions, for the results of many runs, and for files of an `AsyncReplicate`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ._base.checks import wrong_type
from ._base.operation import run_blocking
from ._base.session import Async, Sync
from ._base.typing import defer_annotations, is_array
from ._batch.results import Result
from ._notebook.files import fetch_all, find_files, is_file, show_known, show_paths
from ._notebook.media import MAX_SHOWN, Shown, to_sheet
from ._predictions.job import Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

__all__ = ["ContactSheet", "async_contact_sheet", "contact_sheet"]


class ContactSheet:
    """Files beside each other, as the last value of a notebook's cell shows them."""

    __slots__ = ("_captions", "_files")

    def __init__(self, files: Sequence[Shown], captions: Sequence[str] | None) -> None:
        self._files = files
        self._captions = captions

    def _repr_html_(self) -> str:
        return to_sheet(self._files, self._captions)

    def __repr__(self) -> str:
        count = len(self._files)
        return f"ContactSheet({count} file{'' if count == 1 else 's'})"


def contact_sheet(outputs: Iterable[Any], captions: Iterable[str] | None = None) -> ContactSheet:
    """Fetch the files of some outputs, and return them as a contact sheet.

    Files of at most 2 MiB are embedded, up to 16 MiB in all; larger ones, and those that did not
    arrive within five seconds, are shown by their links. Of more than 100 files, the first 100 are
    shown.

    Args:
        outputs: Outputs of `run`, predictions, results of `map`, or paths of files on this machine.
            An output without a file is shown as its error.
        captions: A text for each of the outputs, instead of the names of its files.

    Raises:
        ValueError: There is not one caption for each output.
        TypeError: A file belongs to an `AsyncReplicate`: `async_contact_sheet` is for these.

    """
    cells = _Cells(outputs, captions)
    for file in cells.files:
        if file._mode is Async:
            raise TypeError(
                "a file of an AsyncReplicate is shown by: await async_contact_sheet(outputs)"
            )
    return cells.to_sheet(run_blocking(fetch_all(cells.files, Sync.transport)))


async def async_contact_sheet(
    outputs: Iterable[Any], captions: Iterable[str] | None = None
) -> ContactSheet:
    """Fetch the files of some outputs on an event loop; see `contact_sheet`.

    It takes files of both clients.

    Args:
        outputs: Outputs of `run`, predictions, results of `map`, or paths of files on this machine.
            An output without a file is shown as its error.
        captions: A text for each of the outputs, instead of the names of its files.

    Raises:
        ValueError: There is not one caption for each output.

    """
    cells = _Cells(outputs, captions)
    return cells.to_sheet(await fetch_all(cells.files, Async.transport))


class _Cells:
    """The files of a sheet in their order: those to be fetched, and what is known already."""

    def __init__(self, outputs: Iterable[Any], captions: Iterable[str] | None) -> None:
        self.files: list[Any] = []
        self._cells: list[Any] = []
        self._captions: list[str] | None = None if captions is None else []
        items = _to_items(outputs)
        given = [None] * len(items) if captions is None else _check_captions(captions, len(items))
        for item, caption in zip(items, given, strict=True):
            found = _find(item) or [_without_file(item)]
            self._cells += found
            if self._captions is not None and caption is not None:
                self._captions += [caption] * len(found)
        self.files = [each for each in self._cells[:MAX_SHOWN] if is_file(each)]

    def to_sheet(self, fetched: list[Shown]) -> ContactSheet:
        """Return the sheet, with what was fetched."""
        ready = iter(fetched)
        shown: list[Shown] = [
            each if isinstance(each, Shown) else next(ready, None) or show_known(each)
            for each in self._cells
        ]
        return ContactSheet(shown, self._captions)


def _to_items(outputs: Any) -> list[Any]:
    """Return the outputs; a single one is a list of one."""
    if is_file(outputs) or isinstance(outputs, (str, bytes, dict, Job, Result, Path)):
        return [outputs]  # pyright: ignore[reportUnknownVariableType] - of whatever type
    try:
        return [*outputs]
    except TypeError:
        raise wrong_type("outputs", "a list of outputs", outputs) from None


def _check_captions(captions: Iterable[str], count: int) -> list[str]:
    if isinstance(captions, str):
        raise wrong_type("captions", "a list of str", captions)
    texts = [str(each) for each in captions]
    if len(texts) != count:
        raise ValueError(
            f"captions must have one for each of the {count} outputs, not {len(texts)}"
        )
    return texts


def _find(item: Any) -> list[Any]:
    """Return the files of an output, or what is shown of those that are on this machine."""
    if isinstance(item, Job):
        return [*item._find_files()]  # pyright: ignore[reportUnknownMemberType] - of whatever mode
    if isinstance(item, Result):
        saved = [each for each in item.files or () if isinstance(each, Path)]
        return [*show_paths(saved)] or [*find_files(item.output)]
    if isinstance(item, Path):
        return [*show_paths([item])]
    if is_array(item) and item and all(isinstance(each, Path) for each in item):
        return [*show_paths(item)]
    return [*find_files(item)]


def _without_file(item: Any) -> Shown:
    """Return what is shown in place of an output that has no file."""
    name = str(item.key) if isinstance(item, Result) else "no file"
    if isinstance(item, BaseException):
        error: object = f"{type(item).__name__}: {item}"
    else:
        error = item.error if isinstance(item, (Job, Result)) else None  # pyright: ignore[reportUnknownMemberType] - as above
    return Shown(name, "", remark=str(error or "no file"), is_missing=True)


defer_annotations(globals())
