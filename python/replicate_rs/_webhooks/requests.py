"""The headers and the raw body of a webhook, from the request of any web framework.

The framework is recognized by the attributes of its requests, so that none has to be imported.
"""

from __future__ import annotations

from .._base.operation import close_unawaited
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
    """Return the headers of a request.

    Raises:
        TypeError: The request has no headers.

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
    """Return whether a request is a WSGI environment or an ASGI scope."""
    return hasattr(request, "keys") and hasattr(request, "get")


def _of_wsgi(environ: Mapping[str, Any]) -> Headers:
    names = {
        name: f"HTTP_{name.upper().replace('-', '_')}"
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    }
    return {name: environ[key] for name, key in names.items() if key in environ}


def body_of(request: Request) -> Body | Awaitable[Body] | None:
    """Return the raw body of a request, or an awaitable of it; None if the request has no body.

    Raises:
        TypeError: The body is under no known attribute.

    """
    # Werkzeug; Django, Starlette, Litestar and requests; httpx; aiohttp, whose `content` is a
    # stream.
    for name in ("get_data", "body", "content", "read"):
        attribute: object = getattr(request, name, _ABSENT)
        if attribute is None or _is_body(attribute):
            return attribute
        if callable(attribute):
            body: Body | Awaitable[Body] = attribute()  # pyright: ignore[reportAssignmentType] - callers check it
            return body
    raise TypeError(
        f"the raw body cannot be read from this {type(request).__name__}: give it as `body=`"
    )


_ABSENT = object()


def _is_body(value: object) -> TypeIs[Body]:
    return isinstance(value, (bytes, bytearray, memoryview, str))


def read(request: Request) -> Body | None:
    """Return the raw body of a request that is read without awaiting.

    Raises:
        TypeError: The body has to be awaited.

    """
    body = body_of(request)
    if body is None or _is_body(body):
        return body
    close_unawaited(body)
    raise TypeError(
        "the body of this request has to be awaited: `await avalidate_webhook(request, secret)`, or"
        " give it as `body=`"
    )


async def aread(request: Request) -> Body | None:
    """Return the raw body of a request; await it if necessary."""
    body = body_of(request)
    return body if body is None or _is_body(body) else await body


defer_annotations(globals())
