"""Hosts of files that refuse, compress, redirect or send something else."""

import base64
import gzip
import hashlib
from pathlib import Path

import pytest

from replicate_rs import FileOutput, Replicate, exceptions
from support.downloads import SHA256, TENTHS, chunks, read, save
from support.engine import forget_simultaneous_calls
from support.hosts import CONTENT, Host
from support.wire import Wire, reply

pytest_plugins = ["support.file_fixtures"]


@pytest.mark.parametrize(
    ("status", "kind", "asked"),
    [
        (403, "PermissionDeniedError", 1),
        (404, "NotFoundError", 1),
        (410, "APIStatusError", 1),
        (500, "InternalServerError", 2),
    ],
)
def test_a_host_that_refuses_is_an_error_of_its_status(
    assert_download_refused, both, status, kind, asked
):
    with Wire(lambda _: reply(b"expired", status, kind="text/plain")) as wire:
        output = FileOutput(f"{wire.origin}/x.png", both.client("https://x.test", max_retries=1))
        assert_download_refused(output, getattr(exceptions, kind), "expired")
        assert len(wire.seen) == 3 * asked


def test_a_page_instead_of_the_file_is_an_error(assert_download_refused, both, tmp_path):
    with Wire(lambda _: reply(b"<html>sorry", kind="Text/HTML; charset=utf-8")) as wire:
        client = both.client("https://x.test")
        assert_download_refused(
            FileOutput(f"{wire.origin}/a/x.PNG?y=z.html", client),
            exceptions.APIConnectionError,
            r"web page.*\.png",
        )
        for path in ("/x.html", "/x.HTM", "/x"):
            assert read(both, FileOutput(f"{wire.origin}{path}", client)) == b"<html>sorry"


def test_a_body_that_is_shorter_than_its_host_says_is_an_error(assert_download_refused, both):
    with Wire(
        lambda _: lambda connection: connection.sendall(reply(CONTENT, length=len(CONTENT) + 1))
    ) as wire:
        assert_download_refused(
            FileOutput(f"{wire.origin}/x", both.client("https://x.test", max_retries=0)),
            exceptions.APIConnectionError,
            None,
        )


@pytest.mark.parametrize(
    "header", [f"Repr-Digest: sha-256=:{SHA256}:", "x-goog-hash: crc32c=XSfxjQ==,md5=AAAA"]
)
def test_a_checksum_is_compared(assert_download_refused, both, header, tmp_path):
    with Host(cuts=TENTHS, headers=header + "\r\n") as host:
        client = both.client("https://x.test")
        assert save(both, host.file(client), tmp_path / "x").read_bytes() == CONTENT
        (tmp_path / "x").unlink()
        host.content = CONTENT[:-1] + b"!"
        assert_download_refused(
            host.file(client), exceptions.APIConnectionError, "not what its host's checksum says"
        )
        # The checksum says nothing of a part.
        assert read(both, host.file(client), 5) == CONTENT[:5]


def test_a_file_at_the_api_s_origin_comes_over_its_connection():
    with Wire(lambda seen: reply({"id": "p1"} if "/v1/" in seen.path else CONTENT)) as wire:
        client = Replicate("r8_secret", base_url=wire.base_url)
        forget_simultaneous_calls()
        assert client.predictions.get("p1").id == "p1"
        assert FileOutput(f"{wire.origin}/x", client).read() == CONTENT
        assert (wire.opened, len(wire.seen)) == (1, 2)


@pytest.mark.parametrize("way", [read, chunks, save])
@pytest.mark.parametrize(
    "header", ["", f"Repr-Digest: sha-256=:{SHA256}:\r\n", "x-goog-hash: crc32c=XSfxjQ==\r\n"]
)
def test_a_host_that_compresses_unasked_is_understood(both, way, header, tmp_path):
    """Storage services send files as they are stored, with the digest of the compressed bytes
    (RFC 9530, section 2).
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
    """The host's ranges are of the compressed bytes, and useless for a position in the file."""
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


def test_a_compression_that_nobody_asked_for_is_an_error(assert_download_refused, both):
    with Wire(lambda _: reply(b"?", headers="Content-Encoding: br\r\n")) as wire:
        assert_download_refused(
            FileOutput(f"{wire.origin}/x", both.client("https://x.test")),
            exceptions.APIConnectionError,
            "compression",
        )


def test_a_digest_of_a_file_that_is_sent_as_it_is_kept_is_compared(assert_download_refused, both):
    """The coding ``identity`` is no compression."""
    with Host(headers=f"Content-Encoding: identity\r\nRepr-Digest: sha-256=:{SHA256}:\r\n") as host:
        client = both.client("https://x.test")
        assert read(both, host.file(client)) == CONTENT
        host.content = CONTENT[:-1] + b"!"
        assert_download_refused(host.file(client), exceptions.APIConnectionError, "checksum")


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
def test_only_https_and_this_machine_are_asked(assert_download_refused, both, url):
    assert_download_refused(
        FileOutput(url, both.client("https://x.test")),
        exceptions.APIConnectionError,
        "is not fetched: files and streams",
    )


@pytest.mark.parametrize(
    "target",
    ["http://files.test/a", "file:///etc/passwd", "ftp://127.0.0.1/", "gopher:x", "//[", None],
)
def test_a_redirect_leads_nowhere_else(assert_download_refused, both, target):
    location = "" if target is None else f"Location: {target}\r\n"
    with Wire(lambda _: reply(None, 302, headers=location)) as wire:
        output = FileOutput(f"{wire.origin}/x", both.client("https://x.test"))
        assert_download_refused(output, exceptions.APIConnectionError, "redirects|is not fetched")
        assert len(wire.seen) == 3


def test_redirects_in_circles_end(assert_download_refused, both):
    with Wire(lambda _: reply(None, 307, headers="Location: /x\r\n")) as wire:
        output = FileOutput(f"{wire.origin}/x", both.client("https://x.test"))
        assert_download_refused(output, exceptions.APIConnectionError, "more than 10 redirects")


def test_private_addresses_can_be_forbidden(assert_download_refused, both):
    with Host() as host:
        client = both.client("https://x.test", block_private_addresses=True)
        for url in (
            f"{host.origin}/x",
            host.origin.replace("127.0.0.1", "localhost"),
            "https://192.168.0.1/x",
            "https://[::1]/x",
        ):
            assert_download_refused(
                FileOutput(url, client), exceptions.APIConnectionError, "its address is private"
            )
        assert not host.seen
        # The API's own origin may be private: the caller chose it.
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
            assert_download_refused(own, exceptions.APIConnectionError, "its address is private")


def test_a_name_is_looked_up_before_it_is_trusted(assert_download_refused, both):
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
    assert_download_refused(
        FileOutput(f"https://{private.pop()}:1/x", client),
        exceptions.APIConnectionError,
        "its address is private",
    )
