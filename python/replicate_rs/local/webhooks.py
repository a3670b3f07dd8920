"""Deliveries of webhooks: real requests, signed with the account's secret."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from base64 import b64encode

from .._core import Core, Expect
from ..exceptions import ReplicateError
from ..webhook import sign_webhook
from .predictions import Run

# Seconds between two `output` or `logs` webhooks of one prediction.
THROTTLE = 0.5
# Seconds before each further attempt to deliver the last webhook.
BACKOFF = (0.1, 0.5, 2.0)


class Webhooks:
    """Sends them, and keeps the account's secret."""

    def __init__(self) -> None:
        self.secret = "whsec_" + b64encode(secrets.token_bytes(24)).decode()
        self._last: dict[str, float] = {}
        # Absolute targets only; the base address is never used.
        self._core = Core(
            "http://localhost",
            None,
            user_agent="Replicate/local",
            headers=[],
            connect=5.0,
            read=10.0,
            pool=None,
            total=20.0,
            max_retries=0,
            max_connections=None,
            max_bytes=1 << 20,
        )

    async def tell(self, run: Run, event: str) -> None:
        """Deliver a change, if the prediction asked for it."""
        if run.webhook is None or event not in run.filter:
            return
        if event in ("output", "logs"):
            last = self._last.get(run.data["id"], 0.0)
            if time.monotonic() - last < THROTTLE:
                return
            self._last[run.data["id"]] = time.monotonic()
        body = json.dumps(run.data).encode()
        id = f"msg_{secrets.token_urlsafe(16)}"
        for wait in (*BACKOFF, None) if event == "completed" else (None,):
            if await self._deliver(run.webhook, id, body) or wait is None:
                return
            await asyncio.sleep(wait)

    async def _deliver(self, url: str, id: str, body: bytes) -> bool:
        timestamp = str(int(time.time()))
        headers = [
            ("webhook-id", id),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", sign_webhook(self.secret, id, timestamp, body)),
        ]
        try:
            await self._core.send("POST", url, Expect.STATUS, body=body, content_type="application/json", headers=headers)
        except (ReplicateError, ValueError):
            return False
        return True
