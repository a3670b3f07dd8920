"""URLs of files: which text is one, how a message shows one, and what to tell when one fails."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING, TypeVar, defer_annotations
from ..exceptions import APIConnectionError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

REMOVED_HINT = (
    "outputs are removed an hour after their prediction has ended: save what is to be kept before,"
    " or run the model again"
)


def is_file_url(text: str) -> bool:
    """Return whether a text is a file's URL as a whole, not only a text that begins like one.

    It is an ``https:`` URL, an ``http:`` one on this machine, or a ``data:`` URI.
    """
    scheme, colon, rest = text.partition(":")
    if scheme != "https":
        scheme = scheme.lower()
    if not colon or scheme not in ("https", "http", "data"):
        return False
    if scheme == "data":
        head, comma, _ = rest.partition(",")
        media_type = head.partition(";")[0]
        return (
            bool(comma)
            and media_type.count("/") == 1
            and media_type.isascii()
            and not any(each.isspace() for each in head)
        )
    if (
        not rest.startswith("//")
        or " " in rest
        or not rest.isprintable()
        or rest[2:3] in ("", "/", "?", "#")
    ):
        return False
    return scheme == "https" or _is_loopback(
        rest[2:].partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2]
    )


def _is_loopback(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name in ("localhost", "::1") or name.startswith("127.") or name.endswith(".localhost")


def get_path_url(path: object) -> str | None:
    """Return the URL of a model's output file, or None for anything else.

    replicate 2.0 has this function for its `URLPath`.

    Args:
        path: A `FileOutput`, or any other value.

    """
    url = getattr(path, "__url__", None)
    return url if isinstance(url, str) else None


def without_credentials(url: str) -> str:
    """Return a URL without a user's name and password, for an error message."""
    scheme, mark, rest = url.partition("://")
    user, at, host = rest.partition("/")[0].rpartition("@")
    return f"{scheme}://{host}{rest[len(user) + 1 + len(host) :]}" if mark and at else url


async def await_file(response: Awaitable[T]) -> T:
    """Await a response about a file; see `add_removal_hint`."""
    try:
        return await response
    except NotFoundError as error:
        add_removal_hint(error)
        raise


def add_removal_hint(error: NotFoundError) -> None:
    """Have the error for a missing file tell when files are removed."""
    error.detail = f"{error.detail} ({REMOVED_HINT})"
    error.args = (error.type, error.title, error.status, error.detail, error.instance)


def changed_error(url: str) -> APIConnectionError:
    """Return the error for a file of which another version was read before."""
    shown = without_credentials(url)
    error = APIConnectionError(
        detail=f"GET {shown}: the file changed while it was read: seek(0) and read it again"
    )
    error.method, error.url = "GET", shown
    return error


defer_annotations(globals())
