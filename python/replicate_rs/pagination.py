"""Lists that come in pages."""

from __future__ import annotations

from ._typing import TYPE_CHECKING, Generic, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")


class Page(Generic[T]):
    """Some results, and where the next ones are. Iterates over its own results."""

    __slots__ = ("next", "previous", "results")

    def __init__(self, results: list[T], next: str | None = None, previous: str | None = None) -> None:
        self.results = results
        self.next = next
        self.previous = previous

    def __iter__(self) -> Iterator[T]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self.results[index]

    def __eq__(self, other: object) -> bool:
        return self._parts == other._parts if isinstance(other, Page) else NotImplemented

    @property
    def _parts(self) -> tuple[object, ...]:
        return self.results, self.next, self.previous

    __hash__ = None  # type: ignore[assignment]  # its results are a list

    def __repr__(self) -> str:
        return f"Page(results={self.results!r}, next={self.next!r}, previous={self.previous!r})"


def cursor_of(cursor: object) -> str | None:
    """Check what `list()` was given: nothing, or the `next` or `previous` of a page.

    Raises:
        ValueError: It is None: the page before was the last.

    """
    if cursor is ...:
        return None
    if cursor is None:
        raise ValueError("cursor cannot be None: the page before was the last")
    if not isinstance(cursor, str):
        raise TypeError(f"cursor must be a page's `next` or `previous`, not {type(cursor).__name__}")
    return cursor
