"""Progress bars in the logs of predictions."""

from __future__ import annotations

from .._base.typing import defer_annotations


class Progress:
    """A progress bar, as tqdm draws it in a model's logs."""

    __slots__ = ("current", "percentage", "total")

    def __init__(self, percentage: float, current: int, total: int) -> None:
        self.percentage: float = percentage
        """From 0 to 1."""
        self.current: int = current
        """Steps done."""
        self.total: int = total
        """Steps in all."""

    @classmethod
    def parse(cls, logs: str | None) -> Progress | None:
        """Return the last progress bar in these logs, None if there is none.

        Args:
            logs: The text; None counts as empty.

        """
        text = logs or ""
        end, newline, carriage_return = len(text), len(text), len(text)
        # Search backwards, and only lines with a "|", so that megabytes of logs cost nothing.
        while (at := text.rfind("|", 0, end)) >= 0:
            # Search again for a line end only where the last one found lies after the "|".
            newline = text.rfind("\n", 0, at) if newline >= at else newline
            carriage_return = text.rfind("\r", 0, at) if carriage_return >= at else carriage_return
            start = max(newline, carriage_return) + 1
            stops = [stop for mark in "\n\r" if (stop := text.find(mark, at, end)) >= 0]
            line = text[start : min(stops, default=end)]
            if "%" in line and (progress := cls._from_line(line)) is not None:
                return progress
            end = start
        return None

    @classmethod
    def _from_line(cls, line: str) -> Progress | None:
        percentage, percent, rest = line.strip().partition("%")
        bar, _, counts = rest.strip().removeprefix("|").partition("|")
        current, slash, tail = counts.strip().partition("/")
        total = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        if (
            not percent
            or not rest.strip().startswith("|")
            or not bar
            or not slash
            or not all(map(_is_number, (percentage, current, total)))
        ):
            return None
        return cls(int(percentage) / 100, int(current), int(total))

    def _key(self) -> tuple[float, int, int]:
        return (self.percentage, self.current, self.total)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Progress) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return (
            f"Progress(percentage={self.percentage!r}, current={self.current!r},"
            f" total={self.total!r})"
        )


def _is_number(text: str) -> bool:
    # Longer ones are no counts, and Python's `int` refuses more than 4,300 digits.
    return text.isascii() and text.isdigit() and len(text) < 19


defer_annotations(globals())
