"""The requests of uploads: forms, retries, and files that change meanwhile."""

import hashlib
import json
import mimetypes
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicate_rs import Replicate, exceptions
from support.uploads import (
    DATA,
    HUGE,
    KINDS,
    OCTETS,
    TEXT,
    Early,
    Form,
    Uploads,
    data_uri,
    drain,
    make_sparse_file,
    rate_limited,
)
from support.wire import Wire, prediction, reply

pytest_plugins = ["support.file_fixtures"]


def test_a_boundary_is_new_each_time_and_not_in_the_content(both, server):
    client = both.client(server.base_url)
    content, boundaries = DATA, set()
    for _ in range(4):
        both(lambda: client.files.create(content, metadata={"ü": TEXT}))
        # The next content has the last boundary in it.
        content = server.seen[-1].body
        boundaries.add(server.seen[-1].headers["content-type"])
    assert len(boundaries) == 4
    assert [each.content for each in server.forms] == [
        DATA,
        *(each.body for each in server.seen[:-1]),
    ]
    assert all(each.metadata == {"ü": TEXT} for each in server.forms)


@pytest.mark.parametrize(
    "kind", ["large path", "bytes", "binary, large", "buffer", "pipe", "spooled on the disk"]
)
def test_a_retry_sends_the_whole_body_again(both, create, maker, kind):
    for way in (
        create,
        lambda server, file: both(lambda: both.client(server.base_url).files.create(file)),
    ):
        case = KINDS[kind](maker)
        with Uploads(lambda _: rate_limited() if len(server.uploads) == 1 else ...) as server:
            way(server, case.file)
        assert [each.content for each in server.forms] == [case.content] * 2
        assert server.seen[0].body == server.seen[1].body


def test_a_request_with_data_uris_is_sent_again_whole(create, maker):
    case = KINDS["binary, large"](maker)

    def script(_):
        return rate_limited() if len(server.seen) == 1 else reply(prediction(), 201)

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
        received.append(drain(connection))

    received: list[int] = []
    path = make_sparse_file(maker, HUGE)
    handle = maker.open(path.open, "rb")
    with Early(change) as server:
        client = both.client(server.base_url)
        with pytest.raises(exceptions.FileError, match="changed its size"):
            both(lambda: SENDERS[sender](client, path, handle))
        server.until(lambda: server.closed == 1)
    # The body is not complete, and not sent again.
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


often = settings(derandomize=True, database=None, max_examples=100)
NAMES = st.text(st.characters(exclude_categories=()), max_size=40) | st.text(
    '"%\\\r\n;=/\0 äx.', max_size=8
)


def escape(name):
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
                Form(escape(name), mimetypes.guess_type(name)[0] or OCTETS, content)
            ]


def test_any_content_under_any_name_is_kept_by_the_local_server(local):
    # The local server's parser unescapes backslashes, which RFC 7578 neither demands nor forbids.
    @settings(often, max_examples=30)
    @given(st.binary(max_size=2000), NAMES.filter(lambda name: "\\" not in name))
    def check(content, name):
        before = len(local.requests)
        try:
            file = client.files.create(content, filename=name)
        except ValueError:
            assert len(local.requests) == before
            return
        assert (file.name, file.size) == (escape(name), len(content))
        assert file.checksums["sha256"] == hashlib.sha256(content).hexdigest()

    with Replicate("r8_secret", base_url=local.base_url) as client:
        check()


def test_a_file_that_is_removed_before_its_turn_is_a_missing_file(both, maker):
    paths = [maker.path(f"{n}.txt", b"x") for n in range(9)]

    def answer(_):
        # Eight are uploaded at a time: the last one has not begun.
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
        drain(connection)

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
