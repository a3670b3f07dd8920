"""The jobs of files: how fast they are saved, read and sent, what it costs, and how much memory it
takes meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import time
from base64 import b64encode
from contextlib import closing, contextmanager
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from contenders.files import FILES, FILES_ASYNC
from contenders.prediction_files import INLINE, SAVE_ALL
from contenders.predictions import check
from jobs.sampling import Sample, Task
from machine import cpu_seconds, forget_peak, peak_bytes, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contenders.file_sockets import Ways

    # Calls a function with what follows it, and waits for what it gives.
    Do = Callable[..., Any]

# The content of a file repeats itself after so many bytes (benches/server/files.rs).
PERIOD = 262_147
# Bytes of a file that is compared whole: several of anybody's buffers; and of one that the server
# keeps whole, in base64 too.
SMALL, KEPT = 3_000_000, 700_000
# Bytes that are compared of a larger one, in each of three places.
PIECE = 100_000
# What stands around a file that is sent, at most.
AROUND = 2_000
# Seconds.
TICK = 0.01
# Bytes of one of many.
LITTLE = 100_000


class Cost:
    """What transfers take together, without what is between them."""

    def __init__(self, server: int, peak: Callable[[], int] | None = None) -> None:
        self._server = server
        self._peak_there = peak
        self.times: list[float] = []
        self._cpu = self._served = 0.0
        self._extra = 0

    @property
    def seconds(self) -> float:
        """The time of all together."""
        return sum(self.times)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count what happens meanwhile."""
        gc.collect()
        forget_peak()
        before = resident_bytes()
        served, cpu, clock = cpu_seconds(self._server) or 0, _cpu_seconds(), time.perf_counter()
        yield
        self.times.append(time.perf_counter() - clock)
        self._cpu += _cpu_seconds() - cpu
        self._served += (cpu_seconds(self._server) or 0) - served
        self._extra = max(
            self._extra, peak_bytes() - before if self._peak_there is None else self._peak_there()
        )

    def sample(self, amount: float, per: float) -> Sample:
        """Give what was done per second, if it was so much each time, and the CPU seconds for `per`
        of it.
        """
        amount *= len(self.times)
        extra = {"extra MB": self._extra / 1e6}
        return Sample(
            amount / self.seconds,
            cpu=self._cpu / (amount / per),
            server=self._served / self.seconds,
            more=extra,
        )


def _cpu_seconds() -> float:
    """Give the CPU time of this process, and of those that it started and that have ended."""
    usages = [
        resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@cache
def _period() -> bytes:
    state, words = 0x9E3779B97F4A7C15, []
    for _ in range(PERIOD // 8 + 1):
        state ^= state << 13 & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 7
        state ^= state << 17 & 0xFFFFFFFFFFFFFFFF
        words.append(state.to_bytes(8, "little"))
    return b"".join(words)[:PERIOD]


def content(size: int, start: int = 0) -> bytes:
    """Give so many bytes of a file's content, which is the same for all."""
    start %= PERIOD
    return (_period() * (size // PERIOD + 2))[start : start + size]


def _check_content(size: int, found: int, piece: Callable[[int], Any]) -> None:
    """Raise unless a file is this one; `piece` gives what it has from somewhere."""
    if found != size:
        raise ValueError(f"wrong answer: {found:,} bytes of {size:,}")
    for start in range(0, size, PIECE) if size <= SMALL else (0, size // 2, size - PIECE):
        if piece(start) != content(min(PIECE, size - start), start):
            raise ValueError(f"wrong answer: other bytes at {start:,}")


def _check_bytes(size: int, content: Any) -> None:
    view = memoryview(content)
    _check_content(size, len(view), lambda start: view[start : start + PIECE])


def _check_file(size: int, path: Path) -> None:
    with path.open("rb") as file:

        def piece(start: int) -> bytes:
            file.seek(start)
            return file.read(PIECE)

        _check_content(size, path.stat().st_size, piece)


def _check_sent(task: Task, content: bytes, least: int) -> int:
    """Raise unless what the server received has this near its beginning, and so many bytes; gives
    how many.
    """
    connection = HTTPConnection(task.origin.removeprefix("http://"))
    connection.request("GET", "/received")
    answer = connection.getresponse()
    size = int(answer.headers["received"])
    if content not in answer.read() or not least < size < least + AROUND:
        raise ValueError(
            f"wrong answer: the server received {size:,} bytes of {least:,}, or others"
        )
    return size


@contextmanager
def _ways(task: Task) -> Iterator[tuple[Ways, Do]]:
    """Give what a contender does, and how it is called."""
    origin, trusted = (task.secure_origin, task.certificate) if task.secure else (task.origin, None)
    if task.variant != "async":
        with FILES[task.contender](origin, trusted) as ways:
            yield ways, lambda function, *arguments: function(*arguments)
        return

    async def awaited(function: Callable[..., Any], *arguments: Any) -> Any:
        return await function(*arguments)

    # Not asyncio.Runner, which takes the repr of what it gives, a second for 64 MB (CPython 3.11,
    # by way of signal.signal).
    with closing(asyncio.new_event_loop()) as loop:
        contender = FILES_ASYNC[task.contender](origin, trusted)
        yield (
            loop.run_until_complete(contender.__aenter__()),
            lambda *call: loop.run_until_complete(awaited(*call)),
        )
        loop.run_until_complete(contender.__aexit__(None, None, None))


def _url(task: Task, size: int) -> str:
    return f"{task.secure_origin if task.secure else task.origin}/file/{size}"


def _megabytes(cost: Cost, size: int) -> Sample:
    return cost.sample(size / 1e6, 1e3)


def _source(task: Task, size: int) -> Path:
    """Give a file to send, made by whoever needs it first."""
    path = Path(task.folder, f"source-{size}.bin")
    if not path.exists():
        with path.open("wb") as file:
            for start in range(0, size, PERIOD):
                file.write(_period()[: size - start])
    return path


def save(task: Task) -> Sample:
    """Save a file, which is opened and closed within the time."""
    with TemporaryDirectory(dir=task.folder) as folder, _ways(task) as (ways, do):
        target = Path(folder, "saved")
        do(ways.save, _url(task, SMALL), target)
        _check_file(SMALL, target)
        cost = Cost(task.server, ways.peak)
        while cost.seconds < task.seconds:
            # To free an old one would be measured.
            target.unlink()
            with cost.counted():
                do(ways.save, _url(task, task.size), target)
            _check_file(task.size, target)
    return _megabytes(cost, task.size)


def read(task: Task) -> Sample:
    """Read a file whole into memory."""
    with _ways(task) as (ways, do):
        _check_bytes(SMALL, do(ways.read, _url(task, SMALL)))
        cost = Cost(task.server)
        while cost.seconds < task.seconds:
            with cost.counted():
                content = do(ways.read, _url(task, task.size))
            _check_bytes(task.size, content)
            del content
    return _megabytes(cost, task.size)


def upload(task: Task) -> Sample:
    """Send a file, which is opened and closed within the time."""
    small, source = _source(task, KEPT), _source(task, task.size)
    with _ways(task) as (ways, do):
        do(ways.upload, small)
        _check_sent(task, content(KEPT), KEPT)
        cost = Cost(task.server, ways.peak)
        while cost.seconds < task.seconds:
            with cost.counted():
                record = do(ways.upload, source)
            _check_record(task, record)
    return _megabytes(cost, task.size)


def _check_record(task: Task, record: Any) -> None:
    """Raise unless the server received a file, and said so."""
    told = record["size"] if isinstance(record, dict) else record.size
    if told != _check_sent(task, content(KEPT), task.size):
        raise ValueError(f"wrong answer: {told:,} bytes of {task.size:,}")


def stalls(task: Task) -> Sample:
    """Give the longest time for which a transfer holds up what else is on its event loop."""
    with TemporaryDirectory(dir=task.folder) as folder:
        return asyncio.run(_stalls(task, Path(folder)))


async def _stalls(task: Task, folder: Path) -> Sample:
    warm, target, small, source = (
        folder / "warm",
        folder / "saved",
        _source(task, KEPT),
        _source(task, task.size),
    )
    late: list[float] = []

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK)
            late.append(time.perf_counter() - began - TICK)

    async with FILES_ASYNC[task.contender](task.origin, None) as ways:
        await ways.save(_url(task, SMALL), warm)
        await ways.upload(small)
        ticking = asyncio.ensure_future(tick())
        await asyncio.sleep(TICK * 2)
        late.clear()
        began = time.perf_counter()
        record = await (
            ways.save(_url(task, task.size), target)
            if task.variant == "save"
            else ways.upload(source)
        )
        took = time.perf_counter() - began
        # The one that is due then sees the end.
        await asyncio.sleep(TICK * 2)
        ticking.cancel()
    if task.variant == "save":
        _check_file(task.size, target)
    else:
        _check_record(task, record)
    return Sample(
        max(late) * 1e3, more={"median ms": median(late) * 1e3, "MB/s": task.size / 1e6 / took}
    )


def data_uri(task: Task) -> Sample:
    """Create a prediction with a file within its input."""
    small, source = _source(task, KEPT), _source(task, task.size)
    # Not its last characters, which depend on what follows.
    begins = b64encode(content(KEPT // 3 * 3))
    with INLINE[task.contender](task.origin) as create:
        check(create(small))
        _check_sent(task, begins, -(-KEPT // 3) * 4)
        cost = Cost(task.server)
        while cost.seconds < task.seconds:
            with cost.counted():
                prediction = create(source)
            check(prediction)
            encoded = -(-task.size // 3) * 4
            _check_sent(task, begins, encoded)
    sample = cost.sample(1, 1)
    sample.value, sample.cpu = median(cost.times) * 1e3, (sample.cpu or 0) * 1e3
    sample.more["x encoded"] = sample.more["extra MB"] * 1e6 / encoded
    return sample


def save_all(task: Task) -> Sample:
    """Save many little files."""
    urls = [f"{_url(task, LITTLE)}/{number:03}.bin" for number in range(task.size)]
    with SAVE_ALL[task.contender](task.origin) as save:
        _save_all(save, urls[:20], Path(task.folder), Cost(task.server))
        cost = Cost(task.server)
        while cost.seconds < task.seconds:
            _save_all(save, urls, Path(task.folder), cost)
    # The seconds for a million are the microseconds for one.
    return cost.sample(task.size, 1e6)


def _save_all(
    save: Callable[[list[str], Path], Any], urls: list[str], parent: Path, cost: Cost
) -> None:
    with TemporaryDirectory(dir=parent) as folder:
        with cost.counted():
            save(urls, Path(folder))
        found = list(Path(folder).iterdir())
        if len(found) != len(urls):
            raise ValueError(f"wrong answer: {len(found)} files of {len(urls)}")
        for path in found:
            _check_file(LITTLE, path)
