"""Receive Replicate's webhooks with Django, in blocking and in async views.

    REPLICATE_API_TOKEN=r8_… python examples/webhook_django.py

`handle` processes the webhooks of predictions created with
``webhook="https://…/webhooks/replicate"``. The signing secret is ``REPLICATE_WEBHOOK_SECRET``;
without it, the secret is fetched from Replicate when the first webhook arrives.

In a project that has settings of its own, use the part above `urlpatterns`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from functools import cache, wraps
from inspect import iscoroutinefunction
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.response import HttpResponseBase
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

import replicate_rs as replicate
from replicate_rs import Prediction, SeenWebhooks, Training, WebhookValidationError, WebhookVerifier
from replicate_rs.webhook import ReplayedWebhookError

# A body contains the model's output: long texts, and files as `data:` URIs.
MAX_BODY_BYTES = 16 << 20

# The ids of accepted webhooks. Several processes need a store that they share.
seen = SeenWebhooks()


def handle(webhook: Prediction | Training) -> None:
    """Process a webhook: your code goes here.

    If it raises, Replicate sends the last webhook of a prediction again, several times within a
    minute.
    """
    print(f"{webhook.id} {webhook.status}")


@cache
def verifier() -> WebhookVerifier:
    """Return the verifier, created once; after an error the next request tries again."""
    secret = os.environ.get("REPLICATE_WEBHOOK_SECRET") or replicate.webhooks.default.secret.get()
    return WebhookVerifier(secret, seen=seen)


def verify(verifier: WebhookVerifier, request: HttpRequest) -> Prediction | Training | HttpResponse:
    """Return a genuine, new webhook, or the response to any other request."""
    # The sender is not verified yet, so read no more than the limit. (`request.body` has Django's
    # own limit of 2.5 MB.) Under ASGI, Django has stored the whole body in a temporary file by now:
    # the server in front must limit its size.
    try:
        body = request.read(MAX_BODY_BYTES + 1)
    except UnreadablePostError:
        return text_response("the body is incomplete", 400)
    if len(body) > MAX_BODY_BYTES:
        return text_response("the body is too large", 413)
    try:
        return verifier.unwrap(request.headers, body)
    except ReplayedWebhookError as error:
        # Replicate repeats a webhook until a response has a 2xx status. Such a response, sent while
        # the first copy is still handled, would lose the webhook if that handling failed.
        status = 200 if seen.is_settled(request.headers["webhook-id"]) else 409
        return text_response(str(error), status)
    except WebhookValidationError as error:
        return text_response(str(error), 400)


def text_response(text: str, status: int) -> HttpResponse:
    """Return a response of plain text."""
    return HttpResponse(text, "text/plain", status)


def settle(request: HttpRequest, status: int) -> None:
    """Store whether the handling of a webhook succeeded.

    Replicate sends a webhook again whose handling failed; it must be accepted then.
    """
    seen.settle(request.headers["webhook-id"], succeeded=200 <= status < 300)


# An event loop has only weak references to its tasks.
running_tasks: set[asyncio.Task[HttpResponseBase]] = set()

View = Callable[..., Any]


def verified_webhook(verifier: Callable[[], WebhookVerifier]) -> Callable[[View], View]:
    """Call a blocking or an async view with genuine, new webhooks only.

    Args:
        verifier: Returns the verifier; called for each request.

    """

    def decorate(view: View) -> View:
        @wraps(view)
        def receive(request: HttpRequest) -> HttpResponseBase:
            webhook = verify(verifier(), request)
            if isinstance(webhook, HttpResponse):
                return webhook
            status = 500
            try:
                response: HttpResponseBase = view(request, webhook)
                status = response.status_code
            finally:
                settle(request, status)
            return response

        @wraps(view)
        async def areceive(request: HttpRequest) -> HttpResponseBase:
            # The first call of `verifier` fetches the secret, and blocks meanwhile.
            webhook = verify(await asyncio.to_thread(verifier), request)
            if isinstance(webhook, HttpResponse):
                return webhook
            # Django cancels a view when the sender disconnects, and Replicate repeats the webhook
            # then. A task of its own completes the view, so that the webhook is handled once.
            task = asyncio.create_task(call_view(request, webhook))
            running_tasks.add(task)
            task.add_done_callback(running_tasks.discard)
            return await asyncio.shield(task)

        async def call_view(
            request: HttpRequest, webhook: Prediction | Training
        ) -> HttpResponseBase:
            status = 500
            try:
                response: HttpResponseBase = await view(request, webhook)
                status = response.status_code
            finally:
                settle(request, status)
            return response

        # Replicate's requests have a signature in place of a CSRF token.
        return csrf_exempt(require_POST(areceive if iscoroutinefunction(view) else receive))

    return decorate


@verified_webhook(verifier)
def receive(_: HttpRequest, webhook: Prediction | Training) -> HttpResponse:
    """Handle a webhook in a blocking view."""
    handle(webhook)
    return HttpResponse(status=204)


@verified_webhook(verifier)
async def areceive(_: HttpRequest, webhook: Prediction | Training) -> HttpResponse:
    """Handle a webhook in an async view."""
    await asyncio.to_thread(handle, webhook)
    return HttpResponse(status=204)


urlpatterns = [path("webhooks/replicate", receive), path("async/webhooks/replicate", areceive)]

# The signature identifies a webhook, whatever its `Host` header is.
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
wsgi = get_wsgi_application()
asgi = get_asgi_application()


if __name__ == "__main__":
    execute_from_command_line([sys.argv[0], "runserver", "--noreload", *sys.argv[1:]])
