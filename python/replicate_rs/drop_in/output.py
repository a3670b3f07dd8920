"""Results that are iterators in 1.0.7."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

T = TypeVar("T")


class Output(list[T]):
    """An output that is a list, complete, and an iterator over its items too: 1.0.7 gives one for
    outputs that grow.

    ``next()`` takes items off for later iteration, as it does from an iterator; the list itself
    stays whole.
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
    """What `async_stream` of a client returns: awaited, as 1.0.7 asks for, it gives an async
    generator; it can be left out.
    """

    __slots__ = ("_items",)

    def __init__(self, items: AsyncGenerator[T, None]) -> None:
        self._items = items

    def __await__(self) -> Generator[None, None, AsyncGenerator[T, None]]:
        yield from ()
        return self._items

    def __aiter__(self) -> AsyncIterator[T]:
        return self._items
