"""Requests to any endpoint of the API, for those that this library has no method for."""

from __future__ import annotations

from .._base.checks import limit
from .._base.encoding import encode_query, header_pairs, to_json
from .._base.typing import TYPE_CHECKING, defer_annotations
from .._core import Expect

if TYPE_CHECKING:
    from typing import Any

    from .._base.checks import Limit
    from .._base.resource import Resource
    from .._base.types import Headers, Query
    from .._core import AbortSignal, Response, Upload


async def send_request(
    client: Resource[Any],
    route: str,
    method: str,
    params: Query | None,
    headers: Headers | None,
    data: object,
    signal: AbortSignal | None,
    timeout: Limit | None,
) -> Response:
    """Send the request of `client.request`."""
    media_type = next(
        (value for name, value in header_pairs(headers) if name.lower() == "content-type"), None
    )
    body: bytes | Upload | None = None
    if isinstance(data, str):
        body, media_type = data.encode(), media_type or "text/plain"
    elif isinstance(data, (bytes, bytearray)):
        body, media_type = bytes(data), media_type or "application/octet-stream"
    elif data is not None:
        from .._files.encode import to_plain

        value, files = to_plain(data, "data")
        if files:
            from .._files.multipart import encode_data_as_form

            body, media_type = await encode_data_as_form(client, value, media_type)
        else:
            body, media_type = to_json(value), media_type or "application/json"
    return await client._transport.finish(
        client._core.send(
            method.upper(),
            _target(route),
            Expect.RESPONSE,
            query=encode_query(params or {}),
            body=body,
            content_type=media_type,
            # Not in a local variable: error reports show these.
            headers=[
                (name, value)
                for name, value in header_pairs(headers)
                if name.lower() != "content-type"
            ],
            total=limit("timeout", timeout),
            signal=signal,
        )
    )


def _target(route: str) -> str | tuple[str, ...]:
    if "://" in route:
        return route
    path, _, _ = route.partition("?")
    if path != route:
        raise ValueError(f"give the query of {route!r} as params=")
    return tuple(path.strip("/").split("/"))


defer_annotations(globals())
