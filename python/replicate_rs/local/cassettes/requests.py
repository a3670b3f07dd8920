"""Reads a request: as it goes to the upstream, and as it is compared and written."""

from __future__ import annotations

from pathlib import Path

from starlette.types import Scope

from ..problem import not_found
from .content import Content, Spool
from .exchange import Part, RecordedRequest
from .multipart import boundary_of, copy_part, find_parts
from .redaction import Headers, Redactor
from .urls import UrlMap, find_output_url

# Headers of one connection.
HOP_BY_HOP = {
    "connection",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
# Headers that are not recorded: they follow from the body.
_NOT_RECORDED = HOP_BY_HOP | {"accept-encoding", "content-length"}


def upstream_url(scope: Scope, urls: UrlMap, *, is_api: bool) -> str:
    """Return the URL of a request on the upstream. Raises `Problem` if there is none."""
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
    if is_api:
        # The clients disagree whether a base URL ends in `/v1`.
        url = f"{urls.upstream}/v1{path.removeprefix('/v1').removeprefix('/v1')}"
    else:
        output_url = find_output_url(path)
        if output_url is None:
            raise not_found()
        url = output_url
    query = scope["query_string"].decode("latin-1")
    return f"{url}?{query}" if query else url


def read_headers(scope: Scope) -> Headers:
    """Return the headers of a request."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]


def header(headers: Headers, name: str) -> str:
    """Return the first header of a name in lower case; empty without one."""
    return next((value for key, value in headers if key == name), "")


def is_json(media_type: str) -> bool:
    """Return whether a media type is JSON's."""
    kind = media_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def to_recorded(
    method: str, url: str, headers: Headers, body: Content, redactor: Redactor
) -> tuple[RecordedRequest, list[Spool]]:
    """Return a request without secrets, and the temporary files of its parts, to be closed.

    Args:
        method: The HTTP method.
        url: The URL on the upstream.
        headers: The headers.
        body: The body, with the URLs of the upstream.
        redactor: What removes the secrets.

    """
    media_type = header(headers, "content-type")
    parts, spools = _read_parts(body, media_type, redactor)
    if parts:
        # A boundary differs in each request.
        headers = [
            (name, value.partition(";")[0] if name == "content-type" else value)
            for name, value in headers
        ]
    request = RecordedRequest(
        method,
        redactor.url(url),
        redactor.headers([each for each in headers if each[0] not in _NOT_RECORDED]),
        Content.of(b"") if parts else redactor.content(body),
        tuple(parts),
    )
    return request, spools


def _read_parts(
    body: Content, media_type: str, redactor: Redactor
) -> tuple[list[Part], list[Spool]]:
    boundary = boundary_of(media_type) if body.size else None
    found = find_parts(body, boundary) if boundary else None
    parts: list[Part] = []
    spools: list[Spool] = []
    for index, each in enumerate(found or ()):
        spool = Spool(_part_path(body, index))
        spools.append(spool)
        copy_part(body, each, spool)
        content = redactor.form_value(each.name, spool.content())
        filename = None if each.filename is None else redactor.text(each.filename)
        parts.append(Part(redactor.text(each.name), filename, each.media_type, content))
    return parts, spools


def _part_path(body: Content, index: int) -> Path:
    # Only a body in a file has parts that are too large for memory.
    return Path() if body.path is None else body.path.with_name(f"{body.path.name}.{index}")
