"""What an account sees: itself, hardware, collections, search, and its webhook secret."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..problem import not_found
from ..state import State
from .access import Gate, as_json, page
from .models import matching

HARDWARE = (
    {"name": "CPU", "sku": "cpu"},
    {"name": "Nvidia T4 GPU", "sku": "gpu-t4"},
    {"name": "Nvidia A40 GPU", "sku": "gpu-a40-small"},
    {"name": "Nvidia A40 (Large) GPU", "sku": "gpu-a40-large"},
)


class Catalogue:
    """Their endpoints."""

    def __init__(self, state: State, gate: Gate) -> None:
        self._state = state
        self.routes: list[Route] = [
            gate.route("/account", GET=self.account),
            gate.route("/hardware", GET=self.hardware),
            gate.route("/collections", GET=self.collections),
            gate.route("/collections/{slug}", GET=self.collection),
            gate.route("/search", GET=self.search),
            gate.route("/webhooks/default/secret", GET=self.secret),
        ]

    async def account(self, _: Request) -> Response:
        """`GET /account`."""
        return as_json(self._state.account)

    async def hardware(self, _: Request) -> Response:
        """`GET /hardware`: a bare array."""
        return as_json(HARDWARE)

    async def collections(self, request: Request) -> Response:
        """`GET /collections`."""
        collections = self._state.collections.values()
        return page(
            request, self._state, collections, lambda each: each.slug, lambda each: each.item(), 100
        )

    async def collection(self, request: Request) -> Response:
        """`GET /collections/{slug}`, with its models."""
        collection = self._state.collections.get(request.path_params["slug"])
        if collection is None:
            raise not_found()
        models = [
            self._state.models[name] for name in collection.models if name in self._state.models
        ]
        described = [model.describe(self._state.origin) for model in models]
        return as_json(collection.item() | {"full_description": None, "models": described})

    async def search(self, request: Request) -> Response:
        """`GET /search`: among models and collections."""
        query, limit = request.query_params.get("query"), request.query_params.get("limit", "20")
        if not query:
            return as_json({"detail": 'Query parameter "query" is required'}, 400)
        if not (limit.isascii() and limit.isdigit() and len(limit) < 10 and 1 <= int(limit) <= 50):
            return as_json({"detail": 'Query parameter "limit" must be a number from 1 to 50'}, 400)
        words = query.lower().split()
        models: list[dict[str, Any]] = [
            {
                "model": model.describe(self._state.origin),
                "metadata": {"generated_description": model.description, "tags": []},
            }
            for model in matching(self._state, query)[: int(limit)]
        ]
        collections = [
            collection.item() | {"models": collection.models}
            for collection in self._state.collections.values()
            if all(
                word in f"{collection.slug} {collection.name} {collection.description}".lower()
                for word in words
            )
        ]
        return as_json(
            {
                "query": query,
                "models": models,
                "collections": collections[: int(limit)],
                "pages": [],
            }
        )

    async def secret(self, _: Request) -> Response:
        """`GET /webhooks/default/secret`."""
        return as_json({"key": self._state.webhooks.secret})
