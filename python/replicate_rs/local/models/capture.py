"""Capturing what models print, for the logs of their predictions."""

from __future__ import annotations

import io
import sys
from typing import Any, TextIO

from .call import current_call


class _CapturedStream(io.TextIOBase):
    """Sends text printed by a model to its `ModelCall`, and all other text to the original."""

    def __init__(self, original: TextIO) -> None:
        self.original = original

    def write(self, text: str) -> int:
        call = current_call.get()
        if call is None:
            return self.original.write(text)
        call.write(text)
        return len(text)

    def flush(self) -> None:
        call = current_call.get()
        if call is None:
            self.original.flush()
        else:
            call.flush()

    def isatty(self) -> bool:
        """Return whether text is shown on a terminal; a model's goes to its logs."""
        return current_call.get() is None and self.original.isatty()

    def close(self) -> None:
        """Do nothing: other code still prints to the original, which may be gone at exit."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


# Kept forever: `print` borrows `sys.stdout`, and crashes Python if the stream is replaced and freed
# before `print` returns (CPython gh-130163).
_captured: dict[int, _CapturedStream] = {}


def _capture(original: TextIO) -> _CapturedStream:
    if id(original) not in _captured:
        _captured[id(original)] = _CapturedStream(original)
    return _captured[id(original)]


def capture_output() -> None:
    """Capture standard output and error.

    Called before each model, because other code may replace the streams in between.
    """
    if not isinstance(sys.stdout, _CapturedStream):
        sys.stdout = _capture(sys.stdout)
    if not isinstance(sys.stderr, _CapturedStream):
        sys.stderr = _capture(sys.stderr)


def restore_output() -> None:
    """Restore the original standard output and error."""
    if isinstance(sys.stdout, _CapturedStream):
        sys.stdout = sys.stdout.original
    if isinstance(sys.stderr, _CapturedStream):
        sys.stderr = sys.stderr.original
