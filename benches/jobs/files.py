"""Jobs: files that are saved, read and uploaded; their speed, CPU time and memory."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from contenders import check_prediction
from contenders.files import FILES, FILES_ASYNC
from contenders.prediction_files import INLINE, SAVE_ALL
from jobs.file_content import (
    KEPT,
    SMALL,
    check_bytes,
    check_file,
    check_received,
    content,
    create_source,
)
from jobs.sampling import Sample, Task
from jobs.transfers import TransferMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contenders.file_sockets import FileFunctions

    # Calls a function with arguments; if it is async, waits for its result.
    Call = Callable[..., Any]

# Seconds between two ticks of a loop that is watched for stalls.
TICK = 0.01
# Bytes of each file, where many are saved.
MANY_FILE_SIZE = 100_000


@contextmanager
def _functions(task: Task) -> Iterator[tuple[FileFunctions, Call]]:
    """Yield a contender's functions, and how to call them."""
    origin, trusted = (task.secure_origin, task.certificate) if task.secure else (task.origin, None)
    if task.variant != "async":
        with FILES[task.contender](origin, trusted) as functions:
            yield functions, lambda function, *arguments: function(*arguments)
        return

    async def awaited(function: Callable[..., Any], *arguments: Any) -> Any:
        return await function(*arguments)

    # Not asyncio.Runner: through signal.signal, CPython 3.11 takes the repr of the result, which
    # needs a second for 64 MB.
    with closing(asyncio.new_event_loop()) as loop:
        contender = FILES_ASYNC[task.contender](origin, trusted)
        yield (
            loop.run_until_complete(contender.__aenter__()),
            lambda *arguments: loop.run_until_complete(awaited(*arguments)),
        )
        loop.run_until_complete(contender.__aexit__(None, None, None))


def _url(task: Task, size: int) -> str:
    return f"{task.secure_origin if task.secure else task.origin}/file/{size}"


def _per_gigabyte(meter: TransferMeter, size: int) -> Sample:
    return meter.sample(size / 1e6, 1e3)


def save(task: Task) -> Sample:
    """Save a file; opening and closing it is measured, too."""
    with _functions(task) as (functions, call):
        return _save(task, functions, partial(call, functions.save))


def iterate(task: Task) -> Sample:
    """Write a file's chunks to a file, in a loop; opening and closing it is measured, too."""
    with _functions(task) as (functions, call):
        return _save(task, functions, partial(call, functions.iterate or functions.save))


def _save(task: Task, functions: FileFunctions, save_to: Callable[[str, Path], Any]) -> Sample:
    with TemporaryDirectory(dir=task.folder) as folder:
        target = Path(folder, "saved")
        save_to(_url(task, SMALL), target)
        check_file(SMALL, target)
        meter = TransferMeter(task.server, functions.peak)
        while meter.seconds < task.seconds:
            # Otherwise the time to free the old file would be measured.
            target.unlink()
            with meter.transfer(Path(folder)):
                save_to(_url(task, task.size), target)
            check_file(task.size, target)
    return _per_gigabyte(meter, task.size)


def read(task: Task) -> Sample:
    """Read a file into memory."""
    with _functions(task) as (functions, call):
        check_bytes(SMALL, call(functions.read, _url(task, SMALL)))
        meter = TransferMeter(task.server)
        while meter.seconds < task.seconds:
            with meter.transfer():
                body = call(functions.read, _url(task, task.size))
            check_bytes(task.size, body)
            del body
    return _per_gigabyte(meter, task.size)


def upload(task: Task) -> Sample:
    """Upload a file; opening and closing it is measured, too."""
    small, source = create_source(task, KEPT), create_source(task, task.size)
    with _functions(task) as (functions, call):
        call(functions.upload, small)
        check_received(task, content(KEPT), KEPT)
        meter = TransferMeter(task.server, functions.peak)
        while meter.seconds < task.seconds:
            with meter.transfer():
                record = call(functions.upload, source)
            _check_record(task, record)
    return _per_gigabyte(meter, task.size)


def _check_record(task: Task, record: Any) -> None:
    """Raise ValueError unless the server received the file and answered with its size."""
    size = record["size"] if isinstance(record, dict) else record.size
    if size != check_received(task, content(KEPT), task.size):
        raise ValueError(f"wrong answer: {size:,} bytes of {task.size:,}")


def stalls(task: Task) -> Sample:
    """Measure the longest time for which a transfer blocks its event loop."""
    with TemporaryDirectory(dir=task.folder) as folder:
        return asyncio.run(_stalls(task, Path(folder)))


async def _stalls(task: Task, folder: Path) -> Sample:
    target = folder / "saved"
    small, source = create_source(task, KEPT), create_source(task, task.size)
    delays: list[float] = []

    async def tick() -> None:
        while True:
            started = time.perf_counter()
            await asyncio.sleep(TICK)
            delays.append(time.perf_counter() - started - TICK)

    async with FILES_ASYNC[task.contender](task.origin, None) as functions:
        await functions.save(_url(task, SMALL), folder / "warm-up")
        await functions.upload(small)
        ticking = asyncio.ensure_future(tick())
        await asyncio.sleep(TICK * 2)
        delays.clear()
        started = time.perf_counter()
        record = await (
            functions.save(_url(task, task.size), target)
            if task.variant == "save"
            else functions.upload(source)
        )
        duration = time.perf_counter() - started
        # For the tick that was due at the end.
        await asyncio.sleep(TICK * 2)
        ticking.cancel()
    if task.variant == "save":
        check_file(task.size, target)
    else:
        _check_record(task, record)
    return Sample(
        max(delays) * 1e3,
        more={"median ms": median(delays) * 1e3, "MB/s": task.size / 1e6 / duration},
    )


def data_uri(task: Task) -> Sample:
    """Create a prediction with a file in its input, as a `data:` URI."""
    small, source = create_source(task, KEPT), create_source(task, task.size)
    # Whole groups of three bytes, so that the text does not depend on the bytes that follow.
    encoded_start = b64encode(content(KEPT // 3 * 3))
    with INLINE[task.contender](task.origin) as create:
        check_prediction(create(small))
        check_received(task, encoded_start, -(-KEPT // 3) * 4)
        meter = TransferMeter(task.server)
        while meter.seconds < task.seconds:
            with meter.transfer():
                prediction = create(source)
            check_prediction(prediction)
            encoded = -(-task.size // 3) * 4
            check_received(task, encoded_start, encoded)
    sample = meter.sample(1, 1)
    sample.value = median(meter.times) * 1e3
    sample.scale_cpu(1e3)
    sample.more["x encoded"] = sample.more["extra MB"] * 1e6 / encoded
    return sample


def save_all(task: Task) -> Sample:
    """Save many small files to a folder."""
    urls = [f"{_url(task, MANY_FILE_SIZE)}/{number:03}.bin" for number in range(task.size)]
    with SAVE_ALL[task.contender](task.origin) as save:
        _save_all(save, urls[:20], Path(task.folder), TransferMeter(task.server))
        meter = TransferMeter(task.server)
        while meter.seconds < task.seconds:
            _save_all(save, urls, Path(task.folder), meter)
    # CPU seconds for a million files are microseconds for one.
    return meter.sample(task.size, 1e6)


def _save_all(
    save: Callable[[list[str], Path], Any], urls: list[str], parent: Path, meter: TransferMeter
) -> None:
    with TemporaryDirectory(dir=parent) as folder:
        with meter.transfer():
            save(urls, Path(folder))
        found = list(Path(folder).iterdir())
        if len(found) != len(urls):
            raise ValueError(f"wrong answer: {len(found)} files of {len(urls)}")
        for path in found:
            check_file(MANY_FILE_SIZE, path)
