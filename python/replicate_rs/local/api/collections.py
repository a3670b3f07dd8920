"""Collections of models."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..models.collection import Collection
from ..problem import not_found
from ..state import State
from .access import AccessControl
from .json_bodies import as_json
from .pagination import paginate


class CollectionEndpoints:
    """The endpoints of collections."""

    def __init__(self, state: State, access: AccessControl) -> None:
        self._state = state
        self.routes: list[Route] = [
            access.route("/collections", GET=self.list),
            access.route("/collections/{slug}", GET=self.get),
        ]

    async def list(self, request: Request) -> Response:
        """`GET /collections`."""
        collections = self._state.collections.values()
        return paginate(
            request, self._state, collections, lambda each: each.slug, Collection.to_json
        )

    async def get(self, request: Request) -> Response:
        """`GET /collections/{slug}`, with its models."""
        collection = self._state.collections.get(request.path_params["slug"])
        if collection is None:
            raise not_found()
        models = [
            self._state.models[name].to_json(self._state.origin)
            for name in collection.model_names
            if name in self._state.models
        ]
        return as_json(collection.to_json() | {"full_description": None, "models": models})
