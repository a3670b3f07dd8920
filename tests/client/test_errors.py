"""Servers that misbehave: each fault is an error of our tree that says what came, or no error at
all.
"""

import gzip
import time

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from support.wire import Wire, closed_port, done, hang, output, prediction, reply, streaming


def get(both, wire, **options):
    """Fetch a prediction, without retries unless `options` ask for them."""
    client = both.client(wire.base_url, **({"max_retries": 0} | options))
    return both(lambda: client.predictions.get("x"))


HTML = b"<html>\x1b[31m" + b"x" * 500 + b"</html>"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (reply(HTML, kind="text/html"), "is not JSON"),
        (reply(b'{"id": "p1", "sta'), "is not JSON"),
        (reply([prediction()]), "not an object"),
        (reply(), r"\(empty\)"),
        (reply(b"null"), "not an object"),
        (reply(b"[" * 100_000), "is not JSON"),
        (reply(b'{"id": "\xff"}'), "is not JSON"),
    ],
)
def test_an_answer_that_is_not_a_prediction(both, answer, problem):
    with Wire(lambda _: answer) as wire:
        with pytest.raises(exceptions.APIResponseValidationError, match=problem) as caught:
            get(both, wire)
        error = caught.value
        assert (error.status, error.method, error.url) == (
            200,
            "GET",
            f"{wire.base_url}/predictions/x",
        )
        assert len(str(error)) < 600
        assert "\x1b" not in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, exceptions.BadRequestError),
        (401, exceptions.AuthenticationError),
        (402, exceptions.InsufficientCreditError),
        (403, exceptions.PermissionDeniedError),
        (404, exceptions.NotFoundError),
        (409, exceptions.ConflictError),
        (413, exceptions.PayloadTooLargeError),
        (418, exceptions.APIStatusError),
        (422, exceptions.UnprocessableEntityError),
        (429, exceptions.RateLimitError),
        (500, exceptions.InternalServerError),
        (599, exceptions.InternalServerError),
    ],
)
def test_a_status_is_an_error_of_its_class_with_the_problem_s_fields(both, status, kind):
    problem = {"title": "Oh no", "detail": "it broke", "status": status, "retry_after": 7}
    with Wire(
        lambda _: reply(
            problem, status, headers="X-Request-Id: r1\r\n", kind="application/problem+json"
        )
    ) as wire:
        with pytest.raises(exceptions.APIStatusError) as caught:
            get(both, wire)
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.status_code, error.title, error.detail) == (
        status,
        status,
        "Oh no",
        "it broke",
    )
    assert (error.request_id, error.retry_after) == ("r1", 7)
    about = {
        401: " (check the token: REPLICATE_API_TOKEN, or api_token=)",
        402: " (add credit on the account's billing page)",
        403: " (the account that the token belongs to may not do this)",
        404: " (prediction x)",
        413: " (pass the URL of a file instead of the file)",
        422: " (prediction x)",
    }.get(status, "")
    assert str(error) == f"title: Oh no, status: {status}, detail: it broke{about}"
    assert isinstance(error, replicate.ReplicateError)


@pytest.mark.parametrize(
    "body", [HTML, b"", b"[1, 2]", b"null", b'{"detail": ["a", {"b": 1}]}', b"{" * 100_000]
)
def test_an_error_body_may_be_anything(both, body):
    with Wire(lambda _: reply(body, 500)) as wire:
        with pytest.raises(exceptions.InternalServerError) as caught:
            get(both, wire)
    assert caught.value.body == body
    assert caught.value.detail
    assert len(str(caught.value)) < 600


def test_no_server_is_a_connection_error_with_its_cause(both):
    port = closed_port()
    with pytest.raises(
        exceptions.APIConnectionError, match=f"GET http://127.0.0.1:{port}/v1/predictions/x"
    ) as caught:
        both(lambda: both.client(f"http://127.0.0.1:{port}", max_retries=0).predictions.get("x"))
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_a_name_that_does_not_resolve_is_a_connection_error(both):
    with pytest.raises(exceptions.APIConnectionError):
        both(lambda: both.client("http://nowhere.invalid", max_retries=0).predictions.get("x"))


@pytest.mark.parametrize("length", [10, 10_000])
def test_a_body_shorter_than_it_claims_is_not_taken_for_whole(both, length):
    with Wire(
        lambda _: lambda connection: connection.sendall(reply(b'{"id": 1}', length=length))
    ) as wire:
        with pytest.raises(exceptions.APIConnectionError):
            get(both, wire)


def test_something_that_is_not_http_is_an_error(both):
    with Wire(
        lambda _: lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    ) as wire:
        with pytest.raises(exceptions.APIConnectionError):
            get(both, wire)


@pytest.mark.parametrize("limit", ["read", "write", "pool", "connect", "total", "idle"])
@pytest.mark.parametrize("seconds", [1e10, 1e19])
def test_a_limit_beyond_all_clocks_is_none(both, limit, seconds):
    with streaming(output("a") + done()) as wire:
        client = both.client(wire.base_url, timeout=replicate.Timeout(**{limit: seconds}))
        assert both(lambda: client.predictions.create("v", {"x": "y" * 100_000})).id == "p1"
        assert str(both(lambda: client.stream("acme/x", {}))[0]) == "a"
        assert (
            both(
                lambda: client.predictions.get(
                    "x", timeout=seconds, signal=replicate.AbortSignal.timeout(seconds)
                )
            ).id
            == "p1"
        )


def test_silence_ends_at_the_read_timeout(both):
    with Wire(lambda _: hang) as wire:
        with pytest.raises(exceptions.APITimeoutError, match="waiting for the response") as caught:
            get(both, wire, timeout=replicate.Timeout(read=0.1))
    assert isinstance(caught.value, TimeoutError)


def test_a_dripping_body_ends_at_the_total_timeout(both):
    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            connection.sendall(b" ")
            time.sleep(0.02)

    with Wire(lambda _: drip) as wire:
        with pytest.raises(exceptions.APITimeoutError, match="over all attempts"):
            get(both, wire, timeout=replicate.Timeout(total=0.3))
        with pytest.raises(exceptions.APITimeoutError, match="over all attempts"):
            both(lambda: both.client(wire.base_url).predictions.get("x", timeout=0.3))


def test_a_stalled_body_ends_at_the_read_timeout(both):
    def stall(connection):
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"id":')
        hang(connection)

    with Wire(lambda _: stall) as wire:
        with pytest.raises(exceptions.APITimeoutError, match="reading the response body"):
            get(both, wire, timeout=replicate.Timeout(read=0.1))


def test_compressed_answers_are_read(both):
    body = gzip.compress(b'{"id": "p1", "logs": "%s"}' % (b"x" * 10_000))
    with Wire(lambda _: reply(body, headers="Content-Encoding: gzip\r\n")) as wire:
        assert len(get(both, wire).logs) == 10_000
    assert "gzip" in wire.seen[0].headers["accept-encoding"]


@pytest.mark.parametrize("compressed", [False, True])
def test_an_answer_over_the_limit_is_refused(both, compressed):
    bomb = b'{"logs": "' + b"x" * 5_000_000 + b'"}'
    answer = (
        reply(gzip.compress(bomb), headers="Content-Encoding: gzip\r\n")
        if compressed
        else reply(bomb)
    )
    with Wire(lambda _: answer) as wire:
        with pytest.raises(
            exceptions.APIResponseValidationError, match="larger than 1000000 bytes"
        ):
            get(both, wire, max_response_bytes=1_000_000)


def test_redirects_are_followed_for_fetches_only(both):
    def script(seen):
        if seen.path.endswith("/x") or seen.method == "POST":
            return reply(status=307, headers=f"Location: {wire.base_url}/predictions/y\r\n")
        return reply(prediction(id="y"))

    with Wire(script) as wire:
        assert get(both, wire).id == "y"
        with pytest.raises(exceptions.APIConnectionError, match="redirects a POST"):
            both(lambda: both.client(wire.base_url).predictions.create("v", {}))


@pytest.mark.parametrize("target", ["/v1/predictions/x", "file:///etc/passwd", "ftp://x/y", "//:0"])
def test_redirects_that_lead_nowhere_end(both, target):
    with Wire(lambda _: reply(status=302, headers=f"Location: {target}\r\n")) as wire:
        with pytest.raises(exceptions.APIConnectionError, match="redirect"):
            get(both, wire)


def test_a_location_may_have_characters_beyond_ascii(both):
    """Many servers write a path as it is, in UTF-8."""

    def script(seen):
        if seen.path.endswith("/x"):
            return reply(status=302, headers="Location: /v1/predictions/é%20b?q=ü\r\n")
        return reply(prediction(id="y"))

    with Wire(script) as wire:
        assert get(both, wire).id == "y"
    assert wire.seen[1].path == "/v1/predictions/%C3%A9%20b?q=%C3%BC"
    with Wire(
        lambda _: reply(status=302).replace(b"\r\n\r\n", b"\r\nLocation: /\xff\r\n\r\n")
    ) as wire:
        with pytest.raises(exceptions.APIConnectionError, match="not a URL"):
            get(both, wire)


def test_several_headers_of_one_name_are_all_sent(both):
    several = [("X-A", "1"), ("x-a", "2"), ("X-A", "3"), ("X-B", "4")]
    with Wire(lambda _: reply(prediction())) as wire:
        client = both.client(wire.base_url, headers=[("X-C", "5"), ("X-C", "6"), ("X-A", "0")])
        both(lambda: client.request("/x", headers=several))
        both(
            lambda: client.predictions.create(
                "v", {}, wait=5, extra_headers=[("prefer", "wait=1"), ("X-A", "7"), ("X-A", "8")]
            )
        )
        both(lambda: client.request("/x", headers=dict(several)))
    got = [each.headers for each in wire.seen]
    assert [each["x-c"] for each in got] == ["5, 6"] * 3
    assert [each.get("x-a") for each in got] == ["1, 2, 3", "7, 8", "3, 2"]
    assert (got[0]["x-b"], got[1]["prefer"]) == ("4", "wait=1")


def test_the_token_stays_at_its_origin(both):
    """Not to redirects, next links, files or streams elsewhere."""
    secret = "r8_secret"
    with Wire(
        lambda seen: (
            reply({"results": []}) if "cursor" in seen.path else reply(b"file", kind="image/png")
        )
    ) as other:

        def script(seen):
            if seen.path.endswith("/moved"):
                return reply(status=302, headers=f"Location: {other.origin}/moved\r\n")
            more = {"results": []} if "cursor" in seen.path else {}
            return reply(
                prediction(
                    output=f"{other.origin}/file.png",
                    urls={"stream": f"{other.origin}/stream"},
                    **more,
                ),
                200,
            )

        with Wire(script) as home:
            client = both.client(home.base_url, headers={"X-Gateway-Key": "k"}, max_retries=0)
            assert (
                both(
                    lambda: client.predictions.list(f"{other.base_url}/predictions?cursor=1")
                ).results
                == []
            )
            output = both(lambda: client.run("acme/x", {}))
            assert both(output.read if not both.is_async else output.aread) == b"file"
            for call in (
                lambda: client.predictions.get("moved"),
                lambda: client.stream("acme/x", {}),
            ):
                with pytest.raises(replicate.ReplicateError) as caught:
                    both(call)
                assert secret not in repr(caught.value.__dict__)
        assert len(other.seen) == 3
        for request in other.seen:
            assert secret not in str(request)
            assert "x-gateway-key" not in request.headers
        assert all(request.headers["x-gateway-key"] == "k" for request in home.seen)


@pytest.mark.parametrize("status", [400, 500])
def test_a_complaint_without_end_is_cut(both, status):
    """The status is what matters; 200 MB of it are not held in memory."""
    sent = []

    def flood(connection):
        connection.sendall(
            f"HTTP/1.1 {status} X\r\nContent-Length: 200000000\r\nX-Request-Id: r1\r\n\r\n".encode()
        )
        try:
            for _ in range(3000):
                connection.sendall(b"<p>no" * 13000)
                sent.append(65000)
        except OSError:
            return

    with Wire(lambda seen: flood) as wire:
        client = both.client(wire.base_url, max_retries=0)
        with pytest.raises(exceptions.APIStatusError) as caught:
            both(lambda: client.predictions.get("p1"))
        wire.until(lambda: wire.open_now == 0)
    assert (caught.value.status, caught.value.request_id, len(caught.value.body)) == (
        status,
        "r1",
        1 << 20,
    )
    assert sum(sent) < 50_000_000


def dripping(head, drop):
    """Answers with `head`, and then with `drop` again and again, without an end."""

    def drip(connection):
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            time.sleep(0.02)

    return drip


@pytest.mark.parametrize("ask", ["get", "create", "stream", "read"])
def test_a_complaint_that_drips_is_cut_at_the_read_timeout(both, ask):
    """Each part of it comes in time, the whole never."""
    drip = dripping(b"HTTP/1.1 400 X\r\nContent-Length: 100000\r\n\r\nno", b"!")
    with Wire(lambda seen: drip) as wire:
        client = both.client(wire.base_url, max_retries=0, timeout=replicate.Timeout(read=0.3))
        file = replicate.FileOutput(f"{wire.origin}/x", client)
        calls = {
            "get": lambda: client.predictions.get("p1"),
            "create": lambda: client.predictions.create("v", {}, wait=False),
            "stream": lambda: client.stream("acme/x", {}, wait=False),
            "read": lambda: (file.aread if both.is_async else file.read)(),
        }
        with pytest.raises(exceptions.APIStatusError, match="no!") as caught:
            both(calls[ask])
        assert caught.value.status == 400
        wire.until(lambda: wire.open_now == 0)


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    ],
    ids=["1xx", "headers", "header"],
)
def test_a_head_that_drips_ends_at_the_read_timeout(both, head, drop):
    with Wire(lambda seen: dripping(head, drop)) as wire:
        with pytest.raises(exceptions.APITimeoutError, match="waiting for the response"):
            get(both, wire, timeout=replicate.Timeout(read=0.3))
        wire.until(lambda: wire.open_now == 0)


def test_what_a_terminal_would_obey_is_escaped(both):
    """Neither a server nor a model paints the caller's terminal."""
    problem = {"detail": "a\x1b[2Jb\r\x07", "title": "\x1b]0;x\x07", "status": 422}
    with Wire(
        lambda seen: reply(problem, 422) if seen.method == "POST" else reply(b"\x1b[31m", 404)
    ) as wire:
        client = both.client(wire.base_url)
        for call in (
            lambda: client.predictions.create("v" * 64, {}),
            lambda: client.predictions.get("p1"),
        ):
            with pytest.raises(exceptions.APIStatusError) as caught:
                both(call)
            assert "\\x1b" in str(caught.value)
            assert str(caught.value).replace("\n", "").isprintable()
    assert "\x1b" not in str(
        exceptions.ModelError(replicate.Prediction._of(prediction("failed", error="\x1b[2J"), None))
    )


def test_a_lost_create_says_where_to_look(both):
    """Section 3, 4."""
    with Wire(lambda seen: None) as wire, pytest.raises(exceptions.APIConnectionError) as caught:
        both(lambda: both.client(wire.base_url).predictions.create("v" * 64, {}))
    assert "client.predictions.list() has the newest first" in str(caught.value)
    assert len(wire.seen) == 1


def test_the_headers_of_one_call_stay_where_it_was_addressed_to(both):
    with Wire(lambda seen: reply({"ok": True})) as elsewhere:
        with Wire(
            lambda seen: reply(None, 302, headers=f"Location: {elsewhere.origin}/x\r\n")
        ) as wire:
            client = both.client(wire.base_url)
            both(lambda: client.request("/x", headers={"X-Gate": "key"}))
        assert wire.seen[0].headers["x-gate"] == "key"
        assert "x-gate" not in elsewhere.seen[0].headers
