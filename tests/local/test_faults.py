"""Faults, rate limits, the clock, webhooks, streams, output files and the request log."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from replicate_rs.local import LocalReplicate, RateLimits, Settings, sleep
from support.conditions import until
from support.webhooks import Receiver


@pytest.fixture
def server():
    server = LocalReplicate()

    @server.model("acme/shout")
    def shout(text: str = "hi") -> str:
        return text.upper()

    @server.model("acme/words", stream=True)
    def words(text: str = "a b c d") -> Iterator[str]:
        print("begun")
        yield from text.split()

    @server.model("acme/gated", stream=True)
    def gated() -> Iterator[str]:
        yield "first"
        gate.wait(30)
        yield "second"

    @server.model("acme/slow")
    def slow() -> str:
        sleep(60)
        return ""

    @server.model("acme/file")
    def file() -> bytes:
        return b"0123456789"

    @server.model("acme/files")
    def files() -> Iterator[Path]:
        yield Path(__file__)

    @server.model("acme/fail", stream=True)
    def fail() -> Iterator[str]:
        raise RuntimeError("OOM")

    gate = server.gate = threading.Event()
    with server:
        yield server
    gate.set()


@pytest.fixture
def client(server):
    return replicate.Replicate(
        api_token=server.token, base_url=server.base_url, poll_interval=0.01, max_retries=0
    )


def ask(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        fields = {"Authorization": f"Bearer {server.token}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        connection.request(
            method, path, json.dumps(body) if isinstance(body, (dict, list)) else body, fields
        )
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def get(url, **headers):
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(
            "GET",
            f"/{path}",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


# Faults


def test_a_fault_strikes_as_often_as_it_was_told_and_where(server, client):
    prediction = client.predictions.create(model="acme/shout", input={}, wait=True)
    fault = server.fault("GET /predictions/*", times=2, status=503)
    for _ in range(2):
        with pytest.raises(exceptions.InternalServerError) as caught:
            client.predictions.get(prediction.id)
        assert caught.value.status == 503
    assert client.predictions.get(prediction.id).status == "succeeded"
    assert (fault.hits, fault.left) == (2, 0)
    patient = replicate.Replicate(api_token=server.token, base_url=server.base_url, max_retries=2)
    server.fault("GET /v1/predictions/*", status=500)
    assert patient.predictions.get(prediction.id).status == "succeeded"


def test_faults_wait_for_their_turn(server):
    for status in (500, 502):
        server.fault("* /hardware", status=status)
    assert [ask(server, "GET", "/v1/hardware")[0] for _ in range(3)] == [500, 502, 200]


def test_a_reset_before_or_after_the_work_is_done(server):
    for when, made in ((True, 0), ("after", 1)):
        server.fault("POST /models/*", reset=when)
        with pytest.raises(ConnectionError):
            ask(server, "POST", "/v1/models/acme/shout/predictions", {"input": {}})
        page = json.loads(ask(server, "GET", "/v1/predictions")[2])
        assert len(page["results"]) == made
    assert [each.status for each in server.requests if each.method == "POST"] == [0, 0]


def test_a_truncated_body_a_slow_one_and_half_a_document(server):
    server.fault("GET /hardware", truncate=10)
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(server, "GET", "/v1/hardware")
    assert len(caught.value.partial) == 10
    server.fault("GET /hardware", bad_json=True)
    status, _, body = ask(server, "GET", "/v1/hardware")
    assert status == 200
    with pytest.raises(ValueError, match="Unterminated string"):
        json.loads(body)
    server.fault("GET /hardware", delay=0.2)
    start = time.monotonic()
    assert ask(server, "GET", "/v1/hardware")[0] == 200
    assert time.monotonic() - start >= 0.2


def test_any_answer_can_be_given(server):
    server.fault(
        "GET /hardware",
        status=418,
        body="tea",
        headers={"Content-Type": "text/plain", "X-Pot": "1"},
    )
    status, headers, body = ask(server, "GET", "/v1/hardware")
    assert (status, headers["content-type"], headers["x-pot"], body) == (
        418,
        "text/plain",
        "1",
        b"tea",
    )


def test_a_dropped_stream_ends_after_its_events_and_resumes_after_the_last(server, client):
    prediction = client.predictions.create(model="acme/words", input={}, wait=True)
    server.fault("GET /v1/streams/*", drop_stream=3)
    with pytest.raises(http.client.IncompleteRead) as caught:
        get(prediction.urls["stream"])
    frames = [
        each
        for each in caught.value.partial.decode().split("\n\n")
        if each and not each.startswith(":")
    ]
    assert len(frames) == 3
    last = frames[-1].split("\n")[0].removeprefix("id: ")
    _, _, rest = get(prediction.urls["stream"], Last_Event_ID=last)
    events = [
        line.removeprefix("data: ")
        for line in rest.decode().split("\n")
        if line.startswith("data: ")
    ]
    assert events == ["c", "d", "{}"]


def test_files_can_fail_too(server, client):
    output = client.run("acme/file", {})
    server.fault("GET /pbxt/*", status=403)
    with pytest.raises(exceptions.PermissionDeniedError):
        output.read()
    assert output.read() == b"0123456789"


@pytest.mark.parametrize("pattern", ["", "GET", "get /x", "GET predictions", "/predictions"])
def test_a_pattern_that_is_none_is_refused(server, pattern):
    with pytest.raises(ValueError, match="a fault's pattern is like 'GET /predictions/\\*'"):
        server.fault(pattern)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("GET /prediction/*", "did you mean 'GET /predictions' or "),
        ("POST /v1/model/*/*/predictions", "no request can meet a fault on 'POST /model/"),
        ("GET /predictions/", "no request can meet"),
        ("* /nowhere", "no request can meet"),
        ("* /p/*/", "no request can meet"),
        ("DELETE /account", "the methods of this path are GET"),
        ("GETT /predictions", "the methods of this path are GET, POST"),
        ("GET /", "no request can meet"),
        ("GET /-/requests", "no request can meet"),
        ("GET /pbxt/a", "no request can meet"),
        ("POST /v1/streams/*", "the methods of this path are GET"),
    ],
)
def test_a_pattern_that_no_request_can_fit_is_refused(server, pattern, says):
    for each in (server, LocalReplicate()):
        with pytest.raises(ValueError, match="no request can meet a fault on") as caught:
            each.fault(pattern, status=500)
        assert says in str(caught.value)
        assert each.faults == []


@pytest.mark.parametrize(
    "pattern",
    [
        "* /*",
        "GET /v1*",
        "GET /p*s",
        "GET /models/?*/x",
        "HEAD /account",
        "QUERY /models",
        "GET /[!b]ccount",
        "GET /v1/files/local-abc",
        "GET /files/abc/download",
        "GET /pbxt/*/output.p?g",
        "PATCH /models/a*",
    ],
)
def test_a_pattern_that_some_request_fits_is_taken(server, pattern):
    assert server.fault(pattern, status=500).hits == 0


def test_every_operation_can_be_asked_for_by_its_own_path(server):
    from replicate_rs.local.api.operations import operations
    from replicate_rs.local.traffic.patterns import Pattern

    assert len(operations()) == 40
    for each in operations():
        path = each.path.replace("{", "").replace("}", "")
        assert each in Pattern.parse(f"{each.method} {path}").choose(operations())
        assert Pattern.parse(f"{each.method} {path}").matches(each.method, path)


@pytest.mark.parametrize(
    ("effect", "error", "says"),
    [
        ({}, ValueError, "a fault needs an effect: status, body"),
        ({"times": 3}, ValueError, "a fault needs an effect"),
        ({"delay": 0}, ValueError, "a fault needs an effect"),
        ({"reset": False, "bad_json": False}, ValueError, "a fault needs an effect"),
        (
            {"status": 500, "times": 0},
            ValueError,
            "times must be at least 1, or None for always, not 0",
        ),
        ({"status": 500, "times": -1}, ValueError, "times must be at least 1"),
        ({"status": 500, "times": "2"}, TypeError, "times must be a number, not str"),
        ({"status": "500"}, TypeError, "status must be a number, not str"),
        ({"status": True}, TypeError, "status must be a number, not bool"),
        ({"status": 42}, ValueError, "status must be from 200 to 599, not 42"),
        ({"status": 204, "body": "x"}, ValueError, "an answer 204 has no body"),
        ({"body": {"id": "x"}}, TypeError, "body must be bytes or str, not dict"),
        ({"headers": [("a", "b")]}, TypeError, "headers must be a mapping, not list"),
        ({"delay": -1}, ValueError, "delay must be at least 0, not -1"),
        ({"delay": float("nan")}, ValueError, "delay must be at least 0"),
        ({"truncate": -1}, ValueError, "truncate must be at least 0"),
        ({"truncate": 1.5}, TypeError, "truncate must be a number of bytes, not float"),
        ({"drop_stream": 3}, ValueError, "drop_stream is for streams"),
        ({"reset": "before"}, ValueError, "reset must be True or 'after', not 'before'"),
        ({"reset": True, "status": 500}, ValueError, "reset leaves no answer"),
        ({"reset": "after", "truncate": 5}, ValueError, "reset leaves no answer"),
        ({"bad_json": True, "body": "x"}, ValueError, "bad_json is a body"),
        ({"status": 429, "advice": ("date",)}, ValueError, "advice says how retry_after is given"),
        (
            {"retry_after": 1, "advice": ("minutes",)},
            ValueError,
            "advice must be some of 'seconds', 'date'",
        ),
    ],
)
def test_a_fault_without_an_effect_or_with_one_that_cannot_be_is_refused(
    server, effect, error, says
):
    with pytest.raises(error) as caught:
        server.fault("GET /hardware", **effect)
    assert says in str(caught.value)
    assert server.faults == []


def test_a_fault_counts_when_it_has_struck_and_not_when_an_answer_was_over_before(server, client):
    prediction = client.predictions.create(model="acme/words", input={}, wait=True)
    long = server.fault("GET /hardware", truncate=1_000_000)
    late = server.fault("GET /streams/*", drop_stream=100)
    assert ask(server, "GET", "/v1/hardware")[0] == 200
    status, _, body = get(prediction.urls["stream"])
    assert (status, body.count(b"event: done")) == (200, 1)
    assert [(each.met, each.hits, each.left) for each in (long, late)] == [
        (1, 0, 0),
        (1, 0, 0),
    ]
    assert server.unused_faults == [long, late]
    short = server.fault("GET /hardware", truncate=3)
    soon = server.fault("GET /streams/*", drop_stream=1)
    for url in (f"{server.base_url}/hardware", prediction.urls["stream"]):
        with pytest.raises(http.client.IncompleteRead):
            get(url, Authorization=f"Bearer {server.token}")
    assert [(each.met, each.hits) for each in (short, soon)] == [(1, 1), (1, 1)]
    assert server.unused_faults == [long, late]


def test_a_dropped_stream_leaves_other_requests_alone(server, client):
    fault = server.fault("* /*", drop_stream=1)
    prediction = client.predictions.create(model="acme/words", input={}, wait=True)
    assert ask(server, "GET", "/v1/hardware")[0] == 200
    assert fault.met == 0
    with pytest.raises(http.client.IncompleteRead):
        get(prediction.urls["stream"])
    assert fault.hits == 1


def test_answers_without_a_body_are_whole(server):
    for status in (204, 304):
        server.fault("GET /hardware", status=status)
        assert (ask(server, "GET", "/v1/hardware")[0::2]) == (status, b"")


# Advice and limits


@pytest.mark.parametrize("advice", ["seconds", "date", "body", "text"])
def test_every_form_of_retry_advice(server, advice):
    server.fault("GET /hardware", retry_after=7, advice=(advice,))
    before = int(time.time())
    status, headers, body = ask(server, "GET", "/v1/hardware")
    document = json.loads(body)
    assert status == document["status"] == 429
    assert headers["ratelimit-remaining"] == "0"
    given = {
        "seconds": lambda: headers["retry-after"] == "7",
        "date": lambda: (
            before + 7
            <= parsedate_to_datetime(headers["retry-after"]).timestamp()
            <= time.time() + 7
        ),
        "body": lambda: document["retry_after"] == 7,
        "text": lambda: "resets in ~7s" in document["detail"],
    }
    assert given.pop(advice)()
    assert ("retry-after" in headers) == (advice in ("seconds", "date"))
    assert ("retry_after" in document) == (advice == "body")
    assert ("resets" in document["detail"]) == (advice == "text")


def test_limits_are_by_the_minute_and_refill_with_the_clock(server, client):
    server.settings.rate_limits = RateLimits(create=2, get=3, other=1)
    first = client.predictions.create(model="acme/shout", input={})
    client.predictions.create(model="acme/shout", input={})
    with pytest.raises(exceptions.RateLimitError, match="2 requests per minute") as caught:
        client.predictions.create(model="acme/shout", input={})
    assert 25 < caught.value.retry_after <= 30
    for _ in range(3):
        client.predictions.get(first.id)
    with pytest.raises(exceptions.RateLimitError):
        client.predictions.get(first.id)
    status, headers, _ = ask(server, "GET", "/v1/hardware")
    assert (status, headers["ratelimit-remaining"]) == (200, "0")
    assert ask(server, "GET", "/v1/account")[0] == 429
    server.advance(seconds=30)
    client.predictions.create(model="acme/shout", input={})
    with pytest.raises(exceptions.RateLimitError):
        client.predictions.create(model="acme/shout", input={})


def test_a_client_that_listens_to_the_advice_gets_through(server):
    server.fault("POST /models/*", retry_after=1, advice=("body",))
    client = replicate.Replicate(api_token=server.token, base_url=server.base_url)
    assert client.run("acme/shout", {}) == "HI"


# The clock


def test_a_deadline_aborts_what_has_not_begun_and_cancels_what_has(server, client):
    server.model("acme/cold", cold_start=3600)(shouting)
    cold = json.loads(
        ask(server, "POST", "/v1/models/acme/cold/predictions", {"input": {}}, Cancel_After="30")[2]
    )
    slow = json.loads(
        ask(server, "POST", "/v1/models/acme/slow/predictions", {"input": {}}, Cancel_After="1m")[2]
    )
    assert "deadline" in cold
    until(lambda: client.predictions.get(slow["id"]).status == "processing")
    server.advance(seconds=30)
    assert client.predictions.get(cold["id"]).status == "aborted"
    assert client.predictions.get(slow["id"]).status == "processing"
    server.advance(seconds=30)
    assert client.predictions.get(slow["id"]).status == "canceled"
    assert "started_at" not in client.predictions.get(cold["id"])


def shouting(text: str = "") -> str:
    return text


def test_data_is_removed_after_an_hour(server, client):
    prediction = client.predictions.create(model="acme/files", input={}, wait=True)
    url = prediction.output[0]
    assert get(url)[0] == 200
    server.advance(minutes=59)
    assert client.predictions.get(prediction.id).output == [url]
    server.advance(minutes=1)
    removed = client.predictions.get(prediction.id)
    assert (removed.output, removed.input, removed.logs, removed.data_removed) == (
        None,
        {},
        "",
        True,
    )
    assert get(url)[0] == get(prediction.urls["stream"])[0] == 404


def test_data_is_removed_after_a_cancel_too_even_if_the_model_does_not_listen(server, client):
    prediction = client.predictions.create(model="acme/gated", input={})
    until(lambda: client.predictions.get(prediction.id).output)
    client.predictions.cancel(prediction.id)
    server.advance(hours=1)
    assert client.predictions.get(prediction.id).data_removed


def test_uploads_expire_after_a_day(server, client):
    file = client.files.create(b"abc", filename="a.txt")
    server.advance(hours=23.99)
    assert client.files.get(file.id).size == 3
    server.advance(hours=0.02)
    with pytest.raises(exceptions.NotFoundError):
        client.files.get(file.id)
    assert json.loads(ask(server, "GET", "/v1/files")[2])["results"] == []


def test_a_download_needs_a_fresh_signature(server, client):
    file = client.files.create(b"abc", filename="a.txt")
    query = server.signed_download(file.id, seconds=60)

    def download(**changes):
        text = replicate_query(query | changes)
        return get(f"{server.base_url}/files/{file.id}/download?{text}")

    status, headers, body = download()
    assert (status, headers["content-type"], body) == (200, "application/octet-stream", b"abc")
    assert (
        download(owner="eve")[0]
        == download(expiry="99999999999")[0]
        == download(signature="x")[0]
        == 404
    )
    server.advance(seconds=61)
    assert download()[0] == 404


def replicate_query(fields):
    from urllib.parse import urlencode

    return urlencode(fields)


# Webhooks


def test_webhooks_are_filtered_and_signed(server, client):
    with Receiver() as receiver:
        client.run("acme/shout", {}, webhook=receiver.url)
        client.run(
            "acme/shout", {}, webhook=receiver.url, webhook_events_filter=["start", "completed"]
        )
        received = [receiver.received.get(timeout=10) for _ in range(3)]
        until(lambda: all(each.is_delivered for each in server.deliveries))
    # Webhooks are sent concurrently, so that their order may differ.
    assert sorted(each.event for each in server.deliveries) == ["completed", "completed", "start"]
    for path, headers, body in received:
        assert path == "/hook?customer=1"
        assert replicate.validate_webhook(headers=headers, body=body, secret=server.webhook_secret)


def test_output_and_logs_are_told_at_most_twice_a_second(server, client):
    with Receiver() as receiver:
        filter = ["output", "logs", "completed"]
        client.run(
            "acme/words", {"text": "w " * 500}, webhook=receiver.url, webhook_events_filter=filter
        )
        until(lambda: any(each.event == "completed" for each in server.deliveries))
        first = receiver.received.get(timeout=10)
    events = [each.event for each in server.deliveries]
    assert events.count("completed") == 1
    assert 1 <= len(events) - 1 <= 3
    assert json.loads(first[2])["model"] == "acme/words"


def test_what_is_throttled_is_told_later(server, client):
    with Receiver() as receiver:
        prediction = client.predictions.create(
            model="acme/gated", input={}, webhook=receiver.url, webhook_events_filter=["output"]
        )
        assert json.loads(receiver.received.get(timeout=10)[2])["output"] == ["first"]
        server.gate.set()
        client.wait(prediction)
        server.advance(seconds=0.5)
        assert json.loads(receiver.received.get(timeout=10)[2])["output"] == ["first", "second"]


def test_the_last_webhook_is_sent_again_with_its_id_until_it_is_taken(server, client):
    with Receiver(500, 302, 404) as receiver:
        client.run("acme/shout", {}, webhook=receiver.url, webhook_events_filter=["completed"])
        for attempt in range(1, 4):
            until(
                lambda attempt=attempt: (
                    len(server.deliveries) == 1 and len(server.deliveries[0].answers) == attempt
                )
            )
            server.advance(seconds=4)
        received = [receiver.received.get(timeout=10) for _ in range(4)]
        until(lambda: server.deliveries[0].is_delivered)
    failed, redirected, *rest = server.deliveries[0].answers
    assert (failed, rest) == (500, [404, 204])
    assert "redirects a POST, which is not followed" in redirected
    assert len({headers["webhook-id"] for _, headers, _ in received}) == 1
    assert {path for path, _, _ in received} == {"/hook?customer=1"}


def test_only_the_last_webhook_is_sent_again_and_not_for_ever(server, client):
    filter = ["start", "completed"]
    client.run("acme/shout", {}, webhook="http://127.0.0.1:1/", webhook_events_filter=filter)
    until(lambda: len(server.deliveries) == 2 and all(each.answers for each in server.deliveries))
    for attempt in range(2, 9):
        server.advance(seconds=40)
        until(
            lambda attempt=attempt: max(len(each.answers) for each in server.deliveries) == attempt
        )
    server.advance(hours=1)
    answers = {each.event: len(each.answers) for each in server.deliveries}
    assert answers == {"start": 1, "completed": 8}


def test_copies_on_request(server, client):
    server.settings.webhook_copies = 3
    with Receiver() as receiver:
        client.run("acme/shout", {}, webhook=receiver.url, webhook_events_filter=["completed"])
        ids = {receiver.received.get(timeout=10)[1]["webhook-id"] for _ in range(3)}
    assert len(ids) == 1


def test_after_a_rotation_both_keys_sign_for_a_day(server, client):
    old = server.webhook_secret
    new = server.rotate_webhook_secret()
    assert server.webhook_secret == new != old
    with Receiver() as receiver:

        def signatures():
            client.run("acme/shout", {}, webhook=receiver.url, webhook_events_filter=["completed"])
            _, headers, body = receiver.received.get(timeout=10)
            accepted = [
                replicate.validate_webhook(headers=headers, body=body, secret=each)
                for each in (old, new)
            ]
            return len(headers["webhook-signature"].split()), accepted

        assert signatures() == (2, [True, True])
        server.advance(hours=24)
        assert signatures() == (1, [False, True])


@pytest.mark.parametrize("url", ["nope", "ftp://x/", "http://", "http://[", ""])
def test_a_webhook_has_an_address(server, url):
    status, _, body = ask(
        server, "POST", "/v1/models/acme/shout/predictions", {"input": {}, "webhook": url}
    )
    assert (status, json.loads(body)["invalid_fields"][0]["field"]) == (422, "webhook")


# Streams


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


def test_file_streams_are_at_their_own_path(server, client):
    prediction = client.predictions.create(model="acme/files", input={}, wait=True)
    assert "/v1/files/" in prediction.urls["stream"]
    assert f"data: {prediction.output[0]}\n" in get(prediction.urls["stream"])[2].decode()
    assert "stream" not in client.predictions.create(model="acme/shout", input={}).urls


# Output files


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


# Tokens and the log


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
