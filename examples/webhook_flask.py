"""Receive Replicate's webhooks with Flask.

    REPLICATE_API_TOKEN=r8_… python examples/webhook_flask.py

`handle` processes the webhooks of predictions created with
``webhook="https://…/webhooks/replicate"``. The signing secret is ``REPLICATE_WEBHOOK_SECRET``;
without it, the secret is fetched from Replicate when the first webhook arrives.
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


def verify(verifier: WebhookVerifier, body: bytes) -> Prediction | Training | Response:
    """Return a genuine, new webhook, or the response to any other request."""
    try:
        return verifier.unwrap(request.headers, body)
    except ReplayedWebhookError as error:
        # Replicate repeats a webhook until a response has a 2xx status. Such a response, sent while
        # the first copy is still handled, would lose the webhook if that handling failed.
        status = 200 if seen.is_settled(request.headers["webhook-id"]) else 409
        return Response(str(error), status, mimetype="text/plain")
    except WebhookValidationError as error:
        return Response(str(error), 400, mimetype="text/plain")


View = Callable[[Prediction | Training], ResponseReturnValue]


def verified_webhook(
    verifier: Callable[[], WebhookVerifier],
) -> Callable[[View], Callable[[], Response]]:
    """Call a view with genuine, new webhooks only.

    Args:
        verifier: Returns the verifier; called for each request.

    """

    def decorate(view: View) -> Callable[[], Response]:
        @wraps(view)
        def receive() -> Response:
            # The sender is not verified yet, so limit the body. Flask answers 413 to a larger
            # `Content-Length`. It truncates a chunked body, whose signature then does not match.
            request.max_content_length = MAX_BODY_BYTES
            webhook = verify(verifier(), request.get_data())
            if isinstance(webhook, Response):
                return webhook
            status = 500
            try:
                response = make_response(current_app.ensure_sync(view)(webhook))
                status = response.status_code
            finally:
                # Replicate sends a webhook again whose handling failed; it must be accepted then.
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
