"""Results: for each section, the median and the spread of each contender."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from contenders import C_PROGRAM, OPENSSL_SPEED, OURS, UNVERIFIED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# The JSON of a jobs.sampling.Sample.
Sample = dict[str, Any]

# The largest round divided by the smallest, above which a figure says more about the machine than
# about the contender.
MAX_SPREAD = 1.6
# CPU seconds of the server per second, above which the server is what is measured.
MAX_SERVER_SHARE = 0.9
# Milliseconds that the server may be late with one event of 100, for the same reason.
MAX_SERVER_DELAY = 10
# Contenders that are no client libraries: they show what the machine or the system can do. So do
# all whose name begins with BARE.
LIMITS = {"curl", C_PROGRAM, "memcpy", OPENSSL_SPEED, UNVERIFIED}
BARE = "bare "
# Significant digits of the figures in a results file, of which tables show at least three.
DIGITS = 7
# What a results file has for its readers, though it follows from the rest.
RATIOS = ("ratio", "fast_ratio")

# Topics in the order of the page, and their jobs: a job's name, or what it begins with up to "_".
TOPICS = {
    "Requests": ("get", "page"),
    "Runs": ("run", "map"),
    "Streams": ("sse",),
    "Relay": ("relay",),
    "Files": ("files",),
    "Webhooks": ("webhook",),
    "Start": ("import",),
    "Memory": ("clients", "run_memory", "map_memory", "sse_memory"),
    "Growth": ("scale",),
    "Other": (),
}
# What tables and plots call a job.
JOB_LABELS = {
    "get_async": "predictions.get, async",
    "get_sync": "predictions.get, blocking",
    "page": "predictions.list",
    "page_auto": "all pages of predictions.list",
    "import": "start",
    "clients": "memory of a client",
    "run_async": "run, async",
    "run_sync": "run, blocking",
    "run_memory": "memory of a run",
    "map_run": "map",
    "map_memory": "memory of map",
    "map_reopen": "map, with a journal of inputs that are done",
    "sse_parser": "event parser in Rust",
    "sse_decode": "event decoder",
    "sse_blocks": "stream",
    "sse_chunks": "stream",
    "sse_first": "stream",
    "sse_big": "stream",
    "sse_many": "stream",
    "sse_memory": "memory of a stream",
    "relay_paced": "relay",
    "relay_fast": "relay",
    "files_save": "save a file",
    "files_iterate": "write the chunks of a file",
    "files_read": "read a file",
    "files_upload": "upload a file",
    "files_ticker": "longest stall of the event loop",
    "files_data_uri": "file as a data URI",
    "files_save_all": "save_all",
    "webhook_verify": "verify a webhook",
    "webhook_unwrap": "verify and parse a webhook",
    "webhook_many": "verify many webhooks",
    "webhook_fastapi": "receive webhooks with FastAPI",
    "webhook_rust": "verify a webhook in Rust",
    "scale_flight": "predictions.get",
    "scale_page": "predictions.list",
    "scale_event": "stream",
    "scale_body": "read a file",
}


@dataclass
class Row:
    """What the rounds of one contender in one section came to."""

    contender: str
    median: float
    lowest: float
    highest: float
    cpu: float | None = None
    """Median of the client's CPU time for one operation."""
    fast_cpu: float | None = None
    """The 10th percentile of that time in the slices of all rounds."""
    server: float | None = None
    """Median of the server's CPU seconds per second."""
    late: float | None = None
    """Median of the milliseconds that the server was late with one event of 100."""
    crashes: int = 0
    """Processes that ended badly after they were measured."""
    more: dict[str, float] = field(default_factory=dict)
    """Medians of further figures, by the heads of their columns."""

    @property
    def is_noisy(self) -> bool:
        """Whether the rounds differ too much for a ratio."""
        # Figures beyond the start of Python may, within the noise, fall below zero.
        return self.lowest <= 0 or self.highest / self.lowest > MAX_SPREAD

    @property
    def is_server_bound(self) -> bool:
        """Whether the server, and not the contender, was the bottleneck."""
        return (self.server or 0) > MAX_SERVER_SHARE or (self.late or 0) > MAX_SERVER_DELAY


@dataclass
class Section:
    """One job under one condition, measured for several contenders: the rows of one table."""

    job: str
    title: str
    unit: str
    contenders: Sequence[str] = ()
    """The contenders to measure; a results file has rows and failures instead."""
    task: dict[str, Any] = field(default_factory=dict)
    """What a worker must know besides the job."""
    cpu_unit: str | None = None
    more_is_better: bool = False
    slow: bool = False
    """Whether the job takes long, and so is measured for half of the rounds."""
    once: bool = False
    """Whether the job takes minutes, and so is measured in one round."""
    rows: list[Row] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    bare: float | None = None
    """Median of the milliseconds that Python itself needs to start."""

    @property
    def label(self) -> str:
        """What is measured, in words."""
        return f"{JOB_LABELS.get(self.job, self.job)}: {self.title}"

    @property
    def topic(self) -> str:
        """The topic that the job belongs to."""
        by_name = [topic for topic, jobs in TOPICS.items() if self.job in jobs]
        by_prefix = [topic for topic, jobs in TOPICS.items() if self.job.partition("_")[0] in jobs]
        return [*by_name, *by_prefix, "Other"][0]

    def row(self, contender: str) -> Row | None:
        """Return the row of a contender, or None if it failed or was not measured."""
        return next((row for row in self.rows if row.contender == contender), None)

    def ratio(self, row: Row) -> float | None:
        """Return how many times better this library is than a contender.

        Returns None for this library itself, and where one of both is noisy.
        """
        ours = self.row(OURS)
        if ours is None or row.contender.startswith(OURS) or ours.is_noisy or row.is_noisy:
            return None
        ratio = ours.median / row.median
        return ratio if self.more_is_better else 1 / ratio

    def fast_ratio(self, row: Row) -> float | None:
        """Return how many times less CPU time this library takes than a contender, in fast slices.

        Returns None for this library itself, and where slices were not measured.
        """
        ours = self.row(OURS)
        if ours is None or row.contender.startswith(OURS) or not ours.fast_cpu or not row.fast_cpu:
            return None
        return row.fast_cpu / ours.fast_cpu


@dataclass
class Result:
    """One run of the benchmarks."""

    date: str
    machine: dict[str, Any]
    pinned: bool
    """Whether the server and the client each had a core of their own."""
    rounds: int
    seconds: float
    """The length of a round."""
    sections: list[Section]


def is_limit(contender: str) -> bool:
    """Return whether a contender is no client library, but a limit of the machine or the system."""
    return contender in LIMITS or contender.startswith(BARE)


def is_peer(contender: str) -> bool:
    """Return whether a contender is another client library."""
    return not contender.startswith(OURS) and not is_limit(contender)


def to_row(contender: str, samples: Sequence[Sample], crashes: int = 0) -> Row:
    """Return the medians and the spread of a contender's samples."""
    values = [value for sample in samples if (value := sample["value"]) is not None]
    return Row(
        contender,
        median(values),
        min(values),
        max(values),
        median_of("cpu", samples),
        fast_cpu(samples),
        median_of("server", samples),
        median_of("late", samples),
        crashes,
        {name: median(sample["more"][name] for sample in samples) for name in samples[0]["more"]},
    )


def fast_cpu(samples: Sequence[Sample]) -> float | None:
    """Return the 10th percentile of the CPU time in all slices, or None if there are none."""
    slices = sorted(cost for sample in samples for cost in sample["slices"])
    return slices[len(slices) // 10] if slices else None


def median_of(name: str, samples: Sequence[Sample]) -> float | None:
    """Return the median of a figure, or None if no sample has it."""
    values = [value for sample in samples if (value := sample[name]) is not None]
    return median(values) if values else None


def read(path: Path) -> Result:
    """Read a results file."""
    result = json.loads(path.read_text())
    for section in result["sections"]:
        section["rows"] = [_read_row(row) for row in section["rows"]]
    sections = [Section(**section) for section in result.pop("sections")]
    return Result(**result, sections=sections)


def _read_row(row: dict[str, Any]) -> Row:
    return Row(**{name: value for name, value in row.items() if name not in RATIOS})


def write(path: Path, result: Result) -> None:
    """Write a results file, with a line for each row."""
    head = {name: value for name, value in vars(result).items() if name != "sections"}
    sections = ",\n".join(map(_section_json, result.sections))
    start = json.dumps(head, indent=1).removesuffix("\n}")
    path.write_text(f'{start},\n "sections": [\n{sections}\n ]\n}}\n')


def _section_json(section: Section) -> str:
    left_out = ("contenders", "rows")
    head = {name: value for name, value in vars(section).items() if name not in left_out}
    rows = ",\n".join(f"   {json.dumps(_rounded(_row_json(section, row)))}" for row in section.rows)
    start = json.dumps(_rounded(head)).removesuffix("}")
    return f'  {start}, "rows": [\n{rows}\n  ]}}'


def _row_json(section: Section, row: Row) -> dict[str, Any]:
    ratios = zip(RATIOS, (section.ratio(row), section.fast_ratio(row)), strict=True)
    return {**asdict(row), **dict(ratios)}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
