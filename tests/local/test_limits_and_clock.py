"""Rate limits, retry advice, and what happens as the clock of the local server moves."""

import json
import time
from email.utils import parsedate_to_datetime

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from replicate_rs.local import RateLimits
from support import served_models
from support.conditions import until
from support.local_requests import ask, get

server, client = served_models.server, served_models.client


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
