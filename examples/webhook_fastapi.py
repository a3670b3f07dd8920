"""Receives Replicate's webhooks with FastAPI: as a dependency of a route, or in a middleware for
any ASGI application.

    REPLICATE_API_TOKEN=r8_… uvicorn --app-dir examples webhook_fastapi:app

Predictions made with ``webhook="https://…/webhooks/replicate"`` are then handled in `handle`. Set
``REPLICATE_WEBHOOK_SECRET`` to start without asking Replicate for the secret.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from replicate_rs import (
    AsyncReplicate,
    Prediction,
    SeenWebhooks,
    Training,
    WebhookValidationError,
    WebhookVerifier,
)
from replicate_rs.webhook import ReplayedWebhookError

# Bytes of a body. What a model puts out as text, or as `data:` URIs, is in it.
LIMIT = 16 << 20

# Those that were accepted. For several processes keep them where all can see them.
seen = SeenWebhooks()


async def handle(webhook: Prediction | Training) -> None:
    """Do here what is to be done.

    If it raises, Replicate sends the webhook of the end again, several times within a minute.
    """
    print(f"{webhook.id} {webhook.status}")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, Any]]:
    """Prepare the keys, before the first request comes: each request has what this gives in its
    `state`.
    """
    secret = os.environ.get("REPLICATE_WEBHOOK_SECRET")
    if not secret:
        async with AsyncReplicate() as client:
            secret = (await client.webhooks.default.secret.get()).key
    yield {"verifier": WebhookVerifier(secret, seen=seen)}


async def read(request: Request) -> bytes:
    """Read a body, no further than to the limit: nobody has proved anything yet."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > LIMIT:
                raise HTTPException(413, "The body is too large")
    except ClientDisconnect as error:
        raise HTTPException(400, "The body is not complete") from error
    return bytes(body)


def accept(
    verifier: WebhookVerifier, headers: Mapping[str, str], body: bytes
) -> Prediction | Training:
    """Give a webhook that is to be handled now; what is raised is the answer to any other."""
    try:
        return verifier.unwrap(headers, body)
    except ReplayedWebhookError as error:
        # Only a success ends the repetitions, and it must not be told before there is one.
        raise HTTPException(
            200 if seen.is_settled(headers["webhook-id"]) else 409, str(error)
        ) from error
    except WebhookValidationError as error:
        raise HTTPException(400, str(error)) from error


# A route's dependency.


async def receive_webhook(request: Request) -> AsyncGenerator[Prediction | Training]:
    """Give a route its webhook.

    A route fails by raising: a response that it returns is not seen from here.
    """
    webhook = accept(request.state.verifier, request.headers, await read(request))
    succeeded = False
    try:
        yield webhook
        succeeded = True
    finally:
        # What is not answered with success comes again, and is then accepted again.
        seen.settle(request.headers["webhook-id"], succeeded=succeeded)


# Within the function, so that it is settled when the answer is sent.
Webhook = Annotated[Prediction | Training, Depends(receive_webhook, scope="function")]

app = FastAPI(lifespan=lifespan)


@app.post("/webhooks/replicate")
async def receive(webhook: Webhook) -> None:
    """Handle a webhook."""
    await handle(webhook)


# The same for everything under a path, whatever the application is made with.


class VerifiedWebhooks:
    """Lets only genuine, new webhooks through to an ASGI application: they are in the request's
    state as ``webhook``.

    Args:
        app: The application.
        verifier: If it is not given, the request's state has it: see `lifespan`.
        path: This path and what is below it is guarded.

    """

    def __init__(
        self, app: ASGIApp, verifier: WebhookVerifier | None = None, path: str = "/webhooks"
    ) -> None:
        self.app = app
        self.verifier = verifier
        self.path = path.strip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        # As routes are told: without what a proxy, or a mount, has in front.
        path = f"{scope.get('path')}/".removeprefix(f"{scope.get('root_path', '')}/").lstrip("/")
        if scope["type"] != "http" or not path.startswith(f"{self.path}/"):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            body = await read(request)
            webhook = accept(self.verifier or request.state.verifier, request.headers, body)
        except HTTPException as refusal:
            await PlainTextResponse(refusal.detail, refusal.status_code)(scope, receive, send)
            return
        id = request.headers["webhook-id"]
        unread = [body]
        answered = False

        async def replay() -> Message:
            return {"type": "http.request", "body": unread.pop()} if unread else await receive()

        async def watch(message: Message) -> None:
            nonlocal answered
            # Before the answer is sent, since the webhook may come again at once.
            if message["type"] == "http.response.start":
                answered = True
                seen.settle(id, succeeded=200 <= message["status"] < 300)
            await send(message)

        try:
            await self.app(
                {**scope, "state": {**scope.get("state", {}), "webhook": webhook}}, replay, watch
            )
        finally:
            if not answered:
                seen.settle(id, succeeded=False)


@app.post("/guarded/replicate")
async def receive_guarded(request: Request) -> None:
    """Handle a webhook that the middleware has verified."""
    await handle(request.state.webhook)


app.add_middleware(VerifiedWebhooks, path="/guarded")


if __name__ == "__main__":
    uvicorn.run(app)
