"""The error of cassettes."""

from __future__ import annotations

from pathlib import Path


class CassetteError(Exception):
    """A cassette cannot be read or written; the message names the file, and the line if known."""


def damaged(path: Path, text: str, reason: str, key: str | None = None) -> CassetteError:
    """Return an error for a file, with the first line that has `key`, or line 1."""
    lines = text.splitlines()
    line = next((n for n, each in enumerate(lines, 1) if key and f'"{key}"' in each), 1)
    return CassetteError(f"{path}, line {line}: {reason}")
