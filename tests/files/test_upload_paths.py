"""Paths that are not on the disk, and errors of paths."""

import asyncio
import copy
import errno
import importlib.resources
import os
import pathlib
import pickle
import sys
import zipfile
from pathlib import Path

import fsspec
import pytest
import upath
from pyfakefs.fake_filesystem_unittest import Patcher

from replicate_rs import exceptions
from support.uploads import DATA, Form, get_contents, make_memory_file

pytest_plugins = ["support.file_fixtures"]


def test_paths_that_python_reads_arrive(send_image, server, tmp_path, monkeypatch):
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
            make_memory_file("/in/side.png"),
        ):
            send_image({"a": [file]})
    finally:
        sys.modules.pop("package")
    assert server.forms == [Form("side.png", "image/png", DATA)] * 3


def test_what_can_be_opened_and_has_no_path_arrives(send_image, server):
    make_memory_file("/in/cat.gif")
    file = fsspec.open("memory://in/cat.gif")
    for _ in range(2):
        send_image(file)
    assert server.forms == [Form("cat.gif", "image/gif", DATA)] * 2


def test_a_resource_that_is_on_the_disk_stays_there(send_image, server):
    file = importlib.resources.files("replicate_rs") / "_core.pyi"
    send_image(file)
    assert get_contents(server) == [file.read_bytes()]


def test_a_path_that_reads_itself_is_left_to_do_so(send_image, server, maker):
    class Sealed(type(Path())):
        def read_bytes(self):
            return super().read_bytes()[::-1]

    send_image(Sealed(maker.data))
    assert get_contents(server) == [DATA[::-1]]


def test_a_file_system_of_a_test_s_own_is_the_one_that_counts(both, server):
    client = both.client(server.base_url)
    with Patcher() as patcher:
        assert patcher.fs is not None
        patcher.fs.create_file("/in/cat.png", contents=DATA)
        # This path exists on the disk too.
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
    assert get_contents(server) == [DATA, b"fake", DATA, DATA]
    assert str(caught.value).startswith("input.image: /in/dog.png: ")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, "/in/dog.png")


def test_a_missing_path_that_python_reads_is_a_missing_file(send_image, server, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/side.png", DATA)
    for file, kind in (
        (zipfile.Path(tmp_path / "a.zip", "none.png"), FileNotFoundError),
        (zipfile.Path(tmp_path / "a.zip", "in/"), IsADirectoryError),
        (upath.UPath("memory://none.png"), FileNotFoundError),
    ):
        with pytest.raises(kind, match=r"^input\.image\.a\[0\]: ") as caught:
            send_image({"a": [file]})
        assert isinstance(caught.value, exceptions.FileError)
        assert caught.value.errno in (errno.ENOENT, errno.EISDIR)
        assert caught.value.filename
    assert server.seen == []


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


def test_the_error_of_a_path_is_that_of_python_too(both, send_image, server, tmp_path):
    client = both.client(server.base_url)
    (tmp_path / "file").touch()
    for path, kind in (
        (tmp_path / "none", FileNotFoundError),
        (tmp_path, IsADirectoryError),
        (tmp_path / "file" / "x", NotADirectoryError),
    ):
        with pytest.raises(kind, match=rf"^input\.image: {path}") as caught:
            send_image(path)
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
def test_a_file_that_may_not_be_read_is_a_permission_error(send_image, server, maker):
    maker.data.chmod(0)
    with pytest.raises(PermissionError, match=r"^input\.image: .*data\.bin"):
        send_image(maker.data)


def test_a_path_that_is_no_file_is_refused(assert_upload_refused, maker):
    folder = maker.folder
    os.mkfifo(folder / "fifo")
    (folder / "dangling").symlink_to(folder / "nowhere")
    assert_upload_refused(exceptions.FileError, "missing", lambda: folder / "missing")
    assert_upload_refused(exceptions.FileError, "dangling", lambda: folder / "dangling")
    assert_upload_refused(exceptions.FileError, "data.bin/x", lambda: maker.data / "x")
    assert_upload_refused(exceptions.FileError, "is not a file", lambda: folder)
    assert_upload_refused(
        exceptions.FileError, "/dev/zero is not a file", lambda: Path("/dev/zero")
    )
    assert_upload_refused(exceptions.FileError, "fifo is not a file", lambda: folder / "fifo")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_path_that_may_not_be_read_is_refused(both, create, server, maker):
    maker.data.chmod(0)
    with pytest.raises(exceptions.FileError, match=r"data\.bin"):
        create(server, maker.data)
    with pytest.raises(exceptions.FileError, match=r"data\.bin"):
        both(lambda: both.client(server.base_url).files.create(maker.data))
