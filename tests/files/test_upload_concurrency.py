"""Several uploads at a time: their number, their order, and how they are canceled."""

import asyncio
import io
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from replicate_rs import AbortController, Replicate, exceptions
from support.uploads import DATA, Uploads, url_of
from support.wire import hang, reply

pytest_plugins = ["support.file_fixtures"]


class Gate:
    """Answers uploads once a number of them have arrived, and counts the open ones."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.most = self.now = 0
        self.lock = threading.Lock()
        self.server: Any = None

    def __call__(self, _):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.server.until(lambda: len(self.server.uploads) >= self.wanted)
        with self.lock:
            # Before the answer, after which the next upload may begin.
            self.now -= 1
        return ...


@pytest.mark.parametrize(("files", "wanted"), [(5, 5), (20, 8)])
def test_uploads_run_together_eight_at_most(create, files, wanted):
    gate = Gate(wanted)
    with Uploads(gate) as gate.server:
        contents = [f"file {n}".encode() for n in range(files)]
        create(gate.server, contents)
    assert gate.most == wanted
    assert gate.server.body["input"]["value"] == [url_of(each) for each in contents]
    assert sorted(each.content for each in gate.server.forms) == sorted(contents)


def test_the_same_object_is_uploaded_once_and_equal_ones_each(create, server, maker):
    handle, content, path = io.BytesIO(DATA), bytes(DATA), maker.data
    create(server, [handle, content, path, {"again": [path, content, handle]}, bytearray(DATA)])
    assert len(server.uploads) == 4
    assert server.body["input"]["value"] == [url_of(DATA)] * 3 + [
        {"again": [url_of(DATA)] * 3},
        url_of(DATA),
    ]


def test_nothing_is_uploaded_before_all_is_known_to_be_sound(create, server, maker):
    for bad, kind in (
        (maker.folder / "none", exceptions.FileError),
        (math.nan, ValueError),
        (object(), TypeError),
    ):
        with pytest.raises(kind):
            create(server, [b"first", bad])
    assert server.seen == []


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_when_one_is_refused_the_others_are_given_up(create, bad):
    files = [f"file {n}".encode() for n in range(3)]

    def answer(seen):
        # All must have begun to be canceled.
        server.until(lambda: len(server.uploads) == 3)
        return (
            reply({"detail": "no"}, 422, headers="Connection: close\r\n")
            if files[bad] in seen.body
            else hang
        )

    with Uploads(answer) as server:
        with pytest.raises(exceptions.UnprocessableEntityError):
            create(server, files, timeout=2)
        server.until(lambda: server.open_now == 0)
    assert server.routes == ["POST /v1/files"] * 3


def test_a_deadline_is_over_the_uploads_too(create):
    with Uploads(lambda _: hang) as server:
        with pytest.raises(exceptions.APITimeoutError) as caught:
            create(server, [b"a", b"b"], timeout=0.3)
        server.until(lambda: server.open_now == 0)
    assert caught.value.is_deadline
    assert "POST /v1/predictions" not in server.routes


def test_a_signal_ends_the_uploads(both, create):
    controller = AbortController()

    def answer(_):
        server.until(lambda: len(server.uploads) == 3)
        controller.abort("enough")
        return hang

    with Uploads(answer) as server:
        with pytest.raises(exceptions.AbortError, match="enough"):
            create(server, [b"a", b"b", b"c"], signal=controller.signal)
        server.until(lambda: server.open_now == 0)
        with pytest.raises(exceptions.AbortError):
            both(lambda: both.client(server.base_url).files.create(b"a", signal=controller.signal))
    assert server.routes == ["POST /v1/files"] * 3


@pytest.mark.parametrize("progress", [None, lambda sent, total: None])
@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_a_task_that_is_cancelled_ends_its_uploads(both, progress):
    async def main():
        client = both.client(server.base_url)
        uploads = [client.files.create(b"a", progress=progress)]
        uploads += [client.predictions.create("v", {"a": [b"a", b"b"]}, upload_progress=progress)]
        tasks = [asyncio.create_task(each) for each in uploads]
        await asyncio.to_thread(server.until, lambda: len(server.uploads) == 3)
        for task in tasks:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await asyncio.to_thread(server.until, lambda: server.open_now == 0)

    with Uploads(lambda _: hang) as server:
        both(main)
    assert server.routes == ["POST /v1/files"] * 3


def test_many_threads_upload_through_one_client(server):
    def work(thread):
        start.wait()
        for number in range(20):
            name = f"{thread}-{number}.txt"
            client.files.create(name.encode() * (number + 1), filename=name)

    start = threading.Barrier(8)
    with Replicate("x", base_url=server.base_url) as client, ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    expected = {f"{thread}-{number}.txt": number + 1 for thread in range(8) for number in range(20)}
    assert len(server.forms) == len(expected)
    assert {each.name: each.content for each in server.forms} == {
        name: name.encode() * times for name, times in expected.items()
    }


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_many_tasks_upload_through_one_client(both, server, maker):
    paths = [
        maker.path(f"{number}.txt", f"{number} ".encode() * (1 + number * 50))
        for number in range(50)
    ]

    async def main():
        client = both.client(server.base_url)
        return await asyncio.gather(*map(client.files.create, paths))

    files = both(main)
    assert [each.urls["get"] for each in files] == [url_of(each.read_bytes()) for each in paths]
    assert sorted(each.name for each in server.forms) == sorted(each.name for each in paths)
