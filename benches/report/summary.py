"""The page docs/performance.md: what users want to know first."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from contenders import OURS
from report.details import Page, section_bars
from report.losses import loss_cells, losses, noisy_comparisons
from report.plots import Bar, Bars, bar_plot
from report.results import MAX_SPREAD, TOPICS, is_peer
from report.tables import markdown, number, times, unit

if TYPE_CHECKING:
    from report.losses import Reasons
    from report.results import Result, Row, Section

OFFICIAL = "1.0.7"
PLOT = "summary.svg"
# The picture of README.md: tasks, by their names below, with all libraries.
PEERS_PLOT = "peers.svg"
PEERS = ("Run a model, 64 in flight (async)", "Stream events at full speed")


class Headline(NamedTuple):
    """A task of the summary: the section that measures it, and its name."""

    job: str
    title: str
    task: str


HEADLINES = [
    Headline("get_async", "64 in flight", "Fetch predictions, 64 in flight (async)"),
    Headline("get_sync", "one after another", "Fetch predictions, one at a time"),
    Headline("get_sync", "16 threads", "Fetch predictions, 16 threads"),
    Headline("page", "*", "List 100 predictions"),
    Headline("page_auto", "*", "List all of 50 pages"),
    Headline("run_async", "*, 64 in flight", "Run a model, 64 in flight (async)"),
    Headline("run_sync", "*, one after another", "Run a model, one at a time"),
    Headline("run_sync", "*threads", "Run a model, 64 threads"),
    Headline("sse_blocks", "*, async", "Stream events at full speed"),
    Headline("sse_first", "*, async", "Time to the first event"),
    Headline("sse_many", "* 20 ms", "CPU of an event in 1,000 streams"),
    Headline("relay_fast", "*", "Relay streams to 1,000 clients"),
    Headline("files_save", "1 GB to *, sync", "Save a file of 1 GB"),
    Headline("files_iterate", "1 GB to *, sync", "Write the chunks of 1 GB to a file"),
    Headline("files_upload", "1 GB *, sync", "Upload a file of 1 GB"),
    Headline("files_save_all", "*", "Save 500 files of 100 KB"),
    Headline("webhook_verify", "1 KB", "Verify a webhook of 1 KB"),
    Headline("webhook_fastapi", "*uvloop*", "Receive webhooks with FastAPI"),
    Headline("import", "import*", "Import the library"),
    Headline("import", "first prediction", "Import, then fetch a prediction"),
    Headline("import", "first prediction over HTTPS", "The same over HTTPS"),
    Headline("sse_memory", "*", "Memory of an open stream"),
]

INTRODUCTION = f"""\
<!-- Written by benches/performance.py: run `make bench`, then `make performance`. -->
# Performance

{OURS} compared with `replicate` 1.0.7, the official Python client, and with other libraries for the
same task. The server is a local one that answers at once: the figures show what the client costs,
not how long a model takes.

![How many times better {OURS} is than replicate 1.0.7](performance/{PLOT})

![Models run, and events read, by {OURS} and by other libraries](performance/{PEERS_PLOT})
"""

TABLE_KEY = f"""\
* "Better by" compares {OURS} with the column before it: above 1 x, {OURS} is better. It is "noisy"
  where the rounds of a library differ too much. A client that "failed" could not complete the task.
* "Run a model" creates a prediction over HTTPS and reads its output of 100 KB. Times of imports are
  those beyond the start of Python.
* "+ hand" is an HTTP library with hand-written code for what it does not offer, "by hand" such code
  alone. "2.0 beta" is the next version of `replicate`.
"""

METHOD = f"""\
## How it is measured

* Each library does the same job in the plainest way that its documentation shows. Its answers are
  checked; a library with a wrong answer is excluded.
* Libraries take turns, so that other load on the machine affects all of them. Each turn is a new
  process, which repeats the job for a fixed time. A figure is the median of all rounds.
* Where the system allows it, the server, a small Rust program, has one core and the client another.
* A job's CPU time is also taken in slices of about 50 ms, and the "fast ratio" of the detailed
  tables compares the 10th percentiles of an operation's CPU time over the slices of all rounds.
  Virtual machines slow interpreted code by 2 x for parts of a second, which moves medians; the fast
  slices repeat within a few per cent.
* There is no ratio where the largest round of a library is more than {MAX_SPREAD} times its
  smallest.
* `make bench` repeats the measurement, `make bench QUICK=1` a shorter one. The programs, and the
  pinned versions of all libraries, are in [`benches/`](../benches/README.md).
"""


def summary_page(result: Result, reasons: Reasons) -> Page:
    """Return the page and its plot."""
    chosen = [
        (headline.task, section)
        for headline in HEADLINES
        for section in result.sections
        if section.job == headline.job
        and fnmatchcase(section.title, headline.title)
        and section.row(OURS) is not None
    ]
    lines = [INTRODUCTION, *_table(chosen), "", TABLE_KEY, *_about(result), ""]
    lines += [*_losses(result, reasons), METHOD]
    bars = [bar for task, section in chosen if (bar := _bar(task, section)) is not None]
    panel = Bars(f"{OURS} compared with replicate {OFFICIAL}", "times better", bars)
    plots = {PLOT: bar_plot(f"How many times better {OURS} is", [panel])} if bars else {}
    peers = [
        section_bars(section)._replace(title=task) for task, section in chosen if task in PEERS
    ]
    if peers:
        plots[PEERS_PLOT] = bar_plot(f"{OURS} and other libraries", peers)
    return Page("\n".join(lines).rstrip() + "\n", plots)


def _table(chosen: list[tuple[str, Section]]) -> list[str]:
    head = [
        "task",
        OURS,
        f"replicate {OFFICIAL}",
        "better by",
        "best other",
        "better by",
        "library",
    ]
    lines = [head]
    for task, section in chosen:
        ours, official, best = section.row(OURS), _official(section), _best_peer(section)
        lines.append(
            [
                task,
                _figure(section, ours),
                _figure(section, official) or ("failed" if _official_failed(section) else ""),
                times(section.ratio(official)) if official else "",
                _figure(section, best),
                times(section.ratio(best)) if best else "",
                best.contender if best else "",
            ]
        )
    return markdown(lines)


def _figure(section: Section, row: Row | None) -> str:
    return f"{number(row.median)} {unit(section.unit.removeprefix('CPU '))}" if row else ""


def _official(section: Section) -> Row | None:
    """Return the row of the official client; some sections have it in more than one way."""
    return next((row for row in section.rows if row.contender.startswith(OFFICIAL)), None)


def _official_failed(section: Section) -> bool:
    return any(name.startswith(OFFICIAL) for name in section.failures)


def _best_peer(section: Section) -> Row | None:
    """Return the best library besides this one and the official client."""
    peers = [
        row
        for row in section.rows
        if is_peer(row.contender) and not row.contender.startswith(OFFICIAL)
    ]
    best = max if section.more_is_better else min
    return best(peers, key=lambda row: row.median, default=None)


def _bar(task: str, section: Section) -> Bar | None:
    ours, official = section.row(OURS), _official(section)
    if ours is None or official is None or section.ratio(official) is None:
        return None
    better, worse = (ours, official) if section.more_is_better else (official, ours)
    ratio = better.median / worse.median
    lowest, highest = better.lowest / worse.highest, better.highest / worse.lowest
    return Bar(task, ratio, lowest, highest, "ours", f"{number(ratio)} x")


def _about(result: Result) -> list[str]:
    machine = result.machine
    topics = dict.fromkeys(
        topic for topic in TOPICS if any(section.topic == topic for section in result.sections)
    )
    links = ", ".join(
        f"[{topic.lower()}](performance/details.md#{topic.lower()})" for topic in topics
    )
    return [
        f"Measured on {result.date[:10]} at commit `{machine['commit']}`, on {machine['cores']}",
        f"cores ({machine['processor']}) with {machine['python']}. All measurements:",
        f"{links}.",
    ]


def _losses(result: Result, reasons: Reasons) -> list[str]:
    found, noisy = losses(result.sections), noisy_comparisons(result.sections)
    lines = [
        "## Where another library is better",
        "",
        "Every measurement in which another library is ahead. Where the rounds of both overlap,",
        "the difference may be chance.",
        "",
        *(markdown(loss_cells(found, reasons)) if found else ["None in this run."]),
        "",
    ]
    if noisy:
        lines += [f"{noisy} other comparisons have no ratio, since one side is noisy.", ""]
    return lines
