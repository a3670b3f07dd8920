"""What `bench.py` measures: every section, in the order of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contenders import (
    BARE_SOCKETS,
    C_PROGRAM,
    MAX_THREADS,
    NODE,
    OPENSSL_SPEED,
    OURS,
    UNVERIFIED,
)
from contenders.all_pages import ALL_PAGES
from contenders.decoders import DECODERS
from contenders.maps import MAPS
from contenders.pages import PAGES, SIZED_PAGES
from contenders.prediction_files import INLINE, SAVE_ALL
from contenders.predictions import ASYNC, ONE_THREAD, SYNC
from contenders.relays import RELAYS
from contenders.runs import OUTPUT_SIZE, RUN, RUN_ASYNC, RUN_ONE_THREAD
from contenders.startup import PROGRAMS
from contenders.streams import ASYNC_STREAMS, STREAMS
from contenders.waiting_runs import WAITING_RUNS
from contenders.webhooks import BATCH_CHECKS, CHECKS, UNWRAPS
from jobs.growth import BODY_SIZES, EVENT_SIZES, IN_FLIGHT
from jobs.webhooks import SIZES
from machine import files_are_in_memory
from report.results import Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    # Takes a job, a title, contenders and what a worker must know besides the job.
    CreateSection = Callable[[str, str, Iterable[str], dict[str, Any]], Section]

# Bytes.
GB = 1_000_000_000


def all_sections(*, quick: bool = False) -> list[Section]:
    """Return every section; `quick` ones take fewer inputs, where a section takes minutes."""
    return [
        *(_rate("get_async", f"{size} in flight", ASYNC, size) for size in (1, 64, 512)),
        _rate("get_sync", "one after another", ONE_THREAD, 1),
        _rate("get_sync", "16 threads", SYNC, 16),
        _rate("page", "100 predictions, 200 KB", PAGES, 1),
        _all_pages(50),
        *_startup_sections(),
        *_run_sections(),
        *_map_sections(20 if quick else 1),
        *_stream_sections(),
        *_relay_sections(),
        *_file_sections(),
        *_webhook_sections(),
        *_growth_sections(),
    ]


def _startup_sections() -> list[Section]:
    starters = [name for name, program in PROGRAMS.items() if program.first is not None]
    first = {"variant": "first"}
    secure = {**first, "secure": True}
    used, unused = {"variant": "used", "size": 1000}, {"variant": "unused", "size": 1000}
    return [
        Section("import", "import", "ms", [*PROGRAMS], {"variant": "import"}, cpu_unit="ms"),
        Section("import", "first prediction", "ms", starters, first, cpu_unit="ms"),
        Section("import", "first prediction over HTTPS", "ms", starters, secure, cpu_unit="ms"),
        Section("clients", "1,000 idle, after one request", "KB each", [OURS], used),
        Section("clients", "1,000 never used", "KB each", [OURS], unused),
    ]


def _run_sections() -> list[Section]:
    what = f"{OUTPUT_SIZE // 1000} KB output over HTTPS"
    contenders = [*RUN_ASYNC, NODE, BARE_SOCKETS]
    sizes = (1, 64, 256, 512)
    return [
        *(_rate("run_async", f"{what}, {size} in flight", contenders, size) for size in sizes),
        _rate("run_sync", f"{what}, one after another", [*RUN_ONE_THREAD, NODE], 1),
        _rate("run_sync", f"{what}, {MAX_THREADS} threads", RUN, MAX_THREADS),
        Section("run_memory", "2,000 waiting runs", "KB each", [*WAITING_RUNS], {"size": 2000}),
    ]


def _map_sections(divisor: int) -> list[Section]:
    many, million = 20_000 // divisor, 1_000_000 // divisor
    done = f"{million:,} inputs done"
    reopened = {"same": f"{done}, and taken again before a new one", "new": f"{done}, a new one"}
    return [
        Section(
            "map_run",
            f"{many:,} inputs, 64 in flight",
            "inputs/s",
            [*MAPS],
            {"size": many},
            cpu_unit="us/input",
            more_is_better=True,
        ),
        Section(
            "map_memory",
            f"growth over {million:,} inputs of a generator",
            "MB",
            [OURS],
            {"size": million},
            cpu_unit="us/input",
            once=True,
        ),
        *(
            Section(
                "map_reopen",
                f"{title}, to the first create",
                "s",
                [OURS],
                {"size": million, "variant": variant},
                once=True,
            )
            for variant, title in reopened.items()
        ),
    ]


def _stream_sections() -> list[Section]:
    big = [OURS, "1.0.7", "httpx-sse", "aiohttp + hand"]
    idle = [OURS, "aiohttp + hand", "pyreqwest + hand"]
    mebibytes, thousand = {"size": 8 << 20}, {"size": 1000}
    return [
        Section("sse_parser", "16 KiB at a time", "ns/event", [OURS, "memcpy"]),
        _event_rate("sse_decode", "from memory, 16 KiB at a time", DECODERS, {}),
        *_sync_and_async("sse_blocks", "many events in a 64 KiB chunk", _event_rate),
        *_sync_and_async("sse_chunks", "one event in a chunk", _event_rate),
        *_sync_and_async("sse_first", "time to first event", _first_event),
        Section("sse_big", "one event of 8 MiB, async", "ms", big, mebibytes, cpu_unit="ms"),
        *(_many_streams(interval) for interval in (20, 200)),
        Section("sse_memory", "1,000 idle, async", "KB each", idle, thousand, slow=True),
    ]


def _relay_sections() -> list[Section]:
    clients = "1,000 clients of FastAPI"
    interval = 200
    return [
        Section(
            "relay_paced",
            f"{clients}, an event each every {interval} ms",
            "CPU s/million",
            [*RELAYS],
            {"size": 1000, "interval": interval},
            slow=True,
        ),
        Section(
            "relay_fast",
            f"{clients}, at full speed",
            "events/s",
            [*RELAYS],
            {"size": 1000},
            cpu_unit="s/million",
            more_is_better=True,
            slow=True,
        ),
    ]


def _file_sections() -> list[Section]:
    where = "memory" if files_are_in_memory() else "disk"
    saving = [OURS, "1.0.7", "httpx", "requests", "urllib3", "http.client", "pyreqwest"]
    sending = [
        *(OURS, "1.0.7", "httpx", "requests", "pyreqwest"),
        *("curl", "bare socket", "bare sendfile"),
    ]
    # Without 1.0.7, which is httpx here. pyreqwest uploads in the same way on a loop and without.
    loops = [OURS, "httpx", "aiohttp", "pyreqwest"]
    secure_loops = [OURS, "aiohttp", "pyreqwest"]
    big, small, on_loop = {"size": GB}, {"size": GB // 1000 * 64}, {"variant": "async"}
    secure = {**big, "secure": True}
    save = f"to {where}"
    upload = f"from {where}"
    return [
        _bytes("save", f"1 GB {save}, sync", [*saving, "wreq", "curl", "bare socket"], big),
        _bytes("save", f"1 GB {save}, async", loops, big | on_loop),
        _bytes("save", f"1 GB over HTTPS {save}, sync", [*saving, "curl"], secure),
        _bytes("save", f"1 GB over HTTPS {save}, async", secure_loops, secure | on_loop),
        *_iterate_sections(saving, where),
        _bytes("read", "64 MB, sync", [*saving, "bare socket"], small),
        _bytes("read", "64 MB, async", loops, small | on_loop),
        _bytes("upload", f"1 GB {upload}, sync", sending, big),
        _bytes("upload", f"1 GB {upload}, async", loops[:3], big | on_loop),
        _bytes("upload", f"64 MB {upload}, sync", sending, small),
        *(_stalls(job) for job in ("save", "upload")),
        Section(
            "files_data_uri",
            "100 MB in a prediction's input",
            "ms",
            [*INLINE],
            {"size": GB // 10},
            cpu_unit="ms",
            slow=True,
        ),
        Section(
            "files_save_all",
            f"500 files of 100 KB {save}",
            "files/s",
            [*SAVE_ALL],
            {"size": 500},
            cpu_unit="us/file",
            more_is_better=True,
            slow=True,
        ),
    ]


def _iterate_sections(contenders: list[str], where: str) -> list[Section]:
    return [
        _bytes("iterate", f"{name} to {where}, sync", contenders, {"size": size, "secure": secure})
        for name, size, secure in (
            ("64 MB", GB // 1000 * 64, False),
            ("1 GB", GB, False),
            ("64 MB over HTTPS", GB // 1000 * 64, True),
            ("1 GB over HTTPS", GB, True),
        )
    ]


def _webhook_sections() -> list[Section]:
    kilobyte = SIZES["1 KB"]
    checks = [*CHECKS, C_PROGRAM, NODE]
    rust = [OURS, "hmac-sha256", OPENSSL_SPEED]
    services = {"uvloop and httptools": "standard", "asyncio and h11": "plain"}
    return [
        *(
            _check("verify", name, checks, size, slow=size > kilobyte)
            for name, size in SIZES.items()
        ),
        _check("unwrap", "2 KB", UNWRAPS, 2 * kilobyte),
        _webhook_rate("many", "1,000 of 1 KB per call, 2 threads", BATCH_CHECKS, {}),
        *(
            _webhook_rate(
                "fastapi",
                f"1 KB, one core, {name}",
                [OURS, "1.0.7", UNVERIFIED],
                {"size": kilobyte, "variant": variant},
            )
            for name, variant in services.items()
        ),
        Section("webhook_rust", "1 KB", "us", rust, slow=True),
    ]


def _growth_sections() -> list[Section]:
    in_flight = (1, 4, 16, 64, 256, 1024, 2048, 4096)
    event_sizes = (16, 256, 4096, 65_536, 1 << 20)
    body_sizes = (1000, 10_000, 100_000, 1_000_000, 10_000_000)
    sections = [
        *(_rate("scale_flight", f"{size:,} in flight", IN_FLIGHT, size) for size in in_flight),
        *(
            _rate("scale_page", f"{size:,} per page", SIZED_PAGES, size)
            for size in (1, 10, 100, 1000)
        ),
        *(_rate("scale_event", f"{size:,} bytes", EVENT_SIZES, size) for size in event_sizes),
        *(_rate("scale_body", f"{size:,} bytes", BODY_SIZES, size) for size in body_sizes),
    ]
    for section in sections:
        section.slow = True
    return sections


def _rate(job: str, title: str, contenders: Iterable[str], size: int) -> Section:
    return Section(
        job,
        title,
        "ops/s",
        [*contenders],
        {"size": size},
        cpu_unit="us/op",
        more_is_better=True,
    )


def _all_pages(count: int) -> Section:
    return Section(
        "page_auto",
        f"{count} of 100 predictions, 200 KB each",
        "pages/s",
        [*ALL_PAGES],
        {"size": count},
        cpu_unit="us/page",
        more_is_better=True,
    )


def _sync_and_async(job: str, title: str, create: CreateSection) -> list[Section]:
    return [
        create(job, f"{title}, sync", STREAMS, {"variant": "sync"}),
        create(job, f"{title}, async", ASYNC_STREAMS, {"variant": "async"}),
    ]


def _event_rate(job: str, title: str, contenders: Iterable[str], task: dict[str, Any]) -> Section:
    return Section(
        job, title, "events/s", [*contenders], task, cpu_unit="us/event", more_is_better=True
    )


def _first_event(job: str, title: str, contenders: Iterable[str], task: dict[str, Any]) -> Section:
    return Section(job, title, "us", [*contenders], task, cpu_unit="us/stream")


def _many_streams(interval: int) -> Section:
    return Section(
        "sse_many",
        f"1,000 streams, an event each every {interval} ms",
        "CPU us/event",
        [*ASYNC_STREAMS],
        {"size": 1000, "interval": interval},
        slow=True,
    )


def _bytes(job: str, title: str, contenders: list[str], task: dict[str, Any]) -> Section:
    return Section(
        f"files_{job}",
        title,
        "MB/s",
        contenders,
        task,
        cpu_unit="s/GB",
        more_is_better=True,
        slow=True,
    )


def _stalls(variant: str) -> Section:
    return Section(
        "files_ticker",
        f"{variant} of 1 GB",
        "ms",
        [OURS, "httpx", "aiohttp"],
        {"size": GB, "variant": variant},
        slow=True,
    )


def _check(
    job: str, title: str, contenders: Iterable[str], size: int, *, slow: bool = False
) -> Section:
    return Section(
        f"webhook_{job}",
        title,
        "us",
        [*contenders],
        {"size": size},
        cpu_unit="us/check",
        slow=slow,
    )


def _webhook_rate(job: str, title: str, contenders: Iterable[str], task: dict[str, Any]) -> Section:
    return Section(
        f"webhook_{job}",
        title,
        "webhooks/s",
        [*contenders],
        task,
        cpu_unit="us/webhook",
        more_is_better=True,
    )
