"""Deployments."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..models.model import Model, Version
from ..problem import Problem, invalid, not_found
from ..state import Deployment, State
from ..validation import Schema
from .access import Gate, as_json, page, read_object

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
UNUSED = 15 * 60.0


class Deployments:
    """Their endpoints."""

    def __init__(self, state: State, gate: Gate) -> None:
        self._state = state
        self.routes: list[Route] = [
            gate.route("/deployments", GET=self.list, POST=self.create),
            gate.route(
                "/deployments/{owner}/{name}", GET=self.get, PATCH=self.update, DELETE=self.delete
            ),
        ]

    def find(self, request: Request) -> Deployment:
        """Give the deployment that a path names."""
        deployment = self._state.deployments.get("{owner}/{name}".format(**request.path_params))
        if deployment is None:
            raise not_found()
        return deployment

    def _describe(self, deployment: Deployment) -> dict[str, Any]:
        return deployment.describe(self._state.account)

    def _version(self, model: str, version: str) -> tuple[Model, Version]:
        found = self._state.find_version(f"{model}:{version}")
        if found is None:
            raise invalid(
                [
                    {
                        "type": "exists",
                        "field": "version",
                        "description": f"{model} has no version {version}",
                    }
                ]
            )
        return found

    async def list(self, request: Request) -> Response:
        """`GET /deployments`."""
        deployments = sorted(self._state.deployments.values(), key=lambda each: -each.released)
        return page(request, self._state, deployments, lambda each: each.name, self._describe, 100)

    async def create(self, request: Request) -> Response:
        """`POST /deployments`."""
        body = await read_object(request, _CREATE)
        name = f"{self._state.username}/{body['name']}"
        if name in self._state.deployments:
            raise invalid(
                [
                    {
                        "type": "unique",
                        "field": "name",
                        "description": f"A deployment {name} already exists",
                    }
                ]
            )
        model, version = self._version(body["model"], body["version"])
        deployment = Deployment(
            owner=self._state.username,
            name=body["name"],
            number=1,
            model=model,
            version=version,
            hardware=body["hardware"],
            min_instances=body["min_instances"],
            max_instances=body["max_instances"],
            released=self._state.clock.time(),
        )
        self._state.deployments[name] = deployment
        return as_json(self._describe(deployment))

    async def get(self, request: Request) -> Response:
        """`GET /deployments/{owner}/{name}`."""
        return as_json(self._describe(self.find(request)))

    async def update(self, request: Request) -> Response:
        """`PATCH /deployments/{owner}/{name}`: a new release."""
        deployment, body = self.find(request), await read_object(request, _UPDATE)
        if "version" in body:
            deployment.version = self._version(deployment.model.full_name, body["version"])[1]
        deployment.hardware = body.get("hardware", deployment.hardware)
        deployment.min_instances = body.get("min_instances", deployment.min_instances)
        deployment.max_instances = body.get("max_instances", deployment.max_instances)
        deployment.number += 1
        deployment.released = self._state.clock.time()
        return as_json(self._describe(deployment))

    async def delete(self, request: Request) -> Response:
        """`DELETE /deployments/{owner}/{name}`: one that is offline and was not used for 15
        minutes.
        """
        deployment = self.find(request)
        if deployment.min_instances > 0 or self._state.clock.time() < deployment.used + UNUSED:
            detail = (
                "Only deployments that are offline and have not been used for 15 minutes can be"
                " deleted."
            )
            raise Problem(400, detail, title="Bad request")
        del self._state.deployments[f"{deployment.owner}/{deployment.name}"]
        return Response(status_code=204)
