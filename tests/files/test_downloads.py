"""Output files are read, in pieces or whole, and several at a time."""

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from replicate_rs import FileOutput, Replicate, Response, Timeout, asave_all, exceptions
from replicate_rs import save_all as all_saved
from support.downloads import chunks, names, read, save
from support.hosts import CONTENT, Host, sending, without_length
from support.wire import Wire, hang, reply


def test_it_is_read_whole_or_in_order(both):
    with Host() as host:
        output = host.file(both.client("https://x.test"))
        at = 0
        for size in (-1, None, 0, 1, 70_000, -1, 65_536, len(CONTENT), 1):
            if size is None or size < 0:
                assert read(both, output, size) == CONTENT
            else:
                assert read(both, output, size) == CONTENT[at : at + size]
                at += size


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 3_000_000])
@pytest.mark.parametrize("has_length", [True, False])
def test_whatever_its_size_it_is_read_whole(both, size, has_length, tmp_path):
    content = os.urandom(size)
    with Wire(
        lambda _: reply(content, kind="image/png") if has_length else without_length(content)
    ) as wire:
        output = FileOutput(f"{wire.origin}/x.png", both.client("https://x.test"))
        assert read(both, output) == content
        assert save(both, output, tmp_path / "x").read_bytes() == content
        pieces = chunks(both, output)
        assert b"".join(pieces) == content
        assert all(len(each) >= 65_536 for each in pieces[:-1])


def test_pieces_are_not_as_small_as_the_host_s(both):
    def trickle(connection):
        connection.sendall(reply(b"", length=len(CONTENT)))
        for start in range(0, len(CONTENT), 1000):
            connection.sendall(CONTENT[start : start + 1000])

    with Wire(lambda _: trickle) as wire:
        pieces = chunks(both, FileOutput(f"{wire.origin}/x", both.client("https://x.test")))
    assert b"".join(pieces) == CONTENT
    assert all(len(each) >= 65_536 for each in pieces[:-1])


def test_a_slow_reader_holds_the_sender_back(both):
    """Content that is not read stays with the sender, but for the buffers of the sockets."""
    sent = 0
    is_stalled = threading.Event()

    def endless(connection):
        nonlocal sent
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nConnection: close\r\n\r\n"
        )
        connection.settimeout(0.5)
        try:
            while True:
                sent += connection.send(bytes(50_000))
        except TimeoutError:
            connection.settimeout(None)
            is_stalled.set()
        hang(connection)

    def assert_sender_waits():
        assert is_stalled.wait(10)
        assert 0 < sent < 32 << 20

    async def pause():
        async for _ in output:
            await asyncio.to_thread(assert_sender_waits)
            break
        await asyncio.to_thread(wire.until, lambda: wire.open_now == 0)

    with Wire(lambda _: endless) as wire:
        output = FileOutput(f"{wire.origin}/x", both.client("https://x.test"))
        if both.is_async:
            both(pause)
        else:
            pieces = iter(output)
            next(pieces)
            assert_sender_waits()
            pieces.close()
        wire.until(lambda: wire.open_now == 0)


def test_leaving_early_closes_the_connection(both):
    """Ending the iteration ends the download."""
    endless = without_length(bytes(50_000_000))
    with Wire(lambda _: endless) as wire:
        output = FileOutput(f"{wire.origin}/x", both.client("https://x.test"))
        if both.is_async:

            async def leave():
                async for _ in output:
                    break
                await asyncio.to_thread(wire.until, lambda: wire.open_now == 0)

            both(leave)
        else:
            for _ in output:
                break
        wire.until(lambda: wire.open_now == 0)
        read(both, output, 1)
        output.close()
        wire.until(lambda: wire.open_now == 0)


def test_what_is_known_of_it(both, tmp_path):
    disposition = "attachment; filename*=UTF-8''sch%C3%B6n.webp"
    with Host(headers=f"Content-Disposition: {disposition}\r\n", kind="image/webp") as host:
        output = host.file(both.client("https://x.test"), "/a/out-0.png?sig=1")
        assert (output.content_type, output.size, output.filename) == (
            "image/png",
            None,
            "out-0.png",
        )
        assert not host.seen
        save(both, output, tmp_path / "x")
        assert (output.content_type, output.size, output.filename) == (
            "image/webp",
            len(CONTENT),
            "schön.webp",
        )
        other = host.file(both.client("https://x.test"))
        read(both, other, 5)
        assert (other.content_type, other.size) == ("image/webp", len(CONTENT))


def test_many_are_fetched_at_once(tmp_path):
    contents = [os.urandom(1000 * n) for n in range(100)]

    def script(seen):
        return reply(contents[int(seen.path[1:])], kind="application/octet-stream")

    with Wire(script) as wire:
        client = Replicate("t", base_url="https://x.test")
        outputs = [FileOutput(f"{wire.origin}/{n}", client) for n in range(100)]

        async def all_of_them():
            reads = [output.aread() for output in outputs]
            saves = [output.asave(tmp_path / str(n)) for n, output in enumerate(outputs)]
            return await asyncio.gather(*reads, *saves)

        assert asyncio.run(all_of_them())[:100] == contents
        with ThreadPoolExecutor(16) as threads:
            assert [*threads.map(lambda output: output.read(), outputs)] == contents
            paths = [*threads.map(lambda n: outputs[n].save(tmp_path / f"t{n}"), range(100))]
    assert [path.read_bytes() for path in paths] == contents
    assert [(tmp_path / str(n)).read_bytes() for n in range(100)] == contents
    assert len(names(tmp_path)) == 200


def test_when_one_of_many_fails_nothing_is_left_of_the_others(both, tmp_path):
    """No temporary file stays, and each saved file is complete."""
    large = bytes(4 << 20)

    def script(seen):
        if seen.path == "/wrong":
            wire.until(lambda: len(wire.seen) == 9)
            return reply(b"gone", 404, kind="text/plain")
        # Some hang before the last byte, and some are complete.
        return sending(reply(large)[:-1], hang_up=False) if seen.path < "/4" else reply(large)

    for _ in range(5):
        with Wire(script) as wire:
            client = both.client("https://x.test")
            outputs = [FileOutput(f"{wire.origin}/{name}", client) for name in (*range(8), "wrong")]
            with pytest.raises(exceptions.NotFoundError):
                both(
                    lambda outputs=outputs: (asave_all if both.is_async else all_saved)(
                        outputs, tmp_path
                    )
                )
            assert [each for each in names(tmp_path) if each.endswith(".part")] == []
            assert all(each.stat().st_size == len(large) for each in tmp_path.iterdir())


def test_a_caller_s_own_fetch_carries_files_too(both, tmp_path):
    seen = []

    def fetch(request, send):
        seen.append(request.url)
        if request.url.endswith("own.png"):
            return Response(200, headers={"Content-Type": "image/png"}, body=b"own")
        return send(request)

    async def afetch(request, send):
        answer = fetch(request, send)
        return answer if isinstance(answer, Response) else await answer

    with Host(kind="image/webp") as host:
        client = both.client("https://x.test", fetch=afetch if both.is_async else fetch)
        output, own = host.file(client), host.file(client, "/own.png")
        assert read(both, output) == CONTENT
        assert save(both, output, tmp_path / "a").read_bytes() == CONTENT
        assert (output.content_type, output.size) == ("image/webp", len(CONTENT))
        assert (read(both, own), read(both, own, 2)) == (b"own", b"ow")
        assert save(both, own, tmp_path / "b").read_bytes() == b"own"
        assert (own.content_type, own.size) == ("image/png", 3)
        assert b"".join(chunks(both, output)) == CONTENT
    assert len(seen) == 6


def test_a_pause_between_two_pieces_is_no_timeout_of_a_read(both):
    """The limit for a read is the host's, not the program's."""
    content = os.urandom(3_000_000)
    with Wire(lambda _: reply(content)) as wire:
        client = both.client(wire.base_url, timeout=Timeout(30, read=0.2), max_retries=0)
        output = FileOutput(f"{wire.origin}/x", client)
        pieces = []
        if both.is_async:

            async def read_slowly():
                async for piece in output:
                    if len(pieces) < 3:
                        await asyncio.sleep(0.4)
                    pieces.append(piece)

            both(read_slowly)
        else:
            for piece in output:
                if len(pieces) < 3:
                    time.sleep(0.4)
                pieces.append(piece)
        assert b"".join(pieces) == content
        assert len(wire.seen) == 1
