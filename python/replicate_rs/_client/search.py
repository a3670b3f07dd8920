"""`client.search`: search models, collections and documentation."""

from __future__ import annotations

from .._base.record import Record
from .._base.resource import M
from .._base.typing import TYPE_CHECKING, defer_annotations
from .._core import Expect
from ..collection import Collection
from ..model import Model

if TYPE_CHECKING:
    from typing import Any, Unpack

    from .._base.resource import Options, Resource


class FoundModel(Record[M]):
    """A model that a search has found, and why."""

    __slots__ = ()

    metadata: dict[str, Any] | None
    """``generated_description``, ``tags`` and ``score``."""

    @property
    def model(self) -> Model[M]:
        """The model."""
        return self._view("model", Model[M]) or Model._of({}, self._session)


class SearchResult(Record[M]):
    """The result of a search (https://replicate.com/docs/reference/http#search)."""

    __slots__ = ()

    query: str
    """What was searched for."""
    pages: list[dict[str, str]]
    """Pages of the documentation: ``name`` and ``href`` of each."""

    @property
    def models(self) -> list[FoundModel[M]]:
        """The models found."""
        return self._views("models", FoundModel[M])

    @property
    def collections(self) -> list[Collection[M]]:
        """The collections found; of their models, only owner and name are known."""
        return self._views("collections", Collection[M])


async def search(
    client: Resource[M], query: str, *, limit: int | None = None, **options: Unpack[Options]
) -> SearchResult[M]:
    """Search; see `client.search`."""
    pending = client._send(
        "GET", ("search",), Expect.OBJECT, options, query={"query": query, "limit": limit}
    )
    return SearchResult._of(await client._transport.finish(pending), client._session)


defer_annotations(globals())
