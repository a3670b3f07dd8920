"""The three examples that receive webhooks, on real servers, with the local server delivering."""

import asyncio
import itertools
import json
import socket
import threading
import time
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import fastapi
import httpx
import pytest
import uvicorn

import replicate_rs as replicate
from replicate_rs.local import LocalReplicate
from support.webhooks import example, signed

webhook_fastapi, webhook_django, webhook_flask = map(
    example, ("webhook_fastapi", "webhook_django", "webhook_flask")
)


def until(condition, *, meanwhile=lambda: None):
    """Wait for a condition."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came"
        meanwhile()
        time.sleep(0.002)


# Servers


@contextmanager
def asgi(app, lifespan):
    """An ASGI app behind uvicorn: its origin."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan=lifespan))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started or not thread.is_alive())
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


class ThreadingServer(ThreadingMixIn, WSGIServer):
    pass


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def wsgi(app):
    """A WSGI app behind the standard library's server, with a thread for each request: its origin."""
    with make_server("127.0.0.1", 0, app, ThreadingServer, QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


gates = defaultdict(threading.Event)


@pytest.fixture(scope="module")
def service():
    """Its clock is moved and its settings change, so it is not the one that other tests have."""
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
    """The URL of each way to receive webhooks, and the module that it is in."""
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


class Receiver:
    """A receiver, and what its handler is given."""

    def __init__(self, module, url):
        self.module, self.url = module, url
        self.handled = []
        # What the next ones do instead of succeeding.
        self.turns = []

    def handle(self, webhook):
        assert isinstance(webhook, replicate.Prediction)
        self.handled.append((webhook.id, webhook.status))
        if self.turns:
            self.turns.pop(0)()

    async def ahandle(self, webhook):
        await asyncio.to_thread(self.handle, webhook)

    def post(self, headers, body, method="POST"):
        """The status of the answer to a request."""
        host, _, port = self.url.split("/")[2].partition(":")
        lines = [
            f"{method} /{self.url.split('/', 3)[3]} HTTP/1.1",
            f"Host: {host}:{port}",
            "Connection: close",
        ]
        lines += [
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            # All at once: a server that hangs up on a body it has not read would reset the
            # connection.
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            with connection.makefile("rb") as answer:
                return int(answer.read().split()[1])


@pytest.fixture(params=["fastapi", "asgi", "django", "django async", "flask"])
def receiver(request, receivers, monkeypatch):
    receiver = Receiver(*receivers[request.param])
    module = receiver.module
    monkeypatch.setattr(
        module, "handle", receiver.ahandle if module is webhook_fastapi else receiver.handle
    )
    # Each test has a guard of its own, and leaves nothing half done.
    module.seen._ids.clear()
    yield receiver
    assert all(module.seen.is_settled(id) for id in module.seen._ids)


numbers = itertools.count()


def made(secret, *, body=None, id=None, age=0):
    """A webhook: headers and body."""
    body = (
        json.dumps({"id": f"p{next(numbers)}", "status": "succeeded"}).encode()
        if body is None
        else body
    )
    headers = signed(body, id=id or f"msg_{next(numbers)}", age=age, secret=secret)
    return {**headers, "content-type": "application/json"}, body


def create(service, url, model="acme/shout", events=("completed",), **input):
    """Make a prediction that tells a URL of itself: its id."""
    client = replicate.Replicate(service.token, base_url=service.base_url)
    return client.predictions.create(
        model=model, input=input, webhook=url, webhook_events_filter=list(events)
    ).id


def deliveries(service, id):
    return [each for each in service.deliveries if each.prediction == id]


def test_a_receiver_handles_what_is_delivered(receiver, service):
    gate = f"gate {next(numbers)}"
    id = create(service, receiver.url, "acme/gated", ("start", "completed"), gate=gate)
    until(lambda: all(each.is_delivered for each in deliveries(service, id)) and receiver.handled)
    gates[gate].set()
    until(lambda: len(receiver.handled) == 2)
    assert receiver.handled == [(id, "processing"), (id, "succeeded")]
    until(lambda: all(each.is_delivered for each in deliveries(service, id)))
    assert [(each.event, len(each.answers)) for each in deliveries(service, id)] == [
        ("start", 1),
        ("completed", 1),
    ]


def test_a_receiver_refuses_what_is_not_genuine(receiver, service):
    headers, body = made(service.webhook_secret)
    old, _ = made(service.webhook_secret, body=body, age=301)
    other, _ = made("whsec_AAAA", body=body)
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
        # Signed, but no webhook.
        made(service.webhook_secret, body=b"[]"),
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
    webhook = made(service.webhook_secret)
    assert receiver.post(*webhook) in (200, 204)
    assert [receiver.post(*webhook) for _ in range(2)] == [200, 200]
    assert len(receiver.handled) == 1

    monkeypatch.setattr(service.settings, "webhook_copies", 2)
    id = create(service, receiver.url, text="hi")
    until(lambda: len(deliveries(service, id)) == 2)
    # A copy that comes while the first is handled is told to come later.
    until(
        lambda: all(each.is_delivered for each in deliveries(service, id)),
        meanwhile=lambda: service.advance(seconds=1),
    )
    answers = [answer for each in deliveries(service, id) for answer in each.answers]
    assert set(answers) <= {200, 204, 409}
    assert receiver.handled[1:] == [(id, "succeeded")]


def fail():
    raise RuntimeError("the database is gone")


def test_a_webhook_whose_handling_failed_comes_again(receiver, service):
    receiver.turns = [fail, fail]
    id = create(service, receiver.url, text="hi")
    for attempts in (1, 2):
        until(
            lambda: deliveries(service, id) and len(deliveries(service, id)[0].answers) == attempts
        )
        assert deliveries(service, id)[0].answers == [500] * attempts
        service.advance(seconds=1)
    until(lambda: deliveries(service, id)[0].is_delivered)
    assert receiver.handled == [(id, "succeeded")] * 3


def test_success_is_not_told_while_the_handling_may_fail(receiver, service):
    webhook = made(service.webhook_secret)
    entered, released = threading.Event(), threading.Event()

    def wait_and_fail():
        entered.set()
        assert released.wait(10)
        fail()

    receiver.turns = [wait_and_fail]
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
        made(service.webhook_secret, body=json.dumps({"id": "x" * size}).encode())
        for size in (500, 501)
    )
    monkeypatch.setattr(receiver.module, "LIMIT", len(fits[1]))
    assert receiver.post(*too_large) == 413
    assert receiver.handled == []
    assert receiver.post(*fits) in (200, 204)
    assert len(receiver.handled) == 1


def test_the_middleware_gives_the_body_again_and_guards_its_path_only():
    secret, seen = "whsec_AAAA", webhook_fastapi.seen
    verifier = replicate.WebhookVerifier(secret, seen=seen)

    async def app(scope, receive, send):
        passed.append(scope["type"])
        if "webhook" in scope.get("state", {}):
            passed.extend([scope["state"]["webhook"].id, await receive(), await receive()])
        if status is not None:
            await send({"type": "http.response.start", "status": status, "headers": []})

    def call(path, kind="http", webhook=None, parts=None):
        headers, body = webhook or ({}, b"")
        messages = [
            *(
                parts
                or [
                    {"type": "http.request", "body": part, "more_body": True}
                    for part in (body[:9], body[9:])
                ]
            ),
            {"type": "http.request"},
            {"type": "http.disconnect"},
        ]
        sent = []

        async def receive():
            return messages.pop(0)

        async def send(message):
            sent.append(message)

        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": kind, "path": path, "method": "POST", "headers": pairs}
        asyncio.run(webhook_fastapi.VerifiedWebhooks(app, verifier)(scope, receive, send))
        return [message["status"] for message in sent if "status" in message]

    passed, status = [], 204
    webhook = made(secret, body=b'{"id": "p1"}')
    assert call("/webhooks", webhook=webhook) == [204]
    assert passed == [
        "http",
        "p1",
        {"type": "http.request", "body": webhook[1]},
        {"type": "http.disconnect"},
    ]
    passed.clear()
    for path in ("/webhooks", "/webhooks/", "/webhooks/replicate"):
        assert call(path) == [400]
    assert call("/webhooks", webhook=webhook) == [200]
    # Who hangs up is answered too, and nothing breaks.
    assert call("/webhooks", webhook=webhook, parts=[{"type": "http.disconnect"}]) == [400]
    assert passed == []
    assert call("/webhooks-of-others") == [204]
    assert call("/", kind="websocket") == [204]
    assert passed == ["http", "websocket"]

    # An app that fails in its own way, or does not answer at all, is given the webhook again.
    webhook = made(secret)
    for status in (503, None, 404, 302):
        assert call("/webhooks", webhook=webhook) == ([] if status is None else [status])
    status = 202
    assert call("/webhooks", webhook=webhook) == [202]
    assert call("/webhooks", webhook=webhook) == [200]
    assert all(seen.is_settled(id) for id in seen._ids)


@pytest.mark.parametrize("prefixed", [True, False])
def test_the_middleware_guards_what_the_router_calls_its_path(prefixed):
    app = fastapi.FastAPI()
    app.add_middleware(
        webhook_fastapi.VerifiedWebhooks, verifier=replicate.WebhookVerifier("whsec_AAAA")
    )

    @app.post("/webhooks/replicate")
    async def endpoint(request: fastapi.Request) -> str:
        return request.state.webhook.id

    async def ask(headers, body):
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app, root_path="/api")
        ) as client:
            path = "/api/webhooks/replicate" if prefixed else "/webhooks/replicate"
            answer = await client.post(f"http://test{path}", headers=headers, content=body)
            return answer.status_code, answer.text

    headers, body = made("whsec_AAAA", body=b'{"id": "p1"}')
    assert asyncio.run(ask(headers, body)) == (200, '"p1"')
    assert asyncio.run(ask(headers, body + b" "))[0] == 400


def test_what_django_has_begun_is_finished_when_the_sender_hangs_up(monkeypatch):
    entered, released, seen = threading.Event(), threading.Event(), webhook_django.seen

    def handle(webhook):
        entered.set()
        assert released.wait(10)

    monkeypatch.setattr(webhook_django, "handle", handle)
    monkeypatch.setenv("REPLICATE_WEBHOOK_SECRET", "whsec_AAAA")
    webhook_django.verifier.cache_clear()
    headers, body = made("whsec_AAAA")
    messages = [{"type": "http.request", "body": body}]

    async def receive():
        if messages:
            return messages.pop()
        await asyncio.to_thread(entered.wait, 10)
        return {"type": "http.disconnect"}

    async def send(message):
        pass

    async def hang_up():
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http",
            "path": "/async/webhooks/replicate",
            "method": "POST",
            "headers": pairs,
            "query_string": b"",
        }
        await webhook_django.asgi(scope, receive, send)
        assert seen(headers["webhook-id"])
        assert not seen.is_settled(headers["webhook-id"]), (
            "one that comes now is told to come later"
        )
        released.set()
        await asyncio.to_thread(until, lambda: seen.is_settled(headers["webhook-id"]))

    try:
        asyncio.run(hang_up())
    finally:
        webhook_django.verifier.cache_clear()


@pytest.mark.parametrize("path", ["/webhooks/replicate", "/guarded/replicate"])
def test_a_webhook_is_settled_before_its_answer_is_sent(path, monkeypatch):
    """Otherwise one that comes again at once could be told to come later, for no reason."""
    settled = []

    async def handle(webhook):
        settled.append(webhook_fastapi.seen.is_settled(headers["webhook-id"]))

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        settled.append(webhook_fastapi.seen.is_settled(headers["webhook-id"]))

    monkeypatch.setattr(webhook_fastapi, "handle", handle)
    headers, body = made("whsec_AAAA")
    state = {"verifier": replicate.WebhookVerifier("whsec_AAAA", seen=webhook_fastapi.seen)}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "path": path,
        "method": "POST",
        "headers": pairs,
        "query_string": b"",
        "state": state,
    }
    asyncio.run(webhook_fastapi.app(scope, receive, send))
    assert settled == [False, True, True]


def test_the_secret_may_be_given(service, monkeypatch):
    monkeypatch.setenv("REPLICATE_WEBHOOK_SECRET", "whsec_AAAA")
    before = len(service.requests)

    async def started():
        async with webhook_fastapi.lifespan(webhook_fastapi.app) as state:
            return state["verifier"]

    # Not the one that is kept for the other tests.
    for verifier in (
        asyncio.run(started()),
        webhook_flask.verifier.__wrapped__(),
        webhook_django.verifier.__wrapped__(),
    ):
        headers, body = made("whsec_AAAA", body=b'{"id": "p1"}')
        assert verifier.unwrap(headers, body).id == "p1"
    assert len(service.requests) == before
