"""Receives Replicate's webhooks with Django, in views of both kinds.

    REPLICATE_API_TOKEN=r8_… python examples/webhook_django.py

Predictions made with ``webhook="https://…/webhooks/replicate"`` are then handled in `handle`. Set
``REPLICATE_WEBHOOK_SECRET`` to do without asking Replicate for the secret when the first one comes.
In a project of yours, take what is above `urlpatterns`.
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

# Bytes of a body. What a model puts out as text, or as `data:` URIs, is in it.
LIMIT = 16 << 20

# Those that were accepted. For several processes keep them where all can see them.
seen = SeenWebhooks()


def handle(webhook: Prediction | Training) -> None:
    """Do here what is to be done.

    If it raises, Replicate sends the webhook of the end again, several times within a minute.
    """
    print(f"{webhook.id} {webhook.status}")


@cache
def verifier() -> WebhookVerifier:
    """Prepare the keys, once; what raises is tried again with the next request."""
    secret = os.environ.get("REPLICATE_WEBHOOK_SECRET") or replicate.webhooks.default.secret.get()
    return WebhookVerifier(secret, seen=seen)


def accept(verifier: WebhookVerifier, request: HttpRequest) -> Prediction | Training | HttpResponse:
    """Give a webhook that is to be handled now, or the answer to any other."""
    # No further than to the limit: nobody has proved anything yet. (`request.body` has Django's
    # limit, which is lower.) Under ASGI Django has taken all of it by now, to a temporary file:
    # there a server in front has to keep to a limit.
    try:
        body = request.read(LIMIT + 1)
    except UnreadablePostError:
        return answer("The body is not complete", 400)
    if len(body) > LIMIT:
        return answer("The body is too large", 413)
    try:
        return verifier.unwrap(request.headers, body)
    except ReplayedWebhookError as error:
        # Only a success ends the repetitions, and it must not be told before there is one.
        return answer(str(error), 200 if seen.is_settled(request.headers["webhook-id"]) else 409)
    except WebhookValidationError as error:
        return answer(str(error), 400)


def answer(text: str, status: int) -> HttpResponse:
    """Make an answer of plain text."""
    return HttpResponse(text, "text/plain", status)


def settle(request: HttpRequest, status: int) -> None:
    """End the handling of a webhook.

    What is not answered with success comes again, and is then accepted again.
    """
    seen.settle(request.headers["webhook-id"], succeeded=200 <= status < 300)


# The loop keeps tasks only weakly.
underway: set[asyncio.Task[HttpResponseBase]] = set()

# Of either kind; what Django calls is of the same kind.
View = Callable[..., Any]


def verified_webhook(verifier: Callable[[], WebhookVerifier]) -> Callable[[View], View]:
    """Give a view, of either kind, genuine and new webhooks only; others are answered here.

    Args:
        verifier: Gives the verifier, when the first request comes.

    """

    def decorate(view: View) -> View:
        @wraps(view)
        def receive(request: HttpRequest) -> HttpResponseBase:
            webhook = accept(verifier(), request)
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
            # The first time it waits for Replicate's answer.
            webhook = accept(await asyncio.to_thread(verifier), request)
            if isinstance(webhook, HttpResponse):
                return webhook
            # Django cancels the view of a sender who hangs up, whose webhook comes again: what has
            # begun is finished first.
            task = asyncio.create_task(finish(request, webhook))
            underway.add(task)
            task.add_done_callback(underway.discard)
            return await asyncio.shield(task)

        async def finish(request: HttpRequest, webhook: Prediction | Training) -> HttpResponseBase:
            status = 500
            try:
                response: HttpResponseBase = await view(request, webhook)
                status = response.status_code
            finally:
                settle(request, status)
            return response

        # Replicate's requests have a signature for a token.
        return csrf_exempt(require_POST(areceive if iscoroutinefunction(view) else receive))

    return decorate


@verified_webhook(verifier)
def receive(_: HttpRequest, webhook: Prediction | Training) -> HttpResponse:
    """Handle a webhook."""
    handle(webhook)
    return HttpResponse(status=204)


@verified_webhook(verifier)
async def areceive(_: HttpRequest, webhook: Prediction | Training) -> HttpResponse:
    """Handle a webhook in a view that awaits."""
    await asyncio.to_thread(handle, webhook)
    return HttpResponse(status=204)


urlpatterns = [path("webhooks/replicate", receive), path("async/webhooks/replicate", areceive)]

# Requests are known by their signature, not by the host they name.
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
wsgi = get_wsgi_application()
asgi = get_asgi_application()


if __name__ == "__main__":
    execute_from_command_line([sys.argv[0], "runserver", "--noreload", *sys.argv[1:]])
