"""An output file as an open file, a path, the body of a response, and a value."""

import asyncio
import base64
import copy
import csv
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from replicate_rs import FileOutput, Replicate, exceptions
from replicate_rs._files.reader import FileReader
from support.hosts import CONTENT, Host
from support.wire import Wire, reply

PICTURE = PIL.Image.fromarray(
    np.random.default_rng(1).integers(0, 255, (200, 300, 3), dtype=np.uint8)
)


def encoded(format):
    buffer = io.BytesIO()
    PICTURE.save(buffer, format)
    return buffer.getvalue()


@pytest.fixture
def client():
    with Replicate("r8_secret", base_url="https://x.test") as client:
        yield client


@pytest.mark.parametrize("parts", [True, False])
@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_pillow_opens_it(client, format, parts):
    with (
        Host(encoded(format), parts=parts) as host,
        host.file(client).open() as file,
        PIL.Image.open(file) as picture,
    ):
        assert picture.size == (300, 200)
        if format != "WEBP":
            assert picture.convert("RGB").tobytes() == PICTURE.tobytes()


def archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for n in range(5):
            made.writestr(f"{n}.bin", os.urandom(400_000))
    return buffer.getvalue()


@pytest.mark.parametrize("parts", [True, False])
def test_zipfile_opens_it_and_fetches_what_it_reads(client, parts):
    content = archive()
    with Host(content, parts=parts) as host:
        with (
            host.file(client).open() as file,
            zipfile.ZipFile(file) as read,
            zipfile.ZipFile(io.BytesIO(content)) as expected,
        ):
            assert read.namelist() == expected.namelist()
            assert read.read("3.bin") == expected.read("3.bin")
        assert len(host.seen) < 10
        host.until(lambda: host.used_now <= 1)


def test_text_is_read_from_it_too(client):
    with (
        Host("a,ü\r\n1,2\r\n".encode()) as host,
        io.TextIOWrapper(host.file(client).open(), "utf-8", newline="") as file,
    ):
        assert [*csv.reader(file)] == [["a", "ü"], ["1", "2"]]


def test_it_is_a_file_like_others(client):
    with Host() as host:
        file = host.file(client, "/a/x.bin?y").open()
        assert not host.seen
        assert (file.name, file.mode, file.readable(), file.seekable(), file.writable()) == (
            "x.bin",
            "rb",
            True,
            True,
            False,
        )
        with pytest.raises(OSError, match="fileno"):
            file.fileno()
        with pytest.raises(ValueError, match="before the beginning"):
            file.raw.seek(-1)
        with pytest.raises(ValueError, match="whence"):
            file.raw.seek(0, 7)
        file.close()
        with pytest.raises(ValueError, match="closed"):
            file.read()
        with pytest.raises(ValueError, match="closed"):
            file.raw.readinto(bytearray(1))
        inline = FileOutput("data:,some%20text", client).open()
        assert (inline.read(4), inline.seek(-4, os.SEEK_END), inline.read()) == (
            b"some",
            5,
            b"text",
        )


def test_an_open_file_whose_length_is_not_known_cannot_seek_to_its_end(client):
    chunked = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    with Wire(lambda _: chunked) as wire, FileOutput(f"{wire.origin}/x", client).open() as file:
        with pytest.raises(io.UnsupportedOperation, match=r"save\(\) it"):
            file.seek(0, os.SEEK_END)
        assert file.read() == b"hello"
        assert file.seek(0, os.SEEK_END) == 5


def test_what_its_host_refuses_cannot_be_read(client):
    with (
        Wire(lambda _: reply(b"", 404)) as wire,
        FileOutput(f"{wire.origin}/x", client).open() as file,
    ):
        with pytest.raises(exceptions.NotFoundError):
            file.read(1)
        with pytest.raises(exceptions.NotFoundError):
            file.seek(0, os.SEEK_END)


@pytest.fixture(scope="module")
def hosts():
    """The same file, at a host with ranges and at one without."""
    with Host(CONTENT[:3000]) as parts, Host(CONTENT[:3000], parts=False) as whole:
        yield parts, whole


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 4000)),
        st.tuples(st.just("seek"), st.integers(-3500, 4000), st.integers(0, 2)),
    ),
    max_size=8,
)


@settings(derandomize=True, database=None, max_examples=60)
@given(steps=STEPS, has_parts=st.booleans())
def test_wherever_it_is_read_it_gives_what_is_there(hosts, steps, has_parts):
    client = Replicate("t", base_url="https://x.test")
    output, expected = hosts[not has_parts].file(client), io.BytesIO(CONTENT[:3000])
    with io.BufferedReader(FileReader("x", output._make_cursor()), 100) as file:
        for name, *arguments in steps:
            try:
                wanted = getattr(expected, name)(*arguments)
            except ValueError:
                with pytest.raises(ValueError, match="before|negative"):
                    getattr(file, name)(*arguments)
                continue
            if name == "seek" and arguments[1] and wanted == 0 and expected.tell() == 0:
                # A BytesIO clips some negative positions to 0; files refuse them.
                file.seek(0)
                continue
            assert getattr(file, name)(*arguments) == wanted
            assert file.tell() == expected.tell()


def test_it_is_opened_on_an_event_loop(client):
    async def opened(output):
        with await output.aopen() as file:
            return file.read(5), file.seek(-3, os.SEEK_END), file.read()

    with Host(cuts=(1000,)) as host:
        output = host.file(client)
        for _ in range(2):
            assert asyncio.run(opened(output)) == (CONTENT[:5], len(CONTENT) - 3, CONTENT[-3:])
        assert len(host.seen) == 2
    assert asyncio.run(opened(FileOutput("data:,hello", client))) == (b"hello", 2, b"llo")


def test_it_is_a_path_to_a_copy_that_is_fetched_once(client, tmp_path):
    with Host(encoded("PNG"), kind="image/png") as host:
        output = host.file(client, "/out-0.png")
        assert not host.seen
        assert Path(output).name == "out-0.png"
        assert shutil.copy(output, tmp_path).endswith("out-0.png")
        assert subprocess.run(["cmp", output, tmp_path / "out-0.png"], check=True).returncode == 0
        with PIL.Image.open(output) as picture, open(output, "rb") as file:
            assert (picture.format, file.read()) == ("PNG", host.content)
        assert len(host.seen) == 1
        assert (
            Path(output).stat().st_mode & 0o077,
            Path(output).parent.stat().st_mode & 0o077,
        ) == (0o044, 0)
        os.unlink(output)
        assert Path(output).exists()
        assert len(host.seen) == 2


COPIED = """
import os, sys
from replicate_rs import FileOutput
path = os.fspath(FileOutput("data:text/plain,hi", __import__("replicate_rs").Replicate("t")))
child = os.fork()
if not child:
    own = os.fspath(FileOutput("data:text/plain,hi", __import__("replicate_rs").Replicate("t")))
    assert os.path.dirname(os.path.dirname(own)) != os.path.dirname(os.path.dirname(path))
    sys.exit()
os.waitpid(child, 0)
assert open(path).read() == "hi"
print(os.path.dirname(os.path.dirname(path)))
"""


def test_copies_go_when_their_process_ends():
    told = subprocess.run(
        [sys.executable, "-c", COPIED], capture_output=True, text=True, check=True, timeout=20
    ).stdout
    folder = told.strip()
    assert "replicate-" in folder
    assert not Path(folder).exists()


def test_a_copy_that_failed_is_not_taken_for_one(client):
    with Host(cuts=(1000, 1000)) as host:
        output = host.file(client.with_options(max_retries=0))
        with pytest.raises(exceptions.APIConnectionError):
            os.fspath(output)
        host._cuts.clear()
        assert Path(output).read_bytes() == CONTENT


def test_it_is_written_as_its_url(client):
    assert (
        json.dumps({"a": [FileOutput("https://x.test/a", client)]}, default=str)
        == '{"a": ["https://x.test/a"]}'
    )


def test_it_is_a_value_after_it_was_read_too(client):
    with Host() as host:
        output = host.file(client)
        output.read()
        for twin in (pickle.loads(pickle.dumps(output)), copy.deepcopy(output), copy.copy(output)):
            assert twin == output
            assert hash(twin) == hash(output)
            assert twin.read() == CONTENT


def test_it_is_the_body_of_a_response(client):
    async def given(output):
        async def give(_):
            return StreamingResponse(output, media_type="image/png")

        app = Starlette(routes=[Route("/", give)])
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://app"
        ) as web:
            return (await web.get("/")).content

    with Host(CONTENT * 10) as host:
        assert asyncio.run(given(host.file(client))) == CONTENT * 10


def test_it_can_be_uploaded_again(client):
    def script(seen):
        if seen.path == "/x.bin":
            return reply(CONTENT, kind="application/octet-stream")
        return reply({"id": "f", "urls": {"get": "https://x.test/f"}}, 201)

    with Wire(script) as wire, Replicate("t", base_url=wire.base_url) as client:
        client.files.create(FileOutput(f"{wire.origin}/x.bin", client))
        assert CONTENT in wire.seen[-1].body
        assert b'filename="x.bin"' in wire.seen[-1].body


URIS = [
    ("data:text/plain;base64,aGk=", b"hi", "text/plain", "output.txt"),
    ("data:text/plain;charset=utf-8;base64,aGk", b"hi", "text/plain;charset=utf-8", "output.txt"),
    ("DATA:image/PNG;BASE64,aGk=", b"hi", "image/PNG", "output.png"),
    ("data:image/svg+xml,%3Csvg%2F%3E", b"<svg/>", "image/svg+xml", "output.svg"),
    ('data:audio/wav;codecs="1";base64,aG\n k=', b"hi", 'audio/wav;codecs="1"', "output.wav"),
    ("data:,a%20b%zz", b"a b%zz", "text/plain;charset=US-ASCII", "output.txt"),
    ("data:;base64,", b"", "text/plain;charset=US-ASCII", "output.txt"),
    (
        "data:application/octet-stream;base64," + base64.b64encode(CONTENT * 5).decode(),
        CONTENT * 5,
        "application/octet-stream",
        "output",
    ),
]


@pytest.mark.parametrize(
    ("uri", "content", "content_type", "filename"), URIS, ids=[each[0][:30] for each in URIS]
)
def test_an_inline_file_is_one_in_every_way(both, uri, content, content_type, filename, tmp_path):
    output = FileOutput(uri, both.client("https://x.test"))
    assert (output.content_type, output.size, output.filename) == (
        content_type,
        len(content),
        filename,
    )
    assert both(output.aread if both.is_async else output.read) == content
    assert both(lambda: (output.aread if both.is_async else output.read)(1)) == content[:1]
    assert b"".join(both(output.achunks if both.is_async else output.chunks)) == content
    both(lambda: (output.asave if both.is_async else output.save)(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == Path(output).read_bytes() == content


@settings(derandomize=True, database=None, max_examples=100)
@given(st.binary(), st.booleans())
def test_what_is_written_inline_is_read(content, in_base64):
    text = ";base64," + base64.b64encode(content).decode() if in_base64 else "," + quote(content)
    assert FileOutput("data:application/x" + text, Replicate("t")).read() == content


@pytest.mark.parametrize("uri", ["data:text/plain;base64,@@", "data:text", "data:a b/c,x"])
def test_a_broken_one_is_an_error(both, uri, tmp_path):
    output = FileOutput(uri, both.client("https://x.test"))
    with pytest.raises(ValueError, match="data URI"):
        both(output.aread if both.is_async else output.read)
    with pytest.raises(ValueError, match="data URI"):
        both(lambda: (output.asave if both.is_async else output.save)(tmp_path / "x"))
    assert not [*tmp_path.iterdir()]
