"""Predictions: of a version, of a model, of a deployment."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..clock import read
from ..execution import Execution
from ..models.model import Model, Version
from ..problem import Problem, invalid, not_found
from ..runs.prediction import Run, as_held, as_started
from ..state import State
from ..validation import Schema
from .access import Gate, as_json, page, read_object

# Seconds that a create may be held.
LONGEST_HOLD = 60.0
# Seconds that a prediction may be given: 5 s to a day.
LEAST_LIFE, LONGEST_LIFE = 5, 24 * 3600
# Seconds for which predictions made in the browser are listed.
WEB_LISTED = 14 * 24 * 3600.0

EVENTS: dict[str, Any] = {
    "type": "array",
    "items": {"type": "string", "enum": ["start", "output", "logs", "completed"]},
}
_FIELDS: dict[str, Any] = {
    "input": {"type": "object"},
    "webhook": {"type": "string"},
    "webhook_events_filter": EVENTS,
    "stream": {"type": "boolean"},
    # Not documented; 1.0.7 sends it.
    "webhook_completed": {"type": "string"},
}
_REQUEST = Schema(
    {"type": "object", "properties": _FIELDS, "required": ["input"], "additionalProperties": False}
)
_VERSION_REQUEST = Schema(
    {
        "type": "object",
        "properties": _FIELDS | {"version": {"type": "string"}},
        "required": ["version", "input"],
        "additionalProperties": False,
    }
)
_PREFER = re.compile(r"wait(?:=([1-9][0-9]?))?\Z")
_LIFE = re.compile(r"(?=.)(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?\Z|(\d{1,9})\Z")


class Predictions:
    """Their endpoints."""

    def __init__(self, state: State, execution: Execution, gate: Gate) -> None:
        self._state = state
        self._execution = execution
        self.routes: list[Route] = [
            gate.route("/predictions/{id}", GET=self.get),
            gate.route("/predictions", GET=self.list, POST=self.create),
            gate.route("/predictions/{id}/cancel", POST=self.cancel),
            gate.route("/models/{owner}/{name}/predictions", POST=self.create_of_model),
            gate.route("/deployments/{owner}/{name}/predictions", POST=self.create_of_deployment),
        ]

    def find(self, request: Request) -> Run:
        """Give the prediction that a path names; a training is one too."""
        run = self._state.runs.get(request.path_params["id"])
        if run is None:
            raise not_found()
        return run

    async def create(self, request: Request) -> Response:
        """`POST /predictions`."""
        body = await read_object(request, _VERSION_REQUEST)
        found = self._state.find_version(body["version"])
        if found is None:
            detail = (
                "The specified version does not exist (or perhaps you don't have permission to use"
                " it?)"
            )
            raise Problem(422, detail, title="Invalid version or not permitted")
        return await self._start(request, body, *found)

    async def create_of_model(self, request: Request) -> Response:
        """`POST /models/{owner}/{name}/predictions`."""
        model = self._state.models.get("{owner}/{name}".format(**request.path_params))
        if model is None or not model.versions:
            raise not_found()
        return await self._start(
            request, await read_object(request, _REQUEST), model, model.versions[-1]
        )

    async def create_of_deployment(self, request: Request) -> Response:
        """`POST /deployments/{owner}/{name}/predictions`."""
        name = "{owner}/{name}".format(**request.path_params)
        deployment = self._state.deployments.get(name)
        if deployment is None:
            raise not_found()
        body = await read_object(request, _REQUEST)
        response = await self._start(
            request, body, deployment.model, deployment.version, deployment=name
        )
        deployment.used = self._state.clock.time()
        return response

    async def _start(
        self,
        request: Request,
        body: dict[str, Any],
        model: Model,
        version: Version,
        *,
        deployment: str | None = None,
    ) -> Response:
        life, webhook = lifetime(request.headers.get("cancel-after")), webhook_of(body)
        given, settings = dict(body["input"]), self._state.settings
        if problems := version.definition.signature.problems(
            {**version.defaults, **given}, settings.unknown_inputs
        ):
            raise invalid(problems)
        run = self._state.add_run("predictions", model, version, given)
        run.webhook, run.webhook_events_filter = (
            webhook,
            body.get("webhook_events_filter") or ["output", "completed"],
        )
        run.data |= {
            name: body[name] for name in ("webhook", "webhook_events_filter") if name in body
        }
        if deployment is not None:
            run.data["deployment"] = deployment
        self._execution.launch(run, version.definition, cancel_after=life)
        answer = self._state.view(run)
        headers: dict[str, str] = {}
        prefer = request.headers.get("prefer", "")
        if match := _PREFER.match(prefer):
            headers["Preference-Applied"] = prefer
            try:
                await asyncio.wait_for(
                    run.done(), min(float(match[1] or LONGEST_HOLD), LONGEST_HOLD)
                )
            except TimeoutError:
                answer = as_started(self._state.view(run), settings.shape)
            else:
                answer = as_held(self._state.view(run), settings.shape, settings.held)
        return as_json(answer, settings.created, headers)

    async def get(self, request: Request) -> Response:
        """`GET /predictions/{id}`."""
        return as_json(self._view(self.find(request)))

    async def cancel(self, request: Request) -> Response:
        """`POST /predictions/{id}/cancel`; one that has ended is given as it is."""
        run = self.find(request)
        run.cancel(self._state.clock.time())
        return as_json(self._view(run))

    def _view(self, run: Run) -> dict[str, Any]:
        # A training has no output until it has ended; a prediction always has one where the
        # document says so.
        return (
            {"output": None} if self._state.settings.shape == "documented" else {}
        ) | self._state.view(run)

    async def list(self, request: Request) -> Response:
        """`GET /predictions`: newest first, 100 to a page."""
        return page(
            request, self._state, self._listed(request), lambda run: run.id, self._state.view, 100
        )

    def _listed(self, request: Request) -> Iterator[Run]:
        query = request.query_params
        after, before = _moment(query.get("created_after")), _moment(query.get("created_before"))
        source = query.get("source")
        if source not in (None, "web"):
            raise Problem(422, "- source: must be 'web'\n", title="Input validation failed")
        if source == "web":
            after = max(after or 0.0, self._state.clock.time() - WEB_LISTED)
        for run in reversed(self._state.runs.values()):
            wanted = run.kind == "predictions" and source in (None, run.data["source"])
            # As exact as it is told, so that one prediction's moment divides it from the next.
            created = read(run.data["created_at"])
            if (
                wanted
                and (after is None or created >= after)
                and (before is None or created < before)
            ):
                yield run


def lifetime(header: str | None) -> float | None:
    """Read `Cancel-After`. Raises the API's 422."""
    if header is None:
        return None
    match = _LIFE.match(header)
    hours, minutes, seconds, plain = (
        (int(each or 0) for each in match.groups()) if match else (0, 0, 0, 0)
    )
    total = 3600 * hours + 60 * minutes + seconds + plain
    if not LEAST_LIFE <= total <= LONGEST_LIFE:
        detail = (
            "Cancel-After must be between 5 seconds and 24 hours: seconds, or a duration like"
            " 1h30m45s."
        )
        raise Problem(422, detail, title="Invalid Cancel-After header")
    return float(total)


def webhook_of(body: dict[str, Any]) -> str | None:
    """Give a body's webhook.

    Raises the API's 422. The service wants HTTPS; receivers on this machine seldom have it.
    """
    url: str | None = body.get("webhook", body.get("webhook_completed"))
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        fields = [
            {"type": "format", "field": "webhook", "description": "Does not match format 'uri'"}
        ]
        raise invalid(fields)
    return url


def _moment(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        # A plus sign that was not encoded came as a space.
        return read(value.replace(" ", "+"))
    except (ValueError, OverflowError):
        detail = f"- {value!r} is not an ISO 8601 date and time\n"
        raise Problem(422, detail, title="Input validation failed") from None
