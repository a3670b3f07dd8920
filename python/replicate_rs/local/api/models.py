"""Models, and their versions, readmes and examples."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ..models.model import Model, Version, split_name
from ..problem import bad_request, invalid_field, not_found, unprocessable
from ..state import State
from ..validation import Schema
from .access import AccessControl
from .json_bodies import as_json, read_object
from .pagination import paginate
from .search import SearchEndpoints

PAGE_SIZE = 25
_STRING = {"type": "string"}
_LINKS = ("github_url", "paper_url", "license_url", "cover_image_url", "weights_url")
_LINK_SCHEMAS = {name: _STRING | {"format": "uri"} for name in _LINKS}
_CREATE = Schema(
    {
        "type": "object",
        "properties": {
            "owner": _STRING,
            "name": _STRING,
            "visibility": {"type": "string", "enum": ["public", "private"]},
            "hardware": _STRING,
            "description": _STRING,
            **_LINK_SCHEMAS,
        },
        "required": ["owner", "name", "visibility", "hardware"],
    }
)
_UPDATE = Schema(
    {
        "type": "object",
        "properties": {"description": _STRING, "readme": _STRING, **_LINK_SCHEMAS},
    }
)


class ModelEndpoints:
    """The endpoints of models."""

    def __init__(self, state: State, access: AccessControl, search: SearchEndpoints) -> None:
        self._state = state
        self.routes: list[Route] = [
            access.route("/models", GET=self.list, POST=self.create, QUERY=search.query_models),
            access.route(
                "/models/{owner}/{name}", GET=self.get, PATCH=self.update, DELETE=self.delete
            ),
            access.route("/models/{owner}/{name}/readme", GET=self.readme),
            access.route("/models/{owner}/{name}/examples", GET=self.examples),
            access.route("/models/{owner}/{name}/versions", GET=self.versions),
            access.route(
                "/models/{owner}/{name}/versions/{version}",
                GET=self.version,
                DELETE=self.delete_version,
            ),
        ]

    def _find(self, request: Request) -> Model:
        model = self._state.models.get("{owner}/{name}".format(**request.path_params))
        if model is None:
            raise not_found()
        return model

    def _find_version(self, request: Request) -> tuple[Model, Version]:
        model, id = self._find(request), request.path_params["version"]
        version = next((each for each in model.versions if each.id == id), None)
        if version is None:
            raise not_found()
        return model, version

    def _to_json(self, model: Model) -> dict[str, Any]:
        return model.to_json(self._state.origin)

    async def list(self, request: Request) -> Response:
        """`GET /models`."""
        sort_by = request.query_params.get("sort_by", "latest_version_created_at")
        direction = request.query_params.get("sort_direction", "desc")
        if sort_by not in (
            "latest_version_created_at",
            "model_created_at",
        ) or direction not in ("asc", "desc"):
            raise unprocessable(
                "- sort_by is latest_version_created_at or model_created_at, sort_direction is asc"
                " or desc\n"
            )

        def sort_key(model: Model) -> tuple[float, str]:
            if sort_by == "latest_version_created_at" and model.versions:
                return model.versions[-1].created_at, model.full_name
            return model.created_at, model.full_name

        models = sorted(self._state.models.values(), key=sort_key, reverse=direction == "desc")
        return paginate(
            request, self._state, models, lambda each: each.full_name, self._to_json, PAGE_SIZE
        )

    async def create(self, request: Request) -> Response:
        """`POST /models`."""
        body = await read_object(request, _CREATE)
        try:
            owner, name = split_name(f"{body['owner']}/{body['name']}")
        except ValueError as error:
            raise invalid_field("pattern", "name", str(error)) from None
        if f"{owner}/{name}" in self._state.models:
            raise invalid_field(
                "unique", "name", f"A model with the name {owner}/{name} already exists"
            )
        model = Model(
            owner=owner,
            name=name,
            created_at=self._state.clock.time(),
            description=body.get("description"),
            visibility=body["visibility"],
            hardware=body["hardware"],
            links={each: body[each] for each in _LINKS if each in body},
        )
        self._state.models[model.full_name] = model
        return as_json(self._to_json(model), 201)

    async def get(self, request: Request) -> Response:
        """`GET /models/{owner}/{name}`."""
        return as_json(self._to_json(self._find(request)))

    async def update(self, request: Request) -> Response:
        """`PATCH /models/{owner}/{name}`."""
        model, body = self._find(request), await read_object(request, _UPDATE)
        model.description = body.get("description", model.description)
        model.readme = body.get("readme", model.readme)
        model.links |= {each: body[each] for each in _LINKS if each in body}
        return as_json(self._to_json(model))

    async def delete(self, request: Request) -> Response:
        """`DELETE /models/{owner}/{name}`, if it is private and has no versions."""
        model = self._find(request)
        if model.visibility != "private" or model.versions:
            raise bad_request("Only private models without versions can be deleted.")
        del self._state.models[model.full_name]
        return Response(status_code=204)

    async def readme(self, request: Request) -> Response:
        """`GET /models/{owner}/{name}/readme`: Markdown."""
        model = self._find(request)
        if model.readme is None:
            raise not_found()
        return PlainTextResponse(model.readme.encode(errors="replace"))

    async def examples(self, request: Request) -> Response:
        """`GET /models/{owner}/{name}/examples`."""
        examples = [to_json() for to_json in self._find(request).examples]
        return paginate(request, self._state, examples, lambda each: each["id"], lambda each: each)

    async def versions(self, request: Request) -> Response:
        """`GET /models/{owner}/{name}/versions`: the latest first."""
        versions = list(reversed(self._find(request).versions))
        return paginate(
            request, self._state, versions, lambda each: each.id, Version.to_json, PAGE_SIZE
        )

    async def version(self, request: Request) -> Response:
        """`GET /models/{owner}/{name}/versions/{version}`."""
        return as_json(self._find_version(request)[1].to_json())

    async def delete_version(self, request: Request) -> Response:
        """`DELETE /models/{owner}/{name}/versions/{version}`, if the model is private.

        A version that is deployed or was trained from cannot be deleted.
        """
        model, version = self._find_version(request)
        is_deployed = any(each.version is version for each in self._state.deployments.values())
        is_base = any(
            each.base_id == version.id
            for other in self._state.models.values()
            for each in other.versions
        )
        if model.visibility != "private" or is_deployed or is_base:
            raise bad_request(
                "Only versions of private models that no deployment and no other version is based"
                " on can be deleted."
            )
        model.versions.remove(version)
        # 202: the service deletes in the background.
        return Response(status_code=202)
