"""The API's errors: problem documents, as RFC 7807 has them and as the service fills them in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response


class Problem(Exception):
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers
        self.body: dict[str, Any] = (
            {"detail": detail, "status": status} | ({"title": title} if title else {}) | more
        )

    def response(self) -> Response:
        """Give the answer."""
        # In ASCII: what came with half a surrogate pair can be named.
        return Response(
            json.dumps(self.body, separators=(",", ":")).encode(),
            self.status,
            self.headers,
            media_type="application/problem+json",
        )


def not_found(detail: str = "The requested resource could not be found.") -> Problem:
    """Give the answer for something that is not there."""
    return Problem(404, detail)


def invalid(fields: list[dict[str, str]]) -> Problem:
    """Give the answer for a body that does not fit its schema."""
    lines = (
        f"- {each['field']}: {each['description']}\n"
        if each["field"]
        else f"- {each['description']}\n"
        for each in fields
    )
    return Problem(422, "".join(lines), title="Input validation failed", invalid_fields=fields)


async def on_problem(_: Request, error: Exception) -> Response:
    """Answer with a problem that an endpoint raised."""
    return error.response() if isinstance(error, Problem) else await on_crash(_, error)


async def on_http_exception(_: Request, error: Exception) -> Response:
    """Answer in the API's shape where Starlette has one of its own: unknown paths and methods,
    broken forms.
    """
    if not isinstance(error, HTTPException):
        return await on_crash(_, error)
    details = {404: str(not_found()), 405: f'Method "{_.method}" not allowed.'}
    title = None if error.status_code == 404 else HTTPStatus(error.status_code).phrase.capitalize()
    detail = details.get(error.status_code, error.detail)
    return Problem(error.status_code, detail, title=title, headers=error.headers).response()


async def on_crash(_: Request, error: Exception) -> Response:
    """Answer for a mistake of this server's own."""
    return Problem(500, f"replicate_rs.local failed: {type(error).__name__}: {error}").response()
