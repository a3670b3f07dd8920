"""Event streams, output files, tokens and the request log of the local server."""

import json

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from replicate_rs.local import LocalReplicate, Settings
from support import served_models
from support.conditions import until
from support.local_requests import ask, get

server, client = served_models.server, served_models.client


def test_a_stream_has_a_greeting_numbered_events_and_an_end(server, client):
    prediction = client.predictions.create(model="acme/words", input={"text": "a b"}, wait=True)
    status, headers, body = get(prediction.urls["stream"])
    stamp = body.decode().split("id: ")[1].partition(":")[0]
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (
        body.decode() == ": hi\n\n"
        f"id: {stamp}:0\nevent: logs\ndata: begun\ndata: \n\n"
        f"id: {stamp}:1\nevent: output\ndata: a\n\n"
        f"id: {stamp}:2\nevent: output\ndata: b\n\n"
        "event: done\ndata: {}\n\n"
    )


def test_late_subscribers_see_everything_and_reasons_are_given(server, client):
    for name, reason in (
        ("acme/fail", {"reason": "error"}),
        ("acme/gated", {"reason": "canceled"}),
    ):
        prediction = client.predictions.create(model=name, input={})
        if name == "acme/gated":
            until(lambda id=prediction.id: client.predictions.get(id).output)
            client.predictions.cancel(prediction.id)
        until(lambda id=prediction.id: client.predictions.get(id).status in ("failed", "canceled"))
        body = get(prediction.urls["stream"])[2].decode()
        assert json.loads(body.rpartition("data: ")[2]) == reason
        assert (json.dumps({"detail": "OOM"}) in body) == (name == "acme/fail")


def test_an_idle_stream_ends_with_a_comment(server, client):
    server.settings.idle = 0.05
    prediction = client.predictions.create(model="acme/gated", input={})
    body = get(prediction.urls["stream"])[2].decode()
    assert body.endswith(":408: 408 Request Timeout\n\n")
    assert "event: done" not in body


@pytest.mark.parametrize(
    ("content", "name", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "output.png", "image/png"),
        (b"\xff\xd8\xff\xe0", "output.jpg", "image/jpeg"),
        (b"GIF89a", "output.gif", "image/gif"),
        (b"RIFF\n\0\0\0WEBP", "output.webp", "image/webp"),
        (b"RIFF\n\0\0\0WAVE", "output.wav", "audio/x-wav"),
        (b"\0\0\0\x18ftypmp42", "output.mp4", "video/mp4"),
        (b'<?xml version="1.0"?>\n<svg>', "output.svg", "image/svg+xml"),
        (b"<svg/>", "output.svg", "image/svg+xml"),
        (b"<svgs/>", "output.bin", "application/octet-stream"),
        (b"", "output.bin", "application/octet-stream"),
    ],
)
def test_bytes_are_named_by_their_type(content, name, media_type):
    def draw() -> bytes:
        return content

    with LocalReplicate() as server:
        server.model("acme/bytes")(draw)
        with replicate.Replicate(server.token, base_url=server.base_url) as client:
            file = client.run("acme/bytes", {})
            assert (file.read(), file.filename, file.content_type) == (content, name, media_type)


def test_file_streams_are_at_their_own_path(server, client):
    prediction = client.predictions.create(model="acme/files", input={}, wait=True)
    assert "/v1/files/" in prediction.urls["stream"]
    assert f"data: {prediction.output[0]}\n" in get(prediction.urls["stream"])[2].decode()
    assert "stream" not in client.predictions.create(model="acme/shout", input={}).urls


def test_output_files_have_ranges_an_etag_and_a_type(server, client):
    url = client.run("acme/file", {}, use_file_output=False)
    status, headers, body = get(url)
    assert (status, headers["accept-ranges"], body) == (200, "bytes", b"0123456789")
    assert headers["cache-control"] == "public,max-age=3600"
    status, part, body = get(url, Range="bytes=2-4", If_Range=headers["etag"])
    assert (status, part["content-range"], body) == (206, "bytes 2-4/10", b"234")
    assert get(url, Range="bytes=2-4", If_Range='"other"')[::2] == (200, b"0123456789")
    assert get(url, Range="bytes=99-")[0] == 416
    assert url.startswith(server.output_origin)
    assert server.output_origin != server.origin


def test_tokens(server):
    with LocalReplicate(token=["r8_a", "r8_b"]) as two:
        assert [ask_as(two, token) for token in ("r8_a", "r8_b", "r8_c", "")] == [
            200,
            200,
            401,
            401,
        ]
        status, headers, _ = ask(two, "GET", "/v1/account", Authorization="Token r8_b")
        assert status == 200
        assert "ratelimit-remaining" in headers
    with LocalReplicate(token=None) as any:
        assert [ask_as(any, token) for token in ("x", "")] == [200, 200]


def ask_as(server, token):
    return ask(server, "GET", "/v1/account", Authorization=f"Bearer {token}")[0]


def test_the_request_log_has_everything_in_order(server):
    ask(server, "GET", "/v1/models?cursor=")
    ask(
        server,
        "POST",
        "/predictions",
        {"version": "acme/shout", "input": {"text": "x"}},
        Prefer="wait",
    )
    ask(server, "GET", "/nowhere")
    get(server.origin + "/")
    one, two, three = server.requests
    assert (one.method, one.path, one.query, one.status) == ("GET", "/v1/models", "cursor=", 200)
    assert (two.path, two.headers["prefer"], json.loads(two.body)["input"], two.status) == (
        "/predictions",
        "wait",
        {"text": "x"},
        201,
    )
    assert (three.path, three.status) == ("/nowhere", 404)


def test_bodies_over_the_limit_are_refused_and_read_to_their_end():
    settings = Settings(max_upload=1_000_000, max_body=1000)
    with LocalReplicate(settings=settings) as server:
        status, _, body = ask(server, "POST", "/v1/predictions", b"x" * 5_000_000)
        assert (status, json.loads(body)["status"]) == (413, 413)
        assert server.requests[0].size > 1000
        client = replicate.Replicate(api_token=server.token, base_url=server.base_url)
        with pytest.raises(exceptions.PayloadTooLargeError, match="Files must be less than 1MB"):
            client.files.create(b"x" * 1_000_001)
        with pytest.raises(exceptions.PayloadTooLargeError, match="Files must be less than 1MB"):
            client.files.create(b"x" * 20_000_000)
        assert client.files.create(b"x" * 1_000_000).size == 1_000_000


def test_a_port_in_use_is_named():
    with LocalReplicate() as server:
        with pytest.raises(
            OSError,
            match=(
                f"cannot listen on 127.0.0.1:{server.port}: Address already in use; choose another"
                " port"
            ),
        ):
            LocalReplicate(port=server.port).start()
        with pytest.raises(OSError, match="choose another output_port"):
            LocalReplicate(output_port=server.port).start()
        with pytest.raises(RuntimeError, match="runs already"):
            server.start()
