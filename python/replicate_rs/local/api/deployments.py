"""Deployments."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..models.deployment import Deployment
from ..models.model import Model, Version
from ..problem import bad_request, invalid_field, not_found
from ..state import State
from ..validation import Schema
from .access import AccessControl
from .json_bodies import as_json, read_object
from .pagination import paginate

_FIELDS: dict[str, Any] = {
    "version": {"type": "string"},
    "hardware": {"type": "string"},
    "min_instances": {"type": "integer", "minimum": 0, "maximum": 5},
    "max_instances": {"type": "integer", "minimum": 0, "maximum": 20},
}
_NAME = {"type": "string", "pattern": "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"}
_UPDATE = Schema({"type": "object", "properties": _FIELDS})
_CREATE = Schema(
    {
        "type": "object",
        "properties": _FIELDS | {"name": _NAME, "model": {"type": "string"}},
        "required": ["name", "model", *_FIELDS],
    }
)
# Seconds without a prediction after which a deployment may be deleted.
MIN_UNUSED_TIME = 15 * 60.0


class DeploymentEndpoints:
    """The endpoints of deployments."""

    def __init__(self, state: State, access: AccessControl) -> None:
        self._state = state
        self.routes: list[Route] = [
            access.route("/deployments", GET=self.list, POST=self.create),
            access.route(
                "/deployments/{owner}/{name}", GET=self.get, PATCH=self.update, DELETE=self.delete
            ),
        ]

    def _find(self, request: Request) -> Deployment:
        deployment = self._state.deployments.get("{owner}/{name}".format(**request.path_params))
        if deployment is None:
            raise not_found()
        return deployment

    def _to_json(self, deployment: Deployment) -> dict[str, Any]:
        return deployment.to_json(self._state.account)

    def _find_version(self, model: str, version: str) -> tuple[Model, Version]:
        found = self._state.find_version(f"{model}:{version}")
        if found is None:
            raise invalid_field("exists", "version", f"{model} has no version {version}")
        return found

    async def list(self, request: Request) -> Response:
        """`GET /deployments`."""
        deployments = sorted(self._state.deployments.values(), key=lambda each: -each.released_at)
        return paginate(request, self._state, deployments, lambda each: each.name, self._to_json)

    async def create(self, request: Request) -> Response:
        """`POST /deployments`."""
        body = await read_object(request, _CREATE)
        full_name = f"{self._state.username}/{body['name']}"
        if full_name in self._state.deployments:
            raise invalid_field("unique", "name", f"A deployment {full_name} already exists")
        model, version = self._find_version(body["model"], body["version"])
        deployment = Deployment(
            owner=self._state.username,
            name=body["name"],
            release_number=1,
            model=model,
            version=version,
            hardware=body["hardware"],
            min_instances=body["min_instances"],
            max_instances=body["max_instances"],
            released_at=self._state.clock.time(),
        )
        self._state.deployments[full_name] = deployment
        return as_json(self._to_json(deployment))

    async def get(self, request: Request) -> Response:
        """`GET /deployments/{owner}/{name}`."""
        return as_json(self._to_json(self._find(request)))

    async def update(self, request: Request) -> Response:
        """`PATCH /deployments/{owner}/{name}`: create a new release."""
        deployment, body = self._find(request), await read_object(request, _UPDATE)
        if "version" in body:
            _, deployment.version = self._find_version(deployment.model.full_name, body["version"])
        deployment.hardware = body.get("hardware", deployment.hardware)
        deployment.min_instances = body.get("min_instances", deployment.min_instances)
        deployment.max_instances = body.get("max_instances", deployment.max_instances)
        deployment.release_number += 1
        deployment.released_at = self._state.clock.time()
        return as_json(self._to_json(deployment))

    async def delete(self, request: Request) -> Response:
        """`DELETE /deployments/{owner}/{name}`, if it is offline and unused for 15 minutes."""
        deployment = self._find(request)
        unused_time = self._state.clock.time() - deployment.last_used_at
        if deployment.min_instances > 0 or unused_time < MIN_UNUSED_TIME:
            raise bad_request(
                "Only deployments that are offline and have not been used for 15 minutes can be"
                " deleted."
            )
        del self._state.deployments[f"{deployment.owner}/{deployment.name}"]
        return Response(status_code=204)
