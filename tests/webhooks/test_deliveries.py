"""Webhooks of the local server, and the signing secret that the client fetches."""

import json
import pickle
from functools import partial

import pytest

import replicate_rs as replicate
from replicate_rs.local import LocalReplicate
from support.webhooks import SECRET, Receiver
from support.wire import Wire, reply


def receive(both, start):
    """Return headers and body of the two webhooks that `start(url)` causes."""
    with Receiver() as receiver:
        both(lambda: start(receiver.url))
        return [receiver.received.get(timeout=10)[1:] for _ in range(2)]


def test_the_local_server_delivers_what_the_client_accepts(both, client):
    events = ["start", "completed"]
    deliveries = receive(
        both,
        lambda url: client.run(
            "acme/shout", {"text": "hi"}, webhook=url, webhook_events_filter=events
        ),
    )
    secret = both(lambda: client.webhooks.default.secret.get())
    assert both(lambda: client.webhooks.default.secret()) == secret
    verifier = replicate.WebhookVerifier(secret)
    for headers, body in deliveries:
        assert replicate.validate_webhook(secret=secret, headers=headers, body=body)
        assert verifier.unwrap(headers, body).input == {"text": "hi"}
    assert {json.loads(body)["status"] for _, body in deliveries} >= {"succeeded"}


def test_a_training_s_webhooks_are_unwrapped_to_trainings(both):
    server = LocalReplicate()

    @server.model("acme/shout")
    def shout(text: str = "") -> str:
        return text.upper()

    @server.training("acme/shout")
    def train(steps: int = 1) -> bytes:
        return b"weights"

    with server:
        client = both.client(server.base_url, api_token=server.token)
        both(lambda: client.models.create("acme", "new", visibility="private", hardware="cpu"))
        given = {"version": server.version("acme/shout"), "input": {}, "destination": "acme/new"}
        events = ["start", "completed"]
        create = partial(
            client.trainings.create, model="acme/shout", webhook_events_filter=events, **given
        )
        deliveries = receive(both, lambda url: create(webhook=url))
        verifier = replicate.WebhookVerifier(server.webhook_secret)
    told = {each.status: each for each in (verifier.unwrap(*delivery) for delivery in deliveries)}
    assert all(type(each) is replicate.Training for each in told.values())
    assert told["succeeded"].destination == "acme/new"


@pytest.mark.parametrize(
    "answer",
    [
        reply(f'{{"key":"{SECRET}"'.encode()),
        reply([SECRET]),
        reply({"key": SECRET}, 404),
        reply({"detail": f"{SECRET} is old"}, 401),
    ],
)
def test_a_secret_is_not_shown_when_fetching_it_goes_wrong(both, answer):
    with Wire(lambda _: answer) as wire:
        with pytest.raises(replicate.APIError) as caught:
            both(lambda: both.client(wire.base_url, max_retries=0).webhooks.default.secret.get())
    error = caught.value
    shown = f"{error} {error!r} {vars(error)} {error.args} {error.to_dict()} {pickle.dumps(error)}"
    assert SECRET[6:] not in shown
    assert "[REDACTED]" in shown


def test_the_secret_is_fetched_once_where_that_is_enough(both, client, local):
    get = client.webhooks.default.secret.get
    first = both(lambda: get(cached=True))
    count = len(local.requests)
    assert both(lambda: get(cached=True)) is first
    assert both(lambda: client.webhooks.default.secret(cached=True)) is first
    assert len(local.requests) == count
    local.rotate_webhook_secret()
    newer = both(get)
    assert newer.key == local.webhook_secret != first.key
    assert both(lambda: get(cached=True)) is newer, "the secret that was fetched last is cached"
    other = both.client(local.base_url, api_token=local.token)
    both(lambda: other.webhooks.default.secret.get(cached=True))
    assert len(local.requests) == count + 2, "each client has its own cache"
