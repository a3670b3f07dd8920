"""How cost grows with the size of a task: sections that share a job and differ in their size."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, NamedTuple

from contenders.predictions import OURS
from report.results import number, rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from report.results import Row, Section

# What the jobs' names begin with.
SCALE = "scale_"
# How far the CPU of an operation may be from that at the reference.
TOLERANCE = 0.25


class Scale(NamedTuple):
    """What a job's sizes are."""

    axis: str
    within: bool = True
    """The size is that of one operation; else it is how many operations there are, each as large as
    before.
    """
    reference: int = 0
    """The size from which costs are compared, or the next one that was measured."""


SCALES = {
    "scale_flight": Scale("requests in flight", within=False, reference=64),
    "scale_page": Scale("predictions of a page"),
    "scale_event": Scale("bytes of an event"),
    "scale_body": Scale("bytes of a body"),
}


class Point(NamedTuple):
    """A contender at one size."""

    size: int
    row: Row


class Line(NamedTuple):
    """A contender at all sizes, beginning with the smallest."""

    contender: str
    points: list[Point]


class Linear(NamedTuple):
    """Up to where the CPU of an operation stays about the same."""

    first: Point
    last: Point
    beyond: Point | None
    """The first point where it does not."""


def by_job(sections: Iterable[Section]) -> dict[str, list[Section]]:
    """Give the sections of each job that grows, beginning with the smallest."""
    found: dict[str, list[Section]] = {}
    for section in sections:
        if section.job.startswith(SCALE):
            found.setdefault(section.job, []).append(section)
    return {job: sorted(same, key=_size) for job, same in found.items()}


def _size(section: Section) -> int:
    size: int = section.task["size"]
    return size


def lines(sections: Iterable[Section]) -> list[Line]:
    """Give a line for each contender, ours first; a size at which one failed is left out."""
    points: dict[str, list[Point]] = {}
    for section in sections:
        for row in rows(section):
            points.setdefault(row.contender, []).append(Point(_size(section), row))
    return [Line(name, points[name]) for name in sorted(points, key=lambda name: name != OURS)]


def scale_of(job: str) -> Scale:
    """Say what a job's sizes are."""
    return SCALES.get(job, Scale("size"))


def linear(line: Line, reference: int) -> Linear | None:
    """Find up to where the CPU of an operation stays within the tolerance; None where none was
    measured from the reference on.
    """
    points = [point for point in line.points if point.row.cpu and point.size >= reference]
    if not points:
        return None
    last = points[0]
    for point in points[1:]:
        if abs(_times(points[0], point) - 1) > TOLERANCE:
            return Linear(points[0], last, point)
        last = point
    return Linear(points[0], last, None)


def _times(first: Point, other: Point) -> float:
    return (other.row.cpu or 0) / (first.row.cpu or 1)


def power(points: list[Point]) -> float:
    """Give the power of the size with which the CPU of an operation grows: the slope of the best
    line through the logarithms.
    """
    xs = [log(point.size) for point in points]
    ys = [log(point.row.cpu or 1) for point in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    pairs = zip(xs, ys, strict=True)
    return sum((x - x_mean) * (y - y_mean) for x, y in pairs) / sum((x - x_mean) ** 2 for x in xs)


def sentence(line: Line, job: str, unit: str) -> str:
    """Say how far a contender's cost is linear."""
    scale = scale_of(job)
    found = linear(line, scale.reference)
    if found is None:
        return f"{line.contender}: no CPU was measured."
    upto = f"{'constant' if scale.within else 'linear'} up to {found.last.size:,}"
    start = f"{number(found.first.row.cpu or 0)} {unit} at {found.first.size:,}"
    if found.beyond is None:
        return f"{line.contender}: {upto}, the most that was measured ({start})."
    times = number(_times(found.first, found.beyond))
    said = (
        f"{line.contender}: {upto} ({start}); at {found.beyond.size:,} an operation takes {times} x"
        " that CPU."
    )
    if scale.within:
        rest = [point for point in line.points if point.row.cpu and point.size >= found.last.size]
        said += (
            f" From there on it grows as the size to the power {power(rest):.2f} (1: in"
            " proportion)."
        )
    return said
