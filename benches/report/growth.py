"""How cost grows with the size of a task: sections of one job that differ in size."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, NamedTuple

from contenders import OURS
from report.tables import number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from report.results import Row, Section

# What the names of these jobs begin with.
PREFIX = "scale_"
# How far the CPU time of an operation may differ from that at the reference.
TOLERANCE = 0.25


class Scale(NamedTuple):
    """What the sizes of a job mean."""

    axis: str
    is_operation_size: bool = True
    """Whether one operation has that size. If not, it is the number of operations in flight."""
    reference: int = 0
    """The size, or the next larger one that was measured, with which costs are compared."""


SCALES = {
    "scale_flight": Scale("requests in flight", is_operation_size=False, reference=64),
    "scale_page": Scale("predictions per page"),
    "scale_event": Scale("bytes per event"),
    "scale_body": Scale("bytes per file"),
}


class Point(NamedTuple):
    """A contender at one size."""

    size: int
    row: Row


class Line(NamedTuple):
    """A contender at all sizes, the smallest first."""

    contender: str
    points: list[Point]


class LinearRange(NamedTuple):
    """The sizes between which the CPU time of an operation stays about the same."""

    first: Point
    last: Point
    beyond: Point | None
    """The next point, where it does not; None if all were measured."""


def by_job(sections: Iterable[Section]) -> dict[str, list[Section]]:
    """Return the sections of each job that has sizes, the smallest size first."""
    jobs: dict[str, list[Section]] = {}
    for section in sections:
        if section.job.startswith(PREFIX):
            jobs.setdefault(section.job, []).append(section)
    return {job: sorted(same, key=_size) for job, same in jobs.items()}


def _size(section: Section) -> int:
    size: int = section.task["size"]
    return size


def lines(sections: Iterable[Section]) -> list[Line]:
    """Return a line for each contender, this library first, without sizes at which it failed."""
    points: dict[str, list[Point]] = {}
    for section in sections:
        for row in section.rows:
            points.setdefault(row.contender, []).append(Point(_size(section), row))
    return [Line(name, points[name]) for name in sorted(points, key=lambda name: name != OURS)]


def scale_of(job: str) -> Scale:
    """Return what the sizes of a job mean."""
    return SCALES.get(job, Scale("size"))


def linear_range(line: Line, reference: int) -> LinearRange | None:
    """Return the sizes from the reference on at which CPU time stays within the tolerance.

    Returns None if there is no CPU time from the reference on.
    """
    points = [point for point in line.points if point.row.cpu and point.size >= reference]
    if not points:
        return None
    last = points[0]
    for point in points[1:]:
        if abs(_cpu_ratio(points[0], point) - 1) > TOLERANCE:
            return LinearRange(points[0], last, point)
        last = point
    return LinearRange(points[0], last, None)


def _cpu_ratio(first: Point, other: Point) -> float:
    return (other.row.cpu or 0) / (first.row.cpu or 1)


def exponent(points: list[Point]) -> float:
    """Return the power of the size with which CPU time grows: the slope of the logarithms."""
    xs = [log(point.size) for point in points]
    ys = [log(point.row.cpu or 1) for point in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    pairs = zip(xs, ys, strict=True)
    return sum((x - x_mean) * (y - y_mean) for x, y in pairs) / sum((x - x_mean) ** 2 for x in xs)


def sentence(line: Line, job: str, unit: str) -> str:
    """Return how far a contender's cost is linear, in words."""
    scale = scale_of(job)
    found = linear_range(line, scale.reference)
    if found is None:
        return f"{line.contender}: no CPU time was measured."
    kind = "constant" if scale.is_operation_size else "linear"
    start = f"{number(found.first.row.cpu or 0)} {unit} at {found.first.size:,}"
    text = f"{line.contender}: {kind} up to {found.last.size:,}"
    if found.beyond is None:
        return f"{text}, the largest size ({start})."
    ratio = number(_cpu_ratio(found.first, found.beyond))
    text += f" ({start}); at {found.beyond.size:,} an operation takes {ratio} x that CPU time."
    if scale.is_operation_size:
        rest = [point for point in line.points if point.row.cpu and point.size >= found.last.size]
        text += f" Beyond, it grows with the power {exponent(rest):.2f} of the size."
    return text
