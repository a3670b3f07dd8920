"""A model's side of its prediction: what it prints becomes logs, and it is told to stop."""

from __future__ import annotations

import contextvars
import io
import re
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO


class Cancelled(BaseException):
    """The prediction was canceled; a model may catch it to clean up."""


class Job:
    """One call of a model."""

    __slots__ = ("_emit", "_last", "_lock", "_pending", "_stop", "cancelled")

    def __init__(self, emit: Callable[[str], None]) -> None:
        self.cancelled: threading.Event = threading.Event()
        self._emit = emit
        self._pending = ""
        self._last = ""
        # A model may print from several threads.
        self._lock = threading.Lock()
        self._stop: Callable[[], object] | None = None

    def cancel(self) -> None:
        """Tell the model to stop."""
        self.cancelled.set()
        if self._stop is not None:
            self._stop()

    def on_cancel(self, stop: Callable[[], object]) -> None:
        """Call `stop` when the prediction is canceled; at once if it was."""
        self._stop = stop
        if self.cancelled.is_set():
            stop()

    def write(self, text: str) -> None:
        """Take what the model prints; whole lines become logs."""
        with self._lock:
            self._pending += text
            if "\n" in text or "\r" in text:
                self._pass_on()

    def flush(self) -> None:
        """Let what is left become logs."""
        with self._lock:
            self._pass_on()

    def _pass_on(self) -> None:
        if not self._pending:
            return
        # A progress bar redraws its line; in logs each drawing is a line of its own.
        text = self._last + self._pending.replace("\r\n", "\n")
        text = re.sub(r"([^\r\n])\r+", r"\1\n", text).replace("\r", "")[len(self._last) :]
        self._pending = ""
        if text:
            self._last = text[-1]
            self._emit(text)


current: contextvars.ContextVar[Job | None] = contextvars.ContextVar("current", default=None)


def cancelled() -> bool:
    """Whether this model's prediction was canceled."""
    job = current.get()
    return job is not None and job.cancelled.is_set()


def check_cancelled() -> None:
    """Raise `Cancelled` in a model whose prediction was canceled."""
    if cancelled():
        raise Cancelled


def sleep(seconds: float) -> None:
    """Sleep in a model, and raise `Cancelled` as soon as its prediction is canceled."""
    job = current.get()
    if job is None:
        threading.Event().wait(seconds)
    elif job.cancelled.wait(seconds):
        raise Cancelled


def progress(current: int, total: int) -> None:
    """Log a line that clients read as this model's progress.

    Args:
        current: Steps that are done.
        total: Steps in all; at least 1.

    """
    if not 0 <= current <= total or total < 1:
        raise ValueError(
            f"progress({current}, {total}): it takes 0 <= current <= total, and total >= 1"
        )
    drawn = 20 * current // total
    print(f"{100 * current // total:3}%|{'█' * drawn:<20}| {current}/{total}", flush=True)  # noqa: T201 - this is how models log


class _Printed(io.TextIOBase):
    """What a model prints goes to its prediction's logs; everybody else's goes where it went
    before.
    """

    def __init__(self, before: TextIO) -> None:
        self.before = before

    def write(self, text: str) -> int:
        job = current.get()
        if job is None:
            return self.before.write(text)
        job.write(text)
        return len(text)

    def flush(self) -> None:
        job = current.get()
        if job is None:
            self.before.flush()
        else:
            job.flush()

    def close(self) -> None:
        """Leave open what others print to; when Python ends, it may be gone already."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.before, name)


# `print` borrows `sys.stdout`, and crashes Python when that is replaced and gone before it has
# ended (CPython gh-130163).
_kept: dict[int, _Printed] = {}


def _printed(before: TextIO) -> _Printed:
    if id(before) not in _kept:
        _kept[id(before)] = _Printed(before)
    return _kept[id(before)]


def capture() -> None:
    """From now on, what models print becomes their logs; asked again at each call, since others
    replace these too.
    """
    if not isinstance(sys.stdout, _Printed):
        sys.stdout = _printed(sys.stdout)
    if not isinstance(sys.stderr, _Printed):
        sys.stderr = _printed(sys.stderr)


def release() -> None:
    """Put back what was there before."""
    if isinstance(sys.stdout, _Printed):
        sys.stdout = sys.stdout.before
    if isinstance(sys.stderr, _Printed):
        sys.stderr = sys.stderr.before
