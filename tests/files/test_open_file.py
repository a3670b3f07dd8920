"""An output file as an open file: its position, its connection, its version, and its lock."""

import asyncio
import copy
import io
import json
import os
import pickle
import random
import re
import threading

import pytest

from conftest import script
from replicate_rs import (
    AbortController,
    AsyncReplicate,
    FileOutput,
    Replicate,
    Response,
    exceptions,
)
from support.hosts import CONTENT, Host
from support.wire import Wire, reply


@pytest.fixture
def client():
    with Replicate("r8_secret", base_url="https://x.test") as client:
        yield client


def test_it_has_what_open_files_have(both):
    with Host() as host:
        output = host.file(both.client("https://x.test"), "/a/x.bin?y")
        assert (output.name, output.mode, output.closed, output.tell()) == ("x.bin", "rb", False, 0)
        assert (output.readable(), output.seekable(), output.writable(), output.isatty()) == (
            True,
            True,
            False,
            False,
        )
        with pytest.raises(io.UnsupportedOperation, match="os.fspath"):
            output.fileno()
        assert output.flush() is None
        assert not host.seen
        assert both(lambda: output.read(5)) == CONTENT[:5]
        assert both(lambda: output.seek(-4, os.SEEK_END)) == len(CONTENT) - 4
        assert both(lambda: output.read()) == CONTENT[-4:]
        assert both(lambda: output.read()) == CONTENT
        assert both(lambda: output.seek(1)) == 1
        assert both(lambda: output.seek(1, os.SEEK_CUR)) == output.tell() == 2
        buffer = bytearray(3)
        assert both(lambda: output.readinto(buffer)) == 3
        assert buffer == CONTENT[2:5]
        assert both(lambda: output.readline()) == CONTENT[5:11]
        assert both(lambda: output.readline(3)) == CONTENT[11:14]
        with pytest.raises(OSError, match="before the beginning"):
            both(lambda: output.seek(-1))
        with pytest.raises(ValueError, match="whence"):
            both(lambda: output.seek(0, 7))
        assert both(lambda: output.seek(10**9)) == 10**9
        assert both(lambda: output.read(1)) == b""


def test_a_closed_one_gives_its_content_all_the_same(both, tmp_path):
    # More than is read ahead.
    content = CONTENT * 60
    with Host(content) as host:
        output = host.file(both.client("https://x.test"))
        both(lambda: output.read(5))
        output.close()
        output.close()
        assert output.closed
        host.until(lambda: host.open_now == 0)
        for call in (
            lambda: output.read(5),
            output.readline,
            lambda: output.seek(0),
            lambda: output.readinto(bytearray(1)),
        ):
            with pytest.raises(ValueError, match="closed"):
                both(call)
        with pytest.raises(ValueError, match="closed"):
            output.tell()
        assert both(lambda: output.read()) == content
        assert both(lambda: output.save(tmp_path / "x")).read_bytes() == content
        assert copy.copy(output).closed is False


def test_with_closes_it(client):
    with Host() as host:
        with host.file(client) as output:
            assert output.read(3) == CONTENT[:3]
        assert output.closed

        async def main():
            async with host.file(client) as output:
                assert await output.aread(3) == CONTENT[:3]
            assert output.closed
            await output.aclose()

        asyncio.run(main())


def test_both_modes_of_one_file_share_its_position(client):
    with Host() as host:
        output = host.file(client)
        assert output.read(3) == CONTENT[:3]
        assert asyncio.run(output.aread(3)) == CONTENT[3:6]
        assert output.tell() == 6


@pytest.mark.parametrize(
    "twin", [copy.copy, copy.deepcopy, lambda output: pickle.loads(pickle.dumps(output))]
)
def test_a_copy_begins_anew(client, twin):
    with Host() as host:
        output = host.file(client)
        output.read(1000)
        other = twin(output)
        assert (other.tell(), other.read(3), output.tell()) == (0, CONTENT[:3], 1000)


def test_an_async_one_is_no_blocking_file():
    output = FileOutput("data:,x", AsyncReplicate("t"))
    assert not isinstance(output, io.IOBase)
    assert isinstance(FileOutput("data:,x", Replicate("t")), io.RawIOBase)
    with pytest.raises(TypeError, match="await"):
        io.TextIOWrapper(output).readline()
    with pytest.raises(TypeError, match="await"):
        iter(output)


@pytest.mark.parametrize("parts", [True, False])
def test_threads_that_read_one_get_each_byte_once(client, parts):
    content = b"".join(n.to_bytes(4, "big") for n in range(200_000))
    with Host(content, parts=parts) as host:
        output, pieces = host.file(client), []

        def read():
            while piece := output.read(4000):
                pieces.append(piece)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert b"".join(sorted(pieces)) == content


def test_tasks_that_read_one_get_each_byte_once():
    content = b"".join(n.to_bytes(4, "big") for n in range(100_000))

    async def main(output):
        pieces = []

        async def read():
            while piece := await output.read(4000):
                pieces.append(piece)

        await asyncio.gather(*(read() for _ in range(4)))
        return b"".join(sorted(pieces))

    with Host(content) as host:
        assert (
            asyncio.run(main(host.file(AsyncReplicate("t", base_url="https://x.test")))) == content
        )


def test_a_read_that_is_given_up_loses_nothing(both):
    first = threading.Event()

    def answer(seen):
        start = int(re.fullmatch(r"bytes=(\d+)-", seen.headers.get("range", "bytes=0-"))[1])
        whole = reply(
            CONTENT[start:],
            206 if start else 200,
            headers=f'ETag: "a"\r\nContent-Range: bytes {start}-/{len(CONTENT)}\r\n',
        )
        if first.is_set():
            return whole

        def stall(connection):
            connection.sendall(whole[:1000])
            first.set()
            while connection.recv(4096):
                pass

        return stall

    with Wire(answer) as wire:
        output = FileOutput(f"{wire.origin}/x.bin", both.client("https://x.test"))
        with pytest.raises(exceptions.APITimeoutError):
            both(lambda: output.read(100_000, timeout=0.2))
        assert output.tell() == 0
        controller = AbortController()
        controller.abort()
        with pytest.raises(exceptions.AbortError):
            both(lambda: output.read(100_000, signal=controller.signal))
        assert both(lambda: output.read(100_000)) == CONTENT[:100_000]
        assert both(lambda: output.read(10, timeout=20)) == CONTENT[100_000:100_010]
        assert both(lambda: output.read(200_000)) == CONTENT[100_010:]


FORKED = """
    import os, sys
    from replicate_rs import FileOutput, Replicate
    output = FileOutput(sys.argv[1], Replicate("t"))
    assert output.read(1000) == bytes(range(256)) * 3 + bytes(range(232))
    child = os.fork()
    rest = output.read(300_000)
    assert (len(rest), rest[:2], output.tell()) == (255_000, bytes((232, 233)), 256_000)
    if child:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_a_forked_child_reads_on_by_itself():
    with Host() as host:
        done = script(FORKED, f"{host.origin}/file.bin")
        assert (done.returncode, done.stderr) == (0, "")


def test_a_file_that_changes_is_not_mixed(both):
    content = CONTENT * 20
    with Host(content) as host:
        output = host.file(both.client("https://x.test"))
        assert both(lambda: output.read(10)) == CONTENT[:10]
        host.content, host.etag = bytes(len(content)), '"v2"'
        both(lambda: output.seek(5_000_000))
        for _ in range(2):
            with pytest.raises(exceptions.APIConnectionError, match="changed while it was read"):
                both(lambda: output.read(10))
        both(lambda: output.seek(0))
        assert both(lambda: output.read(len(content))) == bytes(len(content))


@pytest.mark.parametrize(
    ("before", "after"),
    [('ETag: W/"a"', 'ETag: W/"b"'), ("Last-Modified: a", "Last-Modified: b"), ("X: a", "X: b")],
)
def test_it_is_known_by_what_its_host_says(client, before, after):
    told = [before, after]
    contents = [CONTENT, CONTENT[:-1] if "X" in before else CONTENT]
    with Wire(
        lambda _: reply(contents.pop(0), headers=f"{told.pop(0)}\r\n", kind="image/png")
    ) as wire:
        output = FileOutput(f"{wire.origin}/x.png", client)
        output.read(10)
        output.seek(200_000)
        output._cursor._drop()
        with pytest.raises(exceptions.APIConnectionError, match="changed while"):
            output.read(10)


@pytest.mark.parametrize("parts", [True, False])
def test_any_way_through_it_gives_what_is_there(both, parts):
    """Compared with a file in memory, at a host with ranges and at one without."""
    dice = random.Random(7)
    with Host(CONTENT[:5000], parts=parts) as host:
        for _ in range(15):
            output, expected = host.file(both.client("https://x.test")), io.BytesIO(CONTENT[:5000])
            for _ in range(12):
                size = dice.choice((0, 1, 10, 700, 4000))
                if dice.random() < 0.4:
                    place = dice.choice(((size, 0), (size, 1), (-min(size, 4000), 2)))
                    assert both(lambda place=place: output.seek(*place)) == expected.seek(*place)
                elif dice.random() < 0.5:
                    assert both(lambda size=size: output.readline(size)) == expected.readline(size)
                else:
                    assert both(lambda size=size: output.read(size)) == expected.read(size)
                assert output.tell() == expected.tell()


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_function_s_own_answer_is_an_open_file(both, knows_ranges):
    asked = []

    def answer(request):
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        asked.append(start)
        if not knows_ranges:
            return Response(200, body=CONTENT, headers={"content-type": "image/png"})
        if start >= len(CONTENT):
            return Response(416, headers={"content-range": f"bytes */{len(CONTENT)}"})
        return Response(
            206,
            body=CONTENT[start:],
            headers={"content-range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"},
        )

    def fetch(request, send):
        return answer(request)

    async def afetch(request, send):
        return answer(request)

    output = FileOutput(
        "https://x.test/x.png",
        both.client("https://x.test", fetch=afetch if both.is_async else fetch),
    )
    assert both(lambda: output.seek(300_000)) == 300_000
    assert both(lambda: output.read(10)) == b""
    assert both(lambda: output.seek(-5, 2)) == len(CONTENT) - 5
    assert both(lambda: output.read(10)) == CONTENT[-5:]
    assert both(lambda: output.seek(1000)) == 1000
    assert both(lambda: output.read(10)) == CONTENT[1000:1010]
    assert output.size == len(CONTENT)


def test_a_file_that_is_gone_is_said_to_be_removed_after_an_hour(both, tmp_path):
    from replicate_rs import asave_all, save_all

    with Wire(lambda _: reply(b"Not found", 404)) as wire:
        output = FileOutput(f"{wire.origin}/x.png", both.client("https://x.test"))
        for call in (
            lambda: output.read(),
            lambda: output.read(5),
            lambda: output.seek(0, 2),
            lambda: output.save(tmp_path / "x"),
            lambda: output.chunks(),
            lambda: (asave_all if both.is_async else save_all)(output, tmp_path),
        ):
            with pytest.raises(exceptions.NotFoundError, match="removed an hour after") as caught:
                both(call)
            assert caught.value.status == 404


def test_headers_are_what_a_response_may_carry(client):
    assert FileOutput("data:image/png;base64,AAAA", client).headers == {
        "content-type": "image/png",
        "content-length": "3",
    }
    assert FileOutput("https://x.test/x.webp", client).headers["content-type"] == "image/webp"
    assert FileOutput("https://x.test/x", client).headers == {}
    assert json.dumps(FileOutput("https://x.test/x", client).headers) == "{}"
