"""Short texts for numbers, times and long values."""

from __future__ import annotations

from datetime import datetime

# Characters of a text in one line.
MAX_LINE = 200


def to_line(text: str) -> str:
    """Return the beginning of a text, without line breaks."""
    line = " ".join(text[: 2 * MAX_LINE].split())
    is_cut = len(line) > MAX_LINE or len(text) > 2 * MAX_LINE
    return f"{line[:MAX_LINE]}…" if is_cut else line


def to_clock_time(timestamp: float) -> str:
    """Return the local time of day, which is the browser's too, as it is on this machine."""
    return datetime.fromtimestamp(timestamp).astimezone().strftime("%H:%M:%S")


def to_duration(seconds: float) -> str:
    """Return a duration with its unit."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def to_size(size: int) -> str:
    """Return a number of bytes with its unit."""
    if size < 1000:
        return f"{size} {'byte' if size == 1 else 'bytes'}"
    return f"{size / 1000:.1f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"
