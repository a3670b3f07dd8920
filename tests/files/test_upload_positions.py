"""Open files are sent whole and keep their position; those that cannot be rewound are sent once."""

import errno
import gzip
import io
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import werkzeug.datastructures
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile

from replicate_rs import Replicate, exceptions
from support.uploads import DATA, LARGE, Scripted, Uploads, data_uri, get_contents, make_memory_file
from support.wire import Wire, prediction, reply

pytest_plugins = ["support.file_fixtures"]


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
    "fsspec's": lambda m: read(make_memory_file("/read/a.png").open("rb")),
}


class Slow(io.BytesIO):
    """Lets other threads run during each read."""

    def read(self, size: int | None = -1, /) -> bytes:
        threading.Event().wait(0.0001)
        return super().read(min(size, 100_000) if size is not None and size > 0 else size)


def written(file, content):
    file.write(content)
    return file


def read(file):
    file.read()
    return file


@pytest.mark.parametrize("strategy", ["upload", "data-uri"])
@pytest.mark.parametrize("kind", SEEKABLE)
def test_a_file_that_was_read_is_sent_whole_and_stays_where_it_was(
    send_image, server, maker, kind, strategy
):
    file = SEEKABLE[kind](maker)
    expected = DATA[:128] if "text" in kind else DATA
    before = file.tell()
    for position in (before, before, 0, 5, before):
        file.seek(position)
        server.seen.clear()
        send_image(file, file_encoding_strategy=strategy)
        assert file.tell() == position
        assert not file.closed
        if strategy == "upload":
            assert get_contents(server) == [expected]
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
    assert len(get_contents(server)) == 2 * len(SEEKABLE)
    assert all(each in wholes for each in get_contents(server))


def test_one_handle_over_three_runs_is_sent_three_times(both, maker):
    handle = maker.open(maker.path("a.bin", LARGE).open, "rb")
    with Uploads() as server:
        client = both.client(server.base_url)
        for _ in range(3):
            both(lambda: client.run("acme/x", {"file": handle}))
    assert get_contents(server) == [LARGE] * 3


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


def test_after_an_error_a_file_stands_where_it_was(send_image, server):
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
            send_image(file)
        assert file.tell() == 7
    other = io.BytesIO(DATA)
    other.seek(9)
    with pytest.raises(TypeError):
        send_image([other, object()])
    with pytest.raises(exceptions.FileError):
        send_image([other, Path("/nowhere")])
    assert other.tell() == 9
    assert server.seen == []


def test_a_text_file_whose_lines_are_read_is_sent_whole(send_image, server, maker):
    path = maker.path("lines.txt", "eins\r\nzwei\ndrei — ü\n".encode())
    with path.open(encoding="utf-8") as lines:
        assert next(lines) == "eins\n"
        send_image(lines)
        assert next(lines) == "zwei\n"
    assert get_contents(server) == [path.read_bytes()]


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
    assert get_contents(server) == [expected] * 16
    assert file.tell() == before


def test_a_generator_that_was_read_is_no_empty_list(send_image, server):
    images = (each for each in [io.BytesIO(DATA)])
    send_image(images)
    server.seen.clear()
    with pytest.raises(ValueError, match=r"^input\.image\.a is a generator that was read before"):
        send_image({"a": images})
    send_image(each for each in [])
    assert server.body["input"] == {"image": []}


def test_what_can_be_read_once_is_not_read_when_another_file_is_missing(send_image, server, maker):
    pipe = maker.pipe(DATA)
    for missing in (Path("/nowhere"), object()):
        with pytest.raises((exceptions.FileError, TypeError)):
            send_image([pipe, missing])
    send_image([pipe])
    assert get_contents(server) == [DATA]


class OnlyRead:
    def __init__(self, *content):
        self.content = list(content)

    def read(self, size=-1):
        return self.content.pop(0) if self.content else b""


class Telling(OnlyRead):
    """Tells its position and cannot seek, like the bodies of boto3."""

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
    """Create a file that claims to be seekable, and is not."""
    return gzip.open(maker.pipe(gzip.compress(DATA)))


ONCE = {
    "pipe": lambda m: m.pipe(DATA),
    "pipe, as text": lambda m: m.open(io.TextIOWrapper, m.pipe(DATA[:128]), encoding="ascii"),
    "socket": lambda m: m.socket(DATA),
    "something with read": lambda m: OnlyRead(DATA[:100], DATA[100:]),
    "something that tells": lambda m: Telling(DATA[:100], DATA[100:]),
    "unpacked": unpacked_pipe,
}


@pytest.mark.parametrize("strategy", ["upload", "data-uri"])
@pytest.mark.parametrize("kind", ONCE)
def test_what_cannot_be_rewound_is_refused_the_second_time(
    both, send_image, server, maker, kind, strategy
):
    file = ONCE[kind](maker)
    send_image(file, file_encoding_strategy=strategy)
    server.seen.clear()
    for value, path in ((file, "image"), ([b"x", {"a": file}], r"image\[1\]\.a")):
        message = (
            rf"^input\.{path}: this \w+ was read before, .*cannot be rewound: open it anew, or pass"
            r" its content as bytes$"
        )
        with pytest.raises(ValueError, match=message):
            send_image(value, file_encoding_strategy=strategy)
    with pytest.raises(ValueError, match="^this .* was read before"):
        both(lambda: both.client(server.base_url).files.create(file))
    assert server.seen == []


@pytest.mark.parametrize("kind", ONCE)
def test_what_the_program_has_read_to_its_end_is_refused_at_once(send_image, server, maker, kind):
    file = ONCE[kind](maker)
    while file.read():
        pass
    with pytest.raises(ValueError, match=r"^input\.image: this \w+ was read before"):
        send_image(file)
    assert server.seen == []


def test_what_gives_all_it_has_each_time_is_sent_each_time(send_image, server):
    class Answer:
        def read(self):
            return DATA

    answer = Answer()
    for _ in range(2):
        send_image(answer)
    assert get_contents(server) == [DATA] * 2


def test_what_cannot_be_rewound_is_forgotten_when_it_is_gone(send_image, server):
    for _ in range(100):
        # The next object may have the same id().
        send_image(OnlyRead(b"ab"))
    assert get_contents(server) == [b"ab"] * 100


def seeking(**methods):
    return Scripted(DATA, **methods)


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
def test_half_of_seeking_is_none(send_image, server, methods):
    file = seeking(**methods)
    send_image(file)
    with pytest.raises(ValueError, match=r"^input\.image: this Scripted was read before"):
        send_image(file)
    assert get_contents(server) == [DATA]


def test_a_seek_that_does_nothing_is_noticed(send_image, server):
    file = Telling(DATA)
    file.seek = lambda position: position  # type: ignore[method-assign, assignment, return-value]
    send_image(file)
    with pytest.raises(ValueError, match="was read before"):
        send_image(file)
    assert get_contents(server) == [DATA]
