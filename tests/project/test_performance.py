"""docs/performance.md and benches/README.md: all figures follow from the results files."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
# At the end, so that no module of the benchmarks hides one of the tests.
sys.path.append(str(ROOT / "benches"))

import performance  # noqa: E402 - found by the path above
from report import growth, results  # noqa: E402 - found by the path above
from report.details import details_page  # noqa: E402 - found by the path above
from report.plots import Curve, Dot, Lines, line_plot, short  # noqa: E402 - found by the path above
from report.results import Result, Section, is_limit, is_peer, to_row  # noqa: E402 - found by the path above
from report.summary import Headline, summary_page  # noqa: E402 - found by the path above
from report.tables import cells, markdown  # noqa: E402 - found by the path above
from report.targets import Target, target_cells  # noqa: E402 - found by the path above

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
TARGETS = [
    Target("get_sync", peer="1.0.7", at_least=9, reason="Not shown."),
    Target("get_sync", peer="primp", at_least=1, reason="As they say."),
    Target("get_sync", peer="wreq", at_least=1),
    Target("get_sync", of="cpu", at_most=40),
    Target("get_sync", title="another", at_most=1),
    Target("scale_flight", growth=(64, 512), at_most=1.1),
]


def section(job, title, values, size=1, **more):
    """A section of contenders with the values of their rounds, and the CPU of an operation."""
    rows = [
        to_row(
            name,
            [
                {
                    "value": value,
                    "cpu": cpu,
                    "slices": [],
                    "server": None,
                    "bare": None,
                    "more": {},
                    "late": None,
                }
                for value in rounds
            ],
        )
        for name, (rounds, cpu) in values.items()
    ]
    usual = {"unit": "ops/s", "cpu_unit": "us/op", "more_is_better": True}
    return Section(job, title, task={"size": size}, rows=rows, **usual | more)


GET = section(
    "get_sync",
    "one | another",
    {
        "replicate-rs": ([1000, 1100, 900], 50),
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
    {"replicate-rs": ([10, 12], None), "by hand": ([9, 11], None)},
    unit="us",
    more_is_better=False,
)
# CPU time of replicate-rs and of 1.0.7, by requests in flight.
FLIGHT = {1: (90, 100), 64: (40, 100), 512: (45, 100), 4096: (51, 130)}
FLIGHTS = [
    section(
        "scale_flight",
        f"{size} in flight",
        {"replicate-rs": ([1e6 / ours], ours), "1.0.7": ([1e6 / peer], peer)},
        size,
    )
    for size, (ours, peer) in FLIGHT.items()
]


def result(*sections):
    return Result("2026-01-01T12:00", MACHINE, True, 3, 0.4, [*sections])


@pytest.fixture
def example(tmp_path, capsys, monkeypatch):
    """Return the text of both pages and the targets of an example, the plots, the warnings."""
    headlines = [Headline("get_sync", "*", "Get"), Headline("sse_first", "*", "First")]
    monkeypatch.setattr("report.summary.HEADLINES", headlines)
    path = tmp_path / "result.json"
    results.write(path, result(GET, FIRST, *FLIGHTS))
    read = results.read(path)
    summary, details = summary_page(read, REASONS), details_page(read, [])
    targets = "\n".join(markdown(target_cells(TARGETS, read.sections)))
    text = f"{summary.text}{details.text}{targets}"
    return text, summary.plots | details.plots, capsys.readouterr().err


def test_a_result_is_read_as_it_was_written(tmp_path):
    path, written = tmp_path / "result.json", result(GET, FIRST)
    results.write(path, written)
    assert results.read(path) == written


def test_fast_slices_are_compared(tmp_path):
    def sample(slices):
        figures = {"value": 1.0, "cpu": 40.0, "more": {}, "slices": slices}
        return {**figures, "server": None, "bare": None, "late": None}

    ours = [sample([9, 20, 30, 10, 40]), sample([50, 60, 70, 80, 90])]
    rows = [to_row("replicate-rs", ours), to_row("primp", [sample([40, 30])])]
    found = Section("get_sync", "one", "ops/s", rows=rows, cpu_unit="us/op")
    assert [row.fast_cpu for row in rows] == [10, 30]
    assert [found.fast_ratio(row) for row in rows] == [None, 3]
    assert cells(found)[0][-4:-1] == ["fast CPU us/op", "replicate-rs better by", "fast ratio"]
    assert cells(found)[2][-4:-1] == ["30", "1 x", "3 x"]
    targets = [
        Target("get_sync", peer="primp", of="fast", at_least=2),
        Target("get_sync", of="fast", at_most=9, reason="As they say."),
    ]
    assert [line[:3] for line in target_cells(targets, [found])[1:]] == [
        ["get_sync: one: at least 2 x of fast CPU, primp", "3 x", "met"],
        ["get_sync: one: at most 9 µs/op of fast CPU", "10 µs/op", "**missed**"],
    ]
    path = tmp_path / "result.json"
    results.write(path, result(found))
    assert '"fast_ratio": 3.0}' in path.read_text()
    assert results.read(path).sections[0].rows == rows


def test_targets_are_listed_with_reasons(example):
    text, _, warnings = example
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
            " µs/op (curl) | not analysed |"
        ),
        "| scale_flight, 64 to 512, CPU: at most 1.1 x | 1.12 x | **missed** | | not analysed |",
    ]
    assert "at most 40 µs/op of CPU: missed, and targets.toml has no reason" in warnings
    assert "primp: missed" not in warnings


def test_a_section_is_a_table_with_separate_limits(example):
    assert r"""
### predictions.get, blocking: one | another

`get_sync`

| | ops/s | lowest .. highest | CPU µs/op | replicate-rs better by | notes |
|---|--:|--:|--:|--:|---|
| replicate-rs | 1,000 | 900 .. 1,100 | 50 | | |
| 1.0.7 | 100 | 100 .. 110 | 500 | 10 x | |
| primp | 2,000 | 1,900 .. 2,100 | 25 | 0.5 x | |
| wreq | 1,500 | 1,000 .. 2,000 | 30 | noisy | rounds differ by more than 1.6 x |

Limits:

| | ops/s | lowest .. highest | CPU µs/op | replicate-rs better by | notes |
|---|--:|--:|--:|--:|---|
| curl | 4,000 | 4,000 .. 4,000 | 10 | 0.25 x | |

httpx failed: TimeoutError: &lt;no answer&gt;
""" in example[0]


def test_the_summary_shows_better_libraries(example):
    assert "| Get | 1,000 ops/s | 100 ops/s | 10 x | 2,000 ops/s | 0.5 x | primp |" in example[0]
    assert "| First | 11 µs | | | 10 µs | 0.909 x | by hand |" in example[0]
    assert "This run did not measure: runs, relay, files, webhooks, start, memory." in example[0]
    assert "| versions | replicate 1.0.7 |" in example[0]


def test_every_better_library_is_listed(example):
    text, _, warnings = example
    after = text.partition("## Where another")[2].partition("## How it is measured")[0]
    assert [line for line in after.splitlines() if line.startswith("| ")][1:] == [
        (
            r"| predictions.get, blocking: one \| another | primp | 1,000 ops/s | 2,000 ops/s |"
            " 0.5 x | apart | It does less. |"
        ),
        "| stream: warm, async | by hand | 11 µs | 10 µs | 0.909 x | overlap | not analysed |",
    ]
    assert "1 other comparisons have no ratio" in after
    assert "sse_first: warm, async: by hand is better, and reasons.toml has no reason\n" in warnings


def test_growth_is_linear_up_to_a_size(example):
    assert (
        "* replicate-rs: linear up to 512 (40 µs/op at 64); at 4,096 an operation takes 1.27 x that"
        " CPU time.\n" in example[0]
    )
    assert (
        "* 1.0.7: linear up to 512 (100 µs/op at 64); at 4,096 an operation takes 1.3 x that CPU"
        " time.\n" in example[0]
    )


def test_growth_beyond_has_a_power():
    def sentence(costs):
        pages = [
            section("scale_page", str(size), {"replicate-rs": ([1], cpu)}, size)
            for size, cpu in costs.items()
        ]
        (line,) = growth.lines(growth.by_job(reversed(pages))["scale_page"])
        return growth.sentence(line, "scale_page", "µs/op")

    assert (
        sentence({1: 100, 10: 110, 100: 120})
        == "replicate-rs: constant up to 100, the largest size (100 µs/op at 1)."
    )
    assert (
        sentence({1: 100, 10: 100, 100: 1000, 1000: 10000})
        == "replicate-rs: constant up to 10 (100 µs/op at 1); at 100 an operation takes 10 x that"
        " CPU time. Beyond, it grows with the power 1.00 of the size."
    )
    assert sentence({1: None}) == "replicate-rs: no CPU time was measured."


def test_limits_and_this_library_are_no_peers():
    names = [
        "replicate-rs",
        "replicate-rs, async",
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


def test_labels_of_axes_are_short():
    assert [short(value) for value in (0.5, 64, 5000, 16384, 8 << 20, 3e9)] == [
        "0.5",
        "64",
        "5,000",
        "16.38 k",
        "8.389 M",
        "3 G",
    ]


def test_a_plot_of_one_point():
    assert_sound(
        line_plot(
            "<one> & only",
            [Lines("Rate", "size", "ops/s", [Curve("replicate-rs", [Dot(64, 100.0)])])],
        )
    )


def assert_sound(plot):
    """Assert that a plot has a title, and no script, link or small text."""
    root = ElementTree.fromstring(plot)
    assert root[0].tag == "{http://www.w3.org/2000/svg}title"
    assert root[0].text
    style = root[1].text
    assert "prefers-color-scheme:dark" in style
    assert all(int(size) >= 12 for size in re.findall(r"(\d+)px", style))
    assert not re.search(r"<script|href|@import|url\(|font-size|nan|inf", plot)
    assert len(plot.encode()) < 30_000


def test_plots_are_valid(example):
    assert [*example[1]] == ["summary.svg", "requests.svg", "streams.svg", "scale_flight.svg"]
    for plot in example[1].values():
        assert_sound(plot)
    assert {">ops/s, more is better<", ">limits: no client library<", ">1,500 (noisy)<"} <= set(
        re.findall(">[^<]+<", example[1]["requests.svg"])
    )
    assert {">requests in flight<", ">ops/s<", ">µs/op<", ">4,096<"} <= set(
        re.findall(">[^<]+<", example[1]["scale_flight.svg"])
    )


def test_the_pages_are_up_to_date(tmp_path):
    """`make performance` must be run after `make bench`."""
    folder, readme = tmp_path / "performance", tmp_path / "README.md"
    folder.mkdir()
    (folder / "of-an-earlier-run.svg").touch()
    readme.write_text(performance.README.read_text())
    performance.write(performance.RESULT, tmp_path, readme)
    assert readme.read_text() == performance.README.read_text()
    assert "| get_async: 64 in flight: at least 40 x, 1.0.7 |" in readme.read_text()
    readme.unlink()
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}
    pages = [performance.DOCS / "performance.md", *(performance.DOCS / "performance").iterdir()]
    assert written == {path.relative_to(performance.DOCS): path.read_bytes() for path in pages}
    text = written[Path("performance.md")] + written[Path("performance", "details.md")]
    for path, content in written.items():
        if path.suffix == ".svg":
            assert_sound(content.decode())
            assert f"{path.name})".encode() in text
