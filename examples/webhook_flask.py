"""Receives Replicate's webhooks with Flask.

    REPLICATE_API_TOKEN=r8_… python examples/webhook_flask.py

Predictions made with ``webhook="https://…/webhooks/replicate"`` are then handled in `handle`. Set
``REPLICATE_WEBHOOK_SECRET`` to do without asking Replicate for the secret when the first one comes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, wraps

from flask import Flask, Response, current_app, make_response, request
from flask.typing import ResponseReturnValue

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


def accept(verifier: WebhookVerifier, body: bytes) -> Prediction | Training | Response:
    """Give a webhook that is to be handled now, or the answer to any other."""
    try:
        return verifier.unwrap(request.headers, body)
    except ReplayedWebhookError as error:
        # Only a success ends the repetitions, and it must not be told before there is one.
        return Response(
            str(error),
            200 if seen.is_settled(request.headers["webhook-id"]) else 409,
            mimetype="text/plain",
        )
    except WebhookValidationError as error:
        return Response(str(error), 400, mimetype="text/plain")


View = Callable[[Prediction | Training], ResponseReturnValue]


def verified_webhook(
    verifier: Callable[[], WebhookVerifier],
) -> Callable[[View], Callable[[], Response]]:
    """Give a view genuine, new webhooks only; others are answered here.

    Args:
        verifier: Gives the verifier, when the first request comes.

    """

    def decorate(view: View) -> Callable[[], Response]:
        @wraps(view)
        def receive() -> Response:
            # No further than to the limit: nobody has proved anything yet. Flask answers 413 where
            # a length was given; a body in chunks ends there, and is not genuine then.
            request.max_content_length = LIMIT
            webhook = accept(verifier(), request.get_data())
            if isinstance(webhook, Response):
                return webhook
            status = 500
            try:
                response = make_response(current_app.ensure_sync(view)(webhook))
                status = response.status_code
            finally:
                # What is not answered with success comes again, and is then accepted again.
                seen.settle(request.headers["webhook-id"], succeeded=200 <= status < 300)
            return response

        return receive

    return decorate


app = Flask(__name__)


@app.post("/webhooks/replicate")
@verified_webhook(verifier)
def receive(webhook: Prediction | Training) -> ResponseReturnValue:
    """Handle a webhook."""
    handle(webhook)
    return "", 204


if __name__ == "__main__":
    app.run(port=8000)
