"""Results of calls that are iterators in 1.0.7."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

T = TypeVar("T")


class Output(list[T]):
    """A complete output that is a list, and an iterator over its items, as in 1.0.7.

    ``next()`` advances later iterations, as it does for an iterator; the list does not change.
    """

    __slots__ = ("_rest",)

    def __iter__(self) -> Iterator[T]:
        rest: Iterator[T] | None = getattr(self, "_rest", None)
        return super().__iter__() if rest is None else rest

    def __next__(self) -> T:
        if getattr(self, "_rest", None) is None:
            self._rest = super().__iter__()
        return next(self._rest)

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        for item in self:
            yield item

    async def __anext__(self) -> T:
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None

    def __reduce__(self) -> tuple[type[list[T]], tuple[list[T]]]:
        return list, (self[:],)


class AsyncEvents(Generic[T]):
    """The result of a client's `async_stream`: an async iterable that may also be awaited."""

    __slots__ = ("_items",)

    def __init__(self, items: AsyncGenerator[T, None]) -> None:
        self._items = items

    def __await__(self) -> Generator[None, None, AsyncGenerator[T, None]]:
        yield from ()
        return self._items

    def __aiter__(self) -> AsyncIterator[T]:
        return self._items
