"""Error responses: RFC 7807 problem documents, filled in as Replicate's API does."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response


class Problem(Exception):
    """An error response."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers
        self.body: dict[str, Any] = (
            {"detail": detail, "status": status} | ({"title": title} if title else {}) | fields
        )

    def response(self) -> Response:
        """Return the response."""
        # ASCII JSON can carry a lone surrogate that came with the request.
        return Response(
            json.dumps(self.body, separators=(",", ":")).encode(),
            self.status,
            self.headers,
            media_type="application/problem+json",
        )


def not_found(detail: str = "The requested resource could not be found.") -> Problem:
    """Return a 404."""
    return Problem(404, detail)


def bad_request(detail: str) -> Problem:
    """Return a 400."""
    return Problem(400, detail, title="Bad request")


def unprocessable(detail: str, *, title: str = "Input validation failed", **fields: Any) -> Problem:
    """Return a 422."""
    return Problem(422, detail, title=title, **fields)


def invalid_fields(fields: list[dict[str, str]]) -> Problem:
    """Return a 422 that lists invalid fields, each with `type`, `field` and `description`."""
    lines = (
        f"- {each['field']}: {each['description']}\n"
        if each["field"]
        else f"- {each['description']}\n"
        for each in fields
    )
    return unprocessable("".join(lines), invalid_fields=fields)


def invalid_field(type: str, field: str, description: str) -> Problem:
    """Return a 422 for one invalid field; an empty `field` is the whole body."""
    return invalid_fields([{"type": type, "field": field, "description": description}])


async def _on_problem(request: Request, error: Exception) -> Response:
    return error.response() if isinstance(error, Problem) else await _on_crash(request, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Replace Starlette's own errors: unknown paths and methods, broken forms."""
    if not isinstance(error, HTTPException):
        return await _on_crash(request, error)
    details = {404: str(not_found()), 405: f'Method "{request.method}" not allowed.'}
    title = None if error.status_code == 404 else HTTPStatus(error.status_code).phrase.capitalize()
    detail = details.get(error.status_code, error.detail)
    return Problem(error.status_code, detail, title=title, headers=error.headers).response()


async def _on_crash(_: Request, error: Exception) -> Response:
    return Problem(500, f"replicate_rs.local failed: {type(error).__name__}: {error}").response()


# The exception handlers of both applications.
HANDLERS: dict[Any, Callable[[Request, Exception], Coroutine[Any, Any, Response]]] = {
    Problem: _on_problem,
    HTTPException: _on_http_exception,
    Exception: _on_crash,
}
