"""Files that go in: what may be given as one, how it is sent, and what can go wrong meanwhile."""

import array
import asyncio
import base64
import dataclasses
import gzip
import hashlib
import io
import json
import lzma
import math
import mimetypes
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
from support.wire import Seen, Wire, hang, prediction, reply

# Has each byte, what ends a line of a form, and what is special in JSON.
DATA = bytes(range(256)) * 2 + b'\r\n--replicate-rs-\r\n"\\'
TEXT = 'Grüße, 世界 \N{PARTY POPPER}: "x"\\\n'
# More than a block, and not a multiple of three.
LARGE = DATA * 2000
# More than the buffers of two sockets hold.
HUGE = 12 << 20
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
    heads, contents = zip(
        *(part.removeprefix(b"\r\n").split(b"\r\n\r\n", 1) for part in parts), strict=True
    )
    assert heads[:-1] in ((), (b'Content-Disposition: form-data; name="metadata"',))
    head = re.fullmatch(
        rb'Content-Disposition: form-data; name="content"; filename="([^"\r\n]*)"\r\nContent-Type:'
        rb" ([^\r\n]+)",
        heads[-1],
    )
    assert head is not None, heads[-1]
    return Form(
        head[1].decode(),
        head[2].decode(),
        contents[-1],
        json.loads(contents[0]) if contents[1:] else None,
    )


def url_of(content: bytes) -> str:
    return f"https://files.test/{hashlib.sha256(content).hexdigest()}"


def data_uri(content: bytes, kind: str = OCTETS) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def to_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def created(seen: Seen) -> bytes:
    return reply({"id": "f", "urls": {"get": url_of(form(seen).content)}}, 201)


class Uploads(Wire):
    """Takes files and creates predictions, except where `first` has another answer: to all uploads
    alike, or to each content.
    """

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
        assert seen.body == to_json(body)
        return body


class Early(Wire):
    """Gives `act` the connection when the first request's head is there, and nothing of it has been
    read.
    """

    def __init__(self, act: Callable[[socket.socket], object]) -> None:
        self.act = act
        # Bytes of that request, if it is whole.
        self.expected = 0
        super().__init__(lambda _: reply(prediction(), 201))
        # Else the system takes all of a body, and the sender never waits.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)

    def _serve(self, connection: socket.socket) -> None:
        if not self.expected:
            head = b""
            while b"\r\n\r\n" not in head:
                head = connection.recv(1 << 16, socket.MSG_PEEK)
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            assert length is not None
            self.expected = head.index(b"\r\n\r\n") + 4 + int(length[1])
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


class Maker:
    """Makes files that are closed when their test is over."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.data = self.path("data.bin", DATA)
        self.text = self.path("grüße.txt", TEXT.encode())

    def path(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def open(
        self, opener: Any, *args: Any, skip: int = 0, write: Any = None, **options: Any
    ) -> Any:
        """What an opener gives: written and rewound, if so asked, and then read a little."""
        file = self.stack.enter_context(opener(*args, **options))
        if write is not None:
            file.write(write)
            file.seek(0)
        if skip:
            file.read(skip)
        return file

    def pipe(self, content: bytes) -> Any:
        reader, writer = os.pipe()
        os.write(writer, content)
        os.close(writer)
        return self.open(os.fdopen, reader, "rb")

    def socket(self, content: bytes) -> Any:
        one, two = socket.socketpair()
        with one, two:
            one.sendall(content)
            return self.open(two.makefile, "rb")

    def named(self, name: object, content: bytes) -> Any:
        file: Any = self.open(io.BytesIO, content)
        file.name = name
        return file

    def beyond(self) -> Any:
        file = self.open(self.data.open, "rb")
        file.seek(len(DATA) + 5)
        return file

    def unwritten(self) -> Any:
        file = self.open(self.data.open, "r+b", skip=10)
        file.seek(10)
        file.write(b"new")
        return file

    def unlinked(self) -> Any:
        path = self.path("gone", DATA)
        file = self.open(path.open, "rb")
        path.unlink()
        return file

    def replaced(self) -> Any:
        path = self.path("replaced", DATA)
        file = self.open(path.open, "rb")
        self.path("other", b"another").replace(path)
        return file

    def link(self) -> Path:
        link = self.folder / "link.gif"
        link.unlink(missing_ok=True)
        link.symlink_to(self.data)
        return link

    def member(self) -> Any:
        with zipfile.ZipFile(self.folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("in/side.txt", DATA)
        return self.open(self.open(zipfile.ZipFile, self.folder / "a.zip").open, "in/side.txt")

    def mapped(self) -> Any:
        with self.data.open("rb") as file:
            return self.open(mmap.mmap, file.fileno(), 0, access=mmap.ACCESS_READ)

    def temporary(self, skip: int) -> Case:
        file = self.open(
            tempfile.NamedTemporaryFile, dir=self.folder, suffix=".png", write=DATA, skip=skip
        )
        return Case(file, DATA, Path(file.name).name, "image/png")


SPOOLED = tempfile.SpooledTemporaryFile
MADE_UP = Path("/proc/sys/kernel/ostype")
NUMBERS = array.array("I", range(100))
KINDS: dict[str, Callable[[Maker], Case]] = {
    "path": lambda m: Case(m.data, DATA, "data.bin"),
    "path of text": lambda m: Case(m.text, TEXT.encode(), "grüße.txt", "text/plain"),
    "empty path": lambda m: Case(m.path("a.json", b""), b"", "a.json", "application/json"),
    "large path": lambda m: Case(m.path("a.png", LARGE), LARGE, "a.png", "image/png"),
    "like a path": lambda m: Case(Pathlike(m.data), DATA, "data.bin"),
    "link": lambda m: Case(m.link(), DATA, "link.gif", "image/gif"),
    "binary": lambda m: Case(m.open(m.data.open, "rb"), DATA, "data.bin"),
    "binary, in the middle": lambda m: Case(m.open(m.data.open, "rb", skip=100), DATA, "data.bin"),
    "binary, at its end": lambda m: Case(m.open(m.data.open, "rb", skip=-1), DATA, "data.bin"),
    "binary, beyond its end": lambda m: Case(m.beyond(), DATA, "data.bin"),
    "binary, large": lambda m: Case(m.open(m.path("a", LARGE).open, "rb", skip=1001), LARGE, "a"),
    "binary, raw": lambda m: Case(m.open(m.data.open, "rb", buffering=0, skip=7), DATA, "data.bin"),
    "binary, with writes not on the disk": lambda m: Case(
        m.unwritten(), DATA[:10] + b"new" + DATA[13:], "data.bin"
    ),
    "binary, written and rewound": lambda m: Case(
        m.open((m.folder / "w.csv").open, "w+b", write=DATA), DATA, "w.csv", "text/csv"
    ),
    "binary, unlinked": lambda m: Case(m.unlinked(), DATA, "gone"),
    "binary, replaced": lambda m: Case(m.replaced(), DATA, "replaced"),
    # The system makes these up when they are read, and says that they are empty.
    "binary, of unknown size": lambda m: Case(
        m.open(MADE_UP.open, "rb"), MADE_UP.read_bytes(), "ostype"
    ),
    "path of unknown size": lambda m: Case(MADE_UP, MADE_UP.read_bytes(), "ostype"),
    "text": lambda m: Case(
        m.open(m.text.open, encoding="utf-8"), TEXT.encode(), "grüße.txt", "text/plain"
    ),
    "text, in the middle": lambda m: Case(
        m.open(m.text.open, encoding="utf-8", skip=3), TEXT.encode(), "grüße.txt", "text/plain"
    ),
    "text, of another encoding": lambda m: Case(
        m.open(m.path("a.txt", b"caf\xe9\n").open, encoding="latin-1"),
        b"caf\xe9\n",
        "a.txt",
        "text/plain",
    ),
    "pipe": lambda m: Case(m.pipe(DATA), DATA),
    "socket": lambda m: Case(m.socket(DATA), DATA),
    "something with read": lambda m: Case(OnlyRead(DATA), DATA),
    "something that reads text": lambda m: Case(OnlyRead(TEXT), TEXT.encode()),
    "spooled in memory": lambda m: Case(m.open(SPOOLED, write=DATA, skip=3), DATA),
    "spooled on the disk": lambda m: Case(m.open(SPOOLED, 100, write=DATA, skip=3), DATA),
    "spooled text": lambda m: Case(
        m.open(SPOOLED, mode="w+", encoding="utf-8", write=TEXT), TEXT.encode()
    ),
    "temporary": lambda m: m.temporary(skip=3),
    "temporary without a name": lambda m: Case(m.open(tempfile.TemporaryFile, write=DATA), DATA),
    "gzip": lambda m: Case(
        m.open(gzip.open, m.path("a.gz", gzip.compress(DATA)), skip=5), DATA, "a.gz"
    ),
    "gzip as text": lambda m: Case(
        m.open(gzip.open, m.path("a.gz", gzip.compress(TEXT.encode())), "rt", encoding="utf-8"),
        TEXT.encode(),
        "a.gz",
    ),
    "lzma": lambda m: Case(m.open(lzma.open, io.BytesIO(lzma.compress(DATA))), DATA),
    "member of an archive": lambda m: Case(m.member(), DATA, "side.txt", "text/plain"),
    "map of memory": lambda m: Case(m.mapped(), DATA),
    "bytes": lambda m: Case(DATA, DATA),
    "no bytes": lambda m: Case(b"", b""),
    "bytearray": lambda m: Case(bytearray(DATA), DATA),
    "memoryview": lambda m: Case(memoryview(DATA)[1:-1], DATA[1:-1]),
    "memoryview with gaps": lambda m: Case(memoryview(DATA)[::3], DATA[::3]),
    "memoryview of integers": lambda m: Case(memoryview(NUMBERS), NUMBERS.tobytes()),
    "buffer": lambda m: Case(m.open(io.BytesIO, DATA), DATA),
    "buffer, in the middle": lambda m: Case(m.open(io.BytesIO, DATA, skip=9), DATA),
    "buffer with a name": lambda m: Case(
        m.named("in/a b.webp", DATA), DATA, "a b.webp", "image/webp"
    ),
    "buffer with a name that is none": lambda m: Case(m.named(5, DATA), DATA),
    "buffer of text": lambda m: Case(m.open(io.StringIO, TEXT), TEXT.encode()),
}


def sparse(maker, size):
    path = maker.path("huge.bin", b"")
    os.truncate(path, size)
    return path


@pytest.fixture
def maker(tmp_path):
    with ExitStack() as stack:
        yield Maker(tmp_path, stack)


def position_of(file):
    """Where an open file stands; None if it does not tell."""
    try:
        return file.tell()
    except (AttributeError, OSError):
        return None


@pytest.mark.parametrize(
    "kind", [each for each in KINDS if "unknown" not in each or MADE_UP.exists()]
)
def test_whatever_is_a_file_arrives(both, create, maker, kind):
    for strategy in ("upload", "data-uri"):
        case = KINDS[kind](maker)
        before = position_of(case.file)
        with Uploads() as server:
            create(server, case.file, file_encoding_strategy=strategy)
        if strategy == "upload":
            assert server.forms == [Form(case.name, case.kind, case.content)]
            assert server.body["input"] == {"value": url_of(case.content)}
        else:
            assert server.uploads == []
            assert server.body["input"] == {"value": data_uri(case.content, case.kind)}
        assert not getattr(case.file, "closed", False)
        assert position_of(case.file) == before


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


@pytest.mark.parametrize("strategy", ["default", "upload", "url", "data-uri", "base64"])
def test_files_are_found_at_any_depth(create, server, maker, strategy):
    def put(content, kind=OCTETS):
        return data_uri(content, kind) if strategy in ("data-uri", "base64") else url_of(content)

    path = maker.text
    config = Config(
        path=path,
        content=b"c",
        file=io.BytesIO(b"f"),
        more={"ö": [Box(path), b"m", {"n": (1, [b"n"])}]},
    )
    create(
        server,
        {"text": TEXT, "list": [[b"a", TEXT], b"b"], "config": config, "äü": TEXT},
        file_encoding_strategy=strategy,
    )
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


def test_text_is_no_path_and_an_array_no_image(create, server, maker):
    pixels = np.zeros((2, 2, 3), dtype=np.uint8)
    create(server, [str(maker.data), pixels])
    assert server.routes == ["POST /v1/predictions"]
    assert server.body["input"]["value"] == [str(maker.data), pixels.tolist()]


def test_an_image_arrives_as_png(both, create, server):
    client = both.client(server.base_url)
    for mode in ("1", "L", "LA", "I;16", "P", "RGB", "RGBA"):
        image = PIL.Image.new(mode, (3, 2))
        create(server, image, client=client)
        arrived = server.forms[-1]
        assert (arrived.name, arrived.kind) == ("image.png", "image/png")
        with PIL.Image.open(io.BytesIO(arrived.content)) as again:
            assert (again.format, again.mode, again.tobytes()) == ("PNG", mode, image.tobytes())


def test_an_image_that_png_cannot_store_is_refused(both, create, server):
    for mode in ("F",):
        image = PIL.Image.new(mode, (2, 2))
        with pytest.raises(
            TypeError,
            match=rf"^input\.value\[1\]: PNG cannot store an image of mode {mode}: convert it",
        ):
            create(server, [b"first", image])
        with pytest.raises(TypeError, match="convert it"):
            both(lambda image=image: both.client(server.base_url).files.create(image))
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


ASYNC = {
    "pieces": (lambda: Pieces(DATA, TEXT.encode()), Form("file", OCTETS, DATA + TEXT.encode())),
    "no pieces": (lambda: Pieces(), Form("file", OCTETS, b"")),
    # Too large to be kept in memory.
    "large pieces": (lambda: Pieces(LARGE, LARGE), Form("file", OCTETS, LARGE * 2)),
    "generator": (generator, Form("file", OCTETS, b"abcdef")),
    "reader": (lambda: Reader(LARGE), Form("a.png", "image/png", LARGE)),
    "upload": (lambda: an_upload_of_starlette(DATA), Form("photo.jpg", "image/jpeg", DATA)),
    "large upload": (
        lambda: an_upload_of_starlette(LARGE * 2, **{"content-type": "image/x"}),
        Form("photo.jpg", "image/x", LARGE * 2),
    ),
}


@pytest.mark.parametrize("kind", ASYNC)
def test_what_must_be_awaited_arrives_or_is_refused_by_its_path(both, create, kind):
    make, expected = ASYNC[kind]
    for strategy, arrived in (
        ("upload", url_of(expected.content)),
        ("data-uri", data_uri(expected.content, expected.kind)),
    ):
        file = make()
        with Uploads() as server:
            if both.is_async:
                create(server, [file], file_encoding_strategy=strategy)
                assert server.forms == ([expected] if strategy == "upload" else [])
                assert server.body["input"]["value"] == [arrived]
                assert not getattr(getattr(file, "file", None), "closed", False)
            else:
                with pytest.raises(
                    TypeError,
                    match=r"^input\.value\[1\]: .*AsyncReplicate.* or pass its content as bytes",
                ):
                    create(server, [b"first", file], file_encoding_strategy=strategy)
                assert server.seen == []


def test_files_create_takes_what_must_be_awaited(both, client):
    if both.is_async:
        file = both(lambda: client.files.create(an_upload_of_starlette(DATA)))
        assert (file.name, file.content_type, file.size) == ("photo.jpg", "image/jpeg", len(DATA))
        assert (
            both(lambda: client.files.create(("a.gif", Pieces(b"ab", b"c")))).content_type
            == "image/gif"
        )
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
    with pytest.raises(
        TypeError, match=r"^input\.value\.a: an async iterable for a file must give bytes, not str"
    ):
        create(server, {"b": b"first", "a": Pieces(b"x", "y")})
    with pytest.raises(
        exceptions.FileError,
        match=r"^input\.value\[1\]: the file cannot be read: RuntimeError: broken$",
    ) as caught:
        create(server, [b"first", Pieces(b"x", RuntimeError("broken"))])
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert server.seen == []


# How files are sent


def failing(status):
    """What an upload's server does: hangs up, or answers a status."""
    return (lambda _: None) if status is None else (lambda _: reply({"detail": "no"}, status))


@pytest.mark.parametrize("status", [500, 503, None])
def test_by_default_files_go_inline_when_they_cannot_be_uploaded(create, maker, status):
    twice = io.BytesIO(DATA)
    with Uploads(failing(status)) as server:
        create(server, {"ü": TEXT, "a": twice, "b": [twice, maker.text, TEXT], "c": b""})
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
def test_ten_million_bytes_go_inline_at_most(create, maker, more):
    half = maker.path("half", bytes(5_000_000 + more))
    with Uploads(failing(503)) as server:
        if more:
            with pytest.raises(exceptions.InternalServerError) as caught:
                create(server, [half, bytes(5_000_000)])
            assert caught.value.status == 503
            assert any("10,000,000 bytes" in note for note in caught.value.__notes__)
            assert server.routes == ["POST /v1/files"] * 2
        else:
            create(server, [half, bytes(5_000_000)])
            assert server.body["input"]["value"] == [data_uri(bytes(5_000_000))] * 2


@pytest.mark.parametrize("strategy", ["default", "upload", "url"])
def test_an_upload_that_is_refused_is_an_error(create, strategy):
    for status in (400, 401, 403, 413, 422):
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


def test_data_uris_know_no_limit(create, server, maker):
    content = DATA * (10_000_000 // len(DATA) + 1)
    create(
        server, [TEXT, maker.path("large.mp4", content), b"x"], file_encoding_strategy="data-uri"
    )
    (seen,) = server.seen
    value = [TEXT, data_uri(content, "video/mp4"), data_uri(b"x")]
    assert seen.body == to_json({"version": "v", "input": {"value": value}})


def test_the_strategy_of_a_client_is_that_of_its_calls(both, create, server):
    client = both.client(server.base_url, file_encoding_strategy="data-uri")
    create(server, b"x", client=client)
    assert server.body["input"]["value"] == data_uri(b"x")
    create(server, b"x", client=client, file_encoding_strategy="upload")
    assert server.routes == ["POST /v1/predictions", "POST /v1/files", "POST /v1/predictions"]


def test_an_upload_s_answer_without_a_url_is_an_error_of_our_tree(create):
    for answer in ({}, {"id": "f", "urls": None}, {"urls": {}}, {"urls": {"get": None}}):
        with Uploads(lambda _: reply(answer, 201)) as server:
            with pytest.raises(exceptions.APIResponseValidationError):
                create(server, b"x", file_encoding_strategy="upload")
        assert server.routes == ["POST /v1/files"]


def test_a_connection_that_breaks_in_the_middle_of_an_upload_falls_back(create, maker):
    with Early(lambda connection: connection.recv(1 << 16)) as server:
        create(server, maker.path("large.bin", bytes(2_000_000)))
    assert server.opened == 2
    assert json.loads(server.seen[-1].body)["input"]["value"] == data_uri(bytes(2_000_000))


def test_a_refusal_is_heard_before_all_was_sent(both, maker):
    def refuse(connection):
        connection.sendall(reply({"detail": "too large"}, 413))
        heard.wait(10)

    heard = threading.Event()
    with Early(refuse) as server:
        with pytest.raises(exceptions.PayloadTooLargeError):
            both(lambda: both.client(server.base_url).files.create(sparse(maker, HUGE)))
        heard.set()


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


def test_a_progress_that_fails_ends_the_uploads(both):
    def failing_at(count):
        def fail(sent, total):
            server.until(lambda: len(server.uploads) == count)
            raise RuntimeError("not interested")

        return fail

    # Kept, as a log may keep them: what ends the uploads is not that their frames end.
    errors = []
    with Uploads(lambda _: hang) as server:
        client = both.client(server.base_url)
        for call in (
            lambda: client.predictions.create(
                "v", {"a": [b"a", b"b", b"c"]}, upload_progress=failing_at(3)
            ),
            lambda: client.files.create(b"d", progress=failing_at(4)),
        ):
            with pytest.raises(RuntimeError, match="not interested") as caught:
                both(call)
            errors.append(caught)
            server.until(lambda: server.open_now == 0)
    assert server.routes == ["POST /v1/files"] * 4


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_when_one_is_refused_the_others_are_given_up(create, bad):
    files = [f"file {n}".encode() for n in range(3)]

    def answer(seen):
        # All have to be there, for those that are not begun cannot be given up.
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


# Who takes files


CREATORS = {
    "POST /v1/predictions": lambda client, input: client.predictions.create("v", input),
    "POST /v1/models/acme/x/predictions": lambda client, input: client.run("acme/x", input),
    "POST /v1/deployments/acme/d/predictions": lambda client, input: (
        client.deployments.predictions.create("acme/d", input)
    ),
    "POST /v1/models/acme/x/versions/v/trainings": lambda client, input: client.trainings.create(
        "acme/x", "v", input, destination="me/y"
    ),
}


@pytest.mark.parametrize("status", [None, 503])
@pytest.mark.parametrize("route", CREATORS)
def test_whatever_starts_a_model_takes_files(both, maker, route, status):
    with Uploads(lambda _: reply({}, status) if status else ...) as server:
        client = both.client(server.base_url)
        both(lambda: CREATORS[route](client, {"a": TEXT, "file": maker.data}))
    assert server.routes == ["POST /v1/files", route]
    assert server.body["input"] == {"a": TEXT, "file": data_uri(DATA) if status else url_of(DATA)}


def test_trainings_take_the_options_of_files(both, server):
    told = Told()
    create = both.client(server.base_url).trainings.create
    both(lambda: create("acme/x", "v", {"a": b"x"}, destination="me/y", upload_progress=told))
    assert told.ends_well
    both(
        lambda: create(
            "acme/x", "v", {"a": b"x"}, destination="me/y", file_encoding_strategy="base64"
        )
    )
    assert server.routes.count("POST /v1/files") == 1
    assert json.loads(server.seen[-1].body)["input"] == {"a": data_uri(b"x")}


# files.create


def test_a_file_is_given_in_each_spelling(both, client, maker):
    path = maker.text
    content = TEXT.encode()
    handle = maker.open(path.open, "rb")
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


def test_metadata_that_json_cannot_carry_is_refused(both, server):
    for metadata in ({"a": object()}, {"a": math.nan}):
        with pytest.raises((TypeError, ValueError)):
            both(
                lambda metadata=metadata: both.client(server.base_url).files.create(
                    b"x", metadata=metadata
                )
            )
    assert server.seen == []


def test_what_is_no_file_is_a_type_error(both, server):
    create = both.client(server.base_url).files.create
    with pytest.raises(TypeError, match="give the file once"):
        both(create)
    with pytest.raises(TypeError, match="give the file once"):
        both(lambda: create(b"x", content=b"y"))
    tuples = [
        (),
        ("a",),
        (b"x", "a"),
        ("a", ("b", b"x")),
        ("a", b"x", "t", {}, 5),
        ("a", b"x", "t", {"X-Header": "1"}),
    ]
    for file in (None, 5, [b"x"], object(), *tuples, ("a", b"x", 5), ("a", None), ("a", 5)):
        with pytest.raises(TypeError):
            both(lambda file=file: create(file))
    assert server.seen == []


def test_a_name_that_is_none_is_refused(both, server):
    create = both.client(server.base_url).files.create
    for name in ("a/b", "/", "a\0b", "", "x" * 256, "ü" * 128):
        with pytest.raises(ValueError, match="name must not be"):
            both(lambda name=name: create(b"x", filename=name))
        with pytest.raises(ValueError, match="name must not be"):
            both(lambda name=name: create((name, b"x")))
    assert server.seen == []


def test_any_other_name_arrives(both, server):
    client = both.client(server.base_url)
    names = [
        "x" * 255,
        "ü" * 127,
        ".",
        "..",
        "a\\b",
        "\\\\x",
        "x\\",
        " ",
        "%2F",
        "a;b=c",
        "\N{SNOWMAN}",
    ]
    for name in names:
        both(lambda name=name: client.files.create(b"x", filename=name))
    assert [each.name for each in server.forms] == names


def test_what_would_end_a_header_is_escaped_in_a_name(both, server):
    both(lambda: both.client(server.base_url).files.create(b"x", filename='a"\r\nX: y"b'))
    assert server.forms[0].name == "a%22%0D%0AX: y%22b"


def test_a_type_with_a_line_break_is_refused(both, server):
    create = both.client(server.base_url).files.create
    for kind in ("image/png\r\nX: y", "image/png\n", "a\rb", "a\0b"):
        for args, options in (
            ((b"x",), {"content_type": kind}),
            ((b"x",), {"type": kind}),
            ((("a", b"x", kind),), {}),
        ):
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
    assert [each.content for each in server.forms] == [
        DATA,
        *(each.body for each in server.seen[:-1]),
    ]
    assert all(each.metadata == {"ü": TEXT} for each in server.forms)


def too_many():
    return reply({"detail": "too many"}, 429, headers="Retry-After: 0\r\n")


@pytest.mark.parametrize(
    "kind", ["large path", "bytes", "binary, large", "buffer", "pipe", "spooled on the disk"]
)
def test_a_retry_sends_the_whole_body_again(both, create, maker, kind):
    for way in (
        create,
        lambda server, file: both(lambda: both.client(server.base_url).files.create(file)),
    ):
        case = KINDS[kind](maker)
        with Uploads(lambda _: too_many() if len(server.uploads) == 1 else ...) as server:
            way(server, case.file)
        assert [each.content for each in server.forms] == [case.content] * 2
        assert server.seen[0].body == server.seen[1].body


def test_a_request_with_data_uris_is_sent_again_whole(create, maker):
    case = KINDS["binary, large"](maker)

    def script(_):
        return too_many() if len(server.seen) == 1 else reply(prediction(), 201)

    with Wire(script) as server:
        create(server, [TEXT, case.file], file_encoding_strategy="data-uri")
    first, second = server.seen
    assert first.body == second.body
    assert json.loads(first.body)["input"]["value"] == [TEXT, data_uri(case.content)]


SENDERS = {
    "create": lambda client, path, _: client.files.create(path),
    "handle": lambda client, _, handle: client.files.create(handle),
    "default": lambda client, path, _: client.predictions.create("v", {"a": path}),
    "data-uri": lambda client, path, _: client.predictions.create(
        "v", {"a": path}, file_encoding_strategy="data-uri"
    ),
}


@pytest.mark.parametrize("size", [HUGE // 2, HUGE - 1, HUGE + 1])
@pytest.mark.parametrize("sender", SENDERS)
def test_a_file_that_changes_its_size_while_it_is_sent_is_an_error(both, maker, sender, size):
    def change(connection):
        os.truncate(path, size)
        received.append(drained(connection))

    received: list[int] = []
    path = sparse(maker, HUGE)
    handle = maker.open(path.open, "rb")
    with Early(change) as server:
        client = both.client(server.base_url)
        with pytest.raises(exceptions.FileError, match="changed its size"):
            both(lambda: SENDERS[sender](client, path, handle))
        server.until(lambda: server.closed == 1)
    # Neither a body that looks whole, nor another attempt.
    assert received[0] < server.expected
    assert (server.opened, server.seen) == (1, [])


@pytest.mark.parametrize(
    "change",
    [lambda path: path.write_bytes(b"more"), Path.unlink, lambda path: path.write_bytes(b"")],
)
def test_a_file_that_changes_before_its_turn_is_an_error(create, maker, change):
    paths = [maker.folder / f"{n}.txt" for n in range(9)]
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
    return [
        {
            "id": each,
            "name": f"{each}.txt",
            "size": 1,
            "urls": {"get": f"https://files.test/{each}"},
        }
        for each in ids
    ]


def test_a_page_of_files_is_a_list_too(both):
    pages = {
        "/v1/files": (listed("a", "b"), "?cursor=2"),
        "/v1/files?cursor=2": (listed("c"), None),
    }

    def script(seen):
        results, following = pages[seen.path]
        return reply(
            {
                "results": results,
                "next": following and f"{wire.base_url}/files{following}",
                "previous": None,
            }
        )

    with Wire(script) as wire:
        page = both(both.client(wire.base_url).files.list)
        assert isinstance(page, FilePage)
        a, b = page
        assert isinstance(a, File)
        assert ([a.id, b.name], len(page), page[0], page[-1], page[:1]) == (
            ["a", "b.txt"],
            2,
            a,
            b,
            [a],
        )
        assert a in page
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
    created = both(lambda: client.files.create(DATA))
    signed: dict[str, Any] = local.signed_download(created.id)
    assert both(lambda: client.files.download(created.id, **signed)) == DATA
    with pytest.raises(exceptions.NotFoundError):
        both(lambda: client.files.download(created.id, **signed | {"signature": "AAAA"}))


def test_a_signature_is_sent_as_it_was_given(both):
    with Wire(lambda _: reply(b"content", kind=OCTETS)) as wire:
        client = both.client(wire.base_url)
        download = client.files.download
        assert (
            both(lambda: download("a/b", owner="ü&x", expiry=1757800000, signature="a+b/c=="))
            == b"content"
        )
    assert wire.routes == [
        "GET /v1/files/a%2Fb/download?owner=%C3%BC%26x&expiry=1757800000&signature=a%2Bb%2Fc%3D%3D"
    ]


# What cannot be read


@pytest.fixture
def refused(both, create, server):
    """Expects that a file is refused by `files.create` and among inputs, however it is sent, before
    anything is.
    """

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


def test_a_path_that_is_no_file_is_refused(refused, maker):
    folder = maker.folder
    os.mkfifo(folder / "fifo")
    (folder / "dangling").symlink_to(folder / "nowhere")
    refused(exceptions.FileError, "missing", lambda: folder / "missing")
    refused(exceptions.FileError, "dangling", lambda: folder / "dangling")
    refused(exceptions.FileError, "data.bin/x", lambda: maker.data / "x")
    refused(exceptions.FileError, "is not a file", lambda: folder)
    refused(exceptions.FileError, "/dev/zero is not a file", lambda: Path("/dev/zero"))
    refused(exceptions.FileError, "fifo is not a file", lambda: folder / "fifo")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_path_that_may_not_be_read_is_refused(both, create, server, maker):
    maker.data.chmod(0)
    with pytest.raises(exceptions.FileError, match=r"data\.bin"):
        create(server, maker.data)
    with pytest.raises(exceptions.FileError, match=r"data\.bin"):
        both(lambda: both.client(server.base_url).files.create(maker.data))


def test_a_closed_file_is_refused(refused, maker):
    def closed(file):
        file.close()
        return file

    packed = maker.path("a.gz", gzip.compress(DATA))
    for opener, *args in (
        (maker.data.open, "rb"),
        (maker.data.open, "rb", 0),
        (maker.text.open, "r"),
        (io.BytesIO, DATA),
        (gzip.open, packed),
        (SPOOLED, 100),
        (tempfile.NamedTemporaryFile, "w+b"),
    ):
        refused(
            ValueError, "closed", lambda opener=opener, args=args: closed(maker.open(opener, *args))
        )


def test_text_that_is_none_is_refused_with_advice(refused, maker):
    path = maker.path("bad.txt", b"caf\xe9")
    refused(
        exceptions.FileError,
        "bad.txt is not text .*: open it in binary mode",
        lambda: maker.open(path.open, encoding="utf-8"),
    )


class Failing:
    def __init__(self, failure):
        self.failure = failure

    def read(self):
        raise self.failure


def test_a_file_that_fails_is_an_error_of_our_tree(refused, maker):
    refused(
        exceptions.FileError,
        "cannot be read: .*went away",
        lambda: Failing(OSError(5, "went away")),
    )
    refused(
        exceptions.FileError,
        "w.bin cannot be read",
        lambda: maker.open((maker.folder / "w.bin").open, "wb"),
    )
    path = maker.path("not.gz", b"this is not gzip")
    refused(exceptions.FileError, "not.gz cannot be read", lambda: maker.open(gzip.open, path))
    refused(
        exceptions.FileError,
        "cannot be read: ZeroDivisionError: oops",
        lambda: Failing(ZeroDivisionError("oops")),
    )


def test_a_read_that_gives_something_else_is_a_type_error(refused):
    for content in (5, None, ["x"]):
        refused(
            TypeError,
            r"the read\(\) of a OnlyRead must give bytes or text",
            lambda content=content: OnlyRead(content),
        )


def test_the_path_of_such_a_read_is_named(refused):
    refused(TypeError, "must give bytes or text, not int", lambda: OnlyRead(5), path=True)


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(both, create, server, maker):
    path = sparse(maker, (100 << 20) + 1)
    handle = maker.open(path.open, "rb")
    # More than go together, so that one would be over before the last begins.
    small = [bytes([n]) for n in range(8)]
    for file in (path, handle):
        for way in (
            lambda: both(lambda: both.client(server.base_url).files.create(file)),
            lambda: create(server, [*small, file]),
            lambda: create(server, [*small, file], file_encoding_strategy="upload"),
        ):
            handle.seek(0)
            with pytest.raises(
                ValueError, match=r"huge\.bin has 104,857,601 bytes, .* at most 100 MB"
            ):
                way()
    assert server.seen == []


# Anything, and much


often = settings(derandomize=True, database=None, deadline=None, max_examples=100)
NAMES = st.text(st.characters(exclude_categories=()), max_size=40) | st.text(
    '"%\\\r\n;=/\0 äx.', max_size=8
)


def shown(name):
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


@often
@given(st.binary(max_size=2000), NAMES)
def test_any_content_under_any_name_arrives_or_is_refused(content, name):
    with Uploads() as server, Replicate("x", base_url=server.base_url) as client:
        try:
            client.files.create(content, filename=name)
        except ValueError:
            assert server.seen == []
        else:
            assert server.forms == [
                Form(shown(name), mimetypes.guess_type(name)[0] or OCTETS, content)
            ]


def test_any_content_under_any_name_is_kept_by_the_local_server(local):
    # Its parser reads backslashes as RFC 7578 leaves it open to, and others do not.
    @settings(often, max_examples=30)
    @given(st.binary(max_size=2000), NAMES.filter(lambda name: "\\" not in name))
    def check(content, name):
        before = len(local.requests)
        try:
            file = client.files.create(content, filename=name)
        except ValueError:
            assert len(local.requests) == before
            return
        assert (file.name, file.size) == (shown(name), len(content))
        assert file.checksums["sha256"] == hashlib.sha256(content).hexdigest()

    with Replicate("r8_secret", base_url=local.base_url) as client:
        check()


JSON = st.recursive(
    st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


def test_any_files_in_any_json_arrive_inline(server):
    @often
    @given(st.lists(st.binary(max_size=100), max_size=4), JSON)
    def check(contents, around):
        value = {"a": around, "b": contents, "c": [around, *contents]}
        client.predictions.create("v", value, file_encoding_strategy="base64")
        uris = [data_uri(each) for each in contents]
        assert json.loads(server.seen[-1].body)["input"] == {
            "a": around,
            "b": uris,
            "c": [around, *uris],
        }

    with Replicate("x", base_url=server.base_url) as client:
        check()


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
