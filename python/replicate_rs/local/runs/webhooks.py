"""Webhook deliveries: real requests, signed with the account's secret."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..._core import Core, Expect
from ...exceptions import APIStatusError, ReplicateError
from ...webhook import sign_webhook
from ..broadcast import Broadcast
from ..clock import Clock
from .prediction import Change, StoredPrediction

# Seconds between two `output` or `logs` webhooks of a prediction.
MIN_INTERVAL = 0.5
# Seconds before each retry of a `completed` webhook, a minute in all.
RETRY_DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
# Seconds for which a replaced secret still signs.
SECRET_OVERLAP = 24 * 3600.0

View = Callable[[StoredPrediction], dict[str, Any]]


@dataclass(slots=True)
class Delivery:
    """A webhook and the responses to it.

    Args:
        id: The `webhook-id`, the same for all attempts.
        url: The receiver's URL.
        prediction: The id of the prediction or training.
        event: `start`, `output`, `logs` or `completed`.
        time: When it was first sent, in seconds since 1970 on the server's clock.
        answers: For each attempt the status code, or an error message.

    """

    id: str
    url: str
    prediction: str
    event: str
    time: float
    answers: list[int | str] = field(default_factory=list[int | str])

    @property
    def is_delivered(self) -> bool:
        """Whether an attempt was answered with a 2xx status."""
        return any(isinstance(answer, int) and 200 <= answer < 300 for answer in self.answers)


class Webhooks:
    """Sends webhooks, and keeps the account's webhook secrets. For the server's thread only.

    Args:
        clock: The server's clock.
        get_copies: Returns how often each webhook is delivered.
        changes: Notified after each attempt.

    """

    def __init__(self, clock: Clock, get_copies: Callable[[], int], changes: Broadcast) -> None:
        self.secret: str = _new_secret()
        self.deliveries: deque[Delivery] = deque(maxlen=10_000)
        self._clock = clock
        self._get_copies = get_copies
        self._changes = changes
        # Replaced secrets, and the time until which they sign.
        self._old_secrets: list[tuple[str, float]] = []
        # The event loop keeps only weak references to tasks.
        self._tasks: set[asyncio.Task[None]] = set()
        # All requests are to absolute URLs: the base URL is not used.
        self.core: Core = Core(
            "http://localhost",
            None,
            user_agent="Replicate/local",
            headers=[],
            connect=5.0,
            read=10.0,
            pool=None,
            total=20.0,
            idle=None,
            max_retries=0,
            max_connections=None,
            max_bytes=1 << 30,
            public_only=False,
        )

    def rotate_secret(self) -> None:
        """Create a new secret. For a day, webhooks are signed with the old one too."""
        self._old_secrets.append((self.secret, self._clock.time() + SECRET_OVERLAP))
        self.secret = _new_secret()

    def on_change(self, prediction: StoredPrediction, change: Change, view: View) -> None:
        """Send or schedule a webhook, if the prediction asks for one about this change."""
        if prediction.webhook is None or change not in prediction.webhook_events_filter:
            return
        if change in ("output", "logs"):
            # A webhook that is scheduled already will include this change.
            if prediction.webhook_timer is None:
                prediction.webhook_timer = self._clock.call_at(
                    prediction.last_webhook_at + MIN_INTERVAL,
                    lambda: self._send_scheduled(prediction, change, view),
                )
            return
        if change == "completed" and prediction.webhook_timer is not None:
            prediction.webhook_timer.cancel()
        self._send(prediction, change, view)

    def _send_scheduled(self, prediction: StoredPrediction, change: Change, view: View) -> None:
        prediction.webhook_timer = None
        prediction.last_webhook_at = self._clock.time()
        self._send(prediction, change, view)

    def _send(self, prediction: StoredPrediction, change: Change, view: View) -> None:
        id, body = f"msg_{secrets.token_urlsafe(20)}", json.dumps(view(prediction)).encode()
        for _ in range(self._get_copies()):
            delivery = Delivery(
                id, prediction.webhook or "", prediction.id, change, self._clock.time()
            )
            self.deliveries.append(delivery)
            task = asyncio.get_running_loop().create_task(self._deliver(delivery, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Delivery, body: bytes) -> None:
        await self._attempt(delivery, body)
        for delay in RETRY_DELAYS if delivery.event == "completed" else ():
            if delivery.is_delivered:
                return
            await self._clock.sleep(delay)
            await self._attempt(delivery, body)

    async def _attempt(self, delivery: Delivery, body: bytes) -> None:
        # Receivers compare the timestamp with their own clock, which is not advanced.
        timestamp = str(int(time.time()))
        headers = [
            ("webhook-id", delivery.id),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", self._signatures(delivery.id, timestamp, body)),
            # A receiver may close a used connection just when the next webhook is sent, as uvicorn
            # does after an error: that attempt would be lost.
            ("connection", "close"),
        ]
        try:
            response = await self.core.send(
                "POST",
                delivery.url,
                Expect.RESPONSE,
                body=body,
                content_type="application/json",
                headers=headers,
            )
            delivery.answers.append(response.status)
        except APIStatusError as error:
            delivery.answers.append(error.status or 0)
        except (ReplicateError, ValueError) as error:
            delivery.answers.append(str(error))
        self._changes.notify()

    def _signatures(self, id: str, timestamp: str, body: bytes) -> str:
        now = self._clock.time()
        old = (secret for secret, expires_at in self._old_secrets if now < expires_at)
        return sign_webhook([self.secret, *old], id, timestamp, body)


def _new_secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(24)).decode()
