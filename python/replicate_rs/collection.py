"""Collections: models that Replicate has put together."""

from __future__ import annotations

from ._base.operation import M, Namespace, async_operation, operation
from ._base.record import Record
from ._base.typing import TYPE_CHECKING, defer_annotations
from ._core import Expect
from .identifier import one_of
from .model import Model
from .pagination import page_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import EllipsisType
    from typing import Final, Unpack

    from ._base.operation import Options
    from .identifier import HasId
    from .pagination import Page


class Collection(Record[M]):
    """Models for one purpose (https://replicate.com/docs/reference/http#collections.get).

    Iterates over its models.
    """

    __slots__ = ()

    slug: str
    name: str
    description: str | None
    full_description: str | None
    """Markdown."""

    @property
    def id(self) -> str:
        """The same as `slug`; 1.0.7 has it."""
        return self.slug

    @property
    def models(self) -> list[Model[M]]:
        """Its models; lists of collections leave them out."""
        return self._views("models", Model[M])

    def __iter__(self) -> Iterator[Model[M]]:  # type: ignore[override]  # as in 1.0.7: its models, not its fields
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, index: int) -> Model[M]:
        return self.models[index]


class Collections(Namespace[M]):
    """`client.collections`."""

    __slots__ = ()

    @operation
    async def list(
        self, cursor: str | EllipsisType = ..., **options: Unpack[Options]
    ) -> Page[Collection[M]]:
        """Fetch a page of collections."""
        return await page_of(self, Collection[M], ("collections",), cursor, options)

    async_list: Final = async_operation(list)

    @operation
    async def get(
        self,
        slug: str | HasId | None = None,
        *,
        collection_slug: str | HasId | None = None,
        **options: Unpack[Options],
    ) -> Collection[M]:
        """Fetch a collection, with its models."""
        id = one_of(slug=slug, collection_slug=collection_slug)
        pending = self._send("GET", ("collections", id), Expect.OBJECT, options)
        return Collection._of(await self._transport.finish(pending), self._session)

    async_get: Final = async_operation(get)


defer_annotations(globals())
