"""Files that go in: what may be given as one, how it is sent, and what can go wrong meanwhile."""

import array
import asyncio
import base64
import bz2
import dataclasses
import gzip
import hashlib
import io
import itertools
import json
import math
import mmap
import os
import re
import socket
import tempfile
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers, UploadFile

from replicate_rs import AbortController, Replicate, exceptions
from replicate_rs.file import File, FilePage
from wire import Seen, Wire, hang, prediction, reply

# Has each byte, what ends a line of a form, and what is special in JSON.
DATA = bytes(range(256)) * 2 + b'\r\n--replicate-rs-\r\n"\\'
TEXT = 'Grüße, 世界 \N{PARTY POPPER}: "x"\\\n'
# More than a block, and not a multiple of three.
LARGE = DATA * 2000
# More than the buffers of two sockets hold.
HUGE = 24 << 20
OCTETS = "application/octet-stream"


class Form(NamedTuple):
    name: str
    kind: str
    content: bytes
    metadata: Any = None


def form(seen: Seen) -> Form:
    """Read a form as strictly as RFC 7578 allows."""
    kind, boundary = seen.headers["content-type"].split("; boundary=")
    assert kind == "multipart/form-data"
    assert "transfer-encoding" not in seen.headers
    assert int(seen.headers["content-length"]) == len(seen.body)
    first, *parts, last = (b"\r\n" + seen.body).split(f"\r\n--{boundary}".encode())
    assert (first, last) == (b"", b"--\r\n")
    heads, contents = zip(*(part.removeprefix(b"\r\n").split(b"\r\n\r\n", 1) for part in parts), strict=True)
    assert heads[:-1] in ((), (b'Content-Disposition: form-data; name="metadata"',))
    head = re.fullmatch(
        rb'Content-Disposition: form-data; name="content"; filename="([^"\r\n]*)"\r\nContent-Type: ([^\r\n]+)', heads[-1]
    )
    assert head is not None, heads[-1]
    return Form(head[1].decode(), head[2].decode(), contents[-1], json.loads(contents[0]) if contents[1:] else None)


def url_of(content: bytes) -> str:
    return f"https://files.test/{hashlib.sha256(content).hexdigest()}"


def data_uri(content: bytes, kind: str = OCTETS) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def created(seen: Seen) -> bytes:
    return reply({"id": "f", "urls": {"get": url_of(form(seen).content)}}, 201)


class Uploads(Wire):
    """Takes files and creates predictions, except where `first` has another answer: to all uploads alike, or to each content."""

    def __init__(self, first: Callable[[Seen], Any] = lambda _: ...) -> None:
        self.first = first
        super().__init__(self._answer)

    def _answer(self, seen: Seen) -> Any:
        if seen.path != "/v1/files":
            return reply(prediction(output="x"), 201)
        answer = self.first(seen)
        return created(seen) if answer is ... else answer

    @property
    def uploads(self) -> list[Seen]:
        return [each for each in self.seen if each.path == "/v1/files"]

    @property
    def forms(self) -> list[Form]:
        return [form(each) for each in self.uploads]

    @property
    def body(self) -> Any:
        """What arrived of the prediction."""
        (seen,) = (each for each in self.seen if each.path != "/v1/files")
        assert int(seen.headers["content-length"]) == len(seen.body)
        body = json.loads(seen.body)
        assert seen.body.decode() == json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        return body


class Early(Wire):
    """Gives `act` the connection when the first request's head is there, and nothing of it has been read."""

    def __init__(self, act: Callable[[socket.socket], object], script: Any = None) -> None:
        self.act = act
        self.acted = 0
        super().__init__(script or (lambda _: reply(prediction(), 201)))
        # Else the system takes all of a body, and the sender never waits.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)

    def _serve(self, connection: socket.socket) -> None:
        if not self.acted:
            while b"\r\n\r\n" not in connection.recv(1 << 16, socket.MSG_PEEK):
                pass
            self.acted += 1
            self.act(connection)
            connection.close()
        super()._serve(connection)


def drained(connection: socket.socket) -> int:
    """Read to the end; how many bytes came."""
    count = 0
    try:
        while part := connection.recv(1 << 20):
            count += len(part)
    except OSError:
        pass
    return count


@pytest.fixture
def server():
    with Uploads() as server:
        yield server


@pytest.fixture
def create(both):
    """Creates a prediction with one value as its input."""

    def create(server, value, *, client=None, **options):
        client = client or both.client(server.base_url)
        return both(lambda: client.predictions.create("v", {"value": value}, **options))

    return create


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data.bin").write_bytes(DATA)
    (tmp_path / "grüße.txt").write_text(TEXT, "utf-8")
    return tmp_path


@pytest.fixture
def stack():
    """Closes what the caller of a library has to close."""
    with ExitStack() as stack:
        yield stack


# What may be given as a file


class Pathlike:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


class OnlyRead:
    """Knows no position, no name, and no end but that it has nothing more."""

    def __init__(self, *content):
        self.content = list(content)

    def read(self):
        return self.content.pop(0) if self.content else b""


class Case(NamedTuple):
    file: Any
    content: bytes
    name: str = "file"
    kind: str = OCTETS


def named(file, name):
    file.name = name
    return file


def at(position, file):
    file.read(position)
    return file


def a_path(folder, _):
    return Case(folder / "data.bin", DATA, "data.bin")


def a_path_of_text(folder, _):
    return Case(folder / "grüße.txt", TEXT.encode(), "grüße.txt", "text/plain")


def an_empty_path(folder, _):
    (folder / "empty.json").touch()
    return Case(folder / "empty.json", b"", "empty.json", "application/json")


def a_large_path(folder, _):
    (folder / "large.png").write_bytes(LARGE)
    return Case(folder / "large.png", LARGE, "large.png", "image/png")


def something_like_a_path(folder, _):
    return Case(Pathlike(folder / "data.bin"), DATA, "data.bin")


def a_link(folder, _):
    (folder / "link.gif").symlink_to(folder / "data.bin")
    return Case(folder / "link.gif", DATA, "link.gif", "image/gif")


def a_binary_file(folder, stack):
    return Case(stack.enter_context((folder / "data.bin").open("rb")), DATA, "data.bin")


def a_binary_file_in_the_middle(folder, stack):
    return Case(at(100, stack.enter_context((folder / "data.bin").open("rb"))), DATA[100:], "data.bin")


def a_binary_file_at_its_end(folder, stack):
    return Case(at(-1, stack.enter_context((folder / "data.bin").open("rb"))), b"", "data.bin")


def a_binary_file_beyond_its_end(folder, stack):
    file = stack.enter_context((folder / "data.bin").open("rb"))
    file.seek(len(DATA) + 5)
    return Case(file, b"", "data.bin")


def a_large_binary_file_in_the_middle(folder, stack):
    (folder / "large").write_bytes(LARGE)
    return Case(at(1001, stack.enter_context((folder / "large").open("rb"))), LARGE[1001:], "large")


def a_raw_file(folder, stack):
    return Case(at(7, stack.enter_context((folder / "data.bin").open("rb", buffering=0))), DATA[7:], "data.bin")


def a_file_with_writes_that_are_not_on_the_disk(folder, stack):
    file = stack.enter_context((folder / "data.bin").open("r+b"))
    file.seek(10)
    file.write(b"new")
    return Case(file, DATA[13:], "data.bin")


def a_file_that_was_written_and_rewound(folder, stack):
    file = stack.enter_context((folder / "w.csv").open("w+b"))
    file.write(DATA)
    file.seek(0)
    return Case(file, DATA, "w.csv", "text/csv")


def a_text_file(folder, stack):
    return Case(stack.enter_context((folder / "grüße.txt").open(encoding="utf-8")), TEXT.encode(), "grüße.txt", "text/plain")


def a_text_file_after_a_line(folder, stack):
    (folder / "two.txt").write_text(f"first\n{TEXT}", "utf-8")
    file = stack.enter_context((folder / "two.txt").open(encoding="utf-8"))
    file.readline()
    return Case(file, TEXT.encode(), "two.txt", "text/plain")


def a_text_file_of_another_encoding(folder, stack):
    (folder / "latin.txt").write_bytes(b"caf\xe9\n")
    return Case(stack.enter_context((folder / "latin.txt").open(encoding="latin-1")), b"caf\xe9\n", "latin.txt", "text/plain")


def an_unlinked_file(folder, stack):
    file = stack.enter_context((folder / "data.bin").open("rb"))
    (folder / "data.bin").unlink()
    return Case(file, DATA, "data.bin")


def a_replaced_file(folder, stack):
    file = stack.enter_context((folder / "data.bin").open("rb"))
    (folder / "other").write_bytes(b"another")
    (folder / "other").replace(folder / "data.bin")
    return Case(file, DATA, "data.bin")


def a_pipe(_, stack):
    reader, writer = os.pipe()
    os.write(writer, DATA)
    os.close(writer)
    return Case(stack.enter_context(os.fdopen(reader, "rb")), DATA)


def a_socket(_, stack):
    one, two = socket.socketpair()
    with one, two:
        one.sendall(DATA)
        return Case(stack.enter_context(two.makefile("rb")), DATA)


def something_with_read(_, __):
    return Case(OnlyRead(DATA), DATA)


def something_that_reads_text(_, __):
    return Case(OnlyRead(TEXT), TEXT.encode())


def a_spooled_file_in_memory(_, stack):
    file = stack.enter_context(tempfile.SpooledTemporaryFile())
    file.write(DATA)
    file.seek(3)
    return Case(file, DATA[3:])


def a_spooled_file_on_the_disk(_, stack):
    file = stack.enter_context(tempfile.SpooledTemporaryFile(100))
    file.write(DATA)
    file.seek(3)
    return Case(file, DATA[3:])


def a_spooled_file_of_text(_, stack):
    file = stack.enter_context(tempfile.SpooledTemporaryFile(mode="w+", encoding="utf-8"))
    file.write(TEXT)
    file.seek(0)
    return Case(file, TEXT.encode())


def a_named_temporary_file(folder, stack):
    file = stack.enter_context(tempfile.NamedTemporaryFile(dir=folder, suffix=".png"))
    file.write(DATA)
    file.seek(3)
    return Case(file, DATA[3:], Path(file.name).name, "image/png")


def a_temporary_file_without_a_name(_, stack):
    file = stack.enter_context(tempfile.TemporaryFile())
    file.write(DATA)
    file.seek(0)
    return Case(file, DATA)


def a_gzip_file(folder, stack):
    (folder / "data.gz").write_bytes(gzip.compress(DATA))
    return Case(at(5, stack.enter_context(gzip.open(folder / "data.gz"))), DATA[5:], "data.gz")


def a_gzip_file_as_text(folder, stack):
    (folder / "text.gz").write_bytes(gzip.compress(TEXT.encode()))
    return Case(stack.enter_context(gzip.open(folder / "text.gz", "rt", encoding="utf-8")), TEXT.encode(), "text.gz")


def a_bz2_file(folder, stack):
    (folder / "data.bz2").write_bytes(bz2.compress(DATA))
    file = stack.enter_context(bz2.open(folder / "data.bz2"))
    return Case(file, DATA, "data.bz2" if isinstance(getattr(file, "name", None), str) else "file")


def a_member_of_an_archive(folder, stack):
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/side.txt", DATA)
    archive = stack.enter_context(zipfile.ZipFile(folder / "a.zip"))
    return Case(stack.enter_context(archive.open("in/side.txt")), DATA, "side.txt", "text/plain")


def a_map_of_memory(folder, stack):
    with (folder / "data.bin").open("rb") as file:
        return Case(stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)), DATA)


def some_bytes(_, __):
    return Case(DATA, DATA)


def no_bytes(_, __):
    return Case(b"", b"")


def a_bytearray(_, __):
    return Case(bytearray(DATA), DATA)


def a_memoryview(_, __):
    return Case(memoryview(DATA)[1:-1], DATA[1:-1])


def a_memoryview_with_gaps(_, __):
    return Case(memoryview(DATA)[::3], DATA[::3])


def a_memoryview_of_integers(_, __):
    numbers = array.array("I", range(100))
    return Case(memoryview(numbers), numbers.tobytes())


def a_buffer(_, stack):
    return Case(stack.enter_context(io.BytesIO(DATA)), DATA)


def a_buffer_in_the_middle(_, stack):
    return Case(at(9, stack.enter_context(io.BytesIO(DATA))), DATA[9:])


def a_buffer_with_a_name(_, stack):
    return Case(named(stack.enter_context(io.BytesIO(DATA)), "in/a b.webp"), DATA, "a b.webp", "image/webp")


def a_buffer_with_a_name_that_is_none(_, stack):
    return Case(named(stack.enter_context(io.BytesIO(DATA)), 5), DATA)


def a_buffer_of_text(_, stack):
    return Case(stack.enter_context(io.StringIO(TEXT)), TEXT.encode())


KINDS = [
    a_path,
    a_path_of_text,
    an_empty_path,
    a_large_path,
    something_like_a_path,
    a_link,
    a_binary_file,
    a_binary_file_in_the_middle,
    a_binary_file_at_its_end,
    a_binary_file_beyond_its_end,
    a_large_binary_file_in_the_middle,
    a_raw_file,
    a_file_with_writes_that_are_not_on_the_disk,
    a_file_that_was_written_and_rewound,
    a_text_file,
    a_text_file_after_a_line,
    a_text_file_of_another_encoding,
    an_unlinked_file,
    a_replaced_file,
    a_pipe,
    a_socket,
    something_with_read,
    something_that_reads_text,
    a_spooled_file_in_memory,
    a_spooled_file_on_the_disk,
    a_spooled_file_of_text,
    a_named_temporary_file,
    a_temporary_file_without_a_name,
    a_gzip_file,
    a_gzip_file_as_text,
    a_bz2_file,
    a_member_of_an_archive,
    a_map_of_memory,
    some_bytes,
    no_bytes,
    a_bytearray,
    a_memoryview,
    a_memoryview_with_gaps,
    a_memoryview_of_integers,
    a_buffer,
    a_buffer_in_the_middle,
    a_buffer_with_a_name,
    a_buffer_with_a_name_that_is_none,
    a_buffer_of_text,
]


def left_as_it_should_be(file):
    """Whether a caller's file is still open, and has been read to its end."""
    return not hasattr(file, "read") or (not getattr(file, "closed", False) and not file.read())


@pytest.mark.parametrize("strategy", ["upload", "data-uri"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_whatever_is_a_file_arrives(create, server, folder, stack, kind, strategy):
    case = kind(folder, stack)
    create(server, case.file, file_encoding_strategy=strategy)
    if strategy == "upload":
        assert server.forms == [Form(case.name, case.kind, case.content)]
        assert server.body["input"] == {"value": url_of(case.content)}
    else:
        assert server.uploads == []
        assert server.body["input"] == {"value": data_uri(case.content, case.kind)}
    assert left_as_it_should_be(case.file)


def test_a_buffer_keeps_its_content(create, server):
    buffer, mutable = io.BytesIO(DATA), bytearray(DATA)
    create(server, [buffer, mutable])
    assert (buffer.getvalue(), mutable) == (DATA, DATA)
    # Nobody holds on to it.
    mutable.append(1)
    buffer.truncate(0)


@dataclasses.dataclass
class Box:
    file: Any
    label: str = "ü"


class Config(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    path: Path
    content: bytes
    file: io.BytesIO
    more: dict[str, list[Any]]


@pytest.mark.parametrize("strategy", ["upload", "data-uri"])
def test_files_are_found_at_any_depth(create, server, folder, strategy):
    def put(content, kind=OCTETS):
        return url_of(content) if strategy == "upload" else data_uri(content, kind)

    path = folder / "grüße.txt"
    config = Config(path=path, content=b"c", file=io.BytesIO(b"f"), more={"ö": [Box(path), b"m", {"n": (1, [b"n"])}]})
    create(server, {"text": TEXT, "list": [[b"a", TEXT], b"b"], "config": config, "äü": TEXT}, file_encoding_strategy=strategy)
    text = put(TEXT.encode(), "text/plain")
    assert server.body["input"]["value"] == {
        "text": TEXT,
        "list": [[put(b"a"), TEXT], put(b"b")],
        "config": {
            "path": text,
            "content": put(b"c"),
            "file": put(b"f"),
            "more": {"ö": [{"file": text, "label": "ü"}, put(b"m"), {"n": [1, [put(b"n")]]}]},
        },
        "äü": TEXT,
    }


def test_text_is_no_path_and_an_array_no_image(create, server, folder):
    pixels = np.zeros((2, 2, 3), dtype=np.uint8)
    create(server, [str(folder / "data.bin"), pixels])
    assert server.routes == ["POST /v1/predictions"]
    assert server.body["input"]["value"] == [str(folder / "data.bin"), pixels.tolist()]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "P", "RGB", "RGBA"])
def test_an_image_arrives_as_png(create, server, mode):
    image = PIL.Image.new(mode, (3, 2))
    create(server, image)
    (arrived,) = server.forms
    assert (arrived.name, arrived.kind) == ("image.png", "image/png")
    with PIL.Image.open(io.BytesIO(arrived.content)) as again:
        assert (again.format, again.mode, again.tobytes()) == ("PNG", mode, image.tobytes())


@pytest.mark.parametrize("mode", ["CMYK", "F", "YCbCr", "HSV"])
def test_an_image_that_png_cannot_store_is_refused(both, create, server, mode):
    image = PIL.Image.new(mode, (2, 2))
    with pytest.raises(TypeError, match=rf"^input\.value\[1\]: PNG cannot store an image of mode {mode}: convert it"):
        create(server, [b"first", image])
    with pytest.raises(TypeError, match="convert it"):
        both(lambda: both.client(server.base_url).files.create(image))
    assert server.seen == []


# What must be awaited


class Pieces:
    def __init__(self, *pieces):
        self.pieces = pieces

    async def __aiter__(self):
        for each in self.pieces:
            await asyncio.sleep(0)
            if isinstance(each, Exception):
                raise each
            yield each


async def generator():
    for each in (b"ab", b"", bytearray(b"cd"), memoryview(b"ef")):
        yield each


class Reader:
    """Gives less than it is asked for, as a connection does."""

    name = "C:\\in\\a.png"

    def __init__(self, content):
        self.left = content

    async def read(self, size):
        await asyncio.sleep(0)
        part, self.left = self.left[: min(size, 7000)], self.left[min(size, 7000) :]
        return part


def an_upload_of_starlette(content, **headers):
    return UploadFile(io.BytesIO(content), filename="photo.jpg", headers=Headers(headers))


ASYNC = [
    (lambda: Pieces(DATA, TEXT.encode()), Form("file", OCTETS, DATA + TEXT.encode())),
    (lambda: Pieces(), Form("file", OCTETS, b"")),
    # Too large to be kept in memory.
    (lambda: Pieces(LARGE, LARGE), Form("file", OCTETS, LARGE * 2)),
    (generator, Form("file", OCTETS, b"abcdef")),
    (lambda: Reader(LARGE), Form("a.png", "image/png", LARGE)),
    (lambda: an_upload_of_starlette(DATA), Form("photo.jpg", "image/jpeg", DATA)),
    (lambda: an_upload_of_starlette(LARGE * 2, **{"content-type": "image/x"}), Form("photo.jpg", "image/x", LARGE * 2)),
]


@pytest.mark.parametrize("strategy", ["upload", "data-uri"])
@pytest.mark.parametrize(("make", "expected"), ASYNC)
def test_what_must_be_awaited_arrives_or_is_refused_by_its_path(both, create, server, make, expected, strategy):
    file = make()
    if both.is_async:
        create(server, [file], file_encoding_strategy=strategy)
        if strategy == "upload":
            assert server.forms == [expected]
            assert server.body["input"]["value"] == [url_of(expected.content)]
        else:
            assert server.body["input"]["value"] == [data_uri(expected.content, expected.kind)]
        if isinstance(file, UploadFile):
            assert not file.file.closed
    else:
        with pytest.raises(TypeError, match=r"^input\.value\[1\]: .*AsyncReplicate.* or pass its content as bytes"):
            create(server, [b"first", file], file_encoding_strategy=strategy)
        assert server.seen == []


def test_files_create_takes_what_must_be_awaited(both, client):
    if both.is_async:
        file = both(lambda: client.files.create(an_upload_of_starlette(DATA)))
        assert (file.name, file.content_type, file.size) == ("photo.jpg", "image/jpeg", len(DATA))
        assert both(lambda: client.files.create(("a.gif", Pieces(b"ab", b"c")))).content_type == "image/gif"
    else:
        with pytest.raises(TypeError, match="AsyncReplicate"):
            client.files.create(an_upload_of_starlette(DATA))


def test_the_async_methods_of_a_blocking_client_take_what_must_be_awaited(server):
    async def main():
        with Replicate("x", base_url=server.base_url) as client:
            await client.predictions.async_create("v", {"value": Pieces(b"a", b"b")})
            await client.files.async_create(Pieces(b"c"))

    asyncio.run(main())
    assert [each.content for each in server.forms] == [b"ab", b"c"]


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_an_async_file_that_fails_sends_nothing(create, server):
    with pytest.raises(TypeError, match=r"^input\.value\.a: an async iterable for a file must give bytes, not str"):
        create(server, {"b": b"first", "a": Pieces(b"x", "y")})
    with pytest.raises(RuntimeError, match="broken"):
        create(server, [b"first", Pieces(b"x", RuntimeError("broken"))])
    assert server.seen == []


# How files are sent


def failing(status):
    """What an upload's server does: hangs up, or answers a status."""
    return (lambda _: None) if status is None else (lambda _: reply({"detail": "no"}, status))


@pytest.mark.parametrize("status", [500, 503, None])
def test_by_default_files_go_inline_when_they_cannot_be_uploaded(create, folder, status):
    twice = io.BytesIO(DATA)
    with Uploads(failing(status)) as server:
        create(server, {"ü": TEXT, "a": twice, "b": [twice, folder / "grüße.txt", TEXT], "c": b""})
    text, first = data_uri(TEXT.encode(), "text/plain"), data_uri(DATA)
    assert server.body == {
        "version": "v",
        "input": {"value": {"ü": TEXT, "a": first, "b": [first, text, TEXT], "c": data_uri(b"")}},
    }
    assert len(server.uploads) == 3


def test_only_those_that_cannot_be_uploaded_go_inline(create):
    with Uploads(lambda seen: reply({}, 502) if b"bad" in seen.body else ...) as server:
        create(server, [b"good", b"bad", b"fine"])
    assert server.body["input"]["value"] == [url_of(b"good"), data_uri(b"bad"), url_of(b"fine")]


@pytest.mark.parametrize("more", [0, 1])
def test_ten_million_bytes_go_inline_at_most(create, folder, more):
    (folder / "half").write_bytes(bytes(5_000_000 + more))
    with Uploads(failing(503)) as server:
        if more:
            with pytest.raises(exceptions.InternalServerError) as caught:
                create(server, [folder / "half", bytes(5_000_000)])
            assert caught.value.status == 503
            assert any("10,000,000 bytes" in note for note in caught.value.__notes__)
            assert server.routes == ["POST /v1/files"] * 2
        else:
            create(server, [folder / "half", bytes(5_000_000)])
            assert server.body["input"]["value"] == [data_uri(bytes(5_000_000))] * 2


@pytest.mark.parametrize("strategy", ["default", "upload", "url"])
@pytest.mark.parametrize("status", [400, 401, 403, 413, 422])
def test_an_upload_that_is_refused_is_an_error(create, status, strategy):
    with Uploads(failing(status)) as server:
        with pytest.raises(exceptions.APIStatusError) as caught:
            create(server, b"x", file_encoding_strategy=strategy)
    assert caught.value.status == status
    assert server.routes == ["POST /v1/files"]


@pytest.mark.parametrize("strategy", ["upload", "url"])
@pytest.mark.parametrize("status", [500, None])
def test_an_upload_never_falls_back_when_it_was_asked_for(create, status, strategy):
    kind = exceptions.APIConnectionError if status is None else exceptions.InternalServerError
    with Uploads(failing(status)) as server:
        with pytest.raises(kind):
            create(server, b"x", file_encoding_strategy=strategy)
    assert server.routes == ["POST /v1/files"]


@pytest.mark.parametrize("strategy", ["data-uri", "base64"])
def test_data_uris_know_no_limit(create, server, folder, strategy):
    content = DATA * (12_000_000 // len(DATA) + 1)
    (folder / "large.mp4").write_bytes(content)
    create(server, [TEXT, folder / "large.mp4", b"x"], file_encoding_strategy=strategy)
    assert server.uploads == []
    text, large, small = server.body["input"]["value"]
    assert (text, small) == (TEXT, data_uri(b"x"))
    assert large == data_uri(content, "video/mp4")


def test_the_strategy_of_a_client_is_that_of_its_calls(both, create, server):
    client = both.client(server.base_url, file_encoding_strategy="data-uri")
    create(server, b"x", client=client)
    assert server.body["input"]["value"] == data_uri(b"x")
    create(server, b"x", client=client, file_encoding_strategy="upload")
    assert server.routes == ["POST /v1/predictions", "POST /v1/files", "POST /v1/predictions"]


@pytest.mark.parametrize("answer", [{}, {"id": "f", "urls": None}, {"urls": {}}, {"urls": {"get": None}}])
def test_an_upload_s_answer_without_a_url_is_an_error_of_our_tree(create, answer):
    with Uploads(lambda _: reply(answer, 201)) as server:
        with pytest.raises(exceptions.APIResponseValidationError):
            create(server, b"x", file_encoding_strategy="upload")
    assert server.routes == ["POST /v1/files"]


def test_a_connection_that_breaks_in_the_middle_of_an_upload_falls_back(create, folder):
    (folder / "large.bin").write_bytes(bytes(9_000_000))
    with Early(lambda connection: connection.recv(1 << 16)) as server:
        create(server, folder / "large.bin")
    assert server.acted == 1
    assert json.loads(server.seen[-1].body)["input"]["value"] == data_uri(bytes(9_000_000))


def test_a_refusal_is_heard_before_all_was_sent(both, folder):
    def refuse(connection):
        connection.sendall(reply({"detail": "too large"}, 413))
        received.append(drained(connection))

    received = []
    with (folder / "huge").open("wb") as file:
        file.truncate(HUGE)
    with Early(refuse) as server:
        with pytest.raises(exceptions.PayloadTooLargeError):
            both(lambda: both.client(server.base_url).files.create(folder / "huge"))
        server.until(lambda: server.closed == 1)
    assert received[0] < HUGE


# Several at a time


class Gate:
    """Lets no upload be answered before so many have arrived, and counts those that are open."""

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
            # Before the answer: the next one may come as soon as it is out.
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


def test_the_same_object_is_uploaded_once_and_equal_ones_each(create, server, folder):
    handle, content, path = io.BytesIO(DATA), bytes(DATA), folder / "data.bin"
    create(server, [handle, content, path, {"again": [path, content, handle]}, bytearray(DATA)])
    assert len(server.uploads) == 4
    assert server.body["input"]["value"] == [url_of(DATA)] * 3 + [{"again": [url_of(DATA)] * 3}, url_of(DATA)]


def test_nothing_is_uploaded_before_all_is_known_to_be_sound(create, server, folder):
    for bad, kind in ((folder / "none", exceptions.FileError), (math.nan, ValueError), (object(), TypeError)):
        with pytest.raises(kind):
            create(server, [b"first", bad])
    assert server.seen == []


class Told:
    """A `progress=` that keeps what it is told."""

    def __init__(self):
        self.calls = []
        self.once = threading.Event()

    def __call__(self, sent, total):
        self.calls.append((sent, total))
        self.once.set()

    @property
    def ends_well(self):
        return self.calls[-1][0] == self.calls[-1][1]


def test_the_progress_of_uploads_grows_to_their_end(create):
    told = Told()
    with Uploads(lambda _: ... if told.once.wait(10) else None) as server:
        create(server, [LARGE, b"x", LARGE], upload_progress=told)
    sent = [each for each, _ in told.calls]
    assert sent == sorted(sent)
    assert all(each <= total for each, total in told.calls)
    assert told.calls[-1] == (sum(len(each.body) for each in server.uploads),) * 2
    assert len(told.calls) >= 2


def test_the_progress_of_more_uploads_than_go_together_ends_once(create, server):
    told = Told()
    create(server, [DATA * (n + 1) for n in range(20)], upload_progress=told)
    sent = [each for each, _ in told.calls]
    assert sent == sorted(sent)
    assert told.calls[-1] == (sum(len(each.body) for each in server.uploads),) * 2


def test_the_progress_of_a_file_grows_to_its_end(both):
    told = Told()
    with Uploads(lambda _: ... if told.once.wait(10) else None) as server:
        both(lambda: both.client(server.base_url).files.create(LARGE, progress=told))
    sent = [each for each, _ in told.calls]
    assert sent == sorted(sent)
    assert {total for _, total in told.calls} == {len(server.seen[0].body)}
    assert told.ends_well


def test_the_progress_of_a_retry_begins_anew_and_ends_well(both, create):
    told = Told()
    with Uploads(lambda _: too_many() if len(server.uploads) == 1 else ...) as server:
        create(server, LARGE, upload_progress=told)
    assert told.calls[-1] == (len(server.uploads[0].body),) * 2
    with Uploads(lambda _: too_many() if len(server.uploads) == 1 else ...) as server:
        both(lambda: both.client(server.base_url).files.create(LARGE, progress=told))
    assert told.ends_well


def test_a_progress_that_fails_ends_the_uploads(create):
    def fail(sent, total):
        raise RuntimeError("not interested")

    with Uploads(lambda _: hang) as server:
        with pytest.raises(RuntimeError, match="not interested"):
            create(server, [b"a", b"b", b"c"], upload_progress=fail)
        server.until(lambda: server.open_now == 0)
    assert "POST /v1/predictions" not in server.routes


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_when_one_is_refused_the_others_are_given_up(create, bad):
    files = [f"file {n}".encode() for n in range(3)]

    def answer(seen):
        # All have to be there, for those that are not begun cannot be given up.
        server.until(lambda: len(server.uploads) == 3)
        return reply({"detail": "no"}, 422, headers="Connection: close\r\n") if files[bad] in seen.body else hang

    with Uploads(answer) as server:
        with pytest.raises(exceptions.UnprocessableEntityError):
            create(server, files, timeout=5)
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


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_a_task_that_is_cancelled_ends_its_uploads(both):
    async def main():
        create = both.client(server.base_url).predictions.create("v", {"a": [b"a", b"b", b"c"]})
        task = asyncio.create_task(create)
        await asyncio.to_thread(server.until, lambda: len(server.uploads) == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Uploads(lambda _: hang) as server:
        both(main)
        server.until(lambda: server.open_now == 0)
    assert server.routes == ["POST /v1/files"] * 3


# Who takes files


CREATORS = {
    "POST /v1/predictions": lambda client, input: client.predictions.create("v", input),
    "POST /v1/models/acme/x/predictions": lambda client, input: client.run("acme/x", input),
    "POST /v1/deployments/acme/d/predictions": lambda client, input: client.deployments.predictions.create("acme/d", input),
    "POST /v1/models/acme/x/versions/v/trainings": lambda client, input: client.trainings.create(
        "acme/x", "v", input, destination="me/y"
    ),
}


@pytest.mark.parametrize("status", [None, 503])
@pytest.mark.parametrize("route", CREATORS)
def test_whatever_starts_a_model_takes_files(both, folder, route, status):
    with Uploads(lambda _: reply({}, status) if status else ...) as server:
        client = both.client(server.base_url)
        both(lambda: CREATORS[route](client, {"a": TEXT, "file": folder / "data.bin"}))
    assert server.routes == ["POST /v1/files", route]
    assert server.body["input"] == {"a": TEXT, "file": data_uri(DATA) if status else url_of(DATA)}


def test_trainings_take_the_options_of_files(both, server):
    told = Told()
    create = both.client(server.base_url).trainings.create
    both(lambda: create("acme/x", "v", {"a": b"x"}, destination="me/y", upload_progress=told))
    assert told.ends_well
    both(lambda: create("acme/x", "v", {"a": b"x"}, destination="me/y", file_encoding_strategy="base64"))
    assert server.routes.count("POST /v1/files") == 1
    assert json.loads(server.seen[-1].body)["input"] == {"a": data_uri(b"x")}


# files.create


def test_a_file_is_given_in_each_spelling(both, client, folder, stack):
    path = folder / "grüße.txt"
    content = TEXT.encode()
    handle = stack.enter_context(path.open("rb"))
    buffer = io.BytesIO(content)
    spellings: list[tuple[tuple[Any, ...], dict[str, Any], str, str]] = [
        ((str(path),), {}, "grüße.txt", "text/plain"),
        ((path,), {}, "grüße.txt", "text/plain"),
        ((handle,), {}, "grüße.txt", "text/plain"),
        ((content,), {}, "file", OCTETS),
        ((buffer,), {}, "file", OCTETS),
        ((("a.png", content),), {}, "a.png", "image/png"),
        (((None, path),), {}, "grüße.txt", "text/plain"),
        ((("a.png", path, "image/x"),), {}, "a.png", "image/x"),
        ((("a.png", path, None),), {}, "a.png", "image/png"),
        ((("a.png", path, "image/x", {}),), {}, "a.png", "image/x"),
        ((), {"file": path}, "grüße.txt", "text/plain"),
        ((), {"content": content}, "file", OCTETS),
        ((), {"content": content, "filename": "b.gif"}, "b.gif", "image/gif"),
        ((), {"content": content, "filename": "b.gif", "type": "image/y"}, "b.gif", "image/y"),
        ((path,), {"content_type": "image/z"}, "grüße.txt", "image/z"),
        ((("a.png", path, "image/x"),), {"filename": "c.txt"}, "c.txt", "text/plain"),
    ]
    for args, options, name, kind in spellings:
        for each in (handle, buffer):
            each.seek(0)
        file = both(lambda args=args, options=options: client.files.create(*args, **options))
        assert (file.name, file.content_type, file.size) == (name, kind, len(content))
        assert file.checksums["sha256"] == hashlib.sha256(content).hexdigest()
    assert not handle.closed


def test_metadata_is_given_by_position_and_by_keyword(both, client):
    metadata = {"a": [1, None, {"ü": TEXT}], "b": 1.5}
    assert both(lambda: client.files.create(b"x", metadata)).metadata == metadata
    assert both(lambda: client.files.create(b"x", metadata=metadata)).metadata == metadata
    assert both(lambda: client.files.create(b"x")).metadata == {}


@pytest.mark.parametrize("metadata", [{"a": math.nan}, {"a": object()}])
def test_metadata_that_json_cannot_carry_is_refused(both, server, metadata):
    with pytest.raises((TypeError, ValueError)):
        both(lambda: both.client(server.base_url).files.create(b"x", metadata=metadata))
    assert server.seen == []


@pytest.mark.parametrize(
    ("args", "options"),
    [
        ((), {}),
        ((None,), {}),
        ((b"x",), {"content": b"y"}),
        ((5,), {}),
        (([b"x"],), {}),
        ((object(),), {}),
        (((),), {}),
        ((("a",),), {}),
        (((b"x", "a"),), {}),
        ((("a", ("b", b"x")),), {}),
        ((("a", b"x", "t", {}, 5),), {}),
        ((("a", b"x", "t", {"X-Header": "1"}),), {}),
        ((("a", b"x", 5),), {}),
        ((("a", None),), {}),
        ((("a", 5),), {}),
    ],
)
def test_what_is_no_file_is_a_type_error(both, server, args, options):
    with pytest.raises(TypeError):
        both(lambda: both.client(server.base_url).files.create(*args, **options))
    assert server.seen == []


@pytest.mark.parametrize("name", ["a/b", "/", "a\0b", "", "x" * 256, "ü" * 128])
def test_a_name_that_is_none_is_refused(both, server, name):
    create = both.client(server.base_url).files.create
    for args, options in (((b"x",), {"filename": name}), (((name, b"x"),), {})):
        with pytest.raises(ValueError, match="name must not be"):
            both(lambda args=args, options=options: create(*args, **options))
    assert server.seen == []


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, ".", "..", "a\\b", " ", "%2F", "a;b=c", "\N{PARTY POPPER}"])
def test_any_other_name_arrives(both, server, name):
    both(lambda: both.client(server.base_url).files.create(b"x", filename=name))
    assert server.forms[0].name == name


def test_what_would_end_a_header_is_escaped_in_a_name(both, server):
    both(lambda: both.client(server.base_url).files.create(b"x", filename='a"\r\nX: y"b'))
    assert server.forms[0].name == "a%22%0D%0AX: y%22b"


@pytest.mark.parametrize("kind", ["image/png\r\nX: y", "image/png\n", "a\rb", "a\0b"])
def test_a_type_with_a_line_break_is_refused(both, server, kind):
    create = both.client(server.base_url).files.create
    for args, options in (((b"x",), {"content_type": kind}), ((b"x",), {"type": kind}), ((("a", b"x", kind),), {})):
        with pytest.raises(ValueError, match="must not hold a line break"):
            both(lambda args=args, options=options: create(*args, **options))
    assert server.seen == []


# On the wire


def test_a_boundary_is_new_each_time_and_not_in_the_content(both, server):
    client = both.client(server.base_url)
    content, boundaries = DATA, set()
    for _ in range(4):
        both(lambda: client.files.create(content, metadata={"ü": TEXT}))
        # As if somebody knew what the last one was.
        content = server.seen[-1].body
        boundaries.add(server.seen[-1].headers["content-type"])
    assert len(boundaries) == 4
    assert [each.content for each in server.forms] == [DATA, *(each.body for each in server.seen[:-1])]
    assert all(each.metadata == {"ü": TEXT} for each in server.forms)


def too_many():
    return reply({"detail": "too many"}, 429, headers="Retry-After: 0\r\n")


@pytest.mark.parametrize(
    "kind", [a_large_path, some_bytes, a_large_binary_file_in_the_middle, a_buffer, a_pipe, a_spooled_file_on_the_disk]
)
def test_a_retry_sends_the_whole_body_again(both, create, folder, stack, kind):
    case = kind(folder, stack)
    with Uploads(lambda _: too_many() if len(server.uploads) == 1 else ...) as server:
        create(server, case.file, file_encoding_strategy="upload")
    assert [each.content for each in server.forms] == [case.content] * 2
    assert server.seen[0].body == server.seen[1].body
    case = kind(folder, stack)
    with Uploads(lambda _: too_many() if len(server.uploads) == 1 else ...) as server:
        both(lambda: both.client(server.base_url).files.create(case.file))
    assert [each.content for each in server.forms] == [case.content] * 2


def test_a_request_with_data_uris_is_sent_again_whole(create, folder, stack):
    case = a_large_binary_file_in_the_middle(folder, stack)
    bodies = []

    def script(seen):
        bodies.append(seen.body)
        return too_many() if len(bodies) == 1 else reply(prediction(), 201)

    with Wire(script) as server:
        create(server, [TEXT, case.file], file_encoding_strategy="data-uri")
    assert bodies[0] == bodies[1]
    assert json.loads(bodies[0])["input"]["value"] == [TEXT, data_uri(case.content)]


@pytest.mark.parametrize("size", [HUGE // 2, 0, HUGE - 1, HUGE + 1])
@pytest.mark.parametrize("way", ["create", "handle", "upload", "default", "data-uri"])
def test_a_file_that_changes_its_size_while_it_is_sent_is_an_error(both, create, folder, stack, way, size):
    def change(connection):
        os.truncate(path, size)
        received.append(drained(connection))

    received = []
    path = folder / "large.bin"
    with path.open("wb") as file:
        file.truncate(HUGE)
    with Early(change) as server:
        with pytest.raises(exceptions.FileError, match="changed its size"):
            if way == "create":
                both(lambda: both.client(server.base_url).files.create(path))
            else:
                file = stack.enter_context(path.open("rb")) if way == "handle" else path
                create(server, file, file_encoding_strategy="upload" if way == "handle" else way)
        server.until(lambda: server.closed == 1)
    # Neither a body that looks whole, nor another attempt.
    assert received[0] < HUGE
    assert (server.opened, server.seen) == (1, [])


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"more"), Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_file_that_changes_before_its_turn_is_an_error(create, folder, change):
    paths = [folder / f"{n}.txt" for n in range(9)]
    for path in paths:
        path.write_text(path.name)

    def answer(_):
        if len(server.uploads) == 8:
            change(paths[-1])
            changed.set()
        changed.wait(10)
        return ...

    changed = threading.Event()
    with Uploads(answer) as server:
        with pytest.raises(exceptions.FileError, match=r"8\.txt"):
            create(server, paths)
    assert server.routes == ["POST /v1/files"] * 8


# The other operations


def listed(*ids):
    return [{"id": each, "name": f"{each}.txt", "size": 1, "urls": {"get": f"https://files.test/{each}"}} for each in ids]


def test_a_page_of_files_is_a_list_too(both):
    pages = {"/v1/files": (listed("a", "b"), "?cursor=2"), "/v1/files?cursor=2": (listed("c"), None)}

    def script(seen):
        results, following = pages[seen.path]
        return reply({"results": results, "next": following and f"{wire.base_url}/files{following}", "previous": None})

    with Wire(script) as wire:
        page = both(both.client(wire.base_url).files.list)
        assert isinstance(page, FilePage)
        a, b = page
        assert isinstance(a, File)
        assert ([a.id, b.name], len(page), page[0], page[-1], page[:1]) == (["a", "b.txt"], 2, a, b, [a])
        assert a in page
        assert page.index(b) == 1 if hasattr(page, "index") else True
        assert page == [a, b]
        assert [a, b] == page
        assert page != [b, a]
        assert page != [a]
        assert page
        assert list(reversed(page)) == [b, a]
        again = both(both.client(wire.base_url).files.list)
        assert page == again
        assert [each.id for each in both(lambda: every(both, page))] == ["a", "b", "c"]
        last = both(lambda: both.client(wire.base_url).files.list(page.next))
        assert page != last
        assert c_of(last) not in page


def c_of(page):
    (only,) = page
    return only


def every(both, page):
    if not both.is_async:
        return list(page.auto())

    async def collect():
        return [each async for each in page.auto()]

    return collect()


def test_an_empty_page_of_files_is_false(both):
    with Wire(lambda _: reply({"results": [], "next": None, "previous": None})) as wire:
        page = both(both.client(wire.base_url).files.list)
    assert not page
    assert page == []
    assert (len(page), list(page)) == (0, [])
    with pytest.raises(IndexError):
        page[0]


def test_files_are_listed_fetched_and_deleted(both, client):
    created = both(lambda: client.files.create(b"x", filename="listed.txt"))
    assert created in both(client.files.list)
    assert both(lambda: client.files.get(created.id)) == created
    assert both(lambda: client.files.delete(created.id)) is True
    assert created not in both(client.files.list)
    with pytest.raises(exceptions.NotFoundError):
        both(lambda: client.files.delete(created.id))


def test_a_file_is_downloaded_with_a_signature(both, client, local):
    created = both(lambda: client.files.create(LARGE))
    signed: dict[str, Any] = local.signed_download(created.id)
    assert both(lambda: client.files.download(created.id, **signed)) == LARGE
    with pytest.raises(exceptions.NotFoundError):
        both(lambda: client.files.download(created.id, **signed | {"signature": "AAAA"}))


def test_a_signature_is_sent_as_it_was_given(both):
    with Wire(lambda _: reply(b"content", kind=OCTETS)) as wire:
        client = both.client(wire.base_url)
        download = client.files.download
        assert both(lambda: download("a/b", owner="ü&x", expiry=1757800000, signature="a+b/c==")) == b"content"
    assert wire.routes == ["GET /v1/files/a%2Fb/download?owner=%C3%BC%26x&expiry=1757800000&signature=a%2Bb%2Fc%3D%3D"]


# What cannot be read


@pytest.fixture
def refused(both, create, server):
    """Expects that a file is refused by `files.create` and among inputs, however it is sent, before anything is."""

    def refused(kind, match, make, *, path=False):
        client = both.client(server.base_url)
        with pytest.raises(kind, match=match) as caught:
            both(lambda: client.files.create(make()))
        for strategy in ("default", "upload", "data-uri"):
            with pytest.raises(kind, match=match) as caught:
                create(server, [b"first", make()], file_encoding_strategy=strategy)
            assert not path or "input.value[1]" in str(caught.value)
        assert server.seen == []

    return refused


def test_a_path_that_is_no_file_is_refused(refused, folder):
    os.mkfifo(folder / "fifo")
    (folder / "dangling").symlink_to(folder / "nowhere")
    refused(exceptions.FileError, "missing", lambda: folder / "missing")
    refused(exceptions.FileError, "dangling", lambda: folder / "dangling")
    refused(exceptions.FileError, "data.bin/x", lambda: folder / "data.bin" / "x")
    refused(exceptions.FileError, "is not a file", lambda: folder)
    refused(exceptions.FileError, "/dev/zero is not a file", lambda: Path("/dev/zero"))
    refused(exceptions.FileError, "fifo is not a file", lambda: folder / "fifo")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_path_that_may_not_be_read_is_refused(both, create, server, folder):
    (folder / "data.bin").chmod(0)
    with pytest.raises(exceptions.FileError, match=r"data\.bin"):
        create(server, folder / "data.bin")
    with pytest.raises(exceptions.FileError, match=r"data\.bin"):
        both(lambda: both.client(server.base_url).files.create(folder / "data.bin"))


def test_a_closed_file_is_refused(refused, folder):
    def closed(file):
        file.close()
        return file

    (folder / "data.gz").write_bytes(gzip.compress(DATA))
    for make in (
        lambda: (folder / "data.bin").open("rb"),
        lambda: (folder / "data.bin").open("rb", buffering=0),
        lambda: (folder / "grüße.txt").open(),
        lambda: io.BytesIO(DATA),
        lambda: gzip.open(folder / "data.gz"),
        tempfile.SpooledTemporaryFile,
        lambda: tempfile.NamedTemporaryFile(dir=folder),
    ):
        refused(ValueError, "closed", lambda make=make: closed(make()))


def test_text_that_is_none_is_refused_with_advice(refused, folder, stack):
    (folder / "bad.txt").write_bytes(b"caf\xe9")
    refused(
        exceptions.FileError,
        "bad.txt is not text .*: open it in binary mode",
        lambda: stack.enter_context((folder / "bad.txt").open(encoding="utf-8")),
    )


class Failing:
    def __init__(self, failure):
        self.failure = failure

    def read(self):
        raise self.failure


def test_a_file_that_fails_is_an_error_of_our_tree(refused, folder, stack):
    refused(exceptions.FileError, "cannot be read: .*went away", lambda: Failing(OSError(5, "went away")))
    refused(exceptions.FileError, "w.bin cannot be read", lambda: stack.enter_context((folder / "w.bin").open("wb")))
    (folder / "not.gz").write_bytes(b"this is not gzip")
    refused(exceptions.FileError, "not.gz cannot be read", lambda: stack.enter_context(gzip.open(folder / "not.gz")))
    # What is not about files is the caller's own.
    refused(ZeroDivisionError, "oops", lambda: Failing(ZeroDivisionError("oops")))


def test_a_raw_file_for_writing_is_not_read(refused, folder, stack):
    def raw():
        file = stack.enter_context((folder / "raw.bin").open("wb", buffering=0))
        file.write(b"hello")
        return file

    refused(exceptions.FileError, "raw.bin cannot be read", raw)


@pytest.mark.parametrize("content", [5, None, ["x"]])
def test_a_read_that_gives_something_else_is_a_type_error(refused, content):
    refused(TypeError, r"the read\(\) of a OnlyRead must give bytes or text", lambda: OnlyRead(content))


def test_the_path_of_such_a_read_is_named(refused):
    refused(TypeError, "must give bytes or text, not int", lambda: OnlyRead(5), path=True)


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(both, create, server, folder, stack):
    with (folder / "large.mp4").open("wb") as file:
        file.truncate((100 << 20) + 1)
    handle = stack.enter_context((folder / "large.mp4").open("rb"))
    for make in (lambda: folder / "large.mp4", lambda: handle):
        handle.seek(0)
        with pytest.raises(ValueError, match=r"large\.mp4 has 104,857,601 bytes, .* at most 100 MB"):
            both(lambda make=make: both.client(server.base_url).files.create(make()))
        for strategy in ("default", "upload"):
            handle.seek(0)
            with pytest.raises(ValueError, match=r"large\.mp4 has 104,857,601 bytes"):
                create(server, [b"first", make()], file_encoding_strategy=strategy)
    assert server.seen == []


# Anything, and much


NAMES = st.text(st.characters(exclude_categories=()), max_size=40) | st.text('"%\\\r\n;=/\0 äx.', max_size=8)


@settings(derandomize=True, database=None, deadline=None, max_examples=150)
@given(st.binary(max_size=2000), NAMES)
def test_any_content_under_any_name_arrives_or_is_refused(local, content, name):
    before = len(local.requests)
    with Replicate("r8_secret", base_url=local.base_url) as client:
        try:
            file = client.files.create(content, filename=name)
        except ValueError:
            assert len(local.requests) == before
            return
    assert file.checksums["sha256"] == hashlib.sha256(content).hexdigest()
    shown = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    assert file.name == shown


JSON = st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(st.lists(st.binary(max_size=100), max_size=4), JSON)
def test_any_files_in_any_json_arrive_inline(contents, around):
    with Wire(lambda _: reply(prediction(), 201)) as wire, Replicate("x", base_url=wire.base_url) as client:
        client.predictions.create("v", {"a": around, "b": contents, "c": [around, *contents]}, file_encoding_strategy="base64")
        uris = [data_uri(each) for each in contents]
        assert json.loads(wire.seen[0].body)["input"] == {"a": around, "b": uris, "c": [around, *uris]}


def test_many_threads_upload_through_one_client(local):
    def content(thread, number):
        return f"{thread} {number} ".encode() * (number + 1)

    def work(thread):
        start.wait()
        return [client.files.create(content(thread, number), filename=f"{thread}-{number}.txt") for number in range(20)]

    start = threading.Barrier(8)
    with Replicate("r8_secret", base_url=local.base_url) as client, ThreadPoolExecutor(8) as pool:
        files = list(itertools.chain.from_iterable(pool.map(work, range(8))))
    assert len({each.id for each in files}) == 160
    for (thread, number), file in zip(itertools.product(range(8), range(20)), files, strict=True):
        assert file.name == f"{thread}-{number}.txt"
        assert file.checksums["sha256"] == hashlib.sha256(content(thread, number)).hexdigest()


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_many_tasks_upload_through_one_client(both, client, folder):
    contents = [f"{number} ".encode() * (1 + number * 100) for number in range(50)]
    for number, content in enumerate(contents):
        (folder / f"{number}.txt").write_bytes(content)

    async def main():
        return await asyncio.gather(*(client.files.create(folder / f"{number}.txt") for number in range(50)))

    files = both(main)
    assert len({each.id for each in files}) == 50
    assert [each.name for each in files] == [f"{number}.txt" for number in range(50)]
    assert [each.checksums["sha256"] for each in files] == [hashlib.sha256(each).hexdigest() for each in contents]
