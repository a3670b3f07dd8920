"""`Client._request` of 1.0.7, with options and responses of httpx.

Programs call it for endpoints that 1.0.7 has no method for.
"""

from __future__ import annotations

from typing import Any

import httpx

from .._base.encoding import header_pairs, to_json

TYPE_CHECKING = False

if TYPE_CHECKING:
    from .._core import Response
    from ..client import Replicate


def send(
    client: Replicate, method: str, path: str, *, params: Any = None, **options: Any
) -> httpx.Response:
    """Send a request; `path` begins with ``/v1``."""
    url = _get_url(client, path, params)
    return _convert(method, client.request(url, method=method, **_convert_options(**options)))


async def async_send(
    client: Replicate, method: str, path: str, *, params: Any = None, **options: Any
) -> httpx.Response:
    """Send a request; `path` begins with ``/v1``."""
    url = _get_url(client, path, params)
    response = await client.async_request(url, method=method, **_convert_options(**options))
    return _convert(method, response)


def _get_url(client: Replicate, path: str, params: Any) -> str:
    if "://" not in path:
        path = f"{client._core.base_url.rstrip('/').removesuffix('/v1')}/{path.lstrip('/')}"
    return path if params is None else str(httpx.URL(path).copy_merge_params(params))


def _convert_options(
    *,
    json: Any = None,
    content: str | bytes | None = None,
    headers: Any = None,
    timeout: Any = None,
) -> dict[str, Any]:
    """Convert options of httpx to those of `client.request`."""
    pairs = header_pairs(headers)
    if json is not None:
        content = to_json(json)
        if all(name.lower() != "content-type" for name, _ in pairs):
            pairs = [*pairs, ("Content-Type", "application/json")]
    if isinstance(timeout, httpx.Timeout):
        timeout = timeout.read
    return {"data": content, "headers": pairs, "timeout": timeout}


def _convert(method: str, response: Response) -> httpx.Response:
    headers = {
        name: value for name, value in response.headers.items() if name != "content-encoding"
    }
    request = httpx.Request(method, response.url)
    return httpx.Response(response.status, headers=headers, content=response.body, request=request)
