"""Search among models, collections and documentation."""

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
    """A model, and why it was found."""

    __slots__ = ()

    metadata: dict[str, Any] | None
    """``generated_description``, ``tags`` and ``score``."""

    @property
    def model(self) -> Model[M]:
        """The model."""
        return self._view("model", Model[M]) or Model._of({}, self._session)


class SearchResult(Record[M]):
    """What was found (https://replicate.com/docs/reference/http#search)."""

    __slots__ = ()

    query: str
    pages: list[dict[str, str]]
    """Documentation: ``name`` and ``href`` each."""

    @property
    def models(self) -> list[FoundModel[M]]:
        """Models."""
        return self._views("models", FoundModel[M])

    @property
    def collections(self) -> list[Collection[M]]:
        """Collections; the API gives no more of their models than owner and name."""
        return self._views("collections", Collection[M])


async def search(
    client: Resource[M], query: str, *, limit: int | None = None, **options: Unpack[Options]
) -> SearchResult[M]:
    """Do what `client.search` does."""
    found = client._send(
        "GET", ("search",), Expect.OBJECT, options, query={"query": query, "limit": limit}
    )
    return SearchResult._of(await client._transport.finish(found), client._session)


defer_annotations(globals())
