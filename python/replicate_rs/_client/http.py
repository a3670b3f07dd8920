"""The request that a `fetch` function receives."""

from __future__ import annotations

from .._base.checks import headers as checked_headers
from .._base.checks import http_method, text, wrong_type
from .._base.typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from .._core import Upload


class Request:
    """A request that is about to be sent.

    The token and the client's own headers are added when it is sent.

    Args:
        method: The HTTP method.
        url: The whole URL.
        headers: The headers of this request; they override the client's own.
        body: The body; None if there is none, and for uploads of files, which are streamed.

    """

    __slots__ = ("_upload", "body", "headers", "method", "url")

    def __init__(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> None:
        self.method: str = http_method("method", method)
        self.url: str = text("url", url)
        self.headers: dict[str, str] = (
            {} if headers is None else dict(checked_headers("headers", headers))
        )
        if body is not None and not isinstance(body, bytes):  # pyright: ignore[reportUnnecessaryIsInstance] - what callers pass is not always typed
            raise wrong_type("body", "bytes", body)
        self.body: bytes | None = body
        self._upload: Upload | None = None

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url}>"


defer_annotations(globals())
