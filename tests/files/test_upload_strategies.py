"""How files are sent: uploaded or within the request, and when one replaces the other."""

import io
import json
import threading

import pytest

from replicate_rs import exceptions
from support.uploads import (
    DATA,
    HUGE,
    TEXT,
    Early,
    Uploads,
    data_uri,
    make_sparse_file,
    to_json,
    url_of,
)
from support.wire import reply

pytest_plugins = ["support.file_fixtures"]


def failing(status):
    """Return a script for uploads: answer with a status, or hang up."""
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
    with Uploads(lambda seen: reply({}, 502) if b"broken" in seen.body else ...) as server:
        create(server, [b"good", b"broken", b"fine"])
    assert server.body["input"]["value"] == [url_of(b"good"), data_uri(b"broken"), url_of(b"fine")]


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
            both(lambda: both.client(server.base_url).files.create(make_sparse_file(maker, HUGE)))
        heard.set()
