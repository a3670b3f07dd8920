"""The call of a model, and what a model's function can do during it: report progress, stop."""

from __future__ import annotations

import contextvars
import re
import threading
from collections.abc import Callable


class Cancelled(BaseException):
    """The prediction was canceled. A model may catch this to clean up."""


class ModelCall:
    """One call of a model's function.

    Args:
        on_log: Receives the lines that the model prints.

    """

    __slots__ = ("_last_character", "_lock", "_on_cancel", "_on_log", "_unlogged", "cancelled")

    def __init__(self, on_log: Callable[[str], None]) -> None:
        self.cancelled: threading.Event = threading.Event()
        self._on_log = on_log
        self._unlogged = ""
        self._last_character = ""
        # A model may print from several threads.
        self._lock = threading.Lock()
        self._on_cancel: Callable[[], object] | None = None

    def cancel(self) -> None:
        """Signal the model to stop."""
        self.cancelled.set()
        if self._on_cancel is not None:
            self._on_cancel()

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the prediction is canceled, or now if it already was."""
        self._on_cancel = callback
        if self.cancelled.is_set():
            callback()

    def write(self, text: str) -> None:
        """Add printed text, and log it up to the end of a line."""
        with self._lock:
            self._unlogged += text
            if "\n" in text or "\r" in text:
                self._log()

    def flush(self) -> None:
        """Log the text that does not end with a line break."""
        with self._lock:
            self._log()

    def _log(self) -> None:
        if not self._unlogged:
            return
        # A progress bar redraws its line after "\r"; in the logs each state is a line.
        text = self._last_character + self._unlogged.replace("\r\n", "\n")
        text = re.sub(r"([^\r\n])\r+", r"\1\n", text).replace("\r", "")[len(self._last_character) :]
        self._unlogged = ""
        if text:
            self._last_character = text[-1]
            self._on_log(text)


current_call: contextvars.ContextVar[ModelCall | None] = contextvars.ContextVar(
    "current_call", default=None
)


def cancelled() -> bool:
    """Return whether the prediction of the calling model was canceled."""
    call = current_call.get()
    return call is not None and call.cancelled.is_set()


def check_cancelled() -> None:
    """Raise `Cancelled` if the prediction of the calling model was canceled."""
    if cancelled():
        raise Cancelled


def sleep(seconds: float) -> None:
    """Sleep in a model. Raises `Cancelled` as soon as its prediction is canceled.

    Args:
        seconds: How long, in real time.

    """
    call = current_call.get()
    if call is None:
        threading.Event().wait(seconds)
    elif call.cancelled.wait(seconds):
        raise Cancelled


def progress(current: int, total: int) -> None:
    """Log a line that clients parse as the progress of the calling model.

    Args:
        current: The number of steps done.
        total: The number of all steps, at least 1.

    """
    if not 0 <= current <= total or total < 1:
        raise ValueError(
            f"progress({current}, {total}): it takes 0 <= current <= total, and total >= 1"
        )
    bar = "█" * (20 * current // total)
    print(f"{100 * current // total:3}%|{bar:<20}| {current}/{total}", flush=True)  # noqa: T201 - this is how models log
