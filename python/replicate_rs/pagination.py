"""Lists that come in pages."""

from __future__ import annotations

from ._base.checks import abort_signal, flag, function, is_async_function, sync_function
from ._base.describe import wrong_type
from ._base.model_methods import ModelMethods
from ._base.operation import iterate_blocking
from ._base.resource import Resource
from ._base.session import Async
from ._base.streaming import spread, spread_async
from ._base.transport import Blocking, Suspending, wait
from ._base.typing import TYPE_CHECKING, Generic, TypeVar, defer_annotations, overload
from ._core import Expect
from .exceptions import APIResponseValidationError, ReplicateError

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Coroutine,
        Generator,
        Iterator,
        Mapping,
        Sequence,
    )
    from types import EllipsisType
    from typing import Any, ClassVar, Self

    from ._base.record import Record
    from ._base.resource import Options
    from ._base.transport import Transport
    from ._base.types import Choice, Query
    from ._core import AbortSignal, Pending

# A page only gives its items.
T = TypeVar("T", covariant=True)
A = TypeVar("A", bound="Resource[Async]")
R = TypeVar("R", bound="Record[Any]")


class Page(ModelMethods, Generic[T]):
    """Some results, and where the next ones are.

    ``for`` iterates over its own results, and ``async for`` goes on to those of all pages that
    follow; `auto` does so in either.
    """

    __slots__ = ("_source", "next", "previous", "results")

    fields: ClassVar[tuple[str, ...]] = ("previous", "next", "results")

    previous: str | None
    next: str | None
    """The next page, to be passed to `list()`; None: this is the last."""
    results: list[T]
    _source: _Source[Any]

    def __init__(
        self, results: list[T], next: str | None = None, previous: str | None = None
    ) -> None:
        self.results = results
        self.next = next
        self.previous = previous

    @classmethod
    def _like(cls, page: Page[T]) -> Self:
        """Give a page of this kind with what another has."""
        twin = cls(page.results, page.next, page.previous)
        # One that a program made has no source.
        if hasattr(page, "_source"):
            twin._source = page._source
        return twin

    @classmethod
    def _alone(cls, data: Mapping[str, Any]) -> Self:
        if unknown := data.keys() - cls.fields:
            raise ValueError(f"a page has no {unknown.pop()!r}: previous, next and results")
        return cls(list(data.get("results") or ()), data.get("next"), data.get("previous"))

    def _dumpable(self, without_none: bool = False) -> dict[str, Any]:
        results: list[Any] = [
            each.dict(exclude_none=without_none) if isinstance(each, ModelMethods) else each
            for each in self.results
        ]
        return {"previous": self.previous, "next": self.next, "results": results}

    def _twin(self, data: Mapping[str, Any]) -> Self:
        twin = self._alone(data)
        if hasattr(self, "_source"):
            twin._source = self._source
        return twin

    def copy(
        self,
        *,
        include: Choice | None = None,
        exclude: Choice | None = None,
        update: Mapping[str, Any] | None = None,
        deep: bool = True,
    ) -> Self:
        """Return another page with the same records, or with copies of them; see `Record.copy`."""
        from copy import deepcopy

        if include is not None or exclude is not None:
            # What is left of records is no record.
            return self._twin({**self.dict(include=include, exclude=exclude), **(update or {})})
        results = (
            [deepcopy(each) for each in self.results] if flag("deep", deep) else [*self.results]
        )
        return self._twin(
            {"previous": self.previous, "next": self.next, "results": results, **(update or {})}
        )

    def __copy__(self) -> Self:
        return self.copy(deep=False)

    def __deepcopy__(self, known: Any) -> Self:
        from copy import deepcopy

        return self._twin(
            {"previous": self.previous, "next": self.next, "results": deepcopy(self.results, known)}
        )

    def __reduce__(self) -> tuple[Any, ...]:
        if not hasattr(self, "_source"):
            return type(self), self._parts
        return type(self), self._parts, (None, {"_source": self._source})

    # A page iterates over its results, but as a dict it has its parts, for FastAPI among others.

    def keys(self) -> tuple[str, ...]:
        """Return the names of its parts: ``dict(page)`` has them."""
        return self.fields

    if not TYPE_CHECKING:

        @property
        def __dict__(self) -> dict[str, Any]:
            """Its parts: `vars` shows them."""
            return {name: getattr(self, name) for name in self.fields}

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
    @overload
    def __getitem__(self, index: str) -> Any: ...
    def __getitem__(self, index: int | slice | str) -> Any:
        if isinstance(index, str):
            if index not in self.fields:
                raise KeyError(index)
            return getattr(self, index)
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
        """Give every item of this page and of all that follow, for `for` and for `async for`; the
        next page is fetched ahead.
        """
        return Items(self)

    def has_next_page(self) -> bool:
        """Whether there are more; as in 2.0."""
        return self.next is not None

    @overload
    def get_next_page(self: Page[A]) -> Coroutine[Any, Any, Page[A]]: ...  # type: ignore[overload-overlap]  # by the client's mode
    @overload
    def get_next_page(self) -> Page[T]: ...
    def get_next_page(self) -> Page[Any] | Coroutine[Any, Any, Page[Any]]:
        """Fetch the next page, as in 2.0; a page of an `AsyncReplicate` awaits it.

        Raises `ValueError` on the last one.
        """
        if self._is_async:
            return self.async_get_next_page()
        following = self._begin_next()
        if following is None:
            raise ValueError("there is no next page: this was the last")
        return self._source.page(wait(following), type(self))

    async def async_get_next_page(self) -> Page[T]:
        """Fetch the next page, awaited, whatever the client.

        Raises `ValueError` on the last one.
        """
        following = self._begin_next()
        if following is None:
            raise ValueError("there is no next page: this was the last")
        return self._source.page(await following, type(self))

    @property
    def _is_async(self) -> bool:
        # Pages that a program made itself have no source.
        source: _Source[Any] | None = getattr(self, "_source", None)
        return source is not None and source.resource._session.mode is Async

    def _begin_next(self, signal: AbortSignal | None = None) -> Pending[Any] | None:
        """Begin to fetch the next page, without waiting for it.

        Raises:
            ValueError: There is one, but no client to fetch it with.

        """
        if self.next is None:
            return None
        if not hasattr(self, "_source"):
            raise ValueError(
                "the page after this one cannot be fetched: this one was made by the program, and"
                " belongs to no client. Pass its `next` to the list method:"
                " client.predictions.list(page.next)"
            )
        if signal is not None:
            self._source.stopped_by(signal)
        return self._source.begin(self.next)


class Items(Generic[T]):
    """Every item of many pages.

    The page after the one that is read is on its way meanwhile; two are held at most.
    """

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


async def pages(
    page: Page[T], transport: type[Transport], signal: AbortSignal | None = None
) -> AsyncGenerator[Page[T], None]:
    """Give a page and all that follow, each one fetched while the one before is read.

    Raises:
        APIResponseValidationError: The pages go round in circles.
        AbortError: The signal was aborted.

    """
    seen: set[str] = set()
    while True:
        if page.next in seen:
            raise APIResponseValidationError(
                detail=f"the page after {page.next} is one that came before"
            )
        following = page._begin_next(signal)
        if following is not None:
            following.begin()
        yield page
        if following is None or page.next is None:
            return
        if signal is not None:
            # The next page may be here already.
            signal.throw_if_aborted()
        seen.add(page.next)
        page = page._source.page(await page._source.finish(following, transport), type(page))


def paginate(
    list_method: Callable[..., Page[T]], *, signal: AbortSignal | None = None
) -> Generator[Page[T], None, None]:
    """Yield a list method's pages.

    Args:
        list_method: A method that returns a page.
        signal: Stops the requests for pages, with an `AbortError`.

    Raises:
        TypeError: `list_method` is not a method, or is an async one.

    """
    ask, stop = _stoppable(sync_function("list_method", list_method), signal)
    first = _first(ask())
    return (
        iterate_blocking(pages(first, Blocking, stop))
        if _is_fetched(first)
        else _asked_for(first, ask)
    )


def async_paginate(
    list_method: Callable[..., Awaitable[Page[T]]], *, signal: AbortSignal | None = None
) -> AsyncGenerator[Page[T], None]:
    """Yield a list method's pages on an event loop; see `paginate`.

    Raises:
        TypeError: `list_method` is not a method, or one that blocks.

    """
    if not is_async_function(function("list_method", list_method)) and hasattr(
        list_method, "__self__"
    ):
        raise TypeError(
            "list_method must be an async one, of an AsyncReplicate, or with async_ before its name"
        )
    return _async_pages(*_stoppable(list_method, signal))


def _stoppable(
    list_method: Callable[..., Any], signal: AbortSignal | None
) -> tuple[Callable[..., Any], AbortSignal | None]:
    """Return what asks for a page, which a signal stops too where the method is one of a client."""
    if signal is None:
        return list_method, None
    stop = abort_signal("signal", signal)
    method = list_method.func if type(list_method).__name__ == "partial" else list_method  # type: ignore[attr-defined]
    options = {"signal": stop} if isinstance(getattr(method, "__self__", None), Resource) else {}

    def ask(*place: str) -> Any:
        stop.throw_if_aborted()
        return list_method(*place, **options)

    return ask, stop


def _is_fetched(page: Page[Any]) -> bool:
    return page.next is None or hasattr(page, "_source")


def _asked_for(page: Page[Any], ask: Callable[..., Any]) -> Generator[Page[Any], None, None]:
    """Yield the pages of a method whose pages cannot be fetched, such as that of a test: it is
    asked for each.
    """
    yield page
    while page.next is not None:
        page = _first(ask(page.next))
        yield page


async def _async_pages(
    ask: Callable[..., Any], signal: AbortSignal | None
) -> AsyncGenerator[Page[Any], None]:
    page = _first(await _awaited(ask()))
    if not _is_fetched(page):
        yield page
        while page.next is not None:
            page = _first(await _awaited(ask(page.next)))
            yield page
        return
    following = pages(page, Suspending, signal)
    try:
        async for page in following:
            yield page
    finally:
        await following.aclose()


async def _awaited(page: Any) -> Any:
    return await page if hasattr(page, "__await__") else page


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
        self,
        resource: Resource[Any],
        kind: type[R],
        target: tuple[str, ...],
        options: Options,
        text: str | None = None,
    ) -> None:
        self.resource = resource
        self.kind = kind
        self.target = target
        self.options = options
        # What is searched for, where pages are asked for by `QUERY`.
        self.text = text

    def stopped_by(self, signal: AbortSignal) -> None:
        """Stop further requests when a signal is aborted."""
        options: Options = {"signal": signal}
        self.options = self.options | options

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _known: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # Headers may be secrets, and a signal is of its process.
        options = {
            name: value
            for name, value in self.options.items()
            if name not in ("signal", "extra_headers")
        }
        return type(self), (self.resource, self.kind, self.target, options, self.text)

    def begin(self, cursor: str | None, query: Query | None = None) -> Pending[dict[str, Any]]:
        """Begin to fetch a page."""
        if cursor is not None:
            query = _query_of(cursor)
        method = "GET" if self.text is None else "QUERY"
        return self.resource._send(
            method, self.target, Expect.PAGE, self.options, query=query, text=self.text
        )

    async def finish(
        self, following: Pending[dict[str, Any]], transport: type[Transport]
    ) -> dict[str, Any]:
        """Wait for a page that follows another one."""
        try:
            return await transport.finish(following)
        except ReplicateError as error:
            adapter = self.resource._session.adapter
            if adapter is not None:
                adapter.adapt(error, self.resource)
            raise

    def page(self, data: dict[str, Any], of: type[Page[Any]] | None = None) -> Page[R]:
        """View an answer, as a page of the same class as the one before."""
        session, kind = self.resource._session, self.kind
        results: list[R] = [kind._of(each, session) for each in data["results"]]
        page: Page[R] = (of or Page)(results, data.get("next"), data.get("previous"))
        page._source = self
        return page


def _query_of(cursor: str) -> dict[str, object]:
    """Read a page's address, or a bare cursor.

    The endpoint is known, so only the query matters: behind a gateway, too, the next page comes
    from where this one came from, and the token goes nowhere else.
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
    """Fetch a page of an endpoint: the first, or the one at a cursor; `text` is what it searches
    for.
    """
    source = _Source(resource, kind, target, options, text)
    place = cursor if isinstance(cursor, str) else None
    return source.page(await resource._transport.finish(source.begin(place, query)))


defer_annotations(globals())
