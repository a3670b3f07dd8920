"""Trainings of a version, which create a version of their destination."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..execution import Execution
from ..problem import bad_request, invalid_fields, not_found
from ..runs.prediction import StoredPrediction
from ..state import State
from ..validation import Schema
from .access import AccessControl
from .json_bodies import as_json, read_object
from .pagination import paginate
from .webhook_fields import WEBHOOK_FIELDS, read_webhook_url, set_webhook

_REQUEST = Schema(
    {
        "type": "object",
        "properties": {
            "destination": {"type": "string"},
            "input": {"type": "object"},
            **WEBHOOK_FIELDS,
        },
        "required": ["destination", "input"],
    }
)


class TrainingEndpoints:
    """The endpoints of trainings."""

    def __init__(self, state: State, execution: Execution, access: AccessControl) -> None:
        self._state = state
        self._execution = execution
        self.routes: list[Route] = [
            access.route("/models/{owner}/{name}/versions/{version}/trainings", POST=self.create),
            access.route("/trainings", GET=self.list),
            access.route("/trainings/{id}", GET=self.get),
            access.route("/trainings/{id}/cancel", POST=self.cancel),
        ]

    def _find(self, request: Request) -> StoredPrediction:
        training = self._state.predictions.get(request.path_params["id"])
        if training is None or training.kind != "trainings":
            raise not_found()
        return training

    async def create(self, request: Request) -> Response:
        """`POST /models/{owner}/{name}/versions/{version}/trainings`."""
        name, id = "{owner}/{name}".format(**request.path_params), request.path_params["version"]
        found = self._state.find_version(f"{name}:{id}")
        if found is None:
            raise not_found()
        definition = self._state.trainings.get(name)
        if definition is None:
            raise bad_request(f"The model {name} cannot be trained.")
        body = await read_object(request, _REQUEST)
        destination = self._state.models.get(body["destination"])
        if destination is None:
            raise not_found("The specified training destination does not exist")
        webhook = read_webhook_url(body)
        if errors := definition.signature.find_errors(
            body["input"], self._state.settings.unknown_inputs
        ):
            raise invalid_fields(errors)
        training = self._state.add_prediction("trainings", *found, body["input"])
        training.destination = destination
        set_webhook(training, webhook, body)
        self._execution.launch(training, definition)
        return as_json(self._state.to_json(training), 201)

    async def get(self, request: Request) -> Response:
        """`GET /trainings/{id}`."""
        return as_json(self._state.to_json(self._find(request)))

    async def cancel(self, request: Request) -> Response:
        """`POST /trainings/{id}/cancel`."""
        training = self._find(request)
        training.cancel(self._state.clock.time())
        return as_json(self._state.to_json(training))

    async def list(self, request: Request) -> Response:
        """`GET /trainings`: the newest first."""
        trainings = (
            each for each in reversed(self._state.predictions.values()) if each.kind == "trainings"
        )
        return paginate(request, self._state, trainings, lambda each: each.id, self._state.to_json)
