"""Files that come out: read, saved, and what their hosts may do to that."""

import asyncio
import base64
import gzip
import hashlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from replicate_rs import FileOutput, Replicate, Response, asave_all, exceptions
from replicate_rs import save_all as all_saved
from support.hosts import CONTENT, Host, sending, until, without_length
from support.wire import Wire, reply

SHA256 = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
TENTHS = tuple(len(CONTENT) * n // 10 for n in range(1, 10))


def read(both, output, *args, **options):
    return both(lambda: (output.aread if both.is_async else output.read)(*args, **options))


def save(both, output, *args, **options):
    return both(lambda: (output.asave if both.is_async else output.save)(*args, **options))


def chunks(both, output, **options):
    return both(lambda: (output.achunks if both.is_async else output.chunks)(**options))


def names(folder):
    return sorted(each.name for each in folder.iterdir())


@pytest.fixture
def old(tmp_path):
    """A file that is there already, alone in its folder."""
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    return target


@pytest.fixture
def refused(both, old):
    """Expects that neither way of fetching a file works, and that the target is as before."""

    def refused(output, kind, match, **options):
        with pytest.raises(kind, match=match):
            save(both, output, old, **options)
        assert old.read_bytes() == b"old"
        assert names(old.parent) == ["out.bin"]
        for way in (read, chunks):
            with pytest.raises(kind, match=match):
                way(both, output, **options)

    return refused


# What is given


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
    """Row 18, J9."""
    sent = 0

    def endless(connection):
        nonlocal sent
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nConnection: close\r\n\r\n"
        )
        while True:
            sent += connection.send(bytes(50_000))

    def rests():
        before = -1
        while before != sent:
            before = sent
            time.sleep(0.1)
        # The sockets' buffers hold most of it.
        assert 0 < sent < 32 << 20

    async def pause():
        async for _ in output:
            await asyncio.to_thread(rests)
            break
        await asyncio.to_thread(wire.until, lambda: wire.open_now == 0)

    with Wire(lambda _: endless) as wire:
        output = FileOutput(f"{wire.origin}/x", both.client("https://x.test"))
        if both.is_async:
            both(pause)
        else:
            pieces = iter(output)
            next(pieces)
            rests()
            pieces.close()
        wire.until(lambda: wire.open_now == 0)


def test_leaving_early_closes_the_connection(both):
    """Row 18."""
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


# Saving


def test_it_is_saved_with_the_permissions_of_open(both, tmp_path):
    before = os.umask(0o027)
    try:
        with Host() as host:
            output = host.file(both.client("https://x.test"))
            assert stat.S_IMODE(save(both, output, tmp_path / "new").stat().st_mode) == 0o640
            (tmp_path / "own").touch(0o600)
            assert stat.S_IMODE(save(both, output, str(tmp_path / "own")).stat().st_mode) == 0o600
            (tmp_path / "link").symlink_to("own")
            save(both, output, tmp_path / "link")
            assert (tmp_path / "link").is_symlink()
            assert (tmp_path / "own").read_bytes() == CONTENT
    finally:
        os.umask(before)


def test_what_is_there_is_kept_if_asked(both, old):
    with Host() as host:
        client = both.client("https://x.test")
        for output in (host.file(client), FileOutput("data:,new", client)):
            with pytest.raises(exceptions.FileError, match=r"out\.bin"):
                save(both, output, old, overwrite=False)
            assert old.read_bytes() == b"old"
            new = old.with_name("new")
            save(both, output, new, overwrite=False)
            assert names(old.parent) == ["new", "out.bin"]
            new.unlink()
        assert len(host.seen) == 1


@pytest.mark.parametrize("name", ["nowhere/x", "", "a\0b", "file/x", "x" * 256])
def test_a_target_that_cannot_be_written_is_an_error_before_anything_is_fetched(
    both, name, tmp_path
):
    (tmp_path / "file").touch()
    with Host() as host:
        client = both.client("https://x.test")
        for output in (host.file(client), FileOutput("data:,x", client)):
            with pytest.raises(exceptions.FileError):
                save(both, output, tmp_path / name)
        if len(name) < 256:
            assert not host.seen
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_the_caller_s_is_an_error(both, tmp_path):
    tmp_path.chmod(0o500)
    with Host() as host, pytest.raises(exceptions.FileError, match="Permission denied"):
        save(both, host.file(both.client("https://x.test")), tmp_path / "x")


def test_a_file_goes_where_its_path_led_when_it_was_begun(both, tmp_path, monkeypatch):
    """The program may go to another folder meanwhile."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def script(_):
        os.chdir(tmp_path / "there")
        return reply(CONTENT)

    with Wire(script) as wire:
        save(both, FileOutput(f"{wire.origin}/x", both.client("https://x.test")), "out.bin")
    assert (names(tmp_path / "here"), names(tmp_path / "there")) == (["out.bin"], [])


def test_a_longest_name_can_be_saved(both, tmp_path):
    with Host() as host:
        assert (
            save(
                both, host.file(both.client("https://x.test")), tmp_path / ("x" * 255)
            ).read_bytes()
            == CONTENT
        )


def test_a_full_disk_is_an_error(both, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root may mount")
    try:
        (disk / "out.bin").write_bytes(b"old")
        with Host() as host:
            client = both.client("https://x.test")
            for output in (host.file(client), FileOutput("data:," + "x" * 200_000, client)):
                with pytest.raises(exceptions.FileError, match="No space left") as caught:
                    save(both, output, disk / "out.bin")
                assert caught.value.errno == 28
                assert names(disk) == ["out.bin"]
                assert (disk / "out.bin").read_bytes() == b"old"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


LIMITED = """
import resource, sys
from pathlib import Path
from replicate_rs import FileOutput, Replicate, exceptions
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
target = Path(sys.argv[2])
try:
    FileOutput(sys.argv[1], Replicate("t")).save(target)
except exceptions.FileError as error:
    print(error.errno, *[each.name for each in target.parent.iterdir()], target.read_text())
"""


def test_a_file_that_may_not_be_so_large_is_an_error(old):
    with Host() as host:
        program = [sys.executable, "-c", LIMITED, f"{host.origin}/x", str(old)]
        assert (
            subprocess.run(program, capture_output=True, text=True, check=True, timeout=20).stdout
            == "27 out.bin old\n"
        )


def test_a_save_that_is_given_up_leaves_nothing(old):
    def halfway(connection):
        connection.sendall(reply(CONTENT, length=2 * len(CONTENT)))
        arrived.set()
        while connection.recv(4096):
            pass

    arrived = threading.Event()
    with Wire(lambda _: halfway) as wire:
        output = FileOutput(f"{wire.origin}/x", Replicate("t"))

        async def cancelled():
            task = asyncio.create_task(output.asave(old))
            await asyncio.to_thread(arrived.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(until, lambda: names(old.parent) == ["out.bin"])

        asyncio.run(asyncio.wait_for(cancelled(), 10))

        arrived.clear()
        main = threading.main_thread().ident

        def interrupt():
            arrived.wait()
            signal.pthread_kill(main, signal.SIGINT)

        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            output.save(old)
        assert names(old.parent) == ["out.bin"]
        wire.until(lambda: wire.open_now == 0)
    assert old.read_bytes() == b"old"


# Hosts that break off


@pytest.mark.parametrize("way", [read, chunks, save])
def test_a_file_that_breaks_off_at_every_tenth_is_whole(both, way, tmp_path):
    with Host(cuts=TENTHS) as host:
        result = way(
            both,
            host.file(both.client("https://x.test", max_retries=1)),
            *[tmp_path / "x"] * (way is save),
        )
        content = (
            result.read_bytes() if way is save else result if way is read else b"".join(result)
        )
    assert content == CONTENT
    assert host.ranges == [(None, None), *((f"bytes={cut}-", '"v1"') for cut in TENTHS)]
    assert all("authorization" not in each.headers for each in host.seen)


@pytest.mark.parametrize("way", [read, chunks, save])
def test_a_host_without_parts_gives_the_same_file_again(both, way, tmp_path):
    with Host(cuts=TENTHS, parts=False) as host:
        result = way(
            both,
            host.file(both.client("https://x.test", max_retries=1)),
            *[tmp_path / "x"] * (way is save),
        )
        content = (
            result.read_bytes() if way is save else result if way is read else b"".join(result)
        )
    assert content == CONTENT


@pytest.mark.parametrize("way", [read, chunks, save])
def test_a_host_that_gives_parts_only_at_times_loses_nothing(both, way, tmp_path):
    whole = reply(CONTENT, headers='ETag: "v1"\r\n')

    def script(seen):
        if len(seen_by.seen) == 1:
            return sending(whole[:-100_000], hang_up=True)
        if len(seen_by.seen) == 2:
            # From its beginning, and not even as far as before.
            return sending(whole[:50_000], hang_up=True)
        start = int(seen.headers["range"].strip("bytes=-"))
        range_ = f"Content-Range: bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}\r\n"
        return reply(CONTENT[start:], 206, headers=range_)

    with Wire(script) as seen_by:
        result = way(
            both,
            FileOutput(f"{seen_by.origin}/x", both.client("https://x.test")),
            *[tmp_path / "x"] * (way is save),
        )
        content = (
            result.read_bytes() if way is save else result if way is read else b"".join(result)
        )
    assert content == CONTENT
    assert len(seen_by.seen) == 3


def test_what_cannot_be_told_from_another_file_is_saved_from_its_beginning(both, tmp_path):
    with Host(cuts=TENTHS[:2], etag=None) as host:
        output = host.file(both.client("https://x.test"))
        assert save(both, output, tmp_path / "x").read_bytes() == CONTENT
        assert host.ranges == [(None, None)] * 3
    with Host(cuts=TENTHS[8:], etag='W/"weak"') as host:
        for way in (read, chunks):
            with pytest.raises(
                exceptions.APIConnectionError,
                match="gives neither its rest nor surely the same file",
            ):
                way(both, host.file(both.client("https://x.test")))
            host._cuts = [TENTHS[8]]


@pytest.mark.parametrize("way", [read, chunks, save])
@pytest.mark.parametrize(
    ("status", "range_"), [(416, "*"), (206, f"{len(CONTENT)}-{len(CONTENT) - 1}")]
)
def test_a_file_that_breaks_off_after_its_last_byte_is_whole(both, way, status, range_, tmp_path):
    """What is missing is only the mark of the end; the host says that there is nothing from there
    on.

    Some do so with a part of no bytes: https://github.com/rust-lang/crates.io/issues/13159.
    """

    def script(seen):
        if "range" in seen.headers:
            return reply(b"", status, headers=f"Content-Range: bytes {range_}/{len(CONTENT)}\r\n")
        head = (
            f'HTTP/1.1 200 X\r\nETag: "v1"\r\n{digest}Transfer-Encoding:'
            f" chunked\r\n\r\n{len(CONTENT):x}\r\n"
        )
        return sending(head.encode() + CONTENT + b"\r\n", hang_up=True)

    digest = f"Repr-Digest: sha-256=:{SHA256}:\r\n"
    with Wire(script) as wire:
        result = way(
            both,
            FileOutput(f"{wire.origin}/x", both.client("https://x.test")),
            *[tmp_path / "x"] * (way is save),
        )
        content = (
            result.read_bytes() if way is save else result if way is read else b"".join(result)
        )
        assert content == CONTENT
        assert [each.headers.get("range") for each in wire.seen] == [None, f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize("total", ["1", "", "*", "256001"])
def test_an_end_elsewhere_than_where_a_file_broke_off_is_an_error(refused, both, total):
    def script(seen):
        if "range" in seen.headers:
            return reply(b"", 416, headers=f"Content-Range: bytes */{total}\r\n")
        head = (
            'HTTP/1.1 200 X\r\nETag: "v1"\r\nTransfer-Encoding:'
            f" chunked\r\n\r\n{len(CONTENT):x}\r\n"
        )
        return sending(head.encode() + CONTENT + b"\r\n", hang_up=True)

    with Wire(script) as wire:
        refused(
            FileOutput(f"{wire.origin}/x", both.client("https://x.test")),
            exceptions.APIStatusError,
            None,
        )


def test_a_file_whose_checksum_is_wrong_at_such_an_end_is_an_error(refused, both):
    def script(seen):
        if "range" in seen.headers:
            return reply(b"", 416, headers=f"Content-Range: bytes */{len(CONTENT)}\r\n")
        head = (
            f'HTTP/1.1 200 X\r\nETag: "v1"\r\n{digest}Transfer-Encoding:'
            f" chunked\r\n\r\n{len(CONTENT):x}\r\n"
        )
        return sending(head.encode() + CONTENT[:-1] + b"!\r\n", hang_up=True)

    digest = f"Repr-Digest: sha-256=:{SHA256}:\r\n"
    with Wire(script) as wire:
        refused(
            FileOutput(f"{wire.origin}/x", both.client("https://x.test")),
            exceptions.APIConnectionError,
            "checksum",
        )


@pytest.mark.parametrize(
    ("date", "is_used"),
    [("10:01:00", True), ("10:00:30", False), ("10:00:00", False), (None, False)],
)
def test_a_date_tells_a_version_only_if_it_had_settled(both, date, is_used, tmp_path):
    """RFC 9110, 13.1.5 and 8.8.2.2: within its second, or between two clocks, a file may change and
    keep its date.
    """
    changed = "Tue, 24 Nov 2026 10:00:00 GMT"
    dates = f"Last-Modified: {changed}\r\n" + (
        f"Date: Tue, 24 Nov 2026 {date} GMT\r\n" if date else ""
    )

    def script(seen):
        if "range" in seen.headers:
            return reply(
                CONTENT[200_000:],
                206,
                headers=f"{dates}Content-Range: bytes 200000-255999/256000\r\n",
            )
        whole = reply(CONTENT, headers=dates)
        return (
            sending(whole[: 200_000 - len(CONTENT)], hang_up=True) if len(wire.seen) == 1 else whole
        )

    with Wire(script) as wire:
        output = FileOutput(f"{wire.origin}/x", both.client("https://x.test"))
        assert save(both, output, tmp_path / "x").read_bytes() == CONTENT
    assert wire.seen[1].headers.get("if-range") == (changed if is_used else None)


def test_a_file_that_changed_meanwhile_is_not_mixed(both, tmp_path):
    def script(seen):
        if "range" not in seen.headers:
            return sending(reply(CONTENT, headers='ETag: "v1"\r\n')[:200_000], hang_up=True)
        assert seen.headers["if-range"] == '"v1"'
        return reply(b"another", headers='ETag: "v2"\r\n')

    with Wire(script) as wire:
        output = FileOutput(f"{wire.origin}/x", both.client("https://x.test"))
        assert save(both, output, tmp_path / "x").read_bytes() == b"another"
        assert output.size == 7
        with pytest.raises(exceptions.APIConnectionError):
            read(both, output)


@pytest.mark.parametrize(
    "wrong", ["bytes 0-9/256000", "bytes 128000-255999/9", "", "items 128000-255999/256000"]
)
def test_another_part_than_was_asked_for_is_an_error(refused, both, wrong):
    def script(seen):
        if "range" not in seen.headers:
            return sending(
                reply(CONTENT, headers='ETag: "v1"\r\n')[: 128_000 - len(CONTENT)], hang_up=True
            )
        return reply(CONTENT[128_000:], 206, headers=f"Content-Range: {wrong}\r\n")

    with Wire(script) as wire:
        refused(
            FileOutput(f"{wire.origin}/x", both.client("https://x.test")),
            exceptions.APIConnectionError,
            "another part",
        )


def test_a_host_that_always_breaks_off_is_given_up(refused, both):
    def script(seen):
        return sending(reply(CONTENT, headers='ETag: "v1"\r\n')[:500], hang_up=True)

    with Wire(script) as wire:
        refused(
            FileOutput(f"{wire.origin}/x", both.client("https://x.test", max_retries=2)),
            exceptions.APIConnectionError,
            None,
        )
        assert len(wire.seen) == 9


def test_a_host_that_gives_a_little_each_time_is_given_up(both, tmp_path):
    with Host(cuts=tuple(range(1, 500))) as host:
        with pytest.raises(exceptions.APIConnectionError):
            save(both, host.file(both.client("https://x.test")), tmp_path / "x")
        assert len(host.seen) == 100
    assert names(tmp_path) == []


def test_an_endless_body_ends_at_the_deadline(refused, both):
    def endless(connection):
        connection.sendall(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(b"x" * 1000)
            time.sleep(0.01)

    with Wire(lambda _: endless) as wire:
        output = FileOutput(f"{wire.origin}/x", both.client("https://x.test"))
        refused(output, exceptions.APITimeoutError, "timed out after 0.2 s", timeout=0.2)
        wire.until(lambda: wire.open_now == 0)


# Hosts that give something else


@pytest.mark.parametrize(
    ("status", "kind", "asked"),
    [
        (403, "PermissionDeniedError", 1),
        (404, "NotFoundError", 1),
        (410, "APIStatusError", 1),
        (500, "InternalServerError", 2),
    ],
)
def test_a_host_that_refuses_is_an_error_of_its_status(refused, both, status, kind, asked):
    with Wire(lambda _: reply(b"expired", status, kind="text/plain")) as wire:
        output = FileOutput(f"{wire.origin}/x.png", both.client("https://x.test", max_retries=1))
        refused(output, getattr(exceptions, kind), "expired")
        assert len(wire.seen) == 3 * asked


def test_a_page_instead_of_the_file_is_an_error(refused, both, tmp_path):
    with Wire(lambda _: reply(b"<html>sorry", kind="Text/HTML; charset=utf-8")) as wire:
        client = both.client("https://x.test")
        refused(
            FileOutput(f"{wire.origin}/a/x.PNG?y=z.html", client),
            exceptions.APIConnectionError,
            r"web page.*\.png",
        )
        for path in ("/x.html", "/x.HTM", "/x"):
            assert read(both, FileOutput(f"{wire.origin}{path}", client)) == b"<html>sorry"


def test_a_body_that_is_shorter_than_its_host_says_is_an_error(refused, both):
    with Wire(
        lambda _: lambda connection: connection.sendall(reply(CONTENT, length=len(CONTENT) + 1))
    ) as wire:
        refused(
            FileOutput(f"{wire.origin}/x", both.client("https://x.test", max_retries=0)),
            exceptions.APIConnectionError,
            None,
        )


@pytest.mark.parametrize(
    "header", [f"Repr-Digest: sha-256=:{SHA256}:", "x-goog-hash: crc32c=XSfxjQ==,md5=AAAA"]
)
def test_a_checksum_is_compared(refused, both, header, tmp_path):
    with Host(cuts=TENTHS, headers=header + "\r\n") as host:
        client = both.client("https://x.test")
        assert save(both, host.file(client), tmp_path / "x").read_bytes() == CONTENT
        (tmp_path / "x").unlink()
        host.content = CONTENT[:-1] + b"!"
        refused(
            host.file(client), exceptions.APIConnectionError, "not what its host's checksum says"
        )
        # Of a part, nothing can be said.
        assert read(both, host.file(client), 5) == CONTENT[:5]


@pytest.mark.parametrize("way", [read, chunks, save])
@pytest.mark.parametrize(
    "header", ["", f"Repr-Digest: sha-256=:{SHA256}:\r\n", "x-goog-hash: crc32c=XSfxjQ==\r\n"]
)
def test_a_host_that_compresses_unasked_is_understood(both, way, header, tmp_path):
    """Storage gives a file that is kept compressed as it is; its digest and its length are of what
    is sent (RFC 9530, 2).
    """
    packed = gzip.compress(CONTENT)
    digest = base64.b64encode(hashlib.sha256(packed).digest()).decode()
    for more in (header, f"Repr-Digest: sha-256=:{digest}:\r\n"):
        answer = reply(packed, headers=f'Content-Encoding: gzip\r\nETag: "v1"\r\n{more}')
        with Wire(lambda _, answer=answer: answer) as wire:
            output = FileOutput(f"{wire.origin}/x", both.client("https://x.test"))
            result = way(both, output, *[tmp_path / "x"] * (way is save))
            content = (
                result.read_bytes() if way is save else result if way is read else b"".join(result)
            )
        assert content == CONTENT
        assert all(each.headers["accept-encoding"] == "identity" for each in wire.seen)


def test_a_part_of_a_compressed_file_is_counted_in_what_it_holds(both, tmp_path):
    """Its host gives parts of what is sent, which are parts of nothing else."""
    packed = gzip.compress(CONTENT)

    def script(seen):
        headers = 'Content-Encoding: gzip\r\nETag: "v1"\r\n'
        if "range" not in seen.headers:
            return reply(packed, headers=headers)
        start = int(seen.headers["range"].strip("bytes=-"))
        range_ = f"Content-Range: bytes {start}-{len(packed) - 1}/{len(packed)}\r\n"
        return reply(packed[start:], 206, headers=headers + range_)

    with Wire(script) as wire:
        file = FileOutput(f"{wire.origin}/x", Replicate("t")).open()
        file.seek(5)
        assert file.read(10) == CONTENT[5:15]


def test_a_compression_that_nobody_asked_for_is_an_error(refused, both):
    with Wire(lambda _: reply(b"?", headers="Content-Encoding: br\r\n")) as wire:
        refused(
            FileOutput(f"{wire.origin}/x", both.client("https://x.test")),
            exceptions.APIConnectionError,
            "compression",
        )


def test_a_digest_of_a_file_that_is_sent_as_it_is_kept_is_compared(refused, both):
    """It was not where the answer said ``identity``."""
    with Host(headers=f"Content-Encoding: identity\r\nRepr-Digest: sha-256=:{SHA256}:\r\n") as host:
        client = both.client("https://x.test")
        assert read(both, host.file(client)) == CONTENT
        host.content = CONTENT[:-1] + b"!"
        refused(host.file(client), exceptions.APIConnectionError, "checksum")


# Where it may be


def test_the_token_stays_at_home(both, tmp_path):
    with (
        Host() as host,
        Wire(lambda _: reply(None, 302, headers=f"Location: {host.origin}/x.bin\r\n")) as api,
    ):
        client = both.client(api.base_url)
        output = FileOutput(f"{api.origin}/v1/files/x", client)
        assert read(both, output) == CONTENT
        assert b"".join(chunks(both, output)) == CONTENT
        save(both, output, tmp_path / "x")
        assert all(each.headers["authorization"] == "Bearer r8_secret" for each in api.seen)
        assert all("authorization" not in each.headers for each in host.seen)


@pytest.mark.parametrize(
    "url",
    [
        "http://files.test/a",
        "ftp://127.0.0.1/a",
        "file:///etc/passwd",
        "http://10.0.0.1/a",
        "http://169.254.169.254/latest",
    ],
)
def test_only_https_and_this_machine_are_asked(refused, both, url):
    refused(
        FileOutput(url, both.client("https://x.test")),
        exceptions.APIConnectionError,
        "is not fetched: files and streams",
    )


@pytest.mark.parametrize(
    "target",
    ["http://files.test/a", "file:///etc/passwd", "ftp://127.0.0.1/", "gopher:x", "//[", None],
)
def test_a_redirect_leads_nowhere_else(refused, both, target):
    location = "" if target is None else f"Location: {target}\r\n"
    with Wire(lambda _: reply(None, 302, headers=location)) as wire:
        output = FileOutput(f"{wire.origin}/x", both.client("https://x.test"))
        refused(output, exceptions.APIConnectionError, "redirects|is not fetched")
        assert len(wire.seen) == 3


def test_redirects_in_circles_end(refused, both):
    with Wire(lambda _: reply(None, 307, headers="Location: /x\r\n")) as wire:
        output = FileOutput(f"{wire.origin}/x", both.client("https://x.test"))
        refused(output, exceptions.APIConnectionError, "more than 10 redirects")


def test_private_addresses_can_be_forbidden(refused, both):
    with Host() as host:
        client = both.client("https://x.test", block_private_addresses=True)
        for url in (
            f"{host.origin}/x",
            host.origin.replace("127.0.0.1", "localhost"),
            "https://192.168.0.1/x",
            "https://[::1]/x",
        ):
            refused(
                FileOutput(url, client), exceptions.APIConnectionError, "its address is private"
            )
        assert not host.seen
        # The API's own origin is the caller's choice.
        assert (
            read(both, host.file(both.client(host.origin, block_private_addresses=True))) == CONTENT
        )
        elsewhere = Wire(
            lambda _: reply(
                None, 302, headers=f"Location: {host.origin.replace('127.0.0.1', 'localhost')}/\r\n"
            )
        )
        with elsewhere:
            own = FileOutput(
                f"{elsewhere.origin}/x", both.client(elsewhere.origin, block_private_addresses=True)
            )
            refused(own, exceptions.APIConnectionError, "its address is private")


def test_a_name_is_looked_up_before_it_is_trusted(refused, both):
    names = [
        line.split()
        for line in Path("/etc/hosts").read_text().splitlines()
        if not line.startswith("#")
    ]
    private = {
        name
        for line in names
        for name in line[1:]
        if not name.startswith(("localhost", "ip6-all", "ip6-m"))
    }
    if not private:
        pytest.skip("this machine has no other name")
    client = both.client("https://x.test", block_private_addresses=True, max_retries=0)
    refused(
        FileOutput(f"https://{private.pop()}:1/x", client),
        exceptions.APIConnectionError,
        "its address is private",
    )


# Together


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
    """Neither what is being written at that moment nor what is about to get its name."""
    large = bytes(4 << 20)

    def script(seen):
        if seen.path == "/wrong":
            wire.until(lambda: len(wire.seen) == 9)
            return reply(b"gone", 404, kind="text/plain")
        # Some stall in their last byte, and some are complete.
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
