"""Parts of the example receivers, called without a server."""

import asyncio
import threading

import fastapi
import httpx
import pytest

import replicate_rs as replicate
from support.receivers import make_webhook, until
from support.webhooks import example

webhook_fastapi, webhook_django, webhook_flask = map(
    example, ("webhook_fastapi", "webhook_django", "webhook_flask")
)


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
    webhook = make_webhook(secret, body=b'{"id": "p1"}')
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
    # A sender that hangs up causes no error.
    assert call("/webhooks", webhook=webhook, parts=[{"type": "http.disconnect"}]) == [400]
    assert passed == []
    assert call("/webhooks-of-others") == [204]
    assert call("/", kind="websocket") == [204]
    assert passed == ["http", "websocket"]

    # A webhook that the app did not answer with success is passed to it again.
    webhook = make_webhook(secret)
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

    headers, body = make_webhook("whsec_AAAA", body=b'{"id": "p1"}')
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
    headers, body = make_webhook("whsec_AAAA")
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
        assert not seen.is_settled(headers["webhook-id"]), "a copy that arrives now is refused"
        released.set()
        await asyncio.to_thread(until, lambda: seen.is_settled(headers["webhook-id"]))

    try:
        asyncio.run(hang_up())
    finally:
        webhook_django.verifier.cache_clear()


@pytest.mark.parametrize("path", ["/webhooks/replicate", "/guarded/replicate"])
def test_a_webhook_is_settled_before_its_answer_is_sent(path, monkeypatch):
    """Otherwise a copy that is sent at once would be refused, and sent once more."""
    settled = []

    async def handle(webhook):
        settled.append(webhook_fastapi.seen.is_settled(headers["webhook-id"]))

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        settled.append(webhook_fastapi.seen.is_settled(headers["webhook-id"]))

    monkeypatch.setattr(webhook_fastapi, "handle", handle)
    headers, body = make_webhook("whsec_AAAA")
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


def test_the_secret_may_be_given(local, monkeypatch):
    monkeypatch.setenv("REPLICATE_BASE_URL", local.base_url)
    monkeypatch.setenv("REPLICATE_API_TOKEN", local.token)
    monkeypatch.setenv("REPLICATE_WEBHOOK_SECRET", "whsec_AAAA")
    before = len(local.requests)

    async def started():
        async with webhook_fastapi.lifespan(webhook_fastapi.app) as state:
            return state["verifier"]

    # Not the cached verifiers, which other tests use.
    for verifier in (
        asyncio.run(started()),
        webhook_flask.verifier.__wrapped__(),
        webhook_django.verifier.__wrapped__(),
    ):
        headers, body = make_webhook("whsec_AAAA", body=b'{"id": "p1"}')
        assert verifier.unwrap(headers, body).id == "p1"
    assert len(local.requests) == before
