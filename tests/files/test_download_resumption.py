"""Downloads that break off are resumed, and never mixed from two versions of a file."""

import time

import pytest

from replicate_rs import FileOutput, exceptions
from support.downloads import SHA256, TENTHS, chunks, names, read, save
from support.hosts import CONTENT, Host, sending
from support.wire import Wire, reply

pytest_plugins = ["support.file_fixtures"]


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
            # The whole file again, cut off earlier than before.
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
    """All content has arrived, but not the end of the response: the rest of the file is empty.

    Some hosts answer with an empty part: https://github.com/rust-lang/crates.io/issues/13159.
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
def test_an_end_elsewhere_than_where_a_file_broke_off_is_an_error(
    assert_download_refused, both, total
):
    def script(seen):
        if "range" in seen.headers:
            return reply(b"", 416, headers=f"Content-Range: bytes */{total}\r\n")
        head = (
            'HTTP/1.1 200 X\r\nETag: "v1"\r\nTransfer-Encoding:'
            f" chunked\r\n\r\n{len(CONTENT):x}\r\n"
        )
        return sending(head.encode() + CONTENT + b"\r\n", hang_up=True)

    with Wire(script) as wire:
        assert_download_refused(
            FileOutput(f"{wire.origin}/x", both.client("https://x.test")),
            exceptions.APIStatusError,
            None,
        )


def test_a_file_whose_checksum_is_wrong_at_such_an_end_is_an_error(assert_download_refused, both):
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
        assert_download_refused(
            FileOutput(f"{wire.origin}/x", both.client("https://x.test")),
            exceptions.APIConnectionError,
            "checksum",
        )


@pytest.mark.parametrize(
    ("date", "is_used"),
    [("10:01:00", True), ("10:00:30", False), ("10:00:00", False), (None, False)],
)
def test_a_date_tells_a_version_only_if_it_had_settled(both, date, is_used, tmp_path):
    """A file may change twice within a second, or clocks differ: such a date is no validator
    (RFC 9110, sections 13.1.5 and 8.8.2.2).
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
def test_another_part_than_was_asked_for_is_an_error(assert_download_refused, both, wrong):
    def script(seen):
        if "range" not in seen.headers:
            return sending(
                reply(CONTENT, headers='ETag: "v1"\r\n')[: 128_000 - len(CONTENT)], hang_up=True
            )
        return reply(CONTENT[128_000:], 206, headers=f"Content-Range: {wrong}\r\n")

    with Wire(script) as wire:
        assert_download_refused(
            FileOutput(f"{wire.origin}/x", both.client("https://x.test")),
            exceptions.APIConnectionError,
            "another part",
        )


def test_a_host_that_always_breaks_off_is_given_up(assert_download_refused, both):
    def script(seen):
        return sending(reply(CONTENT, headers='ETag: "v1"\r\n')[:500], hang_up=True)

    with Wire(script) as wire:
        assert_download_refused(
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


def test_an_endless_body_ends_at_the_deadline(assert_download_refused, both):
    def endless(connection):
        connection.sendall(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(b"x" * 1000)
            time.sleep(0.01)

    with Wire(lambda _: endless) as wire:
        output = FileOutput(f"{wire.origin}/x", both.client("https://x.test"))
        assert_download_refused(
            output, exceptions.APITimeoutError, "timed out after 0.2 s", timeout=0.2
        )
        wire.until(lambda: wire.open_now == 0)
