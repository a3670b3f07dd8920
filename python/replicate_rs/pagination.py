"""Lists that come in pages."""

from __future__ import annotations

from ._core import Expect
from ._operation import given, iterate
from ._streaming import spread, spread_async
from ._transport import Blocking, Suspending, wait
from ._typing import TYPE_CHECKING, Generic, TypeVar, overload
from .exceptions import APIResponseValidationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
    from types import EllipsisType
    from typing import Any, ClassVar, Self

    from ._core import Pending
    from ._operation import Options, Query, Resource
    from ._record import Record
    from ._transport import Transport

T = TypeVar("T")
R = TypeVar("R", bound="Record")


class Page(Generic[T]):
    """Some results, and where the next ones are. Iterates over its own results; `auto` goes on to all others."""

    __slots__ = ("_source", "next", "previous", "results")

    _source: _Source[Any]

    def __init__(self, results: list[T], next: str | None = None, previous: str | None = None) -> None:
        self.results: list[T] = results
        self.next: str | None = next
        """The next page, to be passed to `list()`; None: this is the last."""
        self.previous: str | None = previous

    @classmethod
    def _like(cls, page: Page[T]) -> Self:
        """Give a page of this kind with what another has."""
        twin = cls(page.results, page.next, page.previous)
        twin._source = page._source
        return twin

    def __iter__(self) -> Iterator[T]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __bool__(self) -> bool:
        return True

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

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # its results are a list

    def __repr__(self) -> str:
        return f"Page(results={self.results!r}, next={self.next!r}, previous={self.previous!r})"

    def auto(self) -> Items[T]:
        """Give every item of this page and of all that follow, for `for` and for `async for`; the next page is fetched ahead."""
        return Items(self)

    def has_next_page(self) -> bool:
        """Whether there are more; as in 2.0."""
        return self.next is not None

    def get_next_page(self) -> Page[T]:
        """Fetch the next page, blocking; as in 2.0. Raises `ValueError` on the last one."""
        following = self._begin_next()
        if following is None:
            raise ValueError("there is no next page: this was the last")
        return self._source.page(wait(following))

    async def async_get_next_page(self) -> Page[T]:
        """Fetch the next page. Raises `ValueError` on the last one."""
        following = self._begin_next()
        if following is None:
            raise ValueError("there is no next page: this was the last")
        return self._source.page(await following)

    def _begin_next(self) -> Pending[Any] | None:
        """Begin to fetch the next page, without waiting for it."""
        return None if self.next is None else self._source.begin(self.next)


class Items(Generic[T]):
    """Every item of many pages. The page after the one that is read is on its way meanwhile; two are held at most."""

    __slots__ = ("_first",)

    def __init__(self, first: Page[T]) -> None:
        self._first = first

    def __iter__(self) -> Iterator[T]:
        return spread(self._batches(Blocking))

    def __aiter__(self) -> AsyncIterator[T]:
        return spread_async(self._batches(Suspending))

    async def _batches(self, transport: type[Transport]) -> AsyncGenerator[list[T], None]:
        async for page in pages(self._first, transport):
            yield page.results


async def pages(page: Page[T], transport: type[Transport]) -> AsyncGenerator[Page[T], None]:
    """Give a page and all that follow, each one fetched while the one before is read.

    Raises:
        APIResponseValidationError: The pages go round in circles.

    """
    seen: set[str] = set()
    while True:
        if page.next in seen:
            raise APIResponseValidationError(detail=f"the page after {page.next} is one that came before")
        following = page._begin_next()
        if following is not None:
            following.begin()
        yield page
        if following is None or page.next is None:
            return
        seen.add(page.next)
        page = page._source.page(await transport.finish(following))


def paginate(list_method: Callable[..., Page[T]]) -> Generator[Page[T], None, None]:
    """Give a list method's pages."""
    return iterate(pages(list_method(), Blocking))


async def async_paginate(list_method: Callable[..., Awaitable[Page[T]]]) -> AsyncGenerator[Page[T], None]:
    """Give a list method's pages, on an event loop."""
    following = pages(await list_method(), Suspending)
    try:
        async for page in following:
            yield page
    finally:
        await following.aclose()


class _Source(Generic[R]):
    """Where pages come from: an endpoint, and what its results are."""

    __slots__ = ("kind", "options", "resource", "target")

    def __init__(self, resource: Resource[Any], kind: type[R], target: tuple[str, ...], options: Options) -> None:
        self.resource = resource
        self.kind = kind
        self.target = target
        self.options = options

    def begin(self, cursor: str | None, query: Query | None = None) -> Pending[dict[str, Any]]:
        """Begin to fetch a page."""
        if cursor is None:
            return self.resource._send("GET", self.target, Expect.PAGE, self.options, query=query)
        return self.resource._send("GET", self.target, Expect.PAGE, self.options, query=_query_of(cursor))

    def page(self, data: dict[str, Any]) -> Page[R]:
        """View an answer."""
        session, kind = self.resource._session, self.kind
        page = Page([kind._of(each, session) for each in data["results"]], data.get("next"), data.get("previous"))
        page._source = self
        return page


def _query_of(cursor: str) -> dict[str, object]:
    """Read a page's address, or a bare cursor.

    The endpoint is known, so only the query matters: behind a gateway, too, the next page comes from where this one came from,
    and the token goes nowhere else.
    """
    from urllib.parse import parse_qsl

    if "://" not in cursor and "?" not in cursor:
        return {"cursor": cursor}
    return dict(parse_qsl(cursor.partition("#")[0].partition("?")[2], keep_blank_values=True))


async def page_of(
    resource: Resource[Any],
    kind: type[R],
    target: tuple[str, ...],
    cursor: str | EllipsisType,
    options: Options,
    *,
    query: Query | None = None,
) -> Page[R]:
    """Fetch a page of an endpoint.

    Raises:
        ValueError: The cursor is None: the page before was the last.

    """
    source = _Source(resource, kind, target, options)
    return source.page(await resource._transport.finish(source.begin(cursor_of(cursor), query)))


def one_of(**spellings: str | None) -> str:
    """Give the one of several spellings of an argument that was given.

    Raises:
        TypeError: None was, or more than one.

    """
    found = given(**spellings)
    if len(found) != 1:
        raise TypeError(f"give {' or '.join(f'{name}=' for name in spellings)}, once")
    return str(*found.values())


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
