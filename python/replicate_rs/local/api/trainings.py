"""Trainings: of a version, towards a destination that gets a version of its own."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..execution import Execution
from ..problem import Problem, invalid, not_found
from ..runs.prediction import Run
from ..state import State
from ..validation import Schema
from .access import Gate, as_json, page, read_object
from .predictions import EVENTS, webhook_of

_REQUEST = Schema(
    {
        "type": "object",
        "properties": {
            "destination": {"type": "string"},
            "input": {"type": "object"},
            "webhook": {"type": "string"},
            "webhook_completed": {"type": "string"},
            "webhook_events_filter": EVENTS,
        },
        "required": ["destination", "input"],
    }
)


class Trainings:
    """Their endpoints."""

    def __init__(self, state: State, execution: Execution, gate: Gate) -> None:
        self._state = state
        self._execution = execution
        self.routes: list[Route] = [
            gate.route("/models/{owner}/{name}/versions/{version}/trainings", POST=self.create),
            gate.route("/trainings", GET=self.list),
            gate.route("/trainings/{id}", GET=self.get),
            gate.route("/trainings/{id}/cancel", POST=self.cancel),
        ]

    async def create(self, request: Request) -> Response:
        """`POST /models/{owner}/{name}/versions/{version}/trainings`."""
        name, id = "{owner}/{name}".format(**request.path_params), request.path_params["version"]
        found = self._state.find_version(f"{name}:{id}")
        if found is None:
            raise not_found()
        trainer = self._state.trainers.get(name)
        if trainer is None:
            raise Problem(400, f"The model {name} cannot be trained.", title="Bad request")
        body = await read_object(request, _REQUEST)
        destination = self._state.models.get(body["destination"])
        if destination is None:
            raise not_found("The specified training destination does not exist")
        webhook = webhook_of(body)
        if problems := trainer.signature.problems(
            body["input"], self._state.settings.unknown_inputs
        ):
            raise invalid(problems)
        run = self._state.add_run("trainings", *found, body["input"])
        run.destination = destination
        run.webhook, run.webhook_events_filter = (
            webhook,
            body.get("webhook_events_filter") or ["output", "completed"],
        )
        run.data |= {
            name: body[name] for name in ("webhook", "webhook_events_filter") if name in body
        }
        self._execution.launch(run, trainer)
        return as_json(self._state.view(run), 201)

    def find(self, request: Request) -> Run:
        """Give the training that a path names."""
        run = self._state.runs.get(request.path_params["id"])
        if run is None or run.kind != "trainings":
            raise not_found()
        return run

    async def get(self, request: Request) -> Response:
        """`GET /trainings/{id}`."""
        return as_json(self._state.view(self.find(request)))

    async def cancel(self, request: Request) -> Response:
        """`POST /trainings/{id}/cancel`."""
        run = self.find(request)
        run.cancel(self._state.clock.time())
        return as_json(self._state.view(run))

    async def list(self, request: Request) -> Response:
        """`GET /trainings`: newest first, 100 to a page."""
        trainings = (run for run in reversed(self._state.runs.values()) if run.kind == "trainings")
        return page(request, self._state, trainings, lambda run: run.id, self._state.view, 100)
