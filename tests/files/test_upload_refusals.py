"""Files that are refused before anything is sent."""

import configparser
import gzip
import io
import os
import tempfile
import types
import zipfile
from pathlib import Path

import PIL.Image
import PIL.ImageCms
import PIL.ImageOps
import pytest

from replicate_rs import exceptions
from support.uploads import DATA, SPOOLED, OnlyRead, Scripted, make_sparse_file, named

pytest_plugins = ["support.file_fixtures"]


def test_a_closed_file_is_refused(assert_upload_refused, maker):
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
        assert_upload_refused(
            ValueError, "closed", lambda opener=opener, args=args: closed(maker.open(opener, *args))
        )


def test_text_that_is_none_is_refused_with_advice(assert_upload_refused, maker):
    path = maker.path("bad.txt", b"caf\xe9")
    assert_upload_refused(
        exceptions.FileError,
        "bad.txt is not text .*: open it in binary mode",
        lambda: maker.open(path.open, encoding="utf-8"),
    )


class Failing:
    def __init__(self, failure):
        self.failure = failure

    def read(self):
        raise self.failure


def test_a_file_that_fails_is_an_error_of_our_tree(assert_upload_refused, maker):
    assert_upload_refused(
        exceptions.FileError,
        "cannot be read: .*went away",
        lambda: Failing(OSError(5, "went away")),
    )
    assert_upload_refused(
        exceptions.FileError,
        "w.bin cannot be read",
        lambda: maker.open((maker.folder / "w.bin").open, "wb"),
    )
    path = maker.path("not.gz", b"this is not gzip")
    assert_upload_refused(
        exceptions.FileError, "not.gz cannot be read", lambda: maker.open(gzip.open, path)
    )
    assert_upload_refused(
        exceptions.FileError,
        "cannot be read: ZeroDivisionError: oops",
        lambda: Failing(ZeroDivisionError("oops")),
    )


def test_a_read_that_gives_something_else_is_a_type_error(assert_upload_refused):
    for content in (5, None, ["x"]):
        assert_upload_refused(
            TypeError,
            r"the read\(\) of a OnlyRead must give bytes or text",
            lambda content=content: OnlyRead(content),
        )


def test_the_path_of_such_a_read_is_named(assert_upload_refused):
    assert_upload_refused(
        TypeError, "must give bytes or text, not int", lambda: OnlyRead(5), path=True
    )


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(both, create, server, maker):
    path = make_sparse_file(maker, (100 << 20) + 1)
    handle = maker.open(path.open, "rb")
    # With the large file, more than are uploaded at a time.
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


class Greedy:
    def read(self, size=-1):
        return bytes(max(size, 0) + 1)


class NonBlocking(io.RawIOBase):
    def readable(self):
        return True

    def readinto(self, buffer):
        return None


class Unlike:
    """Raises for every attribute."""

    def __getattr__(self, name):
        raise RuntimeError("no context")


class PathOfNothing:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        if isinstance(self.path, Exception):
            raise self.path
        return self.path


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
def test_bad_input_is_an_error_of_ours_with_its_path_and_nothing_is_sent(send_image, server, kind):
    make, expected = BAD[kind]
    for strategy in ("default", "data-uri"):
        with pytest.raises(expected, match=r"^input\.image\[1\]\.a\b"):
            send_image([b"first", {"a": make()}], file_encoding_strategy=strategy)
    assert server.seen == []


@pytest.mark.parametrize("options", [{"mode": "rb", "buffering": 0}, {"mode": "rb"}, {"mode": "r"}])
def test_a_pipe_that_does_not_block_is_refused_while_more_may_come(
    send_image, server, maker, options
):
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.write(writer, b"some")
    pipe = maker.open(os.fdopen, reader, **options)
    with pytest.raises(TypeError, match=r"^input\.image: .*it does not block"):
        send_image(pipe)
    os.close(writer)
    assert server.seen == []


@pytest.mark.parametrize("name", ["x" * 300, "ü" * 128, "a\0b"])
def test_a_name_that_cannot_be_sent_is_refused_before_anything_is(send_image, server, name):
    with pytest.raises(ValueError, match=r"^input\.image\[1\]: a file's name must not be"):
        send_image([b"first", named(name)])
    assert server.seen == []
