"""Search in models, collections and documentation."""

from __future__ import annotations

from .._base.record import Record
from .._base.resource import M
from .._base.typing import TYPE_CHECKING, defer_annotations
from .._core import Expect
from ..collection import Collection
from ..model import Model

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any, Unpack

    from .._base.resource import Options, Resource


class FoundModel(Record[M]):
    """A model that matches a query, and its relevance."""

    __slots__ = ()

    metadata: dict[str, Any] | None
    """``generated_description``, ``tags`` and ``score``."""

    @property
    def model(self) -> Model[M]:
        """The model that was found."""
        return self._view("model", Model[M]) or Model._of({}, self._session)


class SearchResult(Record[M]):
    """The result of a search (https://replicate.com/docs/reference/http#search)."""

    __slots__ = ()

    query: str
    """The text that was searched for."""
    pages: list[dict[str, str]]
    """Pages of the documentation, each with ``name`` and ``href``."""

    @property
    def models(self) -> list[FoundModel[M]]:
        """The models that were found."""
        return self._views("models", FoundModel[M])

    @property
    def collections(self) -> list[Collection[M]]:
        """The collections that were found; of their models the API gives owner and name only."""
        return self._views("collections", Collection[M])


def search(
    client: Resource[M], query: str, *, limit: int | None = None, **options: Unpack[Options]
) -> Awaitable[SearchResult[M]]:
    """Search for models, collections and pages of the documentation; see `client.search`."""
    pending = client._send(
        "GET", ("search",), Expect.OBJECT, options, query={"query": query, "limit": limit}
    )
    convert: Any = SearchResult._of
    return client._transport.finish(pending.then(convert, client._session))


defer_annotations(globals())
