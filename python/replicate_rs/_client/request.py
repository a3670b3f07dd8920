"""Any request to the API, for what this library has no method for."""

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


async def request(
    client: Resource[Any],
    route: str,
    *,
    method: str = "GET",
    params: Query | None = None,
    headers: Headers | None = None,
    data: object = None,
    signal: AbortSignal | None = None,
    timeout: Limit | None = None,
) -> Response:
    """Ask the API for anything, with the client's token, retries and errors.

    Args:
        route: A path under the client's base URL, such as ``/models``, or a whole URL. Another
            origin gets no token.
        method: The HTTP method. `GET`, `HEAD`, `OPTIONS`, `PUT`, `DELETE` and `QUERY` are repeated
            after a failure that may pass, any other only if the server did not take it.
        params: The query; None is left out, lists are joined by commas.
        headers: Sent with it, over the client's own: a mapping, or pairs, of which several may have
            one name.
        data: The body: bytes and text as they are; a dict with files among its values, or a list of
            names and values, as a form (``multipart/form-data``); anything else as JSON, by the
            rules of a model's input.
        signal: Stops the request.
        timeout: Seconds for all of it, retries included.

    Returns:
        The response, read to its end: `status`, `headers`, `body`, `text`, `json()`.

    Raises:
        APIStatusError: The answer has a status of 400 or more.
        TypeError: Something in `data` has no JSON of its own.
        ValueError: JSON cannot carry something in `data`, or the method is `CONNECT` or `TRACE`.

    """
    kind = next(
        (value for name, value in header_pairs(headers) if name.lower() == "content-type"), None
    )
    body: bytes | Upload | None = None
    if isinstance(data, str):
        body, kind = data.encode(), kind or "text/plain"
    elif isinstance(data, (bytes, bytearray)):
        body, kind = bytes(data), kind or "application/octet-stream"
    elif data is not None:
        from .._files.encode import to_plain

        value, files = to_plain(data, "data")
        if files:
            from .._files.multipart import encode_data_as_form

            body, kind = await encode_data_as_form(client, value, kind)
        else:
            body, kind = to_json(value), kind or "application/json"
    return await client._transport.finish(
        client._core.send(
            method.upper(),
            _target(route),
            Expect.RESPONSE,
            query=encode_query(params or {}),
            body=body,
            content_type=kind,
            # In no local, since reports of errors show these.
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
