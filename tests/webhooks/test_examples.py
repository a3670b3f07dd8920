"""The example receivers of webhooks on real servers, with webhooks from the local server."""

import json
import threading
from collections import defaultdict
from contextlib import ExitStack

import pytest

import replicate_rs as replicate
from replicate_rs.local import LocalReplicate
from support.receivers import ExampleReceiver, asgi, make_webhook, numbers, until, wsgi
from support.webhooks import example

webhook_fastapi, webhook_django, webhook_flask = map(
    example, ("webhook_fastapi", "webhook_django", "webhook_flask")
)


gates = defaultdict(threading.Event)


@pytest.fixture(scope="module")
def service():
    """A server of these tests alone: they move its clock and change its settings."""
    server = LocalReplicate(token="r8_hooks")

    @server.model("acme/gated")
    def gated(gate: str) -> str:
        assert gates[gate].wait(10)
        return gate

    @server.model("acme/shout")
    def shout(text: str) -> str:
        return text.upper()

    with server:
        yield server


@pytest.fixture(scope="module")
def receivers(service):
    """The module and the URL of each receiver."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as environment:
        environment.setenv("REPLICATE_BASE_URL", service.base_url)
        environment.setenv("REPLICATE_API_TOKEN", service.token)
        origin = stack.enter_context(asgi(webhook_fastapi.app, "on"))
        yield {
            "fastapi": (webhook_fastapi, f"{origin}/webhooks/replicate"),
            "asgi": (webhook_fastapi, f"{origin}/guarded/replicate"),
            "django": (
                webhook_django,
                f"{stack.enter_context(wsgi(webhook_django.wsgi))}/webhooks/replicate",
            ),
            "django async": (
                webhook_django,
                f"{stack.enter_context(asgi(webhook_django.asgi, 'off'))}/async/webhooks/replicate",
            ),
            "flask": (
                webhook_flask,
                f"{stack.enter_context(wsgi(webhook_flask.app))}/webhooks/replicate",
            ),
        }


@pytest.fixture(autouse=True)
def environment(service, monkeypatch):
    monkeypatch.setenv("REPLICATE_BASE_URL", service.base_url)
    monkeypatch.setenv("REPLICATE_API_TOKEN", service.token)


@pytest.fixture(params=["fastapi", "asgi", "django", "django async", "flask"])
def receiver(request, receivers, monkeypatch):
    receiver = ExampleReceiver(*receivers[request.param])
    module = receiver.module
    monkeypatch.setattr(
        module, "handle", receiver.ahandle if module is webhook_fastapi else receiver.handle
    )
    # Each test starts without ids, and settles all that it adds.
    module.seen._ids.clear()
    yield receiver
    assert all(module.seen.is_settled(id) for id in module.seen._ids)


def create_prediction(service, url, model="acme/shout", events=("completed",), **input):
    """Create a prediction with a webhook; return its id."""
    client = replicate.Replicate(service.token, base_url=service.base_url)
    return client.predictions.create(
        model=model, input=input, webhook=url, webhook_events_filter=list(events)
    ).id


def get_deliveries(service, id):
    return [delivery for delivery in service.deliveries if delivery.prediction == id]


def test_a_receiver_handles_what_is_delivered(receiver, service):
    gate = f"gate {next(numbers)}"
    id = create_prediction(service, receiver.url, "acme/gated", ("start", "completed"), gate=gate)
    until(
        lambda: all(each.is_delivered for each in get_deliveries(service, id)) and receiver.handled
    )
    gates[gate].set()
    until(lambda: len(receiver.handled) == 2)
    assert receiver.handled == [(id, "processing"), (id, "succeeded")]
    until(lambda: all(each.is_delivered for each in get_deliveries(service, id)))
    assert [(each.event, len(each.answers)) for each in get_deliveries(service, id)] == [
        ("start", 1),
        ("completed", 1),
    ]


def test_a_receiver_refuses_what_is_not_genuine(receiver, service):
    headers, body = make_webhook(service.webhook_secret)
    old, _ = make_webhook(service.webhook_secret, body=body, age=301)
    other, _ = make_webhook("whsec_AAAA", body=body)
    forged = [
        (headers, body[:-1] + b" "),
        (headers, body + b" "),
        (headers, b""),
        (headers | {"webhook-id": "msg_other"}, body),
        (old, body),
        (headers | {"webhook-timestamp": "soon"}, body),
        (other, body),
        (headers | {"webhook-signature": "garbage"}, body),
        ({}, b"\xff\x00"),
        # Signed, but not an object.
        make_webhook(service.webhook_secret, body=b"[]"),
        *(
            ({name: value for name, value in headers.items() if name != left_out}, body)
            for left_out in list(headers)[:3]
        ),
    ]
    assert [receiver.post(*each) for each in forged] == [400] * len(forged)
    assert receiver.post(headers, body, "GET") in (400, 405)
    assert receiver.handled == []
    assert receiver.post(headers, body) in (200, 204)
    assert len(receiver.handled) == 1


def test_a_receiver_handles_a_repeated_webhook_once(receiver, service, monkeypatch):
    webhook = make_webhook(service.webhook_secret)
    assert receiver.post(*webhook) in (200, 204)
    assert [receiver.post(*webhook) for _ in range(2)] == [200, 200]
    assert len(receiver.handled) == 1

    monkeypatch.setattr(service.settings, "webhook_copies", 2)
    id = create_prediction(service, receiver.url, text="hi")
    until(lambda: len(get_deliveries(service, id)) == 2)
    # A copy that arrives while the first one is handled is refused, and sent again later.
    until(
        lambda: all(each.is_delivered for each in get_deliveries(service, id)),
        meanwhile=lambda: service.advance(seconds=1),
    )
    answers = [answer for each in get_deliveries(service, id) for answer in each.answers]
    assert set(answers) <= {200, 204, 409}
    assert receiver.handled[1:] == [(id, "succeeded")]


def fail():
    raise RuntimeError("the database is gone")


def test_a_webhook_whose_handling_failed_comes_again(receiver, service):
    receiver.actions = [fail, fail]
    id = create_prediction(service, receiver.url, text="hi")
    for attempts in (1, 2):
        until(
            lambda: (
                get_deliveries(service, id)
                and len(get_deliveries(service, id)[0].answers) == attempts
            )
        )
        assert get_deliveries(service, id)[0].answers == [500] * attempts
        service.advance(seconds=1)
    until(lambda: get_deliveries(service, id)[0].is_delivered)
    assert receiver.handled == [(id, "succeeded")] * 3


def test_success_is_not_told_while_the_handling_may_fail(receiver, service):
    webhook = make_webhook(service.webhook_secret)
    entered, released = threading.Event(), threading.Event()

    def wait_and_fail():
        entered.set()
        assert released.wait(10)
        fail()

    receiver.actions = [wait_and_fail]
    answers = []
    first = threading.Thread(target=lambda: answers.append(receiver.post(*webhook)))
    first.start()
    assert entered.wait(10)
    assert receiver.post(*webhook) == 409
    released.set()
    first.join(10)
    assert answers == [500]
    assert receiver.post(*webhook) in (200, 204)
    assert receiver.post(*webhook) == 200
    assert len(receiver.handled) == 2


def test_a_receiver_reads_no_more_than_its_limit(receiver, service, monkeypatch):
    fits, too_large = (
        make_webhook(service.webhook_secret, body=json.dumps({"id": "x" * size}).encode())
        for size in (500, 501)
    )
    monkeypatch.setattr(receiver.module, "MAX_BODY_BYTES", len(fits[1]))
    assert receiver.post(*too_large) == 413
    assert receiver.handled == []
    assert receiver.post(*fits) in (200, 204)
    assert len(receiver.handled) == 1
