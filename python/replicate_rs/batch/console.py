"""What the command writes to the terminal, and its exit codes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from ..exceptions import ReplicateError
from ..exceptions import _to_line as to_printable_line

# Exit codes; `--help` describes them.
SUCCEEDED, FAILED, REFUSED, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141
# What users or the library's surroundings are the cause of; it is shown without a traceback.
ERRORS = (ImportError, OSError, ReplicateError, TypeError, ValueError)
# Errors that are shown, the most frequent first, and the characters of one.
MAX_ERRORS = 5
MAX_ERROR = 160


def say(text: str, *more: str) -> None:
    """Write a message to stderr, with more lines below it."""
    lines = "\n".join([f"replicate_rs.batch: {text}", *more])
    print(lines, file=sys.stderr, flush=True)  # noqa: T201 - a command


def show(lines: Iterable[str]) -> None:
    """Write lines to stdout."""
    print("\n".join(lines))  # noqa: T201 - a command


def to_line(error: BaseException | str) -> str:
    """Return an error in one line."""
    return to_printable_line(str(error)) or type(error).__name__


def quote(words: Sequence[str]) -> str:
    """Return a command as the shell takes it."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def count_of(count: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


class Errors:
    """How many inputs failed of which error."""

    # Different errors that are told apart.
    LIMIT = 1000

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, error: str | None) -> None:
        """Count an input that failed."""
        text = to_line(error or "no reason is given")
        if len(text) > MAX_ERROR:
            text = f"{text[: MAX_ERROR - 1]}…"
        if text in self._counts or len(self._counts) < self.LIMIT:
            self._counts[text] += 1

    def lines(self) -> list[str]:
        """Return the most frequent errors, a line each."""
        common = self._counts.most_common(MAX_ERRORS)
        more = len(self._counts) - len(common)
        return [f"{count:>7} x {text}" for text, count in common] + (
            [f"          and {count_of(more, 'other error')}"] if more else []
        )
