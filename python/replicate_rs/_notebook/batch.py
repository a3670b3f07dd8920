"""Results of many runs, and their journals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .._base.typing import is_object
from ..exceptions import JournalError
from .files import find_files, show_all, show_paths
from .html import cell, details, escape, note, table, text_block, title
from .media import Shown, to_sheet
from .values import has_only_files, inputs_table, to_block

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any


def result(record: Any) -> str:
    """Return what became of one input."""
    facts = [escape(record.status)]
    if record.predict_time is not None:
        facts.append(f"{record.predict_time:.2f} s")
    if record.from_journal:
        facts.append("from the journal")
    lines = [title(cell(str(record.key)), *facts)]
    inputs = record.input
    if is_object(inputs) and inputs:
        lines.append(details("input", inputs_table(inputs)))
    if record.error:
        lines.append(text_block(record.error))
    files = result_files(record)
    if files:
        lines.append(to_sheet(files))
    elif record.files:
        lines += [note(str(each)) for each in record.files]
    if record.output is not None and not has_only_files(record.output):
        lines.append(to_block(record.output))
    return f"<div>{''.join(lines)}</div>"


def result_files(record: Any) -> list[Shown]:
    """Return the files of a result: those that were saved on this machine, else of its output."""
    saved = [each for each in record.files or () if isinstance(each, Path)]
    return show_paths(saved) if saved else show_all(list(find_files(record.output)))


def journal(record: Any) -> str:
    """Return what a journal contains, in numbers."""
    try:
        summary = record.summary()
    except JournalError as error:
        return f"<div>{title(cell(record.path))}{note(f'It cannot be read: {error.detail}')}</div>"
    rows = [
        ("target", cell(str(summary.target))),
        ("inputs", f"{summary.total:,}"),
        *((cell(status), f"{count:,}") for status, count in sorted(summary.statuses.items())),
        ("predictions", f"{summary.attempts:,}"),
        ("model's time", f"{summary.predict_seconds:,.1f} s"),
        ("calls at work", f"{summary.workers:,}"),
        ("begun", _to_time(summary.created_at)),
        ("last end", _to_time(summary.ended_at)),
    ]
    return f"<div>{title(cell(record.path))}{table(rows)}</div>"


def _to_time(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d %H:%M:%S} UTC"
