"""Files for tests to send, and a server that takes them."""

from __future__ import annotations

import array
import asyncio
import base64
import gzip
import hashlib
import io
import json
import lzma
import mmap
import os
import re
import socket
import tempfile
import threading
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import upath
from starlette.datastructures import Headers, UploadFile

from support.wire import Seen, Wire, prediction, reply

# Every byte, the end of a line in a form, and special characters of JSON.
DATA = bytes(range(256)) * 2 + b'\r\n--replicate-rs-\r\n"\\'
TEXT = 'Grüße, 世界 \N{PARTY POPPER}: "x"\\\n'


# More than one block, and no multiple of three bytes.
LARGE = DATA * 2000


# More than fits into the buffers of two sockets.
HUGE = 12 << 20
OCTETS = "application/octet-stream"


class Form(NamedTuple):
    name: str
    kind: str
    content: bytes
    metadata: Any = None


def parse_form(seen: Seen) -> Form:
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


def upload_response(seen: Seen) -> bytes:
    return reply({"id": "f", "urls": {"get": url_of(parse_form(seen).content)}}, 201)


class Uploads(Wire):
    """A server for uploads and predictions; `first` may answer an upload in another way."""

    def __init__(self, first: Callable[[Seen], Any] = lambda _: ...) -> None:
        self.first = first
        super().__init__(self._answer)

    def _answer(self, seen: Seen) -> Any:
        if seen.path != "/v1/files":
            return reply(prediction(output="x"), 201)
        answer = self.first(seen)
        return upload_response(seen) if answer is ... else answer

    @property
    def uploads(self) -> list[Seen]:
        return [each for each in self.seen if each.path == "/v1/files"]

    @property
    def forms(self) -> list[Form]:
        return [parse_form(each) for each in self.uploads]

    @property
    def body(self) -> Any:
        """The JSON body of the prediction's request."""
        (seen,) = (each for each in self.seen if each.path != "/v1/files")
        assert int(seen.headers["content-length"]) == len(seen.body)
        body = json.loads(seen.body)
        assert seen.body == to_json(body)
        return body


class Early(Wire):
    """A server that calls `act` with the connection before it reads the first request."""

    def __init__(self, act: Callable[[socket.socket], object]) -> None:
        self.act = act
        # The length of that request, if it is complete.
        self.expected = 0
        super().__init__(lambda _: reply(prediction(), 201))
        # With a large buffer the system would take all of the body.
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


def drain(connection: socket.socket) -> int:
    """Read to the end, and return the number of bytes."""
    count = 0
    try:
        while part := connection.recv(1 << 20):
            count += len(part)
    except OSError:
        pass
    return count


class Pathlike:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


class OnlyRead:
    """A file with a `read` and no other method."""

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
        """Open a file, write to it and rewind it, and read `skip` bytes, if so asked."""
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
    # Files of the kernel, which have content and a length of 0.
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


def make_sparse_file(maker, size):
    path = maker.path("huge.bin", b"")
    os.truncate(path, size)
    return path


class Pieces:
    def __init__(self, *pieces):
        self.pieces = pieces

    async def __aiter__(self):
        for each in self.pieces:
            await asyncio.sleep(0)
            if isinstance(each, Exception):
                raise each
            yield each


class Reader:
    """Returns fewer bytes than asked for, like a connection."""

    name = "C:\\in\\a.png"

    def __init__(self, content):
        self.left = content

    async def read(self, size):
        await asyncio.sleep(0)
        part, self.left = self.left[: min(size, 7000)], self.left[min(size, 7000) :]
        return part


def starlette_upload(content, **headers):
    return UploadFile(io.BytesIO(content), filename="photo.jpg", headers=Headers(headers))


class ProgressLog:
    """A function for `progress=` that keeps its arguments."""

    def __init__(self):
        self.calls = []
        self.once = threading.Event()

    def __call__(self, sent, total):
        self.calls.append((sent, total))
        self.once.set()

    @property
    def is_complete(self):
        return self.calls[-1][0] == self.calls[-1][1]


def rate_limited():
    return reply({"detail": "too many"}, 429, headers="Retry-After: 0\r\n")


def get_contents(server):
    return [each.content for each in server.forms]


class Scripted:
    """Returns these pieces one by one; exceptions are raised."""

    def __init__(self, *pieces: Any, **attributes: Any) -> None:
        self.pieces = list(pieces)
        vars(self).update(attributes)

    def read(self, size: int = -1) -> Any:
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, BaseException):
            raise piece
        return piece


def named(name: object) -> io.BytesIO:
    file: Any = io.BytesIO(DATA)
    file.name = name
    return file


def make_memory_file(path: str) -> Any:
    """Create a file in memory, whose path only Python can read."""
    file = upath.UPath(f"memory:/{path}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(DATA)
    return file
