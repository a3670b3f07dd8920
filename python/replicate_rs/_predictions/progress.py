"""How far a model is, by its logs."""

from __future__ import annotations

from .._base.typing import defer_annotations


class Progress:
    """How far a model says it is, in its logs."""

    __slots__ = ("current", "percentage", "total")

    def __init__(self, percentage: float, current: int, total: int) -> None:
        self.percentage: float = percentage
        """From 0 to 1."""
        self.current: int = current
        self.total: int = total

    @classmethod
    def parse(cls, logs: str | None) -> Progress | None:
        """Read the last progress bar (as tqdm draws it) of some logs."""
        text = logs or ""
        end, feed, back = len(text), len(text), len(text)
        # From the end on, and only where a bar may be, so that megabytes of logs cost nothing.
        while (at := text.rfind("|", 0, end)) >= 0:
            # Where the line before ends; each is looked for again only where it is passed.
            feed = text.rfind("\n", 0, at) if feed >= at else feed
            back = text.rfind("\r", 0, at) if back >= at else back
            start = max(feed, back) + 1
            stops = [stop for mark in "\n\r" if (stop := text.find(mark, at, end)) >= 0]
            line = text[start : min(stops, default=end)]
            if "%" in line and (progress := cls._of(line)) is not None:
                return progress
            end = start
        return None

    @classmethod
    def _of(cls, line: str) -> Progress | None:
        percentage, percent, rest = line.strip().partition("%")
        bar, _, counts = rest.strip().removeprefix("|").partition("|")
        current, slash, tail = counts.strip().partition("/")
        total = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        digits = (percentage, current, total)
        if (
            not percent
            or not rest.strip().startswith("|")
            or not bar
            or not slash
            or not all(map(_is_number, digits))
        ):
            return None
        return cls(int(percentage) / 100, int(current), int(total))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Progress):
            return NotImplemented
        return (self.percentage, self.current, self.total) == (
            other.percentage,
            other.current,
            other.total,
        )

    def __hash__(self) -> int:
        return hash((self.percentage, self.current, self.total))

    def __repr__(self) -> str:
        return (
            f"Progress(percentage={self.percentage!r}, current={self.current!r},"
            f" total={self.total!r})"
        )


def _is_number(text: str) -> bool:
    # What is longer counts nothing, and Python reads no more than 4,300 digits.
    return text.isascii() and text.isdigit() and len(text) < 19


defer_annotations(globals())
