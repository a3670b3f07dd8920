"""A prediction or a training that lives in the server: it starts, changes and ends in the
background.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Callable
from typing import Any, Literal

from ..._typing import is_array
from ...job import TERMINAL
from ..addresses import Origins
from ..clock import Timer, text
from ..models.call import Job
from ..models.model import Model, Version

Kind = Literal["predictions", "trainings"]
Shape = Literal["documented", "edge", "web"]
Change = Literal["start", "output", "logs", "completed"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LINE_ENDS = re.compile("\r\n|\r|\n")
# What a shape has in the place of what is not set; other keys are missing.
_UNSET: dict[Shape, dict[str, Any]] = {
    "documented": {"output": None, "logs": ""},
    "edge": {"logs": ""},
    "web": {"output": None, "logs": None, "metrics": {}, "started_at": None, "completed_at": None},
}


def new_id() -> str:
    """Give an id like the service's: 26 letters and digits that cannot be mistaken for each other."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(26))


class Run:
    """One prediction or training: its public object, its events, and those who wait for its
    changes.

    Everything here belongs to the server's own thread.
    """

    __slots__ = (
        "_changed",
        "_tell",
        "began",
        "created",
        "data",
        "data_removed",
        "deadline",
        "destination",
        "ended",
        "events",
        "files",
        "job",
        "kind",
        "last_told",
        "made_at",
        "model",
        "number",
        "started",
        "telling",
        "version",
        "webhook",
        "webhook_events_filter",
    )

    def __init__(
        self,
        kind: Kind,
        number: int,
        model: Model,
        version: Version,
        created: float,
        given: dict[str, Any],
        tell: Callable[[Run, Change], None],
    ) -> None:
        self.kind: Kind = kind
        self.number: int = number
        self.model: Model = model
        self.version: Version = version
        self.created: float = created
        self.data: dict[str, Any] = {
            "id": new_id(),
            "model": model.full_name,
            "version": version.id,
            "input": given,
            "output": None,
            "logs": "",
            "error": None,
            "status": "starting",
            "source": "api",
            "created_at": text(created),
        }
        self.events: list[bytes] = []
        # Ids of the files it made.
        self.files: list[str] = []
        self.webhook: str | None = None
        self.webhook_events_filter: list[str] = []
        self.destination: Model | None = None
        self.deadline: Timer | None = None
        self.began: float = 0.0
        self.started: bool = False
        self.ended: float = 0.0
        self.data_removed: bool = False
        # When an `output` or `logs` webhook was last sent, and when the next one will be.
        self.last_told: float = 0.0
        self.telling: Timer | None = None
        self.job: Job | None = None
        # How who created it knows the server.
        self.made_at: Origins | None = None
        self._tell = tell
        self._changed: asyncio.Event | None = None

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.data["id"])

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self.data["status"] in TERMINAL

    async def changed(self) -> None:
        """Wait for the next change."""
        if self._changed is None:
            self._changed = asyncio.Event()
        await self._changed.wait()

    async def more(self, first: int) -> None:
        """Wait for the `first` event or a later one, or the end."""
        while len(self.events) <= first and not self.is_done:
            await self.changed()

    async def done(self) -> None:
        """Wait for the end."""
        while not self.is_done:
            await self.changed()

    def start(self, now: float) -> None:
        """Note that the model was booted, and begins."""
        if self.is_done:
            return
        self.began = now
        self.started = True
        self.data |= {"status": "processing", "started_at": text(now)}
        self._notify("start")

    def log(self, lines: str) -> None:
        """Add to the logs."""
        if not self.is_done:
            self.data["logs"] += lines
            self._event("logs", lines)
            self._notify("logs")

    def emit(self, item: Any) -> None:
        """Add an item of an iterator's output."""
        if not self.is_done:
            items: list[Any] = self.data["output"] or []
            items.append(item)
            self.data["output"] = items
            self._event("output", item if isinstance(item, str) else json.dumps(item))
            self._notify("output")

    def succeed(self, now: float, output: Any) -> None:
        """Note that the model has returned; what an iterator gave is here already."""
        if self.is_done:
            return
        if self.version.definition.signature.iterates and self.kind == "predictions":
            self.data["output"] = self.data["output"] or []
        else:
            self.data["output"] = output
            for item in output if is_array(output) else [output]:
                self._event("output", item if isinstance(item, str) else json.dumps(item))
        self._end(now, "succeeded", {})

    def fail(self, now: float, error: str) -> None:
        """Note that the model has raised."""
        if not self.is_done:
            self.data["error"] = error
            self._event("error", json.dumps({"detail": error}), numbered=False)
            self._end(now, "failed", {"reason": "error"})

    def cancel(self, now: float, status: Literal["canceled", "aborted"] = "canceled") -> None:
        """Stop it; one that has ended stays as it is."""
        if not self.is_done:
            if self.job is not None:
                self.job.cancel()
            self._end(now, status, {"reason": "canceled"})

    def remove_data(self) -> None:
        """Forget what the service forgets after a time."""
        self.data |= {"input": {}, "output": None, "logs": ""}
        self.data_removed = True
        self.events = []

    def frames(self, first: int) -> bytes:
        """Give the events from the `first` on, as they go over the wire."""
        return b"".join(self.events[first:])

    def _end(self, now: float, status: str, reason: dict[str, str]) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
        self.ended = now
        metrics: dict[str, Any] = (
            {"predict_time": round(now - self.began, 6)} if self.started else {}
        )
        metrics["total_time"] = round(now - self.created, 6)
        self.data |= {"status": status, "completed_at": text(now), "metrics": metrics}
        self._event("done", json.dumps(reason), numbered=False)
        self.job = None
        self._notify("completed")

    def _event(self, name: str, data: str, *, numbered: bool = True) -> None:
        id = f"id: {int(self.created)}:{len(self.events)}\n" if numbered else ""
        lines = "".join(f"data: {line}\n" for line in _LINE_ENDS.split(data))
        # Half a surrogate pair has no UTF-8.
        self.events.append(f"{id}event: {name}\n{lines}\n".encode(errors="replace"))

    def _notify(self, change: Change) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
        self._tell(self, change)


def view(run: Run, shape: Shape, origins: Origins, own: Origins) -> dict[str, Any]:
    """Return the API's object for a prediction or training.

    Args:
        run: The prediction or training.
        shape: `documented` as the OpenAPI document has it; `edge` as creates and fresh reads were
            recorded, without what is not set yet; `web` as cancels and lists were recorded, with
            nulls.
        origins: Where its URLs lead.
        own: Where those of its files lead as they were kept.

    """
    api, delivery = f"{origins.api}/v1", origins.output
    data = dict(run.data)
    if run.files and origins != own:
        data["output"] = origins.located(data["output"], own)
    # A training is a prediction too: the recorded shape names it so.
    itself = f"{api}/{'predictions' if shape == 'edge' else run.kind}/{run.id}"
    urls = {"get": itself, "cancel": f"{itself}/cancel", "web": f"{origins.api}/p/{run.id}"}
    signature = run.version.definition.signature
    if run.kind == "predictions":
        if signature.gives_files:
            urls["stream"] = f"{delivery}/v1/files/local-{run.id}"
        elif signature.iterates:
            urls["stream"] = f"{delivery}/v1/streams/{run.id}"
    data["urls"] = urls
    if shape == "web":
        return dict(
            sorted(
                (
                    _UNSET[shape]
                    | {"webhook_completed": None}
                    | data
                    | {"logs": data["logs"] or None}
                ).items()
            )
        )
    data["data_removed"] = run.data_removed
    if data["output"] is None and (
        (shape == "edge" and not run.data_removed) or run.kind == "trainings"
    ):
        del data["output"]
    return data


def as_held(
    answer: dict[str, Any], shape: Shape, mode: Literal["processing", "succeeded", "empty"]
) -> dict[str, Any]:
    """Give the answer of a blocking create whose prediction has succeeded: sent before it was
    committed.
    """
    if answer["status"] != "succeeded" or mode == "succeeded":
        return answer
    late = ("started_at", "completed_at", "metrics", *(["output"] if mode == "empty" else []))
    return _without(answer, shape, *late) | {"status": "processing"}


def as_started(answer: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """Give the answer of a create: whatever has happened since, it says `starting`."""
    return _without(answer, shape, "started_at", "completed_at", "metrics", "output", "logs") | {
        "status": "starting"
    }


def _without(answer: dict[str, Any], shape: Shape, *names: str) -> dict[str, Any]:
    unset = _UNSET[shape]
    return {
        name: unset[name] if name in names else value
        for name, value in answer.items()
        if name not in names or name in unset
    }
