"""Search for models and collections."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..models.model import Model
from ..state import State
from .access import AccessControl
from .json_bodies import as_json

MAX_LIMIT = 50
# Models in the response of `QUERY /models`.
MAX_MODELS = 25


class SearchEndpoints:
    """The endpoints of search."""

    def __init__(self, state: State, access: AccessControl) -> None:
        self._state = state
        self.routes: list[Route] = [access.route("/search", GET=self.search)]

    async def search(self, request: Request) -> Response:
        """`GET /search`."""
        query, limit = request.query_params.get("query"), request.query_params.get("limit", "20")
        if not query:
            return as_json({"detail": 'Query parameter "query" is required'}, 400)
        is_number = limit.isascii() and limit.isdigit() and len(limit) < 10
        if not (is_number and 1 <= int(limit) <= MAX_LIMIT):
            return as_json({"detail": 'Query parameter "limit" must be a number from 1 to 50'}, 400)
        models: list[dict[str, Any]] = [
            {
                "model": model.to_json(self._state.origin),
                "metadata": {"generated_description": model.description, "tags": []},
            }
            for model in _find_models(self._state, query)[: int(limit)]
        ]
        words = query.lower().split()
        collections = [
            each.to_json() | {"models": each.model_names}
            for each in self._state.collections.values()
            if each.matches(words)
        ]
        return as_json(
            {
                "query": query,
                "models": models,
                "collections": collections[: int(limit)],
                "pages": [],
            }
        )

    async def query_models(self, request: Request) -> Response:
        """`QUERY /models`: the body is plain text, or a JSON string, as some clients send it."""
        query = (await request.body()).decode(errors="replace")
        try:
            unquoted = json.loads(query)
        except (ValueError, RecursionError):
            unquoted = query
        models = _find_models(self._state, unquoted if isinstance(unquoted, str) else query)
        results = [
            model.to_json(self._state.origin) | {"description": model.description or ""}
            for model in models[:MAX_MODELS]
        ]
        return as_json({"previous": None, "next": None, "results": results})


def _find_models(state: State, query: str) -> list[Model]:
    """Return the models that have all words of a query, the most used first."""
    words = query.lower().split()

    def matches(model: Model) -> bool:
        text = f"{model.full_name} {model.description or ''} {model.readme or ''}".lower()
        return all(word in text for word in words)

    return sorted(filter(matches, state.models.values()), key=lambda model: -model.run_count)
