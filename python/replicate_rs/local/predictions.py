"""Predictions that live in the server: they start, change and end in the background."""

from __future__ import annotations

import asyncio
import contextvars
import json
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Any

from .._typing import is_array
from ..prediction import TERMINAL
from .models import Cancelled, Job, Model

Changed = Callable[["Run", str], Coroutine[Any, Any, None]]

_UNSET = object()


def now() -> str:
    """Give the present as the API writes it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class Run:
    """One prediction: its public object, its events, and those who wait for its changes."""

    def __init__(self, model: Model, body: dict[str, Any], data: dict[str, Any], tell: Changed) -> None:
        self.model = model
        self.data = data
        self.webhook: str | None = body.get("webhook") or body.get("webhook_completed")
        self.filter: list[str] = body.get("webhook_events_filter") or ["output", "completed"]
        self.events: list[tuple[str, str]] = []
        self.tell = tell
        self.began = time.monotonic()
        self.job = Job(self._log_from_model)
        self.task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._change = asyncio.Event()

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self.data["status"] in TERMINAL

    async def changed(self) -> None:
        """Wait for the next change."""
        await self._change.wait()

    async def done(self) -> None:
        """Wait for the end."""
        while not self.is_done:
            await self.changed()

    def _notify(self, event: str) -> None:
        change, self._change = self._change, asyncio.Event()
        change.set()
        # A webhook's delivery outlives this call; the loop keeps tasks only weakly.
        task = self._loop.create_task(self.tell(self, event))
        _deliveries.add(task)
        task.add_done_callback(_deliveries.discard)

    def _log_from_model(self, text: str) -> None:
        self._loop.call_soon_threadsafe(self._log, text)

    def _log(self, text: str) -> None:
        if not self.is_done:
            self.data["logs"] += text
            self.events.append(("logs", text))
            self._notify("logs")

    def _emit(self, item: Any) -> None:
        if not self.is_done:
            self.data["output"] = [*(self.data.get("output") or ()), item]
            self.events.append(("output", item if isinstance(item, str) else json.dumps(item)))
            self._notify("output")

    def _end(self, status: str, *, output: Any = _UNSET, error: str | None = None) -> None:
        if self.is_done:
            return
        self.data |= {"status": status, "completed_at": now(), "error": error}
        if output is not _UNSET:
            self.data["output"] = output
        seconds = time.monotonic() - self.began
        self.data["metrics"] = {"predict_time": seconds, "total_time": seconds}
        if error is not None:
            self.events.append(("error", json.dumps({"detail": error})))
        reasons = {"succeeded": {}, "failed": {"reason": "error"}}
        self.events.append(("done", json.dumps(reasons.get(status, {"reason": "canceled"}))))
        self._notify("completed")

    def cancel(self) -> None:
        """Stop; a prediction that has ended stays as it is."""
        self.job.cancelled.set()
        self._end("canceled")

    async def execute(self, executor: Executor, given: dict[str, Any], store: Callable[[Any], Any]) -> None:
        """Run the model's function on a thread, and follow it."""
        if self.is_done:
            return
        self.data |= {"status": "processing", "started_at": now()}
        self._notify("start")

        def emit(item: Any) -> None:
            self._loop.call_soon_threadsafe(self._emit, store(item))

        context = contextvars.copy_context()
        try:
            call = self._loop.run_in_executor(executor, lambda: context.run(self.model.call, self.job, given, emit))
            output = store(await call)
            if not self.model.iterates:
                items = output if is_array(output) else [output]
                self.events += [("output", each if isinstance(each, str) else json.dumps(each)) for each in items]
            self._end("succeeded", output=output)
        except Cancelled:
            self._end("canceled")
        except Exception as error:  # noqa: BLE001 - whatever a model raises is its prediction's error
            self._end("failed", error=str(error) or type(error).__name__)


_deliveries: set[asyncio.Task[None]] = set()
