"""The recording proxy: what it passes on, and how."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_rs import Replicate
from replicate_rs.exceptions import APIStatusError, ReplicateError
from replicate_rs.local import LocalReplicate
from support.cassettes import TOKEN, read_bytes, read_exchanges, recording
from support.conditions import until
from support.wire import Wire, closed_port, done, numbered, prediction, reply

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=8,
)


def fetch(url, method="GET", body=None, **headers):
    """Return the status, the headers and the body of a response, as they come."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        return response.status, response.msg, response.read()
    finally:
        connection.close()


def test_headers_of_limits_and_of_the_request_pass(tmp_path):
    headers = "RateLimit-Remaining: 7\r\nRateLimit-Reset: 3\r\nX-Request-Id: q1\r\n"
    with Wire(lambda _: reply(prediction(), 201, headers=headers)) as wire:
        with recording(tmp_path, wire.origin) as server:
            client = Replicate(TOKEN, base_url=server.base_url)
            client.predictions.create(model="acme/x", input={}, wait=3)
    assert wire.seen[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert wire.seen[0].headers["prefer"] == "wait=3"
    assert wire.seen[0].headers["host"] == urlsplit(wire.origin).netloc
    with LocalReplicate(replay=tmp_path) as server:
        url = f"{server.base_url}/models/acme/x/predictions"
        status, replayed, _ = fetch(url, "POST", b'{"input":{}}')
    assert status == 201
    assert (replayed["ratelimit-remaining"], replayed["ratelimit-reset"]) == ("7", "3")
    assert replayed["x-request-id"] == "q1"


def test_nothing_is_retried(tmp_path):
    with Wire(lambda _: reply({"detail": "busy"}, 503)) as wire:
        with recording(tmp_path, wire.origin) as server:
            assert fetch(f"{server.base_url}/models")[0] == 503
        assert len(wire.seen) == 1
    # The client that waits for a better response gets it in a replay too.
    with LocalReplicate(replay=tmp_path) as server:
        assert [fetch(f"{server.base_url}/models")[0] for _ in range(2)] == [503, 400]


@pytest.mark.parametrize("accept", ["gzip", "identity"])
def test_gzip_is_undone_where_the_body_is_recorded(tmp_path, accept):
    value = {"results": ["a" * 5000], "next": None, "previous": None}

    def script(seen):
        if "gzip" not in seen.headers["accept-encoding"]:
            return reply(value)
        return reply(
            gzip.compress(json.dumps(value).encode()), headers="Content-Encoding: gzip\r\n"
        )

    with Wire(script) as wire, recording(tmp_path, wire.origin) as server:
        _, headers, body = fetch(f"{server.base_url}/models", **{"Accept-Encoding": accept})
        assert json.loads(body) == value
        assert headers["content-encoding"] is None
        assert int(headers["content-length"]) == len(body)
    assert wire.seen[0].headers["accept-encoding"] == accept
    assert read_exchanges(tmp_path)[0]["response"]["body"]["json"] == value
    with LocalReplicate(replay=tmp_path) as server:
        assert fetch(f"{server.base_url}/models")[2] == body


def test_broken_gzip_breaks_the_response(tmp_path):
    with Wire(lambda _: reply(b"\x1f\x8bno", headers="Content-Encoding: gzip\r\n")) as wire:
        with recording(tmp_path, wire.origin) as server:
            status, _, body = fetch(f"{server.base_url}/models", **{"Accept-Encoding": "gzip"})
    assert status == 502
    assert b"gzip is broken" in body


def stream_upstream(send_events):
    """Return a server with a prediction whose stream `send_events` sends."""

    def script(seen):
        if seen.path.startswith("/stream"):
            return send_events
        return reply(prediction("starting", urls={"stream": f"{wire.origin}/stream/1"}), 201)

    wire = Wire(script)
    return wire


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def test_events_pass_as_they_come(tmp_path):
    received = threading.Event()

    def send_events(connection):
        connection.sendall(HEAD + numbered("a"))
        # The rest is sent when the client has the first.
        assert received.wait(20)
        connection.sendall(numbered("b", first=1) + done())

    with stream_upstream(send_events) as wire, recording(tmp_path, wire.origin) as server:
        client = Replicate(TOKEN, base_url=server.base_url)
        stream = client.stream("acme/x", input={})
        assert str(next(stream)) == "a"
        received.set()
        assert [str(each) for each in stream] == ["b", ""]
    with LocalReplicate(replay=tmp_path) as server:
        client = Replicate("r8_any", base_url=server.base_url)
        assert [str(each) for each in client.stream("acme/x", input={})] == ["a", "b", ""]


def test_a_stream_that_the_client_leaves_ends_at_the_upstream_too(tmp_path):
    def send_events(connection):
        connection.sendall(HEAD + numbered("a"))
        while connection.recv(4096):
            pass

    with stream_upstream(send_events) as wire, recording(tmp_path, wire.origin) as server:
        client = Replicate(TOKEN, base_url=server.base_url)
        stream = client.stream("acme/x", input={})
        assert str(next(stream)) == "a"
        stream.close()
        until(lambda: any("events" in each["response"] for each in read_exchanges(tmp_path)))
        until(lambda: wire.open_now == 0)
    (exchange,) = [each for each in read_exchanges(tmp_path) if "events" in each["response"]]
    assert exchange["response"]["complete"] is False
    assert len(exchange["response"]["events"]) == 1


def test_files_pass_as_they_come_and_are_written_beside(tmp_path):
    first, rest = os.urandom(300_000), os.urandom(900_000)
    received = threading.Event()

    def send_file(connection):
        size = len(first) + len(rest)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode() + first)
        assert received.wait(20)
        connection.sendall(rest)

    with Wire(lambda _: send_file) as files:
        answer = reply(prediction(output=f"{files.origin}/a.png"))
        with Wire(lambda _: answer) as wire, recording(tmp_path, wire.origin) as server:
            output = Replicate(TOKEN, base_url=server.base_url).predictions.get("p1").output
            assert output.startswith(f"{server.output_origin}/http/")
            parts = urlsplit(output)
            connection = http.client.HTTPConnection(parts.netloc, timeout=20)
            # Hosts of output files never get the token.
            connection.request("GET", parts.path, headers={"Authorization": f"Bearer {TOKEN}"})
            response = connection.getresponse()
            assert response.read(len(first)) == first
            received.set()
            assert response.read() == rest
            connection.close()
        assert "authorization" not in files.seen[0].headers
    (path,) = tmp_path.glob("*.response.png")
    assert path.read_bytes() == first + rest
    with LocalReplicate(replay=tmp_path) as server:
        output = Replicate("r8_any", base_url=server.base_url).predictions.get("p1").output
        assert fetch(output)[2] == first + rest
        status, headers, body = fetch(output, Range="bytes=299999-300000")
        assert (status, body) == (206, first[-1:] + rest[:1])
        assert headers["content-range"] == "bytes 299999-300000/1200000"


def test_a_file_that_breaks_off_breaks_off_in_the_replay_too(tmp_path):
    answer = reply(b"abc", kind="image/png", length=10)

    def break_off(connection):
        connection.sendall(answer)

    with Wire(lambda _: break_off) as files:
        named = reply(prediction(output=f"{files.origin}/a.png"))
        with Wire(lambda _: named) as wire, recording(tmp_path, wire.origin) as server:
            output = Replicate(TOKEN, base_url=server.base_url).predictions.get("p1").output
            with pytest.raises(http.client.IncompleteRead) as recorded:
                fetch(output)
            assert recorded.value.partial == b"abc"
    with LocalReplicate(replay=tmp_path) as server:
        output = Replicate("r8_any", base_url=server.base_url).predictions.get("p1").output
        with pytest.raises(http.client.IncompleteRead) as replayed:
            fetch(output)
        assert replayed.value.partial == b"abc"


def test_it_is_no_open_proxy(tmp_path):
    with Wire(lambda _: reply({})) as other, Wire(lambda _: reply(prediction())) as wire:
        with recording(tmp_path, wire.origin) as server:
            host = urlsplit(other.origin).netloc
            status, _, body = fetch(f"{server.output_origin}/http/{host}/secret")
            assert status == 403
            assert b"no response of the API has named" in body
            assert fetch(f"{server.output_origin}/secret")[0] == 404
        assert other.seen == []


def test_a_redirect_leads_to_this_server(tmp_path):
    with Wire(lambda _: reply(b"content", kind="text/plain")) as files:
        location = f"Location: {files.origin}/signed?signature=s3cr3t\r\n"
        with Wire(lambda _: reply(None, 302, headers=location)) as wire:
            with recording(tmp_path, wire.origin, redact=["signature"]) as server:
                status, headers, _ = fetch(f"{server.base_url}/files/f1/download")
                assert status == 302
                assert headers["location"].startswith(f"{server.output_origin}/http/")
                assert fetch(headers["location"])[2] == b"content"
        assert files.seen[0].path == "/signed?signature=s3cr3t"
    assert b"s3cr3t" not in read_bytes(tmp_path)
    with LocalReplicate(replay=tmp_path) as server:
        location = fetch(f"{server.base_url}/files/f1/download")[1]["location"]
        assert fetch(location)[2] == b"content"


def test_uploads_are_not_held_and_are_compared_by_content(tmp_path):
    content = os.urandom(1_500_000)
    seen = []

    def script(request):
        seen.append(request)
        return reply({"id": "f1", "name": "big.bin", "urls": {}}, 201)

    (tmp_path / "big.bin").write_bytes(content)
    with Wire(script) as wire, recording(tmp_path / "cassette", wire.origin) as server:
        client = Replicate(TOKEN, base_url=server.base_url)
        assert client.files.create(tmp_path / "big.bin").id == "f1"
    assert content in seen[0].body
    (path,) = (tmp_path / "cassette").glob("*.request.1.bin")
    assert path.read_bytes() == content
    # Temporary files are gone.
    assert not list((tmp_path / "cassette").glob(".*"))
    with LocalReplicate(replay=tmp_path / "cassette") as server:
        client = Replicate("r8_any", base_url=server.base_url)
        assert client.files.create(tmp_path / "big.bin").id == "f1"
        with pytest.raises(APIStatusError, match="form.content: recorded .*1500000 bytes"):
            client.files.create(content[::-1], filename="big.bin")


def test_a_held_request_is_not_cut_short(tmp_path):
    with Wire(lambda _: (time.sleep(1.5), reply(prediction(output="HI"), 201))[1]) as wire:
        with recording(tmp_path, wire.origin) as server:
            client = Replicate(TOKEN, base_url=server.base_url)
            assert client.run("acme/x", input={}, wait=60) == "HI"
    with LocalReplicate(replay=tmp_path) as server:
        client = Replicate("r8_any", base_url=server.base_url)
        started = time.monotonic()
        assert client.run("acme/x", input={}, wait=60) == "HI"
        # A replay does not hold it.
        assert time.monotonic() - started < 1.5


def test_concurrent_requests_are_kept_apart(tmp_path):
    def script(seen):
        number = json.loads(seen.body)["input"]["n"]
        time.sleep(0.002 * (number % 7))
        return reply(prediction(output=number), 201)

    def use(server):
        client = Replicate(TOKEN, base_url=server.base_url)
        with ThreadPoolExecutor(16) as pool:
            numbers = [n % 40 for n in range(80)]
            outputs = pool.map(lambda n: client.run("acme/x", input={"n": n}), numbers)
            assert list(outputs) == numbers

    with Wire(script) as wire, recording(tmp_path, wire.origin) as server:
        use(server)
    assert len(read_exchanges(tmp_path)) == 80
    with LocalReplicate(replay=tmp_path) as server:
        use(server)
        assert server.unrecorded == []


def test_an_upstream_that_cannot_be_reached_is_a_502_in_words(tmp_path):
    port = closed_port()
    with recording(tmp_path, f"http://127.0.0.1:{port}") as server:
        client = Replicate(TOKEN, base_url=server.base_url, max_retries=0)
        with pytest.raises(APIStatusError, match=f"cannot reach 127.0.0.1:{port}: .*refused"):
            client.models.list()
        with pytest.raises(APIStatusError) as error:
            client.files.create(b"x" * 1_000_000, filename="a.bin")
        assert error.value.status == 502
    assert read_exchanges(tmp_path) == []


@pytest.mark.parametrize("answer", [None, b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-L"])
def test_an_upstream_that_does_not_answer_properly_is_a_502(tmp_path, answer):
    with Wire(lambda _: lambda c: answer and c.sendall(answer)) as wire:
        with recording(tmp_path, wire.origin) as server:
            status, _, body = fetch(f"{server.base_url}/models")
    assert (status, json.loads(body)["title"]) == (502, "Bad gateway")
    assert read_exchanges(tmp_path) == []


def test_the_log_of_requests_has_no_token(tmp_path):
    with Wire(lambda _: reply(prediction(), 201)) as wire:
        with recording(tmp_path, wire.origin, redact=["secret"]) as server:
            client = Replicate(TOKEN, base_url=server.base_url)
            client.predictions.create(model="a/b", input={"secret": "pss", "x": TOKEN}, wait=1)
            assert TOKEN not in repr(server.requests)
            assert "pss" not in repr(server.requests)
            assert server.token is None
            page = client.request(f"{server.origin}/-/requests").text
            assert "/v1/models/a/b/predictions" in page
            assert TOKEN not in page


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    """A function that records a response with a body, and returns what its client got."""
    answers = {}

    def script(seen):
        return answers[seen.path]

    folder = tmp_path_factory.mktemp("bodies")
    with Wire(script) as wire, recording(folder, wire.origin) as server:

        def record(body, kind):
            path = f"/v1/files/{len(answers)}/download"
            answers[path] = reply(body, kind=kind)
            content = fetch(server.origin + path)[2]
            # An exchange is written when its client has the response.
            until(lambda: len(list(folder.glob("[0-9]*.json"))) == len(answers))
            return path, content

        record.folder = folder
        yield record


def replayed(folder, path):
    with LocalReplicate(replay=folder) as server:
        return fetch(server.origin + path)[2]


@given(
    body=st.binary(max_size=200) | st.text(max_size=50).map(lambda t: t.encode("utf-8", "replace")),
    kind=st.sampled_from(["application/json", "text/plain", "image/png"]),
)
def test_every_body_comes_back_byte_by_byte(echo, body, kind):
    path, recorded = echo(body, kind)
    assert recorded == body
    if len(list(echo.folder.glob("*.json"))) % 10 == 0:
        assert replayed(echo.folder, path) == body


@given(value=JSON, indent=st.sampled_from([None, 2]), ascii=st.booleans(), spaced=st.booleans())
def test_every_json_value_comes_back_byte_by_byte(echo, value, indent, ascii, spaced):
    separators = (", ", ": ") if spaced else (",", ":")
    text = json.dumps(value, indent=indent, ensure_ascii=ascii, separators=separators)
    body = text.encode("utf-8", "replace")
    path, recorded = echo(body, "application/json")
    assert recorded == body
    if len(list(echo.folder.glob("*.json"))) % 10 == 0:
        assert replayed(echo.folder, path) == body


def test_all_of_these_bodies_are_replayed(echo):
    bodies = [b"", b"{}", b'{"a": 1.0}\n', b'{"a":1,"a":2}', b"[1e400]", b"\xff\xfe", b"\0"]
    bodies += ['{"é":"\\ud800"}'.encode(), b'"\\u00e9"', b"{\r\n}", "\u2028".encode()]
    bodies += [b"x" * 300_000, b'{"a":"' + b"y" * 300_000 + b'"}', b"[NaN]", b"[" * 3000]
    recorded = [echo(body, "application/json") for body in bodies]
    with LocalReplicate(replay=echo.folder) as server:
        for body, (path, passed) in zip(bodies, recorded, strict=True):
            assert passed == body
            assert fetch(server.origin + path)[2] == body


def test_stopping_ends_what_is_under_way(tmp_path):
    def hang(connection):
        while connection.recv(4096):
            pass

    with Wire(lambda _: hang) as wire, recording(tmp_path, wire.origin) as server:
        client = Replicate(TOKEN, base_url=server.base_url, max_retries=0)
        errors = []

        def get():
            try:
                client.models.list()
            except ReplicateError as error:
                errors.append(error)

        thread = threading.Thread(target=get)
        thread.start()
        until(lambda: wire.seen)
        server.stop()
        thread.join(20)
        assert len(errors) == 1
        until(lambda: wire.open_now == 0)
