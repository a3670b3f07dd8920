"""What is said when a file that a model made cannot be fetched."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING, TypeVar, defer_annotations
from ..exceptions import APIConnectionError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

REMOVED = (
    "outputs are removed an hour after their prediction has ended: save what is to be kept before,"
    " or run the model again"
)


async def fetched(answer: Awaitable[T]) -> T:
    """Await something of a file; where it is not found, the error says why that may be."""
    try:
        return await answer
    except NotFoundError as error:
        error.detail = f"{error.detail} ({REMOVED})"
        error.args = (error.type, error.title, error.status, error.detail, error.instance)
        raise


def changed(url: str) -> APIConnectionError:
    """Return the error for a file that is another than before."""
    shown = without_secrets(url)
    error = APIConnectionError(
        detail=f"GET {shown}: the file changed while it was read: seek(0) and read it again"
    )
    error.method, error.url = "GET", shown
    return error


def without_secrets(url: str) -> str:
    """Return a URL without a user's name and password, as a message may show it."""
    scheme, mark, rest = url.partition("://")
    user, at, host = rest.partition("/")[0].rpartition("@")
    return f"{scheme}://{host}{rest[len(user) + 1 + len(host) :]}" if mark and at else url


defer_annotations(globals())
