"""Predictions of a version, a model or a deployment."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..clock import parse_time
from ..execution import Execution
from ..models.model import Model, Version
from ..problem import invalid_fields, not_found, unprocessable
from ..runs.prediction import StoredPrediction
from ..runs.view import as_held, as_starting
from ..state import State
from ..validation import Schema
from .access import AccessControl
from .json_bodies import as_json, read_object
from .pagination import paginate
from .webhook_fields import WEBHOOK_FIELDS, read_webhook_url, set_webhook

# Seconds for which a create with `Prefer: wait` blocks at most.
MAX_WAIT = 60.0
# Seconds in `Cancel-After`.
MIN_CANCEL_AFTER = 5
MAX_CANCEL_AFTER = 24 * 3600
# Seconds for which predictions made on the website are listed.
MAX_WEB_AGE = 14 * 24 * 3600.0

_FIELDS: dict[str, Any] = {
    "input": {"type": "object"},
    "stream": {"type": "boolean"},
    **WEBHOOK_FIELDS,
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
_DURATION = re.compile(r"(?=.)(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?\Z|(\d{1,9})\Z")


class PredictionEndpoints:
    """The endpoints of predictions."""

    def __init__(self, state: State, execution: Execution, access: AccessControl) -> None:
        self._state = state
        self._execution = execution
        self.routes: list[Route] = [
            access.route("/predictions/{id}", GET=self.get),
            access.route("/predictions", GET=self.list, POST=self.create),
            access.route("/predictions/{id}/cancel", POST=self.cancel),
            access.route("/models/{owner}/{name}/predictions", POST=self.create_for_model),
            access.route(
                "/deployments/{owner}/{name}/predictions", POST=self.create_for_deployment
            ),
        ]

    def _find(self, request: Request) -> StoredPrediction:
        # A training can be read and canceled as a prediction too.
        prediction = self._state.predictions.get(request.path_params["id"])
        if prediction is None:
            raise not_found()
        return prediction

    async def create(self, request: Request) -> Response:
        """`POST /predictions`."""
        body = await read_object(request, _VERSION_REQUEST)
        found = self._state.find_version(body["version"])
        if found is None:
            raise unprocessable(
                "The specified version does not exist (or perhaps you don't have permission to use"
                " it?)",
                title="Invalid version or not permitted",
            )
        return await self._start(request, body, *found)

    async def create_for_model(self, request: Request) -> Response:
        """`POST /models/{owner}/{name}/predictions`."""
        model = self._state.models.get("{owner}/{name}".format(**request.path_params))
        if model is None or not model.versions:
            raise not_found()
        body = await read_object(request, _REQUEST)
        return await self._start(request, body, model, model.versions[-1])

    async def create_for_deployment(self, request: Request) -> Response:
        """`POST /deployments/{owner}/{name}/predictions`."""
        name = "{owner}/{name}".format(**request.path_params)
        deployment = self._state.deployments.get(name)
        if deployment is None:
            raise not_found()
        body = await read_object(request, _REQUEST)
        response = await self._start(
            request, body, deployment.model, deployment.version, deployment=name
        )
        deployment.last_used_at = self._state.clock.time()
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
        cancel_after = _read_cancel_after(request.headers.get("cancel-after"))
        webhook = read_webhook_url(body)
        input, settings = dict(body["input"]), self._state.settings
        if errors := version.definition.signature.find_errors(
            {**version.defaults, **input}, settings.unknown_inputs
        ):
            raise invalid_fields(errors)
        prediction = self._state.add_prediction("predictions", model, version, input)
        set_webhook(prediction, webhook, body)
        if deployment is not None:
            prediction.data["deployment"] = deployment
        self._execution.launch(prediction, version.definition, cancel_after=cancel_after)
        prefer = request.headers.get("prefer", "")
        match = _PREFER.match(prefer)
        if match is None:
            return as_json(self._state.to_json(prediction), settings.created)
        try:
            timeout = min(float(match[1] or MAX_WAIT), MAX_WAIT)
            await asyncio.wait_for(prediction.wait_until_done(), timeout)
        except TimeoutError:
            content = as_starting(self._state.to_json(prediction), settings.shape)
        else:
            content = as_held(self._state.to_json(prediction), settings.shape, settings.held)
        return as_json(content, settings.created, {"Preference-Applied": prefer})

    async def get(self, request: Request) -> Response:
        """`GET /predictions/{id}`."""
        return as_json(self._to_json(self._find(request)))

    async def cancel(self, request: Request) -> Response:
        """`POST /predictions/{id}/cancel`: a prediction that has ended is returned unchanged."""
        prediction = self._find(request)
        prediction.cancel(self._state.clock.time())
        return as_json(self._to_json(prediction))

    def _to_json(self, prediction: StoredPrediction) -> dict[str, Any]:
        # In the documented shape a prediction always has an output, but a training only at its end.
        default = {"output": None} if self._state.settings.shape == "documented" else {}
        return default | self._state.to_json(prediction)

    async def list(self, request: Request) -> Response:
        """`GET /predictions`: the newest first."""
        return paginate(
            request,
            self._state,
            self._select(request),
            lambda each: each.id,
            self._state.to_json,
        )

    def _select(self, request: Request) -> Iterator[StoredPrediction]:
        query = request.query_params
        after = _read_time(query.get("created_after"))
        before = _read_time(query.get("created_before"))
        source = query.get("source")
        if source not in (None, "web"):
            raise unprocessable("- source: must be 'web'\n")
        if source == "web":
            after = max(after or 0.0, self._state.clock.time() - MAX_WEB_AGE)
        for prediction in reversed(self._state.predictions.values()):
            # With the precision of responses, so that a time from one selects exactly.
            created_at = parse_time(prediction.data["created_at"])
            if (
                prediction.kind == "predictions"
                and source in (None, prediction.data["source"])
                and (after is None or created_at >= after)
                and (before is None or created_at < before)
            ):
                yield prediction


def _read_cancel_after(header: str | None) -> float | None:
    if header is None:
        return None
    match = _DURATION.match(header)
    hours, minutes, seconds, plain_seconds = (
        (int(each or 0) for each in match.groups()) if match else (0, 0, 0, 0)
    )
    total = 3600 * hours + 60 * minutes + seconds + plain_seconds
    if not MIN_CANCEL_AFTER <= total <= MAX_CANCEL_AFTER:
        raise unprocessable(
            "Cancel-After must be between 5 seconds and 24 hours: seconds, or a duration like"
            " 1h30m45s.",
            title="Invalid Cancel-After header",
        )
    return float(total)


def _read_time(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        # In a query, a plus sign that is not encoded means a space.
        return parse_time(value.replace(" ", "+"))
    except (ValueError, OverflowError):
        raise unprocessable(f"- {value!r} is not an ISO 8601 date and time\n") from None
