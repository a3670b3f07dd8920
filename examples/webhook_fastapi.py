"""Receive Replicate's webhooks with FastAPI, or with a middleware for any ASGI application.

    REPLICATE_API_TOKEN=r8_… uvicorn --app-dir examples webhook_fastapi:app

`handle` processes the webhooks of predictions created with
``webhook="https://…/webhooks/replicate"``. The signing secret is ``REPLICATE_WEBHOOK_SECRET``;
without it, the secret is fetched from Replicate when the application starts.
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

# A body contains the model's output: long texts, and files as `data:` URIs.
MAX_BODY_BYTES = 16 << 20

# The ids of accepted webhooks. Several processes need a store that they share.
seen = SeenWebhooks()


async def handle(webhook: Prediction | Training) -> None:
    """Process a webhook: your code goes here.

    If it raises, Replicate sends the last webhook of a prediction again, several times within a
    minute.
    """
    print(f"{webhook.id} {webhook.status}")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, Any]]:
    """Create the verifier at startup; requests find it as ``request.state.verifier``."""
    secret = os.environ.get("REPLICATE_WEBHOOK_SECRET")
    if not secret:
        async with AsyncReplicate() as client:
            secret = (await client.webhooks.default.secret.get()).key
    yield {"verifier": WebhookVerifier(secret, seen=seen)}


async def read(request: Request) -> bytes:
    """Read the body, up to the limit: the sender is not verified yet."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise HTTPException(413, "the body is too large")
    except ClientDisconnect as error:
        raise HTTPException(400, "the body is incomplete") from error
    return bytes(body)


def verify(
    verifier: WebhookVerifier, headers: Mapping[str, str], body: bytes
) -> Prediction | Training:
    """Return a genuine, new webhook.

    Raises:
        HTTPException: The response to a webhook that is not genuine or not new.

    """
    try:
        return verifier.unwrap(headers, body)
    except ReplayedWebhookError as error:
        # Replicate repeats a webhook until a response has a 2xx status. Such a response, sent while
        # the first copy is still handled, would lose the webhook if that handling failed.
        status = 200 if seen.is_settled(headers["webhook-id"]) else 409
        raise HTTPException(status, str(error)) from error
    except WebhookValidationError as error:
        raise HTTPException(400, str(error)) from error


async def receive_webhook(request: Request) -> AsyncGenerator[Prediction | Training]:
    """Yield a verified webhook to a route; the handling fails if the route raises.

    A dependency does not see the status of a response that the route returns.
    """
    webhook = verify(request.state.verifier, request.headers, await read(request))
    succeeded = False
    try:
        yield webhook
        succeeded = True
    finally:
        # Replicate sends a webhook again whose handling failed; it must be accepted then.
        seen.settle(request.headers["webhook-id"], succeeded=succeeded)


# The scope "function" settles the webhook before the response is sent: Replicate may repeat the
# webhook as soon as it has the response.
Webhook = Annotated[Prediction | Training, Depends(receive_webhook, scope="function")]

app = FastAPI(lifespan=lifespan)


@app.post("/webhooks/replicate")
async def receive(webhook: Webhook) -> None:
    """Handle a webhook that the dependency has verified."""
    await handle(webhook)


class VerifiedWebhooks:
    """ASGI middleware that verifies the webhooks below a path.

    The application receives genuine, new webhooks only, as ``request.state.webhook``. Requests to
    other paths pass unchanged.

    Args:
        app: The application.
        verifier: The verifier; without it, ``request.state.verifier``, which `lifespan` sets.
        path: The path to protect, with all paths below it.

    """

    def __init__(
        self, app: ASGIApp, verifier: WebhookVerifier | None = None, path: str = "/webhooks"
    ) -> None:
        self.app = app
        self.verifier = verifier
        self.path = path.strip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Verify a request, then call the application or send an error response."""
        # Like the router, ignore the prefix of a proxy or a mount.
        path = f"{scope.get('path')}/".removeprefix(f"{scope.get('root_path', '')}/").lstrip("/")
        if scope["type"] != "http" or not path.startswith(f"{self.path}/"):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            body = await read(request)
            webhook = verify(self.verifier or request.state.verifier, request.headers, body)
        except HTTPException as error:
            await PlainTextResponse(error.detail, error.status_code)(scope, receive, send)
            return
        id = request.headers["webhook-id"]
        unread_bodies = [body]
        has_response = False

        async def receive_body() -> Message:
            # The application may read the body again.
            if unread_bodies:
                return {"type": "http.request", "body": unread_bodies.pop()}
            return await receive()

        async def settle_and_send(message: Message) -> None:
            nonlocal has_response
            if message["type"] == "http.response.start":
                # Replicate may repeat the webhook as soon as it has the response.
                has_response = True
                seen.settle(id, succeeded=200 <= message["status"] < 300)
            await send(message)

        state = {**scope.get("state", {}), "webhook": webhook}
        try:
            await self.app({**scope, "state": state}, receive_body, settle_and_send)
        finally:
            if not has_response:
                seen.settle(id, succeeded=False)


@app.post("/guarded/replicate")
async def receive_guarded(request: Request) -> None:
    """Handle a webhook that the middleware has verified."""
    await handle(request.state.webhook)


app.add_middleware(VerifiedWebhooks, path="/guarded")


if __name__ == "__main__":
    uvicorn.run(app)
