"""Lists that come in pages."""

from __future__ import annotations

from ._checks import function, identity, is_async_function, sync_function, wrong_type
from ._core import Expect
from ._operation import Async, Resource, given, iterate
from ._streaming import spread, spread_async
from ._transport import Blocking, Suspending, wait
from ._typing import TYPE_CHECKING, Generic, TypeVar, overload
from .exceptions import APIResponseValidationError, ReplicateError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator, Sequence
    from types import EllipsisType
    from typing import Any, ClassVar, Self

    from ._core import Pending
    from ._operation import Options, Query
    from ._record import Record
    from ._transport import Transport
    from .identifier import HasId

# A page only gives its items.
T = TypeVar("T", covariant=True)
A = TypeVar("A", bound="Resource[Async]")
R = TypeVar("R", bound="Record[Any]")


class Page(Generic[T]):
    """Some results, and where the next ones are.

    ``for`` iterates over its own results, and ``async for`` goes on to those of all pages that follow; `auto` does so in either.
    """

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

    def __aiter__(self) -> AsyncIterator[T]:
        return aiter(self.auto())

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

    @overload
    def get_next_page(self: Page[A]) -> Coroutine[Any, Any, Page[A]]: ...  # type: ignore[overload-overlap]  # by the client's mode
    @overload
    def get_next_page(self) -> Page[T]: ...
    def get_next_page(self) -> Page[Any] | Coroutine[Any, Any, Page[Any]]:
        """Fetch the next page, as in 2.0; a page of an `AsyncReplicate` awaits it. Raises `ValueError` on the last one."""
        if self._is_async:
            return self.async_get_next_page()
        following = self._begin_next()
        if following is None:
            raise ValueError("there is no next page: this was the last")
        return self._source.page(wait(following))

    async def async_get_next_page(self) -> Page[T]:
        """Fetch the next page, awaited, whatever the client. Raises `ValueError` on the last one."""
        following = self._begin_next()
        if following is None:
            raise ValueError("there is no next page: this was the last")
        return self._source.page(await following)

    @property
    def _is_async(self) -> bool:
        # Pages that a program made itself have no source.
        source: _Source[Any] | None = getattr(self, "_source", None)
        return source is not None and source.resource._session.mode is Async

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
        page = page._source.page(await page._source.finish(following, transport))


def paginate(list_method: Callable[..., Page[T]]) -> Generator[Page[T], None, None]:
    """Give a list method's pages.

    Raises:
        TypeError: `list_method` is not a method, or is an async one.

    """
    return iterate(pages(_first(sync_function("list_method", list_method)()), Blocking))


def async_paginate(list_method: Callable[..., Awaitable[Page[T]]]) -> AsyncGenerator[Page[T], None]:
    """Give a list method's pages, on an event loop.

    Raises:
        TypeError: `list_method` is not a method, or one that blocks.

    """
    if not is_async_function(function("list_method", list_method)) and hasattr(list_method, "__self__"):
        raise TypeError("list_method must be an async one, of an AsyncReplicate, or with async_ before its name")
    return _async_pages(list_method)


async def _async_pages(list_method: Callable[..., Awaitable[Page[T]]]) -> AsyncGenerator[Page[T], None]:
    first: Any = list_method()
    following = pages(_first(await first if hasattr(first, "__await__") else first), Suspending)
    try:
        async for page in following:
            yield page
    finally:
        await following.aclose()


def _first(page: object) -> Page[Any]:
    if not isinstance(page, Page):
        # A coroutine that nobody awaits would warn of it.
        close = getattr(page, "close", None)
        if close is not None:
            close()
        raise wrong_type("what list_method gives", "a Page", page)
    return page  # pyright: ignore[reportUnknownVariableType] - of whatever it holds


class _Source(Generic[R]):
    """Where pages come from: an endpoint, and what its results are."""

    __slots__ = ("kind", "options", "resource", "target", "text")

    def __init__(
        self, resource: Resource[Any], kind: type[R], target: tuple[str, ...], options: Options, text: str | None = None
    ) -> None:
        self.resource = resource
        self.kind = kind
        self.target = target
        self.options = options
        # What is searched for, where pages are asked for by `QUERY`.
        self.text = text

    def begin(self, cursor: str | None, query: Query | None = None) -> Pending[dict[str, Any]]:
        """Begin to fetch a page."""
        if cursor is not None:
            query = _query_of(cursor)
        method = "GET" if self.text is None else "QUERY"
        return self.resource._send(method, self.target, Expect.PAGE, self.options, query=query, text=self.text)

    async def finish(self, following: Pending[dict[str, Any]], transport: type[Transport]) -> dict[str, Any]:
        """Wait for a page that follows another one."""
        try:
            return await transport.finish(following)
        except ReplicateError as error:
            adapter = self.resource._session.adapter
            if adapter is not None:
                adapter.adapt(error)
            raise

    def page(self, data: dict[str, Any]) -> Page[R]:
        """View an answer."""
        session, kind = self.resource._session, self.kind
        results: list[R] = [kind._of(each, session) for each in data["results"]]
        page = Page(results, data.get("next"), data.get("previous"))
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
    text: str | None = None,
) -> Page[R]:
    """Fetch a page of an endpoint: the first, or the one at a cursor; `text` is what it searches for."""
    source = _Source(resource, kind, target, options, text)
    place = cursor if isinstance(cursor, str) else None
    return source.page(await resource._transport.finish(source.begin(place, query)))


def one_of(**spellings: str | HasId | None) -> str:
    """Give the one of several spellings of an argument that was given; of an object, its id.

    Raises:
        TypeError: None was, or more than one.

    """
    found = given(**spellings)
    if len(found) != 1:
        raise TypeError(f"give {' or '.join(f'{name}=' for name in spellings)}, once")
    return identity(*found.popitem())
