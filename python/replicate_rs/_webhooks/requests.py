"""A webhook's headers and raw body, from a request of whatever framework: told by its shape, so
that none has to be imported.
"""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from typing import Any, TypeAlias, TypeGuard

    from typing_extensions import TypeIs

    from .types import HasHeaders as HasHeaders
    from .types import WebhookBody as Body
    from .types import WebhookHeaders as Headers
    from .types import WebhookRequest as Request

    Text: TypeAlias = str | bytes


def headers_of(request: Request) -> Headers:
    """Give a request's headers.

    Raises:
        TypeError: It has none.

    """
    headers: Headers | None = getattr(request, "headers", None)
    if headers is None and is_mapping(request):
        headers = _of_wsgi(request) if "REQUEST_METHOD" in request else request.get("headers")
    if headers is None:
        raise TypeError(
            "request must have headers, or be a WSGI environ or an ASGI scope, not"
            f" {type(request).__name__}"
        )
    return headers


def is_mapping(request: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a request is an environ or a scope."""
    return hasattr(request, "keys") and hasattr(request, "get")


def _of_wsgi(environ: Mapping[str, Any]) -> Headers:
    names = {
        name: f"HTTP_{name.upper().replace('-', '_')}"
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    }
    return {name: environ[key] for name, key in names.items() if key in environ}


def body_of(request: Request) -> Body | Awaitable[Body] | None:
    """Give a request's raw body, to be awaited where the framework reads it that way; None if it
    has none.

    Raises:
        TypeError: It cannot be told where the body is.

    """
    # Werkzeug; Django, Starlette, Litestar and requests; httpx; aiohttp, whose `content` is a
    # stream.
    for name in ("get_data", "body", "content", "read"):
        part: object = getattr(request, name, _ABSENT)
        if part is None or _is_body(part):
            return part
        if callable(part):
            content: Body | Awaitable[Body] = part()  # pyright: ignore[reportAssignmentType] - whatever it is, it is looked at
            return content
    raise TypeError(
        f"the raw body cannot be had from this {type(request).__name__}: give it as `body=`"
    )


_ABSENT = object()


def _is_body(part: object) -> TypeIs[Body]:
    return isinstance(part, (bytes, bytearray, memoryview, str))


def read(request: Request) -> Body | None:
    """Give a request's raw body where that takes no waiting.

    Raises:
        TypeError: It has to be awaited.

    """
    body = body_of(request)
    if body is None or _is_body(body):
        return body
    # A coroutine that nobody awaits would warn of it.
    close = getattr(body, "close", None)
    if close is not None:
        close()
    raise TypeError(
        "the body of this request has to be awaited: `await avalidate_webhook(request, secret)`, or"
        " give it as `body=`"
    )


async def aread(request: Request) -> Body | None:
    """Give a request's raw body, awaited if need be."""
    body = body_of(request)
    return body if body is None or _is_body(body) else await body


defer_annotations(globals())
