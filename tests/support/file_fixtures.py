"""Fixtures for tests of files."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from support.downloads import chunks, names, read, save
from support.inputs import InputSender, respond
from support.uploads import Maker, Uploads
from support.wire import Wire


@pytest.fixture
def maker(tmp_path):
    """Create files, which are closed at the end of the test."""
    with ExitStack() as stack:
        yield Maker(tmp_path, stack)


@pytest.fixture
def server():
    """A server that takes uploads."""
    with Uploads() as server:
        yield server


@pytest.fixture
def create(both):
    """Creates a prediction with one value in its input."""

    def create(server, value, *, client=None, **options):
        client = client or both.client(server.base_url)
        return both(lambda: client.predictions.create("v", {"value": value}, **options))

    return create


@pytest.fixture
def send_image(both, server):
    """Creates a prediction with an image in its input."""
    client = both.client(server.base_url)

    def send_image(image, **options):
        return both(lambda: client.predictions.create("v", {"image": image}, **options))

    return send_image


@pytest.fixture
def send(both):
    """Creates a prediction with a value in its input, and returns the value that arrives."""
    with Wire(respond) as wire:
        yield InputSender(both, wire)


@pytest.fixture
def assert_upload_refused(both, create, server):
    """Asserts that a file is refused by `files.create` and in an input, before anything is sent."""

    def assert_upload_refused(kind, match, make, *, path=False):
        client = both.client(server.base_url)
        with pytest.raises(kind, match=match):
            both(lambda: client.files.create(make()))
        for strategy in ("default", "upload", "data-uri"):
            with pytest.raises(kind, match=match) as caught:
                create(server, [b"first", make()], file_encoding_strategy=strategy)
            assert not path or "input.value[1]" in str(caught.value)
        assert server.seen == []

    return assert_upload_refused


@pytest.fixture
def old(tmp_path):
    """An existing file, alone in its folder."""
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    return target


@pytest.fixture
def assert_download_refused(both, old):
    """Asserts that a file can be neither saved nor read, and that the target stays as it was."""

    def assert_download_refused(output, kind, match, **options):
        with pytest.raises(kind, match=match):
            save(both, output, old, **options)
        assert old.read_bytes() == b"old"
        assert names(old.parent) == ["out.bin"]
        for fetch in (read, chunks):
            with pytest.raises(kind, match=match):
                fetch(both, output, **options)

    return assert_download_refused
