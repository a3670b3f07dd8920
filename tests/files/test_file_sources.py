"""Files that were read before, that several calls share, that are not on the disk, or that are
none.
"""

import asyncio
import configparser
import copy
import errno
import gzip
import importlib.resources
import io
import os
import pathlib
import pickle
import sys
import tempfile
import threading
import types
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiofiles
import anyio
import fsspec
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps
import pytest
import upath
import werkzeug.datastructures
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from pyfakefs.fake_filesystem_unittest import Patcher
from test_uploads import (
    DATA,
    LARGE,
    Early,
    Form,
    Maker,
    Uploads,
    an_upload_of_starlette,
    data_uri,
    drained,
)

from replicate_rs import Replicate, exceptions
from support.wire import Wire, prediction, reply


@pytest.fixture
def maker(tmp_path):
    with ExitStack() as stack:
        yield Maker(tmp_path, stack)


@pytest.fixture
def server():
    with Uploads() as server:
        yield server


@pytest.fixture
def send(both, server):
    """Creates a prediction with an image as its input."""
    client = both.client(server.base_url)

    def send(image, **options):
        return both(lambda: client.predictions.create("v", {"image": image}, **options))

    return send


def contents(server):
    return [each.content for each in server.forms]


# What was read before


SEEKABLE = {
    "written": lambda m: written(io.BytesIO(), DATA),
    "read": lambda m: read(io.BytesIO(DATA)),
    "disk": lambda m: read(m.open(m.data.open, "rb")),
    "disk, unbuffered": lambda m: read(m.open(m.data.open, "rb", buffering=0)),
    "disk, for updates": lambda m: written(m.open((m.folder / "w").open, "w+b"), DATA),
    "disk, appended to": lambda m: m.open(m.data.open, "a+b"),
    "text": lambda m: read(m.open(m.path("t", DATA[:128]).open, encoding="ascii")),
    "text in memory": lambda m: written(io.StringIO(), DATA[:128].decode("ascii")),
    "spooled": lambda m: written(m.open(tempfile.SpooledTemporaryFile), DATA),
    "spooled, on the disk": lambda m: written(m.open(tempfile.SpooledTemporaryFile, 10), DATA),
    "temporary": lambda m: written(m.open(tempfile.NamedTemporaryFile), DATA),
    "gzip": lambda m: read(m.open(gzip.open, m.path("a.gz", gzip.compress(DATA)))),
    "gzip as text": lambda m: read(
        m.open(gzip.open, m.path("a.gz", gzip.compress(DATA[:128])), "rt", encoding="ascii")
    ),
    "archive": lambda m: read(m.member()),
    "map": lambda m: read(m.mapped()),
    "reader over a buffer": lambda m: read(io.BufferedReader(io.BytesIO(DATA))),  # type: ignore[arg-type]
    "subclass of a buffer": lambda m: read(Slow(DATA)),
    "Django's": lambda m: read(ContentFile(DATA)),
    "Django's upload": lambda m: read(SimpleUploadedFile("a.png", DATA)),
    "Werkzeug's upload": lambda m: read(
        werkzeug.datastructures.FileStorage(io.BytesIO(DATA), "a.png", "image")
    ),
    "fsspec's": lambda m: read(in_memory("/read/a.png").open("rb")),
}


class Slow(io.BytesIO):
    """Gives other threads and tasks the chance to read in between."""

    def read(self, size: int | None = -1, /) -> bytes:
        threading.Event().wait(0.0001)
        return super().read(min(size, 100_000) if size is not None and size > 0 else size)


def written(file, content):
    file.write(content)
    return file


def read(file):
    file.read()
    return file


def in_memory(path):
    """A file of an address that only Python knows."""
    made = upath.UPath(f"memory:/{path}")
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_bytes(DATA)
    return made


@pytest.mark.parametrize("strategy", ["upload", "data-uri"])
@pytest.mark.parametrize("kind", SEEKABLE)
def test_a_file_that_was_read_is_sent_whole_and_stays_where_it_was(
    send, server, maker, kind, strategy
):
    file = SEEKABLE[kind](maker)
    expected = DATA[:128] if "text" in kind else DATA
    before = file.tell()
    for position in (before, before, 0, 5, before):
        file.seek(position)
        server.seen.clear()
        send(file, file_encoding_strategy=strategy)
        assert file.tell() == position
        assert not file.closed
        if strategy == "upload":
            assert contents(server) == [expected]
        else:
            assert (
                server.body["input"]["image"].partition(";base64,")[2]
                == data_uri(expected).partition(";base64,")[2]
            )


def test_files_create_sends_a_file_whole_too(both, server, maker):
    client = both.client(server.base_url)
    for make in SEEKABLE.values():
        file = make(maker)
        before = file.tell()
        for _ in range(2):
            both(lambda file=file: client.files.create(file))
        assert file.tell() == before
    wholes = [DATA, DATA[:128]]
    assert len(contents(server)) == 2 * len(SEEKABLE)
    assert all(each in wholes for each in contents(server))


def test_a_picture_that_was_saved_to_a_buffer_arrives(send, server):
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (20, 10), "red").save(buffer, "PNG")
    send(buffer)
    assert contents(server) == [buffer.getvalue()]


def test_one_handle_over_three_runs_is_sent_three_times(both, maker):
    handle = maker.open(maker.path("a.bin", LARGE).open, "rb")
    with Uploads() as server:
        client = both.client(server.base_url)
        for _ in range(3):
            both(lambda: client.run("acme/x", {"file": handle}))
    assert contents(server) == [LARGE] * 3


@pytest.mark.parametrize("strategy", ["upload", "data-uri"])
def test_a_program_s_own_retry_sends_the_file_again(both, strategy):
    def script(seen):
        return (
            reply({"detail": "too many"}, 429, headers="Retry-After: 0\r\n")
            if len(server.seen) == 1
            else reply(made, 201)
        )

    made = prediction() | {"urls": {"get": "https://files.test/1"}}
    file = read(io.BytesIO(DATA))
    with Wire(script) as server:
        client = both.client(server.base_url, max_retries=0)

        def create():
            return both(
                lambda: client.predictions.create(
                    "v", {"image": file}, file_encoding_strategy=strategy
                )
            )

        with pytest.raises(exceptions.RateLimitError):
            create()
        create()
    bodies = [len(each.body) for each in server.seen[:2]]
    assert bodies[0] == bodies[1] > len(DATA)


def test_after_an_error_a_file_stands_where_it_was(send, server):
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 100:
                raise OSError(errno.EIO, "broken")
            return super().read(100)

    file = Failing(DATA)
    file.seek(7)
    for _ in range(2):
        with pytest.raises(
            exceptions.FileError, match=r"^input\.image: the file cannot be read: broken"
        ):
            send(file)
        assert file.tell() == 7
    other = io.BytesIO(DATA)
    other.seek(9)
    with pytest.raises(TypeError):
        send([other, object()])
    with pytest.raises(exceptions.FileError):
        send([other, Path("/nowhere")])
    assert other.tell() == 9
    assert server.seen == []


def test_a_text_file_whose_lines_are_read_is_sent_whole(send, server, maker):
    path = maker.path("lines.txt", "eins\r\nzwei\ndrei — ü\n".encode())
    with path.open(encoding="utf-8") as lines:
        assert next(lines) == "eins\n"
        send(lines)
        assert next(lines) == "zwei\n"
    assert contents(server) == [path.read_bytes()]


SHARED = {
    "disk": lambda m: m.open(m.path("large", LARGE).open, "rb", skip=1000),
    "buffer": lambda m: read(io.BytesIO(LARGE)),
    "subclass of a buffer": lambda m: read(Slow(LARGE)),
    "gzip": lambda m: m.open(gzip.open, m.path("a.gz", gzip.compress(LARGE)), skip=1000),
    "archive": lambda m: read(m.member()),
}


@pytest.mark.parametrize("kind", SHARED)
def test_concurrent_calls_share_a_handle(maker, kind):
    file = SHARED[kind](maker)
    before = file.tell()
    expected = DATA if kind == "archive" else LARGE
    with (
        Uploads() as server,
        Replicate("x", base_url=server.base_url) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda _: client.files.create(file), range(16)))
    assert contents(server) == [expected] * 16
    assert file.tell() == before


def test_concurrent_calls_share_a_picture_that_is_not_loaded(server):
    buffer = io.BytesIO()
    PIL.Image.effect_noise((300, 300), 90).save(buffer, "PNG")
    with (
        Replicate("x", base_url=server.base_url) as client,
        ThreadPoolExecutor(8) as pool,
        PIL.Image.open(buffer) as picture,
    ):
        list(pool.map(lambda _: client.files.create(picture), range(8)))
        assert set(contents(server)) == {contents(server)[0]}
        with PIL.Image.open(io.BytesIO(contents(server)[0])) as arrived:
            assert arrived.tobytes() == picture.tobytes()


# What is awaited


async def opened_by_aiofiles(path):
    return await aiofiles.open(path, "rb")


async def opened_by_anyio(path):
    return await anyio.open_file(path, "rb")


async def uploaded(path):
    return an_upload_of_starlette(path.read_bytes())


@pytest.mark.parametrize("both", ["async"], indirect=True)
@pytest.mark.parametrize("opener", [opened_by_aiofiles, opened_by_anyio, uploaded])
def test_an_async_file_is_sent_whole_by_any_number_of_tasks(both, server, maker, opener):
    async def main():
        client = both.client(server.base_url)
        file = await opener(maker.path("a.jpg", LARGE))
        await file.read(1000)
        await client.files.create(file)
        await asyncio.gather(*(client.predictions.create("v", {"image": file}) for _ in range(5)))
        rest = await file.read(-1)
        await client.files.create(file)
        await file.seek(0)
        await (file.aclose if hasattr(file, "aclose") else file.close)()
        return rest

    assert both(main) == LARGE[1000:]
    assert contents(server) == [LARGE] * 7


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_an_async_file_that_fails_stands_where_it_was(both, send, server, maker):
    async def main():
        client = both.client(server.base_url)
        async with aiofiles.open(maker.path("a.txt", b"text")) as text:
            await text.read(2)
            with pytest.raises(TypeError, match=r"^input\.image: .* must give bytes, not str"):
                await client.predictions.create("v", {"image": text})
            return await text.tell()

    assert both(main) == 2
    assert server.seen == []


class Lingering:
    """An async file that takes its time."""

    def __init__(self, content):
        self.file = io.BytesIO(content)
        self.reads = 0
        self.half = asyncio.Event()

    async def read(self, size):
        self.reads += 1
        if self.reads == 2:
            self.half.set()
            await asyncio.sleep(30)
        await asyncio.sleep(0)
        return self.file.read(min(size, 200_000))

    async def seek(self, position):
        await asyncio.sleep(0)
        self.file.seek(position)

    async def tell(self):
        await asyncio.sleep(0)
        return self.file.tell()


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_a_task_that_is_cancelled_puts_the_file_back_before_the_next_one_reads(both, server):
    async def main():
        client = both.client(server.base_url)
        file = Lingering(LARGE)
        await file.seek(10)
        first = asyncio.create_task(client.files.create(file))
        await file.half.wait()
        others = [asyncio.create_task(client.files.create(file)) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await asyncio.gather(*others)
        return await file.tell()

    assert both(main) == 10
    assert contents(server) == [LARGE] * 3


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_what_is_awaited_once_is_refused_the_second_time(both, server):
    async def generate():
        yield DATA

    async def main():
        client = both.client(server.base_url)
        generator = generate()
        spent = generate()
        assert [each async for each in spent] == [DATA]
        stream = asyncio.StreamReader()
        stream.feed_data(DATA)
        stream.feed_eof()
        for file in (generator, stream):
            await client.files.create(file)
        for file in (generator, spent, stream):
            for value in ({"image": file}, {"image": [b"x", file]}):
                with pytest.raises(
                    ValueError,
                    match=(
                        r"^input\.image(\[1\])?: this \w+ was read before.* pass its content as"
                        r" bytes"
                    ),
                ):
                    await client.predictions.create("v", value)
            with pytest.raises(ValueError, match="was read before"):
                await client.files.create(file)

    both(main)
    assert contents(server) == [DATA] * 2


# What cannot be rewound


def test_a_generator_that_was_read_is_no_empty_list(send, server):
    images = (each for each in [io.BytesIO(DATA)])
    send(images)
    server.seen.clear()
    with pytest.raises(ValueError, match=r"^input\.image\.a is a generator that was read before"):
        send({"a": images})
    send(each for each in [])
    assert server.body["input"] == {"image": []}


def test_what_can_be_read_once_is_not_read_when_another_file_is_missing(send, server, maker):
    pipe = maker.pipe(DATA)
    for missing in (Path("/nowhere"), object()):
        with pytest.raises((exceptions.FileError, TypeError)):
            send([pipe, missing])
    send([pipe])
    assert contents(server) == [DATA]


class OnlyRead:
    def __init__(self, *content):
        self.content = list(content)

    def read(self, size=-1):
        return self.content.pop(0) if self.content else b""


class Telling(OnlyRead):
    """Knows how much it gave, as the bodies of boto3 do."""

    given = 0

    def read(self, size=-1):
        piece = super().read()
        self.given += len(piece)
        return piece

    def tell(self):
        return self.given

    def seek(self, position):
        raise io.UnsupportedOperation("seek")


def unpacked_pipe(maker):
    """Says that it can be rewound, and cannot."""
    return gzip.open(maker.pipe(gzip.compress(DATA)))


ONCE = {
    "pipe": lambda m: m.pipe(DATA),
    "pipe, as text": lambda m: io.TextIOWrapper(m.pipe(DATA[:128]), encoding="ascii"),
    "socket": lambda m: m.socket(DATA),
    "something with read": lambda m: OnlyRead(DATA[:100], DATA[100:]),
    "something that tells": lambda m: Telling(DATA[:100], DATA[100:]),
    "unpacked": unpacked_pipe,
}


@pytest.mark.parametrize("strategy", ["upload", "data-uri"])
@pytest.mark.parametrize("kind", ONCE)
def test_what_cannot_be_rewound_is_refused_the_second_time(
    both, send, server, maker, kind, strategy
):
    file = ONCE[kind](maker)
    send(file, file_encoding_strategy=strategy)
    server.seen.clear()
    for value, path in ((file, "image"), ([b"x", {"a": file}], r"image\[1\]\.a")):
        message = (
            rf"^input\.{path}: this \w+ was read before, .*cannot be rewound: open it anew, or pass"
            r" its content as bytes$"
        )
        with pytest.raises(ValueError, match=message):
            send(value, file_encoding_strategy=strategy)
    with pytest.raises(ValueError, match="^this .* was read before"):
        both(lambda: both.client(server.base_url).files.create(file))
    assert server.seen == []


@pytest.mark.parametrize("kind", ONCE)
def test_what_the_program_has_read_to_its_end_is_refused_at_once(send, server, maker, kind):
    file = ONCE[kind](maker)
    while file.read():
        pass
    with pytest.raises(ValueError, match=r"^input\.image: this \w+ was read before"):
        send(file)
    assert server.seen == []


def test_what_gives_all_it_has_each_time_is_sent_each_time(send, server):
    class Answer:
        def read(self):
            return DATA

    answer = Answer()
    for _ in range(2):
        send(answer)
    assert contents(server) == [DATA] * 2


def test_what_cannot_be_rewound_is_forgotten_when_it_is_gone(send, server):
    for _ in range(100):
        # The next one may have the identity of the last one.
        send(OnlyRead(b"ab"))
    assert contents(server) == [b"ab"] * 100


# Paths that are not on the disk


def test_paths_that_python_reads_arrive(send, server, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("package/__init__.py", "")
        archive.writestr("package/side.png", DATA)
    monkeypatch.syspath_prepend(str(tmp_path / "a.zip"))
    member = importlib.resources.files("package") / "side.png"
    assert isinstance(member, zipfile.Path)
    try:
        for file in (
            member,
            zipfile.Path(tmp_path / "a.zip", "package/side.png"),
            in_memory("/in/side.png"),
        ):
            send({"a": [file]})
    finally:
        sys.modules.pop("package")
    assert server.forms == [Form("side.png", "image/png", DATA)] * 3


def test_what_can_be_opened_and_has_no_path_arrives(send, server):
    in_memory("/in/cat.gif")
    file = fsspec.open("memory://in/cat.gif")
    for _ in range(2):
        send(file)
    assert server.forms == [Form("cat.gif", "image/gif", DATA)] * 2


def test_a_resource_that_is_on_the_disk_stays_there(send, server):
    file = importlib.resources.files("replicate_rs") / "_core.pyi"
    send(file)
    assert contents(server) == [file.read_bytes()]


def test_a_path_that_reads_itself_is_left_to_do_so(send, server, maker):
    class Sealed(type(Path())):
        def read_bytes(self):
            return super().read_bytes()[::-1]

    send(Sealed(maker.data))
    assert contents(server) == [DATA[::-1]]


def test_a_file_system_of_a_test_s_own_is_the_one_that_counts(both, server):
    client = both.client(server.base_url)
    with Patcher() as patcher:
        assert patcher.fs is not None
        patcher.fs.create_file("/in/cat.png", contents=DATA)
        # There is one on the disk too.
        patcher.fs.create_file("/etc/passwd", contents=b"fake")
        for file in (pathlib.Path("/in/cat.png"), Path("/etc/passwd")):
            both(lambda file=file: client.predictions.create("v", {"image": file}))
        both(lambda: client.files.create("/in/cat.png"))
        with open("/in/cat.png", "rb") as handle:
            handle.read(5)
            both(lambda: client.files.create(handle))
            assert handle.tell() == 5
        with pytest.raises(FileNotFoundError) as caught:
            both(lambda: client.predictions.create("v", {"image": Path("/in/dog.png")}))
    assert contents(server) == [DATA, b"fake", DATA, DATA]
    assert str(caught.value).startswith("input.image: /in/dog.png: ")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, "/in/dog.png")


def test_a_missing_path_that_python_reads_is_a_missing_file(send, server, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/side.png", DATA)
    for file, kind in (
        (zipfile.Path(tmp_path / "a.zip", "none.png"), FileNotFoundError),
        (zipfile.Path(tmp_path / "a.zip", "in/"), IsADirectoryError),
        (upath.UPath("memory://none.png"), FileNotFoundError),
    ):
        with pytest.raises(kind, match=r"^input\.image\.a\[0\]: ") as caught:
            send({"a": [file]})
        assert isinstance(caught.value, exceptions.FileError)
        assert caught.value.errno in (errno.ENOENT, errno.EISDIR)
        assert caught.value.filename
    assert server.seen == []


# Errors


ENTRIES = {
    "run": lambda client, input: client.run("acme/x", input),
    "stream": lambda client, input: client.stream("acme/x", input),
    "predictions": lambda client, input: client.predictions.create("v", input),
    "of a model": lambda client, input: client.models.predictions.create("acme/x", input),
    "deployments": lambda client, input: client.deployments.predictions.create("acme/d", input),
    "trainings": lambda client, input: client.trainings.create(
        "acme/x", "v", input, destination="me/y"
    ),
    "use": lambda client, input: client.use("acme/x")(**input),
}


@pytest.mark.parametrize("strategy", ["default", "data-uri"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_the_error_of_a_missing_file_names_its_place_at_every_entry(
    both, server, tmp_path, entry, strategy
):
    client = both.client(server.base_url, file_encoding_strategy=strategy)
    missing = tmp_path / "cat.png"
    for value, path in (
        ({"image": missing}, "input.image"),
        ({"a": {"b": [b"x", missing]}}, "input.a.b[1]"),
    ):
        with pytest.raises(FileNotFoundError) as caught:
            both(lambda value=value: ENTRIES[entry](client, value))
        error = caught.value
        assert isinstance(error, exceptions.FileError)
        assert str(error).startswith(f"{path}: {missing}: No such file")
        assert (error.errno, error.filename, error.strerror) == (
            errno.ENOENT,
            str(missing),
            os.strerror(errno.ENOENT),
        )
    assert server.seen == []


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_of_many_runs_at_once_each_names_its_own(both, server, tmp_path):
    async def main():
        client = both.client(server.base_url)
        runs = (client.run("acme/x", {"images": [b"x", tmp_path / f"{n}.png"]}) for n in range(5))
        return await asyncio.gather(*runs, return_exceptions=True)

    assert [error.filename for error in both(main)] == [
        str(tmp_path / f"{n}.png") for n in range(5)
    ]
    assert server.seen == []


def test_the_error_of_a_path_is_that_of_python_too(both, send, server, tmp_path):
    client = both.client(server.base_url)
    (tmp_path / "file").touch()
    for path, kind in (
        (tmp_path / "none", FileNotFoundError),
        (tmp_path, IsADirectoryError),
        (tmp_path / "file" / "x", NotADirectoryError),
    ):
        with pytest.raises(kind, match=rf"^input\.image: {path}") as caught:
            send(path)
        with pytest.raises(kind, match=f"^{path}") as of_create:
            both(lambda path=path: client.files.create(str(path)))
        for error in (caught.value, of_create.value):
            assert isinstance(error, exceptions.FileError)
            assert error.filename == str(path)
            assert isinstance(error.errno, int)
            for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
                assert isinstance(again, kind)
                assert isinstance(again, exceptions.FileError)
                assert (str(again), again.errno, again.filename) == (
                    str(error),
                    error.errno,
                    error.filename,
                )
    assert server.seen == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_that_may_not_be_read_is_a_permission_error(send, server, maker):
    maker.data.chmod(0)
    with pytest.raises(PermissionError, match=r"^input\.image: .*data\.bin"):
        send(maker.data)


def test_a_file_that_is_removed_before_its_turn_is_a_missing_file(both, maker):
    paths = [maker.path(f"{n}.txt", b"x") for n in range(9)]

    def answer(_):
        # Eight go together: the last one waits for another to end.
        paths[-1].unlink(missing_ok=True)
        return ...

    with Uploads(answer) as server:
        client = both.client(server.base_url)
        with pytest.raises(
            FileNotFoundError, match=rf"^input\.images\[8\]: {paths[-1]}: "
        ) as caught:
            both(lambda: client.predictions.create("v", {"images": paths}))
        assert caught.value.filename == str(paths[-1])
    assert "POST /v1/predictions" not in server.routes


@pytest.mark.parametrize("strategy", ["upload", "data-uri"])
@pytest.mark.parametrize("size", [1 << 20, 20 << 20])
def test_a_file_that_shrinks_or_grows_is_named_by_its_place_and_nothing_is_created(
    both, maker, strategy, size
):
    def change(connection):
        os.truncate(path, size)
        drained(connection)

    path = maker.path("a.bin", b"")
    for make in (lambda: path, lambda: maker.open(path.open, "rb")):
        os.truncate(path, 12 << 20)
        with Early(change) as server:
            client = both.client(server.base_url)
            with pytest.raises(
                exceptions.FileError,
                match=r"^input\.a\.image: \S*a\.bin changed its size while it was sent$",
            ):
                both(
                    lambda: client.predictions.create(
                        "v", {"a": {"image": make()}}, file_encoding_strategy=strategy
                    )
                )
        assert server.seen == []


# Half a protocol


class Scripted:
    """Gives these pieces; exceptions among them are raised."""

    def __init__(self, *pieces, **attributes):
        self.pieces = list(pieces)
        vars(self).update(attributes)

    def read(self, size=-1):
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, BaseException):
            raise piece
        return piece


class Greedy:
    def read(self, size=-1):
        return bytes(max(size, 0) + 1)


class NonBlocking(io.RawIOBase):
    def readable(self):
        return True

    def readinto(self, buffer):
        return None


class Unlike:
    """Fails whatever it is asked."""

    def __getattr__(self, name):
        raise RuntimeError("no context")


class PathOfNothing:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        if isinstance(self.path, Exception):
            raise self.path
        return self.path


def named(name):
    file: Any = io.BytesIO(DATA)
    file.name = name
    return file


def seeking(**methods):
    return Scripted(DATA, **methods)


BAD = {
    "no known kind": (object, TypeError),
    "a class": (lambda: Path, TypeError),
    "whatever is asked fails": (Unlike, TypeError),
    "text after bytes": (lambda: Scripted(b"ab", "cd"), TypeError),
    "bytes after text": (lambda: Scripted("ab", b"cd"), TypeError),
    "numbers": (lambda: Scripted(5), TypeError),
    "nothing yet": (lambda: Scripted(None), TypeError),
    "nothing more yet": (lambda: Scripted(b"ab", None), TypeError),
    "more than was asked": (Greedy, ValueError),
    "the same without end": (
        lambda: types.SimpleNamespace(read=lambda size=-1: b"same"),
        ValueError,
    ),
    "without end": (
        lambda: types.SimpleNamespace(read=lambda size=-1: bytes(max(size, 0))),
        ValueError,
    ),
    "an error midway": (lambda: Scripted(b"ab", RuntimeError("midway")), exceptions.FileError),
    "an error of the system midway": (
        lambda: Scripted(b"ab", OSError(5, "midway")),
        exceptions.FileError,
    ),
    "an error of types midway": (lambda: Scripted(b"ab", TypeError("midway")), TypeError),
    "raw and not blocking": (NonBlocking, TypeError),
    "buffered and not blocking": (lambda: io.BufferedReader(NonBlocking()), TypeError),
    "a name that is no text": (lambda: named(["a"]), TypeError),
    "a name that is an object": (lambda: named(object()), TypeError),
    "an encoding that is none": (lambda: Scripted("ab", encoding="none"), exceptions.FileError),
    "half a character": (lambda: Scripted("\ud800"), ValueError),
    "a read that needs a name": (configparser.ConfigParser, TypeError),
    "a read of members": (lambda: archive(), exceptions.FileError),
    "a path that is no text": (lambda: PathOfNothing(5), TypeError),
    "a path that fails": (lambda: PathOfNothing(RuntimeError("no path")), exceptions.FileError),
    "a path with NUL": (lambda: PathOfNothing("a\0b"), exceptions.FileError),
    "no pixels": (lambda: PIL.Image.new("RGB", (0, 5)), ValueError),
    "pixels that are floats": (lambda: PIL.Image.new("F", (5, 5)), TypeError),
    "pixels of more than 16 bits": (lambda: PIL.Image.new("I", (5, 5), 1 << 20), ValueError),
    "a released view": (lambda: released(), ValueError),
    "gzip that is cut off": (
        lambda: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(DATA)[:-9])),
        exceptions.FileError,
    ),
    "reads bytes that are text": (
        lambda: types.SimpleNamespace(open=lambda: io.StringIO("x")),
        TypeError,
    ),
}


def archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("a.txt", DATA)
    return zipfile.ZipFile(buffer)


def released():
    view = memoryview(DATA)
    view.release()
    return view


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_an_error_of_ours_with_its_path_and_nothing_is_sent(send, server, kind):
    make, expected = BAD[kind]
    for strategy in ("default", "data-uri"):
        with pytest.raises(expected, match=r"^input\.image\[1\]\.a\b"):
            send([b"first", {"a": make()}], file_encoding_strategy=strategy)
    assert server.seen == []


@pytest.mark.parametrize("options", [{"mode": "rb", "buffering": 0}, {"mode": "rb"}, {"mode": "r"}])
def test_a_pipe_that_does_not_block_is_refused_while_more_may_come(send, server, maker, options):
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.write(writer, b"some")
    pipe = maker.open(os.fdopen, reader, **options)
    with pytest.raises(TypeError, match=r"^input\.image: .*it does not block"):
        send(pipe)
    os.close(writer)
    assert server.seen == []


@pytest.mark.parametrize("name", ["x" * 300, "ü" * 128, "a\0b"])
def test_a_name_that_cannot_be_sent_is_refused_before_anything_is(send, server, name):
    with pytest.raises(ValueError, match=r"^input\.image\[1\]: a file's name must not be"):
        send([b"first", named(name)])
    assert server.seen == []


def test_names_of_any_type_of_text_are_names(send, server, maker):
    for name in (b"in/a b.png", Path("in/a b.png"), "in/a b.png"):
        send(named(name))
    for name in (None, 5, "", "."):
        send(named(name))
    with open(os.fsencode(maker.data), "rb") as handle:
        send(handle)
    send(werkzeug.datastructures.FileStorage(io.BytesIO(DATA), "photo.jpg", "image"))
    assert [each.name for each in server.forms] == ["a b.png"] * 3 + ["file"] * 4 + [
        "data.bin",
        "photo.jpg",
    ]


@pytest.mark.parametrize(
    "methods",
    [
        {"seek": None, "tell": None},
        {"seek": 5},
        {"tell": lambda: "here"},
        {"tell": lambda: None, "seekable": lambda: False},
        {"seekable": lambda: 1 / 0},
        {"seek": lambda *_: 1 / 0, "tell": lambda: 1 / 0},
    ],
)
def test_half_of_seeking_is_none(send, server, methods):
    file = seeking(**methods)
    send(file)
    with pytest.raises(ValueError, match=r"^input\.image: this Scripted was read before"):
        send(file)
    assert contents(server) == [DATA]


def test_a_seek_that_does_nothing_is_noticed(send, server):
    file = Telling(DATA)
    file.seek = lambda position: position  # type: ignore[method-assign, assignment, return-value]
    send(file)
    with pytest.raises(ValueError, match="was read before"):
        send(file)
    assert contents(server) == [DATA]


# Pictures


def photo(form, orientation):
    """A picture that a camera took: a red corner shows which way is up."""
    picture = PIL.Image.new("RGB", (40, 20), "white")
    picture.paste((255, 0, 0), (0, 0, 10, 10))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, form, exif=exif)
    return buffer


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_arrives_upright(send, server, form, orientation):
    with (
        PIL.Image.open(photo(form, orientation)) as picture,
        PIL.Image.open(photo(form, orientation)) as other,
    ):
        upright = PIL.ImageOps.exif_transpose(other)
        send(picture)
    with PIL.Image.open(io.BytesIO(contents(server)[0])) as arrived:
        assert arrived.getexif().get(0x0112, 1) == 1
        assert (arrived.size, arrived.convert("RGB").tobytes()) == (
            upright.size,
            upright.convert("RGB").tobytes(),
        )


def test_a_picture_stays_what_it_was(send):
    with PIL.Image.open(photo("JPEG", 6)) as picture:
        send(picture)
        assert (picture.size, picture.getexif()[0x0112]) == ((40, 20), 6)


def test_exif_that_is_damaged_is_left_out(send, server):
    picture = PIL.Image.new("RGB", (4, 2), "red")
    picture.info.update(exif=b"Exif\0\0nonsense", transparency="none", icc_profile=5)
    send(picture)
    with PIL.Image.open(io.BytesIO(contents(server)[0])) as arrived:
        assert arrived.tobytes() == picture.tobytes()


def lab():
    srgb, lab = PIL.ImageCms.createProfile("sRGB"), PIL.ImageCms.createProfile("LAB")
    picture = PIL.Image.new("RGB", (3, 2), (200, 30, 60))
    return PIL.ImageCms.applyTransform(
        picture, PIL.ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    )


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "RGBX", "RGBa", "La", "PA"])
def test_a_picture_of_a_mode_that_png_has_not_is_converted(send, server, mode):
    start = PIL.Image.new("RGB", (3, 2), (200, 30, 60))
    if mode in ("RGBa", "La", "PA"):
        start = PIL.Image.new({"RGBa": "RGBA", "La": "LA", "PA": "LA"}[mode], (3, 2), 100)
    picture = start.convert(mode)
    picture.info["icc_profile"] = b"of another kind"
    send(picture)
    with PIL.Image.open(io.BytesIO(contents(server)[0])) as arrived:
        assert arrived.format == "PNG"
        assert mode != "CMYK" or "icc_profile" not in arrived.info
        wanted = picture.convert({"RGBa": "RGBA", "La": "LA", "PA": "RGBA"}.get(mode, "RGB"))
        assert (arrived.mode, arrived.tobytes()) == (wanted.mode, wanted.tobytes())
    assert picture.mode == mode


def test_colours_of_lab_are_those_of_the_screen(send, server):
    send(lab())
    with PIL.Image.open(io.BytesIO(contents(server)[0])) as arrived:
        assert arrived.mode == "RGB"
        assert all(
            abs(a - b) <= 2 for a, b in zip(arrived.getpixel((0, 0)), (200, 30, 60), strict=True)
        )


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B", "I;16L"])
def test_grey_of_16_bits_keeps_them(send, server, mode):
    send(PIL.Image.new(mode, (3, 2), 40_000))
    with PIL.Image.open(io.BytesIO(contents(server)[0])) as arrived:
        assert (arrived.mode, arrived.getpixel((2, 1))) == ("I;16", 40_000)


def test_a_palette_keeps_what_is_transparent(send, server):
    picture = PIL.Image.new("P", (2, 2))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.info["transparency"] = 0
    send(picture)
    send(PIL.Image.new("RGBA", (2, 2), (1, 2, 3, 4)).quantize())
    pixels = []
    for content in contents(server):
        with PIL.Image.open(io.BytesIO(content)) as arrived:
            pixels.append(arrived.convert("RGBA").getpixel((0, 0)))
    assert pixels == [(255, 0, 0, 0), (1, 2, 3, 4)]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP"])
def test_a_picture_that_is_cut_off_is_refused_each_time(both, send, server, form):
    buffer = io.BytesIO()
    PIL.Image.effect_noise((200, 200), 50).save(buffer, form)
    content = buffer.getvalue()
    try:
        picture = PIL.Image.open(io.BytesIO(content[: len(content) * 2 // 3]))
    except OSError:
        pytest.skip("it is not even opened")
    with picture:
        for _ in range(2):
            with pytest.raises(
                exceptions.FileError, match=r"^input\.image\[1\]: the picture cannot be read: "
            ):
                send([b"first", picture])
        with pytest.raises(exceptions.FileError, match="^the picture cannot be read: "):
            both(lambda: both.client(server.base_url).files.create(picture))
    assert server.seen == []


def test_a_picture_that_is_closed_is_refused(send, server):
    picture = PIL.Image.new("RGB", (2, 2))
    picture.close()
    with pytest.raises(ValueError, match=r"^input\.image: .*closed"):
        send(picture)
    assert server.seen == []
