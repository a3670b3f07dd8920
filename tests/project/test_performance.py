"""docs/performance.md: what is on it follows from the result, and from nothing else."""

import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
# At the end: `webhooks` is a module there and here.
sys.path.append(str(ROOT / "benches"))

import performance  # noqa: E402 - found by the path above
from report import growth  # noqa: E402 - found by the path above
from report.plots import Curve, Dot, Lines, line_plot, short  # noqa: E402 - found by the path above
from report.results import is_limit, is_peer  # noqa: E402 - found by the path above
from report.targets import Bar  # noqa: E402 - found by the path above

MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "load_before": 0.1,
    "system": "a system",
    "python": "CPython 3.11.7",
    "commit": "abc1234",
    "versions": {"replicate": "1.0.7", "wreq": None},
}
REASONS = {"get_sync": {"primp": "It does less."}}
AIMS = [
    Bar("get_sync", peer="1.0.7", at_least=9, why="Not to be read."),
    Bar("get_sync", peer="primp", at_least=1, why="As they say."),
    Bar("get_sync", peer="wreq", at_least=1),
    Bar("get_sync", of="cpu", at_most=40),
    Bar("get_sync", title="another", at_most=1),
    Bar("scale_flight", growth=(64, 512), at_most=1.1),
]


def section(job, title, values, size=1, **more):
    """A section of contenders with the values of their rounds, and the CPU of an operation."""
    samples = {
        name: [
            {"value": value, "cpu": cpu, "server": None, "bare": None, "more": {}, "late": None}
            for value in rounds
        ]
        for name, (rounds, cpu) in values.items()
    }
    usual = {
        "unit": "ops/s",
        "cpu_unit": "us/op",
        "more_is_better": True,
        "summary": ["what was said then"],
    }
    return (
        usual
        | {
            "job": job,
            "title": title,
            "contenders": [*values],
            "task": {"size": size},
            "samples": samples,
        }
        | more
    )


GET = section(
    "get_sync",
    "one | another",
    {
        "ours": ([1000, 1100, 900], 50),
        "1.0.7": ([100, 100, 110], 500),
        "primp": ([2000, 2100, 1900], 25),
        "wreq": ([1500, 1000, 2000], 30),
        "curl": ([4000, 4000, 4000], 10),
    },
    failures={"httpx": "TimeoutError: <no answer>"},
)
FIRST = section(
    "sse_first",
    "warm, async",
    {"ours": ([10, 12], None), "by hand": ([9, 11], None)},
    unit="us",
    more_is_better=False,
)
# In flight, CPU of ours and of the peer.
FLIGHT = {1: (90, 100), 64: (40, 100), 512: (45, 100), 4096: (51, 130)}
FLIGHTS = [
    section(
        "scale_flight",
        f"{size} in flight",
        {"ours": ([1e6 / ours], ours), "1.0.7": ([1e6 / peer], peer)},
        size,
    )
    for size, (ours, peer) in FLIGHT.items()
]


def result(*sections):
    return json.dumps(
        {
            "date": "2026-01-01",
            "machine": MACHINE,
            "pinned": True,
            "rounds": 3,
            "seconds": 0.4,
            "sections": sections,
        }
    )


@pytest.fixture
def made(tmp_path, capsys):
    """The page and its plots, of a made-up result, and what was told meanwhile."""
    path = tmp_path / "result.json"
    path.write_text(result(GET, FIRST, *FLIGHTS))
    text, plots = performance.page(*performance.read(path), REASONS, AIMS)
    return text, plots, capsys.readouterr().err


def test_what_was_to_be_reached_is_told_with_what_stopped_it(made):
    text, _, told = made
    lines = [line for line in text.splitlines() if ": at least" in line or ": at most" in line]
    assert lines == [
        "| get_sync: one \\| another: at least 9 x, 1.0.7 | 10 x | met | 40 x (curl) | |",
        (
            "| get_sync: one \\| another: at least 1 x, primp | 0.5 x | **missed** | 2 x (curl) |"
            " As they say. |"
        ),
        "| get_sync: one \\| another: at least 1 x, wreq | noisy | | | |",
        (
            "| get_sync: one \\| another: at most 40 µs/op of CPU | 50 µs/op | **missed** | 10"
            " µs/op (curl) | not explained yet |"
        ),
        (
            "| scale_flight, 64 to 512, CPU: at most 1.1 x | 1.12 x | **missed** | | not explained"
            " yet |"
        ),
    ]
    assert "at most 40 µs/op of CPU: is missed, and targets.toml does not say why" in told
    assert "primp: is missed" not in told


def test_a_section_is_a_table_with_the_limits_apart(made):
    assert r"""
### get_sync: one | another

| | ops/s | lowest .. highest | CPU µs/op | ours better by | notes |
|---|--:|--:|--:|--:|---|
| ours | 1,000 | 900 .. 1,100 | 50 | | |
| 1.0.7 | 100 | 100 .. 110 | 500 | 10 x | |
| primp | 2,000 | 1,900 .. 2,100 | 25 | 0.5 x | |
| wreq | 1,500 | 1,000 .. 2,000 | 30 | noisy | rounds differ by more than 1.6 x |

Limits:

| | ops/s | lowest .. highest | CPU µs/op | ours better by | notes |
|---|--:|--:|--:|--:|---|
| curl | 4,000 | 4,000 .. 4,000 | 10 | 0.25 x | |

httpx: failed: TimeoutError: &lt;no answer&gt;
""" in made[0]


def test_the_summary_has_what_is_lost_too(made):
    assert (
        r"| get_sync: one \| another | 1,000 ops/s | 50 µs/op | 10 x | 0.5 x | primp |" in made[0]
    )
    assert "This run did not measure: runs, relay, files, webhooks, start, memory." in made[0]
    assert "| versions | replicate 1.0.7 |" in made[0]


def test_every_loss_is_listed_with_its_reason_or_without(made):
    text, _, told = made
    after = text.partition("## Where we lose")[2].partition("## What was measured")[0]
    assert [line for line in after.splitlines() if line.startswith("| ")][1:] == [
        (
            r"| get_sync: one \| another | primp | 1,000 ops/s | 2,000 ops/s | 0.5 x | apart | It"
            r" does less. |"
        ),
        (
            "| sse_first: warm, async | by hand | 11 µs | 10 µs | 0.909 x | overlap | not explained"
            " yet |"
        ),
    ]
    assert "there is no ratio: 1 of the peers" in after
    assert "sse_first: warm, async: by hand is better, and reasons.toml does not say why\n" in told


def test_costs_are_linear_up_to_where_they_leave_the_reference(made):
    assert (
        "* ours: linear up to 512 (40 µs/op at 64); at 4,096 an operation takes 1.27 x that CPU.\n"
        in made[0]
    )
    assert (
        "* 1.0.7: linear up to 512 (100 µs/op at 64); at 4,096 an operation takes 1.3 x that CPU.\n"
        in made[0]
    )


def test_the_cost_of_larger_operations_has_a_power(tmp_path):
    def said(costs):
        pages = [
            section("scale_page", str(size), {"ours": ([1], cpu)}, size)
            for size, cpu in costs.items()
        ]
        path = tmp_path / "result.json"
        path.write_text(result(*reversed(pages)))
        (line,) = growth.lines(growth.by_job(performance.read(path)[1])["scale_page"])
        return growth.sentence(line, "scale_page", "µs/op")

    assert (
        said({1: 100, 10: 110, 100: 120})
        == "ours: constant up to 100, the most that was measured (100 µs/op at 1)."
    )
    assert (
        said({1: 100, 10: 100, 100: 1000, 1000: 10000})
        == "ours: constant up to 10 (100 µs/op at 1); at 100 an operation takes 10 x that CPU."
        " From there on it grows as the size to the power 1.00 (1: in proportion)."
    )
    assert said({1: None}) == "ours: no CPU was measured."


def test_a_limit_is_no_peer_and_ours_is_neither():
    names = [
        "ours",
        "ours, async",
        "1.0.7",
        "http.client",
        "curl",
        "bare socket",
        "openssl speed",
        "memcpy",
    ]
    assert [name for name in names if is_peer(name)] == ["1.0.7", "http.client"]
    assert [name for name in names if is_limit(name)] == [
        "curl",
        "bare socket",
        "openssl speed",
        "memcpy",
    ]


def test_axes_are_written_short():
    assert [short(value) for value in (0.5, 64, 5000, 16384, 8 << 20, 3e9)] == [
        "0.5",
        "64",
        "5,000",
        "16.38 k",
        "8.389 M",
        "3 G",
    ]


def test_one_point_is_a_plot_too():
    sound(
        line_plot(
            "<one> & only", [Lines("Rate", "size", "ops/s", [Curve("ours", [Dot(64, 100.0)])])]
        )
    )


def sound(plot):
    """It is an image with a title, for any page: no script, nothing from elsewhere, no small text."""
    root = ElementTree.fromstring(plot)
    assert root[0].tag == "{http://www.w3.org/2000/svg}title"
    assert root[0].text
    style = root[1].text
    assert "prefers-color-scheme:dark" in style
    assert all(int(size) >= 12 for size in re.findall(r"(\d+)px", style))
    assert not re.search(r"<script|href|@import|url\(|font-size|nan|inf", plot)
    assert len(plot.encode()) < 30_000


def test_plots_are_sound(made):
    assert [*made[1]] == ["requests.svg", "streams.svg", "scale_flight.svg"]
    for plot in made[1].values():
        sound(plot)
    assert {">ops/s, more is better<", ">limits, no peers<", ">1,500 (noisy)<"} <= set(
        re.findall(">[^<]+<", made[1]["requests.svg"])
    )
    assert {">requests in flight<", ">ops/s<", ">µs/op<", ">4,096<"} <= set(
        re.findall(">[^<]+<", made[1]["scale_flight.svg"])
    )


def test_the_page_is_what_the_result_gives(tmp_path):
    """After `make bench` of everything, `make performance`."""
    (tmp_path / "performance").mkdir()
    (tmp_path / "performance" / "of-an-earlier-run.svg").touch()
    performance.write(performance.RESULT, tmp_path)
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}
    pages = [performance.DOCS / "performance.md", *(performance.DOCS / "performance").iterdir()]
    assert written == {path.relative_to(performance.DOCS): path.read_bytes() for path in pages}
    for path, content in written.items():
        if path.suffix == ".svg":
            sound(content.decode())
            assert f"(performance/{path.name})".encode() in written[Path("performance.md")]
