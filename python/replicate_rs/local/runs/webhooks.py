"""Deliveries of webhooks: real requests, signed with the account's secret."""

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
from .prediction import Change, Run

# Seconds between two `output` or `logs` webhooks of one prediction.
THROTTLE = 0.5
# Seconds before each further attempt to deliver the last webhook; the last is about a minute after
# the end.
BACKOFF = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
# Seconds for which a key that was replaced signs too.
OVERLAP = 24 * 3600.0


@dataclass(slots=True)
class Delivery:
    """A webhook, and what became of it.

    Args:
        id: Its `webhook-id`: the same for every attempt.
        url: Where it goes.
        prediction: The prediction's or training's id.
        event: `start`, `output`, `logs` or `completed`.
        time: When it was first sent, in the server's seconds since 1970.
        answers: One for each attempt: a status, or what went wrong.

    """

    id: str
    url: str
    prediction: str
    event: str
    time: float
    answers: list[int | str] = field(default_factory=list[int | str])

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver has said so."""
        return any(isinstance(answer, int) and 200 <= answer < 300 for answer in self.answers)


class Webhooks:
    """Sends them, and keeps the account's secrets.

    Everything here belongs to the server's own thread.
    """

    def __init__(self, clock: Clock, copies: Callable[[], int], changes: Broadcast) -> None:
        self.secret: str = _new_secret()
        self.deliveries: deque[Delivery] = deque(maxlen=10_000)
        self._clock = clock
        self._copies = copies
        self._changes = changes
        self._replaced: list[tuple[str, float]] = []
        # The loop keeps its tasks only weakly.
        self._tasks: set[asyncio.Task[None]] = set()
        # Absolute targets only; the base address is never used.
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

    def rotate(self) -> None:
        """Make a new secret; webhooks are signed with the replaced one too for a day."""
        self._replaced.append((self.secret, self._clock.time() + OVERLAP))
        self.secret = _new_secret()

    def tell(self, run: Run, change: Change, view: Callable[[Run], dict[str, Any]]) -> None:
        """Deliver a change, if it was asked for and is due."""
        if run.webhook is None or change not in run.webhook_events_filter:
            return
        if change in ("output", "logs"):
            if run.telling is None:
                # What happens until then is told by the same webhook.
                run.telling = self._clock.call_at(
                    run.last_told + THROTTLE, lambda: self._tell_now(run, change, view)
                )
            return
        if change == "completed" and run.telling is not None:
            run.telling.cancel()
        self._send(run, change, view)

    def _tell_now(self, run: Run, change: Change, view: Callable[[Run], dict[str, Any]]) -> None:
        run.telling = None
        run.last_told = self._clock.time()
        self._send(run, change, view)

    def _send(self, run: Run, change: Change, view: Callable[[Run], dict[str, Any]]) -> None:
        id, body = f"msg_{secrets.token_urlsafe(20)}", json.dumps(view(run)).encode()
        for _ in range(self._copies()):
            delivery = Delivery(id, run.webhook or "", run.id, change, self._clock.time())
            self.deliveries.append(delivery)
            task = asyncio.get_running_loop().create_task(self._deliver(delivery, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Delivery, body: bytes) -> None:
        await self._attempt(delivery, body)
        for wait in BACKOFF if delivery.event == "completed" else ():
            if delivery.is_delivered:
                return
            await self._clock.sleep(wait)
            await self._attempt(delivery, body)

    async def _attempt(self, delivery: Delivery, body: bytes) -> None:
        # Receivers hold this against their own clock, which nobody has moved.
        timestamp = str(int(time.time()))
        headers = [
            ("webhook-id", delivery.id),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", self._signatures(delivery.id, timestamp, body)),
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
        keys = [self.secret, *(secret for secret, until in self._replaced if now < until)]
        return sign_webhook(keys, id, timestamp, body)


def _new_secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(24)).decode()
