"""Webhooks of the local server: which are sent, how they are signed, and when they are repeated."""

import json
import threading
from collections.abc import Iterator

import pytest

import replicate_rs as replicate
from support import served_models
from support.conditions import until
from support.local_requests import ask
from support.webhooks import Receiver
from support.wire import Wire, reply

server, client = served_models.server, served_models.client


def await_attempts(server, count):
    """Wait until the only delivery was attempted so often."""
    until(lambda: len(server.deliveries) == 1 and len(server.deliveries[0].answers) == count)


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
    told = threading.Event()

    @server.model("acme/flood", stream=True)
    def flood() -> Iterator[str]:
        yield "first"
        # Until its output was told.
        assert told.wait(10)
        for _ in range(500):
            yield "w "

    with Receiver() as receiver:
        client.predictions.create(
            model="acme/flood",
            input={},
            webhook=receiver.url,
            webhook_events_filter=["output", "logs", "completed"],
        )
        first = receiver.received.get(timeout=10)
        told.set()
        until(lambda: any(each.event == "completed" for each in server.deliveries))
    events = [each.event for each in server.deliveries]
    assert events.count("completed") == 1
    assert 1 <= len(events) - 1 <= 3
    assert json.loads(first[2])["model"] == "acme/flood"


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
            await_attempts(server, attempt)
            server.advance(seconds=4)
        received = [receiver.received.get(timeout=10) for _ in range(4)]
        until(lambda: server.deliveries[0].is_delivered)
    failed, redirected, *rest = server.deliveries[0].answers
    assert (failed, rest) == (500, [404, 204])
    assert "redirects a POST, which is not followed" in redirected
    assert len({headers["webhook-id"] for _, headers, _ in received}) == 1
    assert {path for path, _, _ in received} == {"/hook?customer=1"}


def test_each_attempt_has_a_connection_of_its_own(server, client):
    """A receiver may close a connection after an answer, just when the next webhook is sent."""
    used = threading.local()

    def answer(_):
        is_used, used.value = hasattr(used, "value"), True
        return None if is_used else reply(status=500)

    with Wire(answer) as wire:
        client.run("acme/shout", {}, webhook=wire.base_url, webhook_events_filter=["completed"])
        for attempt in range(1, 4):
            await_attempts(server, attempt)
            server.advance(seconds=4)
        assert server.deliveries[0].answers[:3] == [500, 500, 500]


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
