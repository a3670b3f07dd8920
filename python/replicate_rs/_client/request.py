"""`client.request`: any request, for endpoints that this library has no method for."""

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
    """Send any request to the API, with the client's token, retries and errors.

    Args:
        route: A path under the client's base URL, such as ``/models``, or a whole URL. Another
            origin does not get the token.
        method: The HTTP method. `GET`, `HEAD`, `OPTIONS`, `PUT`, `DELETE` and `QUERY` are retried
            after a temporary failure, others only if the server has not processed the request.
        params: The query. None is left out, lists are joined by commas.
        headers: Headers of this request, which override the client's own: a mapping, or pairs, of
            which several may have the same name.
        data: The body: bytes and text unchanged; a dict with files among its values, or a list of
            names and values, as a form (``multipart/form-data``); anything else as JSON, encoded
            like a model's input.
        signal: Aborts the request.
        timeout: Seconds for the whole call, retries included.

    Returns:
        The response, read completely: `status`, `headers`, `body`, `text`, `json()`.

    Raises:
        APIStatusError: The response has a status of 400 or more.
        TypeError: A value in `data` cannot be encoded as JSON.
        ValueError: A value in `data` is not valid in JSON, or the method is `CONNECT` or `TRACE`.

    """
    content_type = next(
        (value for name, value in header_pairs(headers) if name.lower() == "content-type"), None
    )
    body: bytes | Upload | None = None
    if isinstance(data, str):
        body, content_type = data.encode(), content_type or "text/plain"
    elif isinstance(data, (bytes, bytearray)):
        body, content_type = bytes(data), content_type or "application/octet-stream"
    elif data is not None:
        from .._files.encode import plain

        value, files = plain(data, "data")
        if files:
            from .._files.form import as_form

            body, content_type = await as_form(client, value, content_type)
        else:
            body, content_type = to_json(value), content_type or "application/json"
    return await client._transport.finish(
        client._core.send(
            method.upper(),
            _to_target(route),
            Expect.RESPONSE,
            query=encode_query(params or {}),
            body=body,
            content_type=content_type,
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


def _to_target(route: str) -> str | tuple[str, ...]:
    if "://" in route:
        return route
    path, _, _ = route.partition("?")
    if path != route:
        raise ValueError(f"pass the query of {route!r} as params=")
    return tuple(path.strip("/").split("/"))


defer_annotations(globals())
