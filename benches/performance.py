"""Writes docs/performance.md and its plots from the last result of ``make bench``: ``make
performance``.

No figure in them is written by hand, and the same result gives the same bytes.
"""

from __future__ import annotations

import json
import sys
from fnmatch import fnmatchcase
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import holds
from contenders.predictions import OURS
from report import growth
from report.losses import REASONS, loss_cells, losses, read_reasons, unjudged
from report.plots import Bar as DrawnBar
from report.plots import Bars, Curve, Dot, Lines, bar_plot, line_plot
from report.results import (
    NOISY,
    SERVER_BOUND,
    SERVER_LATE,
    Row,
    Section,
    cells,
    is_limit,
    is_peer,
    number,
    remarks,
    rows,
    unit,
)
from report.targets import BARS, Bar, bar_cells, read_bars

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benches" / "results" / "latest.json"
DOCS = ROOT / "docs"
OFFICIAL = "1.0.7"
# A topic, and its jobs or what these begin with; a job that is named whole is where its name is.
TOPICS = {
    "Requests": ("get", "page"),
    "Runs": ("run",),
    "Streams": ("sse",),
    "Relay": ("relay",),
    "Files": ("files",),
    "Webhooks": ("webhook",),
    "Start": ("import",),
    "Memory": ("clients", "sse_memory"),
    "How cost grows": ("scale",),
    "Other": (),
}


class Headline(NamedTuple):
    """What the page begins with: a job, and a pattern for the titles of its sections."""

    job: str
    title: str = "*"


HEADLINES = [
    Headline("get_async", "64 in flight"),
    Headline("get_async", "512 in flight"),
    Headline("get_sync"),
    Headline("page"),
    Headline("run*"),
    Headline("sse_decode"),
    Headline("sse_blocks", "*, async"),
    Headline("sse_chunks", "*, async"),
    Headline("sse_first", "*, async"),
    Headline("sse_many"),
    Headline("relay*"),
    Headline("files_save", "1 GB to a file *, sync"),
    Headline("files_read", "*, sync"),
    Headline("files_upload", "1 GB *, sync"),
    Headline("files_save_all"),
    Headline("files_data_uri"),
    Headline("webhook_verify", "a body of 1 KB"),
    Headline("webhook_unwrap"),
    Headline("webhook_many"),
    Headline("webhook_fastapi", "*uvloop*"),
    Headline("import"),
    Headline("sse_memory"),
]

INTRODUCTION = """\
<!-- Written by benches/performance.py from benches/results/latest.json: `make bench`, then `make performance`. -->
# Performance

What this library costs beside its peers, as `make bench` measured it. Every measured figure comes from
[`benches/results/latest.json`](../benches/results/latest.json), which has the samples of all rounds. The programs are in
[`benches/`](../benches), where the versions of the peers are pinned.
"""

METHOD = f"""\
## How it is measured

The server is a small Rust program on this machine that always answers the same. Each contender does the same job in its own
plainest way. Contenders take turns, round by round, so that what the machine does meanwhile meets them all. Each turn is a fresh
process. What is short is repeated for the seconds of a round, and what differs is how much gets done. Answers are checked, and a
wrong one takes the contender out.

Where the system allows it, the server has one core and the client another. CPU is what the client's process used, user and
system, for one operation.

A figure is the median of the rounds, and beside it are the lowest and the highest. "Ours better by" is above 1 where ours is
better, whether more is better or less. There is no ratio where either side is noisy: the largest of its rounds is more than
{NOISY} times the smallest. A note says so where the server's core was the bottleneck: the server used more than
{SERVER_BOUND:.0%} of it, or was late by more than {SERVER_LATE} ms with one event of a hundred. Such a figure is the
server's, and the contender may be faster.

Limits are set apart from peers: a bare loop over a socket, curl, a C program. They are no clients of this kind, and stand for
what the machine or the system gives.
"""

AIMS = """\
## What was to be reached

The bars of this project, and what stopped us where one is missed. The machine's limit is, where one was measured, the best of the
programs that do nothing but move the bytes.
"""

LOSSES = """\
## Where we lose, and why

Every peer that has a ratio below 1 somewhere; only the first figure of a table has a ratio. "Overlap": the best round of the one
that is behind was as good as the worst of the other.
"""


def read(path: Path) -> tuple[dict[str, Any], list[Section]]:
    """Read a result: what it says of itself, and its sections."""
    result: dict[str, Any] = json.loads(path.read_text())
    # The summary is made anew, by the rules of today.
    told = [
        {name: value for name, value in section.items() if name != "summary"}
        for section in result.pop("sections")
    ]
    return result, [Section(**section) for section in told]


def topic_of(job: str) -> str:
    """Say where on the page a job is."""
    whole = [topic for topic, jobs in TOPICS.items() if job in jobs]
    begun = [topic for topic, jobs in TOPICS.items() if job.partition("_")[0] in jobs]
    return [*whole, *begun, "Other"][0]


def headlines(sections: list[Section]) -> list[Section]:
    """Pick the sections that the page begins with."""
    return [
        section
        for headline in HEADLINES
        for section in sections
        if fnmatchcase(section.job, headline.job) and fnmatchcase(section.title, headline.title)
    ]


def markdown(lines: list[list[str]]) -> list[str]:
    """Write a table whose first column, and whose last, are text."""
    head, *rest = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    marks = ["---", *["--:"] * (len(head) - 2), "---"]
    return [_line(head), f"|{'|'.join(marks)}|", *map(_line, rest)]


def _line(texts: list[str]) -> str:
    return "|" + "".join(f" {text} |" if text else " |" for text in texts)


def about(result: dict[str, Any]) -> list[str]:
    """Say what was measured, when, and on what."""
    machine = result["machine"]
    versions = ", ".join(
        f"{name} {version}" for name, version in machine["versions"].items() if version
    )
    pinned = "a core of their own each" if result["pinned"] else "shared; compare, but do not quote"
    rounds = result["rounds"]
    lines = [
        ["", ""],
        ["date", result["date"]],
        ["commit", f"`{machine['commit']}`"],
        ["processor", f"{machine['processor']}, {machine['cores']} cores"],
        ["load before the run", str(machine["load_before"])],
        ["system", machine["system"]],
        ["Python", machine["python"]],
        ["versions", versions],
        ["server and client", pinned],
        [
            "rounds",
            f"{rounds} of {result['seconds']} s each; {(rounds + 1) // 2} where a job takes long",
        ],
    ]
    return ["## What was measured, and on what", "", *markdown(lines), ""]


def summary(chosen: list[Section]) -> list[str]:
    """Write the table at the top."""
    lines = [
        [
            "job",
            "ours",
            "CPU per operation",
            f"better than {OFFICIAL} by",
            "better than the best peer by",
            "the best peer",
        ]
    ]
    for section in chosen:
        found = rows(section)
        ours = next((row for row in found if row.contender == OURS), None)
        if ours is None:
            continue
        figure = f"{number(ours.median)} {unit(section.unit)}"
        best = best_peer(section, found)
        against = [ratio(best), best.contender] if best else ["", ""]
        lines.append(
            [
                f"{section.job}: {section.title}",
                figure,
                _cpu(section, ours),
                _official(section, found),
                *against,
            ]
        )
    return ["## In short", "", *markdown(lines), ""]


def _cpu(section: Section, ours: Row) -> str:
    if section.unit.startswith("CPU "):
        return f"{number(ours.median)} {unit(section.unit.removeprefix('CPU '))}"
    return "" if ours.cpu is None else f"{number(ours.cpu)} {unit(section.cpu_unit or '')}"


def best_peer(section: Section, found: list[Row]) -> Row | None:
    """Find the peer that was best."""
    peers = [row for row in found if is_peer(row.contender)]
    return max(
        peers, key=lambda row: row.median if section.more_is_better else -row.median, default=None
    )


def _official(section: Section, found: list[Row]) -> str:
    """Give the ratio to the official client, in whatever way it does the job."""
    if any(name.startswith(OFFICIAL) for name in section.failures):
        return "it failed"
    return next((ratio(row) for row in found if row.contender.startswith(OFFICIAL)), "")


def ratio(row: Row) -> str:
    """Give a peer's ratio, or say why there is none."""
    return "noisy" if row.ours_better_by is None else f"{number(row.ours_better_by)} x"


def section_lines(section: Section) -> list[str]:
    """Write a section: its table, the limits apart, and who failed."""
    head, *lines = cells(section)
    head = [unit(name) for name in head[:-1]] + ["notes" if any(line[-1] for line in lines) else ""]
    said = [f"### {section.job}: {section.title}", ""]
    peers = [line for line in lines if not is_limit(line[0])]
    limits = [line for line in lines if is_limit(line[0])]
    if peers:
        said += [*markdown([head, *peers]), ""]
    if limits:
        said += ["Limits:", "", *markdown([head, *limits]), ""]
    for remark in remarks(section):
        said += [escape(remark, quote=False), ""]
    return said


def bars(section: Section) -> Bars:
    """Make a panel of bars of a section."""
    drawn = []
    for row in rows(section):
        kind = "limit" if is_limit(row.contender) else "peer" if is_peer(row.contender) else "ours"
        figure = number(row.median) + (" (noisy)" if row.noisy else "")
        drawn.append(DrawnBar(row.contender, row.median, row.lowest, row.highest, kind, figure))
    better = "more is better" if section.more_is_better else "less is better"
    return Bars(f"{section.job}: {section.title}", f"{unit(section.unit)}, {better}", drawn)


def growth_plot(job: str, sections: list[Section]) -> str:
    """Draw how rate and CPU change with the size."""
    first, lines = sections[0], growth.lines(sections)
    axis = growth.scale_of(job).axis
    rates = [
        Curve(line.contender, [Dot(size, row.median, row.noisy) for size, row in line.points])
        for line in lines
    ]
    # A logarithm is of what is above zero.
    costs = [
        Curve(line.contender, [Dot(size, row.cpu) for size, row in line.points if row.cpu])
        for line in lines
    ]
    panels = [
        Lines("Rate", axis, unit(first.unit), rates),
        Lines(
            "Client CPU of an operation",
            axis,
            unit(first.cpu_unit or ""),
            [curve for curve in costs if curve.dots],
        ),
    ]
    return line_plot(f"{job}: rate and CPU by {axis}", [panel for panel in panels if panel.curves])


def growth_lines(job: str, sections: list[Section]) -> list[str]:
    """Say how far costs are linear, beside the plot, and keep the tables folded."""
    scale, cpu_unit = growth.scale_of(job), unit(sections[0].cpu_unit or "")
    word = "Constant" if scale.within else "Linear"
    said = [
        f"### {job}: {scale.axis}",
        "",
        f"![{job}: rate and CPU by {scale.axis}](performance/{job}.svg)",
        "",
        (
            f'"{word} up to": so far the CPU of an operation stays within {growth.TOLERANCE:.0%} of'
            " that at the first size named."
        ),
        "",
        *(f"* {growth.sentence(line, job, cpu_unit)}" for line in growth.lines(sections)),
        "",
    ]
    tables = [line for section in sections for line in section_lines(section)]
    return [
        *said,
        f"<details><summary>{len(sections)} tables</summary>",
        "",
        *tables,
        "</details>",
        "",
    ]


def topic_lines(
    topic: str, sections: list[Section], chosen: list[Section]
) -> tuple[list[str], dict[str, str]]:
    """Write a topic, and draw its plots, by the names of their files."""
    said, drawn = [f"## {topic}", ""], {}
    plotted = [
        bars(section) for section in chosen if section in sections and len(rows(section)) > 1
    ]
    if plotted:
        name = f"{topic.lower().replace(' ', '-')}.svg"
        drawn[name] = bar_plot(f"{topic}: the medians of all contenders", plotted)
        said += [f"![{topic}: bars of the figures below](performance/{name})", ""]
    grown = growth.by_job(sections)
    for job, same in grown.items():
        said += growth_lines(job, same)
        drawn[f"{job}.svg"] = growth_plot(job, same)
    for section in sections:
        if section.job not in grown:
            said += section_lines(section)
    return said, drawn


def page(
    result: dict[str, Any],
    sections: list[Section],
    reasons: dict[str, dict[str, str]],
    aims: list[Bar],
) -> tuple[str, dict[str, str]]:
    """Write the page, and draw its plots, by the names of their files."""
    chosen = headlines(sections)
    by_topic = {
        topic: [section for section in sections if topic_of(section.job) == topic]
        for topic in TOPICS
    }
    body: list[str] = []
    plots: dict[str, str] = {}
    for topic, same in by_topic.items():
        if same:
            said, drawn = topic_lines(topic, same, chosen)
            body += said
            plots |= drawn
    missing = [topic.lower() for topic, same in by_topic.items() if not same and topic != "Other"]
    absent = [f"This run did not measure: {', '.join(missing)}.", ""] if missing else []
    found, count = losses(sections), unjudged(sections)
    lost = [LOSSES, *(markdown(loss_cells(found, reasons)) if found else ["None in this run."]), ""]
    if count:
        lost += [
            (
                f"Not in this list, since a side was noisy and so there is no ratio: {count} of the"
                " peers in the tables below."
            ),
            "",
        ]
    reached = bar_cells(aims, sections)
    aimed = [AIMS, *markdown(reached), ""] if len(reached) > 1 else []
    lines = [INTRODUCTION, *summary(chosen), *absent, *aimed, *lost, *about(result), METHOD, *body]
    return "\n".join(lines).rstrip() + "\n", plots


def write(result: Path, docs: Path) -> None:
    """Write the page and its plots into a folder, in which no plot of an earlier run stays."""
    text, plots = page(*read(result), read_reasons(REASONS), read_bars(BARS))
    folder = docs / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for name, plot in plots.items():
        (folder / name).write_text(plot)
    held = "\n".join(holds.lines(json.loads(holds.RESULT.read_text())))
    (docs / "performance.md").write_text(f"{text}{held}\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        raise SystemExit(__doc__)
    write(RESULT, DOCS)
