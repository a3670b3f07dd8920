"""Faults of the local server: what matches a request, what it does, and what is refused."""

import http.client
import json
import time

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from replicate_rs.local import LocalReplicate
from support import served_models
from support.local_requests import ask, get

server, client = served_models.server, served_models.client


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
