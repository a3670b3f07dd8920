"""Files of outputs in object stores: S3 as moto has it, and file systems of `fsspec`."""

from __future__ import annotations

import fsspec
import pandas as pd
import pytest
import s3fs
from moto.server import ThreadedMotoServer

import replicate_rs as replicate
from replicate_rs.batch import Mapper
from replicate_rs.exceptions import FileError
from support.engines import TOKEN, paid_once


@pytest.fixture(scope="module")
def object_store():
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    yield "http://{}:{}".format(*store.get_host_and_port())
    store.stop()


@pytest.fixture
def bucket(object_store, monkeypatch):
    """Return the URL of a bucket, which the environment has the credentials of."""
    for name, value in {
        "AWS_ENDPOINT_URL": object_store,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem(endpoint_url=object_store, key="testing", secret="testing")
    system.mkdir("images")
    yield "s3://images"
    system.rm("images", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("kind", ["s3", "memory", "file"])
def test_files_are_saved(server, bucket, tmp_path, kind):
    place = {"s3": f"{bucket}/a", "memory": "memory://a", "file": f"file://{tmp_path}/a"}[kind]
    frame = pd.DataFrame({"id": [f"{kind}{each}" for each in range(100)]})
    mapper = Mapper(
        "acme/painter", {"prompt": "id"}, key="id", save_to=place, journal=tmp_path / "runs.db"
    )
    for _ in range(2):
        found = mapper(frame)
        assert [*found["error"].isna()] == [True] * 100
        for name, files in zip(found["id"], found["files"], strict=True):
            (file,) = files
            assert file.endswith(f"/a/{name}.bin")
            with fsspec.open(file, "rb") as saved:
                assert saved.read() == b"\x89PNG\r\n\x1a\n" + name.encode()
    paid_once(server, kind, 100)


def test_files_that_were_not_saved_are_saved_by_the_next_call(server, bucket, tmp_path):
    frame = pd.DataFrame({"id": ["late0"]})
    options = {"key": "id", "journal": tmp_path / "runs.db"}
    Mapper("acme/painter", {"prompt": "id"}, **options)(frame)
    found = Mapper("acme/painter", {"prompt": "id"}, save_to=f"{bucket}/b", **options)(frame)
    assert s3fs.S3FileSystem().exists(found["files"][0][0])
    paid_once(server, "late", 1)


def test_a_bucket_that_does_not_exist_ends_the_run(server, bucket):
    with replicate.Replicate(TOKEN, base_url=server.base_url) as client:
        with pytest.raises(FileError, match="the bucket nowhere does not exist"):
            [*client.map("acme/painter", [{"prompt": "gone"}], save_to="s3://nowhere/a")]
    assert not s3fs.S3FileSystem().exists("nowhere")
    assert server.counts("gone") == {}


def test_a_store_that_is_away_ends_the_run(server, bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with replicate.Replicate(TOKEN, base_url=server.base_url) as client:
        with pytest.raises(FileError, match="save_to"):
            [*client.map("acme/painter", [{"prompt": "away"}], save_to="s3://images/a")]
    assert server.counts("away") == {}
