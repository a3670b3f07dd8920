"""A prediction or training in the server, and its changes."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from typing import Any, Literal

from ..._base.typing import is_array
from ..._predictions.job import TERMINAL
from ..addresses import Origins
from ..broadcast import Broadcast
from ..clock import Timer, format_time
from ..models.call import ModelCall
from ..models.model import Model, Version

Kind = Literal["predictions", "trainings"]
Change = Literal["start", "output", "logs", "completed"]

# Letters and digits that cannot be mistaken for each other, as in the service's ids.
_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH = 26
_LINE_BREAKS = re.compile("\r\n|\r|\n")


class StoredPrediction:
    """A prediction or training: its API fields, its stream's events, and its state.

    For the server's thread only.

    Args:
        kind: Whether it is a prediction or a training.
        model: The model.
        version: The version that runs.
        created_at: The time of creation, in seconds since 1970.
        input: The input.
        on_change: Called after each change.

    """

    __slots__ = (
        "_changes",
        "_on_change",
        "call",
        "created_at",
        "created_via",
        "data",
        "data_removed",
        "deadline_timer",
        "destination",
        "ended_at",
        "events",
        "file_ids",
        "kind",
        "last_webhook_at",
        "model",
        "started_at",
        "version",
        "webhook",
        "webhook_events_filter",
        "webhook_timer",
    )

    def __init__(
        self,
        kind: Kind,
        model: Model,
        version: Version,
        created_at: float,
        input: dict[str, Any],
        on_change: Callable[[StoredPrediction, Change], None],
    ) -> None:
        self.kind: Kind = kind
        self.model: Model = model
        self.version: Version = version
        self.created_at: float = created_at
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.data: dict[str, Any] = {
            "id": "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH)),
            "model": model.full_name,
            "version": version.id,
            "input": input,
            "output": None,
            "logs": "",
            "error": None,
            "status": "starting",
            "source": "api",
            "created_at": format_time(created_at),
        }
        self.data_removed: bool = False
        # Encoded server-sent events.
        self.events: list[bytes] = []
        # Ids of its output files.
        self.file_ids: list[str] = []
        # The model that receives a training's new version.
        self.destination: Model | None = None
        self.deadline_timer: Timer | None = None
        self.webhook: str | None = None
        self.webhook_events_filter: list[str] = []
        # When an `output` or `logs` webhook was last sent, and the timer of the next one.
        self.last_webhook_at: float = 0.0
        self.webhook_timer: Timer | None = None
        # The call of the model while it runs.
        self.call: ModelCall | None = None
        # The origins by which its creator reaches the server, for URLs in webhooks.
        self.created_via: Origins | None = None
        self._on_change = on_change
        self._changes = Broadcast()

    @property
    def id(self) -> str:
        """The id."""
        return str(self.data["id"])

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self.data["status"] in TERMINAL

    @property
    def run_time(self) -> float | None:
        """Seconds from its start to its end, if it has both."""
        if self.started_at is None or self.ended_at is None:
            return None
        return self.ended_at - self.started_at

    async def wait_for_event(self, index: int) -> None:
        """Wait until there is an event with this index, or until the end."""
        while len(self.events) <= index and not self.is_done:
            await self._changes.wait()

    async def wait_until_done(self) -> None:
        """Wait for the end."""
        while not self.is_done:
            await self._changes.wait()

    def start(self, now: float) -> None:
        """Set the status to `processing`."""
        if not self.is_done:
            self.started_at = now
            self.data |= {"status": "processing", "started_at": format_time(now)}
            self._notify("start")

    def log(self, lines: str) -> None:
        """Add lines to the logs."""
        if not self.is_done:
            self.data["logs"] += lines
            self._add_event("logs", lines)
            self._notify("logs")

    def add_output(self, item: Any) -> None:
        """Add an item to the output of an iterator."""
        if not self.is_done:
            items: list[Any] = self.data["output"] or []
            items.append(item)
            self.data["output"] = items
            self._add_output_event(item)
            self._notify("output")

    def succeed(self, now: float, output: Any) -> None:
        """End with the function's result; the items of an iterator were added before."""
        if self.is_done:
            return
        if self.version.definition.signature.is_iterator and self.kind == "predictions":
            self.data["output"] = self.data["output"] or []
        else:
            self.data["output"] = output
            for item in output if is_array(output) else [output]:
                self._add_output_event(item)
        self._end(now, "succeeded", {})

    def fail(self, now: float, error: str) -> None:
        """End with an error."""
        if not self.is_done:
            self.data["error"] = error
            self._add_event("error", json.dumps({"detail": error}), has_id=False)
            self._end(now, "failed", {"reason": "error"})

    def cancel(self, now: float, status: Literal["canceled", "aborted"] = "canceled") -> None:
        """End by cancellation, unless it has ended already."""
        if not self.is_done:
            if self.call is not None:
                self.call.cancel()
            self._end(now, status, {"reason": "canceled"})

    def remove_data(self) -> None:
        """Remove input, output, logs and events, as the service does after an hour."""
        self.data |= {"input": {}, "output": None, "logs": ""}
        self.data_removed = True
        self.events = []

    def _end(self, now: float, status: str, done: dict[str, str]) -> None:
        if self.deadline_timer is not None:
            self.deadline_timer.cancel()
        self.ended_at = now
        metrics: dict[str, Any] = {"total_time": round(now - self.created_at, 6)}
        if self.run_time is not None:
            metrics = {"predict_time": round(self.run_time, 6)} | metrics
        self.data |= {"status": status, "completed_at": format_time(now), "metrics": metrics}
        self._add_event("done", json.dumps(done), has_id=False)
        self.call = None
        self._notify("completed")

    def _add_output_event(self, item: Any) -> None:
        self._add_event("output", item if isinstance(item, str) else json.dumps(item))

    def _add_event(self, name: str, data: str, *, has_id: bool = True) -> None:
        id = f"id: {int(self.created_at)}:{len(self.events)}\n" if has_id else ""
        lines = "".join(f"data: {line}\n" for line in _LINE_BREAKS.split(data))
        # UTF-8 cannot encode a lone surrogate.
        self.events.append(f"{id}event: {name}\n{lines}\n".encode(errors="replace"))

    def _notify(self, change: Change) -> None:
        self._changes.notify()
        self._on_change(self, change)
