"""The page docs/performance/details.md: every table and plot of a run."""

from __future__ import annotations

from fnmatch import fnmatchcase
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from contenders import OURS
from report import growth
from report.plots import Bar, Bars, Curve, Dot, Lines, bar_plot, line_plot
from report.results import (
    MAX_SERVER_DELAY,
    MAX_SERVER_SHARE,
    MAX_SPREAD,
    TOPICS,
    is_limit,
    is_peer,
)
from report.tables import cells, markdown, number, remarks, unit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from report.results import Result, Section


class Page(NamedTuple):
    """A page and its plots."""

    text: str
    plots: dict[str, str]
    """SVG by file name."""


# The sections that are plotted: jobs and patterns for titles.
PLOTTED = [
    ("get_async", "64 in flight"),
    ("get_async", "512 in flight"),
    ("get_sync", "*"),
    ("page", "*"),
    ("page_auto", "*"),
    ("run_async", "*"),
    ("run_sync", "*"),
    ("map_run", "*"),
    ("sse_decode", "*"),
    ("sse_blocks", "*, async"),
    ("sse_chunks", "*, async"),
    ("sse_first", "*, async"),
    ("sse_many", "*"),
    ("relay_*", "*"),
    ("files_save", "1 GB to *, sync"),
    ("files_iterate", "1 GB to *, sync"),
    ("files_read", "*, sync"),
    ("files_upload", "1 GB *, sync"),
    ("files_save_all", "*"),
    ("files_data_uri", "*"),
    ("webhook_verify", "1 KB"),
    ("webhook_unwrap", "*"),
    ("webhook_many", "*"),
    ("webhook_fastapi", "*uvloop*"),
    ("import", "*"),
    ("run_memory", "*"),
    ("sse_memory", "*"),
]

INTRODUCTION = """\
<!-- Written by benches/performance.py: run `make bench`, then `make performance`. -->
# Performance: all measurements

[The summary](../performance.md) has the most important figures, the method, and where other
libraries are better.
"""

KEY = f"""\
## How to read the tables

* A figure is the median of the rounds, with the lowest and the highest round beside it. CPU is the
  CPU time of the client's process, user and system, for one operation.
* "{OURS} better by" is above 1 where {OURS} is better, whether more or less of the unit is better.
  It is "noisy" where the largest round of either side is more than {MAX_SPREAD} times its smallest.
* "Fast" is the 10th percentile of that CPU time over slices of about 50 ms of all rounds, and "fast
  ratio" the other library's divided by that of {OURS}: above 1, {OURS} takes less.
* "Limited by the server": the server used more than {MAX_SERVER_SHARE:.0%} of its core, or sent one
  event of 100 more than {MAX_SERVER_DELAY} ms late. The library may be faster than the figure.
* `1.0.7` is `replicate` 1.0.7, the official Python client; `2.0 beta` its next version; `Node`
  Replicate's client for JavaScript. `… + hand` is an HTTP library with hand-written code for what
  it does not offer, `by hand` such code alone.
* Limits are not client libraries: a loop over a plain socket, curl or a C program, which show what
  the machine can do.
"""


def details_page(result: Result, delay: list[str]) -> Page:
    """Return the page; `delay` is its section on the delay of a run, which is measured apart."""
    lines, plots = [INTRODUCTION, *_about(result), KEY], dict[str, str]()
    by_topic = {
        topic: [section for section in result.sections if section.topic == topic]
        for topic in TOPICS
    }
    missing = [topic.lower() for topic, same in by_topic.items() if not same and topic != "Other"]
    if missing:
        lines += [f"This run did not measure: {', '.join(missing)}.", ""]
    for topic, sections in by_topic.items():
        if sections:
            topic_lines, topic_plots = _topic(topic, sections)
            lines += topic_lines
            plots |= topic_plots
    return Page("\n".join([*lines, *delay]).rstrip() + "\n", plots)


def _about(result: Result) -> list[str]:
    machine = result.machine
    versions = ", ".join(
        f"{name} {version}" for name, version in machine["versions"].items() if version
    )
    shared = "on the same cores: compare the figures, but do not quote them"
    table = [
        ["", ""],
        ["date", result.date],
        ["commit", f"`{machine['commit']}`"],
        ["processor", f"{machine['processor']}, {machine['cores']} cores"],
        ["load before the run", str(machine["load_before"])],
        ["system", machine["system"]],
        ["Python", machine["python"]],
        ["versions", versions],
        ["server and client", "on a core of their own each" if result.pinned else shared],
        [
            "rounds",
            f"{result.rounds} of {result.seconds} s; {(result.rounds + 1) // 2} for slow jobs",
        ],
    ]
    return ["## What was measured", "", *markdown(table), ""]


def _topic(topic: str, sections: list[Section]) -> tuple[list[str], dict[str, str]]:
    lines, plots = [f"## {topic}", ""], dict[str, str]()
    panels = [section_bars(section) for section in _plotted(sections)]
    if panels:
        name = f"{topic.lower()}.svg"
        plots[name] = bar_plot(f"{topic}: medians of all contenders", panels)
        lines += [f"![{topic}: medians of all contenders]({name})", ""]
    growing = growth.by_job(sections)
    for job, same in growing.items():
        lines += _growth_lines(job, same)
        plots[f"{job}.svg"] = _growth_plot(job, same)
    for section in sections:
        if section.job not in growing:
            lines += _section_lines(section)
    return lines, plots


def _plotted(sections: Iterable[Section]) -> list[Section]:
    return [
        section
        for section in sections
        if len(section.rows) > 1
        and any(
            fnmatchcase(section.job, job) and fnmatchcase(section.title, title)
            for job, title in PLOTTED
        )
    ]


def section_bars(section: Section) -> Bars:
    """Return the bars of all libraries that a section measures."""
    bars = []
    for row in section.rows:
        kind = "limit" if is_limit(row.contender) else "peer" if is_peer(row.contender) else "ours"
        figure = number(row.median) + (" (noisy)" if row.is_noisy else "")
        bars.append(Bar(row.contender, row.median, row.lowest, row.highest, kind, figure))
    better = "more is better" if section.more_is_better else "less is better"
    return Bars(section.label, f"{unit(section.unit)}, {better}", bars)


def _section_lines(section: Section) -> list[str]:
    head, *rows = cells(section)
    notes = "notes" if any(row[-1] for row in rows) else ""
    head = [*(unit(name) for name in head[:-1]), notes]
    lines = [f"### {section.label}", "", f"`{section.job}`", ""]
    peers = [row for row in rows if not is_limit(row[0])]
    limits = [row for row in rows if is_limit(row[0])]
    if peers:
        lines += [*markdown([head, *peers]), ""]
    if limits:
        lines += ["Limits:", "", *markdown([head, *limits]), ""]
    for remark in remarks(section):
        lines += [escape(remark, quote=False), ""]
    return lines


def _growth_plot(job: str, sections: list[Section]) -> str:
    first, lines = sections[0], growth.lines(sections)
    axis = growth.scale_of(job).axis
    rates = [
        Curve(line.contender, [Dot(size, row.median, row.is_noisy) for size, row in line.points])
        for line in lines
    ]
    # A logarithmic axis has no zero.
    costs = [
        Curve(line.contender, [Dot(size, row.cpu) for size, row in line.points if row.cpu])
        for line in lines
    ]
    panels = [
        Lines("Rate", axis, unit(first.unit), rates),
        Lines(
            "CPU time of an operation",
            axis,
            unit(first.cpu_unit or ""),
            [curve for curve in costs if curve.dots],
        ),
    ]
    return line_plot(f"{job}: rate and CPU by {axis}", [panel for panel in panels if panel.curves])


def _growth_lines(job: str, sections: list[Section]) -> list[str]:
    scale, cpu_unit = growth.scale_of(job), unit(sections[0].cpu_unit or "")
    name, _, _ = sections[0].label.partition(":")
    kind = "Constant" if scale.is_operation_size else "Linear"
    tables = [line for section in sections for line in _section_lines(section)]
    return [
        f"### {name}, by {scale.axis}",
        "",
        f"![{name}: rate and CPU by {scale.axis}]({job}.svg)",
        "",
        (
            f'"{kind} up to": the CPU time of an operation stays within {growth.TOLERANCE:.0%} of'
            " that at the first size named."
        ),
        "",
        *(f"* {growth.sentence(line, job, cpu_unit)}" for line in growth.lines(sections)),
        "",
        f"<details><summary>{len(sections)} tables</summary>",
        "",
        *tables,
        "</details>",
        "",
    ]
