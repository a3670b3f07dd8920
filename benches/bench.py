"""Speed and memory against the peers: ``make bench``, or ``bench.py [--job JOB] [--quick]``.

Contenders take turns, round by round, each time in a fresh process, so that what the machine does
meanwhile meets them all. Each is timed for the same number of seconds; what differs is how much it
gets done. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders.decoders import DECODERS
from contenders.prediction_files import INLINE, SAVE_ALL
from contenders.predictions import ALONE, ASYNC, OURS, PACKAGES, PAGE, PROGRAMS, SYNC
from contenders.relays import RELAYS
from contenders.runs import RUN, RUN_ASYNC, SIZE
from contenders.streams import FOLLOW, FOLLOW_ASYNC
from contenders.webhooks import CHECKS, UNWRAPS
from jobs.growth import IN_FLIGHT, OF_BODIES, OF_EVENTS, PAGES
from jobs.runs import BARE, NODE
from jobs.webhooks import MANY, OPENSSL, PROCESSES, SIZES
from machine import (
    CERTIFICATE,
    describe,
    environment,
    in_memory,
    pin_server_and_clients,
    running_server,
    scratch,
)
from report.results import Section, rows, table

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "latest.json"
# Bytes.
GB = 1_000_000_000
# Seconds after which a worker is taken to hang.
PATIENCE = 60


def sections() -> list[Section]:
    """Give everything there is to measure, in order."""
    starters = [name for name, program in PROGRAMS.items() if program.first is not None]
    return [
        *(_rate("get_async", f"{size} in flight", [*ASYNC], size) for size in (1, 64, 512)),
        _rate("get_sync", "one after another", [*ALONE], 1),
        _rate("get_sync", "16 threads", [*SYNC], 16),
        _rate("page", "100 predictions, 200 KB", [*PAGE], 1),
        Section(
            "import",
            "import, above bare Python",
            "ms",
            [*PROGRAMS],
            {"variant": "import"},
            cpu_unit="ms",
        ),
        Section(
            "import",
            "first prediction, above bare Python",
            "ms",
            starters,
            {"variant": "first"},
            cpu_unit="ms",
        ),
        Section(
            "clients",
            "1,000 idle, after one request",
            "KB each",
            [OURS],
            {"variant": "used", "size": 1000},
        ),
        Section(
            "clients", "1,000 never used", "KB each", [OURS], {"variant": "unused", "size": 1000}
        ),
        *_run_sections(),
        *_stream_sections(),
        *_relay_sections(),
        *_file_sections(),
        *_webhook_sections(),
        *_scale_sections(),
    ]


def _run_sections() -> list[Section]:
    what = f"https, an output of {SIZE // 1000} KB read"
    return [
        *(
            _rate("run_async", f"{what}, {size} in flight", [*RUN_ASYNC, NODE, BARE], size)
            for size in (1, 64, 256, 512)
        ),
        _rate("run_sync", f"{what}, one after another", [*RUN, NODE], 1),
        Section("run_memory", "1,000 that wait between polls", "KB each", [OURS], {"size": 1000}),
    ]


def _stream_sections() -> list[Section]:
    big = [OURS, "1.0.7", "httpx-sse", "aiohttp + hand"]
    idle = [OURS, "aiohttp + hand", "pyreqwest + hand"]
    return [
        Section("sse_parser", "the parser alone, without Python", "ns/event", [OURS, "memcpy"]),
        _events("sse_decode", "events in memory, in pieces of 16 KiB", [*DECODERS], {}),
        *_twice("sse_blocks", "events in chunks of 64 KiB", _events),
        *_twice("sse_chunks", "each event its own chunk", _events),
        *_twice("sse_first", "first event, warm client", _first),
        Section(
            "sse_big", "one event of 8 MiB, async", "ms", big, {"size": 8 << 20}, cpu_unit="ms"
        ),
        *(_many(interval) for interval in (20, 200)),
        Section(
            "sse_memory", "1,000 open and silent, async", "KB each", idle, {"size": 1000}, slow=True
        ),
    ]


def _relay_sections() -> list[Section]:
    return [
        _relayed(200),
        _passed_on(
            "1,000 readers behind FastAPI, events as fast as they are read",
            [*RELAYS],
            {"size": 1000},
        ),
    ]


def _file_sections() -> list[Section]:
    where = "in memory" if in_memory() else "on the temporary folder's disk"
    saving = [OURS, "1.0.7", "httpx", "requests", "urllib3", "http.client", "pyreqwest"]
    sending = [
        OURS,
        "1.0.7",
        "httpx",
        "requests",
        "pyreqwest",
        "curl",
        "bare socket",
        "bare sendfile",
    ]
    # 1.0.7 is httpx here, and pyreqwest sends on a loop as it does without.
    loops = [OURS, "httpx", "aiohttp", "pyreqwest"]
    big, secure, small = {"size": GB}, {"size": GB, "secure": True}, {"size": GB // 1000 * 64}
    on_loop = {"variant": "async"}
    return [
        _bytes(
            "save", f"1 GB to a file {where}, sync", [*saving, "wreq", "curl", "bare socket"], big
        ),
        _bytes("save", f"1 GB to a file {where}, async", loops, {**big, **on_loop}),
        _bytes("save", f"1 GB over https to a file {where}, sync", [*saving, "curl"], secure),
        _bytes(
            "save",
            f"1 GB over https to a file {where}, async",
            [OURS, "aiohttp", "pyreqwest"],
            {**secure, **on_loop},
        ),
        _bytes("read", "64 MB as bytes, sync", [*saving, "bare socket"], small),
        _bytes("read", "64 MB as bytes, async", loops, {**small, **on_loop}),
        _bytes("upload", f"1 GB from a file {where}, sync", sending, big),
        _bytes("upload", f"1 GB from a file {where}, async", loops[:3], {**big, **on_loop}),
        _bytes("upload", f"64 MB from a file {where}, sync", sending, small),
        *(_stalls(what) for what in ("save", "upload")),
        _inline("100 MB within a prediction's input", [*INLINE], {"size": GB // 10}),
        _little(f"500 files of 100 KB to a folder {where}", [*SAVE_ALL], {"size": 500}),
    ]


def _webhook_sections() -> list[Section]:
    each = SIZES["1 KB"]
    return [
        *(
            _check(
                "verify",
                f"a body of {name}",
                [*CHECKS, *PROCESSES],
                {"size": size},
                slow=size > each,
            )
            for name, size in SIZES.items()
        ),
        _check("unwrap", "a body of 2 KB, verified and parsed", [*UNWRAPS], {"size": 2 * each}),
        _webhooks("many", "1,000 of 1 KB at once, 2 threads", [*MANY], {}),
        *_receivers(
            {"uvloop and httptools": "standard", "asyncio and h11": "plain"}, {"size": each}
        ),
        Section(
            "webhook_rust",
            "a body of 1 KB, without Python",
            "us",
            [OURS, "hmac-sha256", OPENSSL],
            slow=True,
        ),
    ]


def _scale_sections() -> list[Section]:
    def grown(job: str, unit: str, contenders: list[str], sizes: tuple[int, ...]) -> list[Section]:
        sections = [_rate(job, f"{size:,} {unit}", contenders, size) for size in sizes]
        for section in sections:
            section.slow = True
        return sections

    return [
        *grown("scale_flight", "in flight", IN_FLIGHT, (1, 4, 16, 64, 256, 1024, 2048, 4096)),
        *grown("scale_page", "predictions a page", [*PAGES], (1, 10, 100, 1000)),
        *grown("scale_event", "bytes an event", OF_EVENTS, (16, 256, 4096, 65_536, 1 << 20)),
        *grown(
            "scale_body", "bytes a body", OF_BODIES, (1000, 10_000, 100_000, 1_000_000, 10_000_000)
        ),
    ]


def _receivers(variants: dict[str, str], task: dict[str, Any]) -> list[Section]:
    contenders = [OURS, "1.0.7", "without verification"]
    title = "bodies of 1 KB, received by FastAPI on one core"
    return [
        _webhooks("fastapi", f"{title}, {name}", contenders, {**task, "variant": each})
        for name, each in variants.items()
    ]


def _check(
    job: str, title: str, contenders: list[str], task: dict[str, Any], *, slow: bool = False
) -> Section:
    return Section(f"webhook_{job}", title, "us", contenders, task, cpu_unit="us/check", slow=slow)


def _webhooks(job: str, title: str, contenders: list[str], task: dict[str, Any]) -> Section:
    return Section(
        f"webhook_{job}",
        title,
        "webhooks/s",
        contenders,
        task,
        cpu_unit="us/webhook",
        more_is_better=True,
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


def _stalls(what: str) -> Section:
    title = f"{what} of 1 GB: longest stall of the event loop"
    return Section(
        "files_ticker",
        title,
        "ms",
        [OURS, "httpx", "aiohttp"],
        {"size": GB, "variant": what},
        slow=True,
    )


def _inline(title: str, contenders: list[str], task: dict[str, Any]) -> Section:
    return Section("files_data_uri", title, "ms", contenders, task, cpu_unit="ms", slow=True)


def _little(title: str, contenders: list[str], task: dict[str, Any]) -> Section:
    return Section(
        "files_save_all",
        title,
        "files/s",
        contenders,
        task,
        cpu_unit="us/file",
        more_is_better=True,
        slow=True,
    )


def _twice(
    job: str, title: str, section: Callable[[str, str, list[str], dict[str, Any]], Section]
) -> list[Section]:
    return [
        section(job, f"{title}, sync", [*FOLLOW], {"variant": "sync"}),
        section(job, f"{title}, async", [*FOLLOW_ASYNC], {"variant": "async"}),
    ]


def _events(job: str, title: str, contenders: list[str], task: dict[str, Any]) -> Section:
    return Section(
        job, title, "events/s", contenders, task, cpu_unit="us/event", more_is_better=True
    )


def _first(job: str, title: str, contenders: list[str], task: dict[str, Any]) -> Section:
    return Section(job, title, "us", contenders, task, cpu_unit="us/stream")


def _many(interval: int) -> Section:
    title = f"1,000 streams, an event of each per {interval} ms"
    return Section(
        "sse_many",
        title,
        "CPU us/event",
        [*FOLLOW_ASYNC],
        {"size": 1000, "interval": interval},
        slow=True,
    )


def _relayed(interval: int) -> Section:
    title = f"1,000 readers behind FastAPI, an event of each per {interval} ms"
    return Section(
        "relay_paced",
        title,
        "CPU s/million",
        [*RELAYS],
        {"size": 1000, "interval": interval},
        slow=True,
    )


def _passed_on(title: str, contenders: list[str], task: dict[str, Any]) -> Section:
    return Section(
        "relay_fast",
        title,
        "events/s",
        contenders,
        task,
        cpu_unit="s/million",
        more_is_better=True,
        slow=True,
    )


def _rate(job: str, title: str, contenders: list[str], size: int) -> Section:
    return Section(
        job, title, "ops/s", contenders, {"size": size}, cpu_unit="us/op", more_is_better=True
    )


def measure(section: Section, rounds: int, common: dict[str, Any]) -> None:
    """Fill a section with samples; a contender that fails is out."""
    for _ in range(max(2, (rounds + 1) // 2) if section.slow else rounds):
        for contender in section.contenders:
            if contender in section.failures:
                continue
            task = {"job": section.job, "contender": contender, **common, **section.task}
            command = [sys.executable, str(HERE / "worker.py"), json.dumps(task)]
            try:
                worker = subprocess.run(
                    command,
                    env=environment(),
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                what = "its process did not end" if error.stdout else "no answer"
                section.failures[contender] = f"{what} within {PATIENCE} s"
                continue
            if not worker.stdout:
                # The last line of a traceback says what happened.
                section.failures[contender] = (
                    worker.stderr.strip() or f"exit code {worker.returncode}"
                ).splitlines()[-1]
                continue
            section.samples.setdefault(contender, []).append(json.loads(worker.stdout))
            # pyreqwest 0.15.1 sometimes aborts when the interpreter ends; what it did until then
            # counts.
            if worker.returncode:
                section.crashes[contender] = section.crashes.get(contender, 0) + 1


def _names(chosen: list[Section]) -> list[str]:
    """Give what sections may be asked for by: their jobs, and what these begin with."""
    return list(
        dict.fromkeys(
            name for section in chosen for name in (section.job.partition("_")[0], section.job)
        )
    )


def _told(section: Section) -> dict[str, Any]:
    """Give a section as the results file has it."""
    told = asdict(section)
    told["summary"] = [asdict(row) for row in rows(section)]
    return told


def main() -> None:
    """Run what was asked for, and print each table when it is complete."""
    chosen = sections()
    parser = argparse.ArgumentParser(description="Measure speed and memory against the peers.")
    parser.add_argument(
        "--job", choices=_names(chosen), help="only this one, or all that begin with it"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer and shorter rounds: in five minutes, and coarser",
    )
    arguments = parser.parse_args()
    chosen = [
        section for section in chosen if arguments.job is None or arguments.job in _names([section])
    ]
    rounds, warm_up, seconds = (2, 0.1, 0.2) if arguments.quick else (3, 0.15, 0.4)

    began = time.monotonic()
    machine = describe(PACKAGES)
    print(
        *(f"{name}: {value}" for name, value in machine.items()), sep="\n", end="\n\n", flush=True
    )
    with running_server() as server, scratch() as folder:
        pinned = pin_server_and_clients(server.process)
        if not pinned:
            print("The server and the contenders share their cores: compare, but do not quote.\n")
        common = {
            "origin": server.origin,
            "secure_origin": server.secure_origin,
            "certificate": str(CERTIFICATE),
            "folder": str(folder),
            "server": server.process,
            "warm_up": warm_up,
            "seconds": seconds,
        }
        for section in chosen:
            started = time.monotonic()
            measure(section, rounds, common)
            print(
                table(section),
                f"  {time.monotonic() - started:.0f} s",
                sep="\n",
                end="\n\n",
                flush=True,
            )

    RESULTS.parent.mkdir(exist_ok=True)
    results = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "pinned": pinned,
        "rounds": rounds,
        "seconds": seconds,
        "sections": [_told(section) for section in chosen],
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(f"{time.monotonic() - began:.0f} s; samples in {RESULTS}")


if __name__ == "__main__":
    main()
