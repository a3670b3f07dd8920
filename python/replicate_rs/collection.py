"""Collections of models that Replicate maintains."""

from __future__ import annotations

from ._base.checks import resource_id
from ._base.operation import async_operation, operation
from ._base.record import Record, fetch
from ._base.resource import M, Namespace
from ._base.typing import TYPE_CHECKING, defer_annotations
from .model import Model
from .pagination import page_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator
    from types import EllipsisType
    from typing import Final, Unpack

    from ._base.resource import Options
    from .identifier import HasId
    from .pagination import Page


class Collection(Record[M]):
    """Models for one purpose (https://replicate.com/docs/reference/http#collections.get).

    Iterates over its models.
    """

    __slots__ = ()

    slug: str
    """The collection's name in addresses."""
    name: str
    """The collection's name for readers."""
    description: str | None
    """One sentence about its models."""
    full_description: str | None
    """Markdown."""

    @property
    def id(self) -> str:
        """The same as `slug`, as in 1.0.7."""
        return self.slug

    @property
    def models(self) -> list[Model[M]]:
        """The models; empty in a collection that `list` returned."""
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
    def list(
        self, cursor: str | EllipsisType = ..., **options: Unpack[Options]
    ) -> Awaitable[Page[Collection[M]]]:
        """Fetch a page of collections.

        API: https://replicate.com/docs/reference/http#collections.list

        Args:
            cursor: The `next` or `previous` of another page.

        Raises:
            ReplicateError: The request failed.

        """
        return page_of(self, Collection[M], ("collections",), cursor, options)

    async_list: Final = async_operation(list)

    @operation
    def get(self, slug: str | HasId, **options: Unpack[Options]) -> Awaitable[Collection[M]]:
        """Fetch a collection with its models.

        API: https://replicate.com/docs/reference/http#collections.get

        Args:
            slug: The collection's slug, or a collection.

        Raises:
            NotFoundError: The collection does not exist.

        """
        target = ("collections", resource_id("slug", slug))
        return fetch(self, Collection[M], "GET", target, options)

    async_get: Final = async_operation(get)


defer_annotations(globals())
