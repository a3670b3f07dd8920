"""Models, their versions, readmes and examples; search among them."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ..models.model import Model, Version, parts
from ..problem import Problem, invalid, not_found
from ..state import State
from ..validation import Schema
from .access import Gate, as_json, page, read_object

_TEXT = {"type": "string"}
_LINKS = ("github_url", "paper_url", "license_url", "cover_image_url", "weights_url")
_CREATE = Schema(
    {
        "type": "object",
        "properties": {
            "owner": _TEXT,
            "name": _TEXT,
            "visibility": {"type": "string", "enum": ["public", "private"]},
            "hardware": _TEXT,
            "description": _TEXT,
            **{name: _TEXT | {"format": "uri"} for name in _LINKS},
        },
        "required": ["owner", "name", "visibility", "hardware"],
    }
)
_UPDATE = Schema(
    {
        "type": "object",
        "properties": {
            "description": _TEXT,
            "readme": _TEXT,
            **{name: _TEXT | {"format": "uri"} for name in _LINKS},
        },
    }
)
# Models in a page of results.
PAGE, FOUND = 25, 25


class Models:
    """Their endpoints."""

    def __init__(self, state: State, gate: Gate) -> None:
        self._state = state
        self.routes: list[Route] = [
            gate.route("/models", GET=self.list, POST=self.create, QUERY=self.search),
            gate.route(
                "/models/{owner}/{name}", GET=self.get, PATCH=self.update, DELETE=self.delete
            ),
            gate.route("/models/{owner}/{name}/readme", GET=self.readme),
            gate.route("/models/{owner}/{name}/examples", GET=self.examples),
            gate.route("/models/{owner}/{name}/versions", GET=self.versions),
            gate.route(
                "/models/{owner}/{name}/versions/{version}",
                GET=self.version,
                DELETE=self.delete_version,
            ),
        ]

    def find(self, request: Request) -> Model:
        """Give the model that a path names."""
        model = self._state.models.get("{owner}/{name}".format(**request.path_params))
        if model is None:
            raise not_found()
        return model

    def find_version(self, request: Request) -> tuple[Model, Version]:
        """Give the version that a path names."""
        model, id = self.find(request), request.path_params["version"]
        version = next((each for each in model.versions if each.id == id), None)
        if version is None:
            raise not_found()
        return model, version

    async def list(self, request: Request) -> Response:
        """`GET /models`."""
        by = request.query_params.get("sort_by", "latest_version_created_at")
        direction = request.query_params.get("sort_direction", "desc")
        if by not in ("latest_version_created_at", "model_created_at") or direction not in (
            "asc",
            "desc",
        ):
            detail = (
                "- sort_by is latest_version_created_at or model_created_at, sort_direction is asc"
                " or desc\n"
            )
            raise Problem(422, detail, title="Input validation failed")

        def age(model: Model) -> tuple[float, str]:
            newest = by == "latest_version_created_at" and model.versions
            return (model.versions[-1].created if newest else model.created), model.full_name

        models = sorted(self._state.models.values(), key=age, reverse=direction == "desc")
        return page(
            request, self._state, models, lambda model: model.full_name, self._describe, PAGE
        )

    def _describe(self, model: Model) -> dict[str, Any]:
        return model.describe(self._state.origin)

    async def create(self, request: Request) -> Response:
        """`POST /models`."""
        body = await read_object(request, _CREATE)
        try:
            owner, name = parts(f"{body['owner']}/{body['name']}")
        except ValueError as error:
            raise invalid(
                [{"type": "pattern", "field": "name", "description": str(error)}]
            ) from None
        if f"{owner}/{name}" in self._state.models:
            description = f"A model with the name {owner}/{name} already exists"
            raise invalid([{"type": "unique", "field": "name", "description": description}])
        model = Model(
            owner=owner,
            name=name,
            created=self._state.clock.time(),
            description=body.get("description"),
            visibility=body["visibility"],
            hardware=body["hardware"],
            links={each: body[each] for each in _LINKS if each in body},
        )
        self._state.models[model.full_name] = model
        return as_json(self._describe(model), 201)

    async def get(self, request: Request) -> Response:
        """`GET /models/{owner}/{name}`."""
        return as_json(self._describe(self.find(request)))

    async def update(self, request: Request) -> Response:
        """`PATCH /models/{owner}/{name}`."""
        model, body = self.find(request), await read_object(request, _UPDATE)
        model.description = body.get("description", model.description)
        model.readme = body.get("readme", model.readme)
        model.links |= {each: body[each] for each in _LINKS if each in body}
        return as_json(self._describe(model))

    async def delete(self, request: Request) -> Response:
        """`DELETE /models/{owner}/{name}`: a private one without versions."""
        model = self.find(request)
        if model.visibility != "private" or model.versions:
            raise Problem(
                400, "Only private models without versions can be deleted.", title="Bad request"
            )
        del self._state.models[model.full_name]
        return Response(status_code=204)

    async def readme(self, request: Request) -> Response:
        """`GET /models/{owner}/{name}/readme`: Markdown."""
        model = self.find(request)
        if model.readme is None:
            raise not_found()
        return PlainTextResponse(model.readme.encode(errors="replace"))

    async def examples(self, request: Request) -> Response:
        """`GET /models/{owner}/{name}/examples`."""
        examples = [each() for each in self.find(request).examples]
        return page(request, self._state, examples, lambda each: each["id"], lambda each: each, 100)

    async def versions(self, request: Request) -> Response:
        """`GET /models/{owner}/{name}/versions`: newest first."""
        versions = list(reversed(self.find(request).versions))
        return page(request, self._state, versions, lambda each: each.id, Version.describe, PAGE)

    async def version(self, request: Request) -> Response:
        """`GET /models/{owner}/{name}/versions/{version}`."""
        return as_json(self.find_version(request)[1].describe())

    async def delete_version(self, request: Request) -> Response:
        """`DELETE /models/{owner}/{name}/versions/{version}`: of a private model, if nothing else
        needs it.
        """
        model, version = self.find_version(request)
        deployed = any(each.version is version for each in self._state.deployments.values())
        trained = any(
            each.base == version.id
            for model in self._state.models.values()
            for each in model.versions
        )
        if model.visibility != "private" or deployed or trained:
            detail = (
                "Only versions of private models that no deployment and no other version is based"
                " on can be deleted."
            )
            raise Problem(400, detail, title="Bad request")
        model.versions.remove(version)
        # Accepted: the service deletes in the background.
        return Response(status_code=202)

    async def search(self, request: Request) -> Response:
        """`QUERY /models`: a query in plain text. Node and 2.0 send it as a JSON string."""
        query = (await request.body()).decode(errors="replace")
        try:
            unquoted = json.loads(query)
        except (ValueError, RecursionError):
            unquoted = query
        found = matching(self._state, unquoted if isinstance(unquoted, str) else query)
        results = [
            self._describe(model) | {"description": model.description or ""}
            for model in found[:FOUND]
        ]
        return as_json({"previous": None, "next": None, "results": results})


def matching(state: State, query: str) -> list[Model]:
    """Give the models that have every word of a query, the most used first."""
    words = query.lower().split()

    def has(model: Model) -> bool:
        text = f"{model.full_name} {model.description or ''} {model.readme or ''}".lower()
        return all(word in text for word in words)

    return sorted(filter(has, state.models.values()), key=lambda model: -model.run_count)
