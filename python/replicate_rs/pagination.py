"""Pages of lists, and iteration over all of them."""

from __future__ import annotations

from ._base.checks import abort_signal, flag, function, is_async_function, sync_function, wrong_type
from ._base.model_methods import ModelMethods
from ._base.operation import close_unawaited, iterate_blocking
from ._base.resource import Resource
from ._base.session import Async
from ._base.streaming import flatten, flatten_async
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

T = TypeVar("T", covariant=True)
A = TypeVar("A", bound="Resource[Async]")
R = TypeVar("R", bound="Record[Any]")


class Page(ModelMethods, Generic[T]):
    """One page of a list's results, and where the next page is.

    ``for`` iterates over the results of this page, ``async for`` over those of all following pages
    too, as `auto` does for both.
    """

    __slots__ = ("_source", "next", "previous", "results")

    fields: ClassVar[tuple[str, ...]] = ("previous", "next", "results")
    """The names of the fields."""

    previous: str | None
    """The URL of the previous page, to be passed to `list()`; None on the first page."""
    next: str | None
    """The URL of the next page, to be passed to `list()`; None on the last page."""
    results: list[T]
    """The records of this page."""
    _source: _PageSource[Any]

    def __init__(
        self, results: list[T], next: str | None = None, previous: str | None = None
    ) -> None:
        self.results = results
        self.next = next
        self.previous = previous

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
        return {**self.__dict__, "results": results}

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
        """Return another page with copies of the records; see `Record.copy`.

        Args:
            include: Only these parts of the page.
            exclude: All but these parts of the page.
            update: Parts to replace.
            deep: Copy the records; if False, both pages have the same ones.

        """
        from copy import deepcopy

        if include is not None or exclude is not None:
            # Records without some of their fields are dicts.
            return self._twin({**self.dict(include=include, exclude=exclude), **(update or {})})
        results = (
            [deepcopy(each) for each in self.results] if flag("deep", deep) else [*self.results]
        )
        return self._twin({**self.__dict__, "results": results, **(update or {})})

    def __copy__(self) -> Self:
        return self.copy(deep=False)

    def __deepcopy__(self, known: Any) -> Self:
        from copy import deepcopy

        return self._twin({**self.__dict__, "results": deepcopy(self.results, known)})

    def __reduce__(self) -> tuple[Any, ...]:
        if not hasattr(self, "_source"):
            return type(self), self._parts
        return type(self), self._parts, (None, {"_source": self._source})

    # Iteration returns the results, but `dict` and `vars` the parts of the page, for FastAPI.

    def keys(self) -> tuple[str, ...]:
        """Return the keys of ``dict(page)``."""
        return self.fields

    if not TYPE_CHECKING:

        @property
        def __dict__(self) -> dict[str, Any]:
            """The parts of the page, for `vars`."""
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

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # a list has no hash

    def __repr__(self) -> str:
        return f"Page(results={self.results!r}, next={self.next!r}, previous={self.previous!r})"

    def _repr_html_(self) -> str:
        from ._notebook.records import page

        return page(self.results, self.next)

    def _repr_pretty_(self, printer: Any, _is_cycle: bool) -> None:
        from ._notebook.plain import page

        printer.text(page(self.results, self.next, self.previous))

    def auto(self) -> Items[T]:
        """Return the items of this page and all that follow, for ``for`` and for ``async for``.

        The next page is fetched while the items of the one before are read.
        """
        return Items(self)

    def has_next_page(self) -> bool:
        """Return whether there is another page."""
        return self.next is not None

    @overload
    def get_next_page(self: Page[A]) -> Coroutine[Any, Any, Page[A]]: ...  # type: ignore[overload-overlap]  # by the client's mode
    @overload
    def get_next_page(self) -> Page[T]: ...
    def get_next_page(self) -> Page[Any] | Coroutine[Any, Any, Page[Any]]:
        """Fetch the next page; a page of an `AsyncReplicate` is awaited.

        Raises `ValueError` on the last page.
        """
        if self._is_async:
            return self.async_get_next_page()
        data = wait(self._require_next())
        return self._source.to_page(data, type(self))

    async def async_get_next_page(self) -> Page[T]:
        """Fetch the next page on an event loop, with either client.

        Raises `ValueError` on the last page.
        """
        data = await self._require_next()
        return self._source.to_page(data, type(self))

    @property
    def _is_async(self) -> bool:
        # A page made by the program has no source.
        source: _PageSource[Any] | None = getattr(self, "_source", None)
        return source is not None and source.resource._session.mode is Async

    def _require_next(self) -> Pending[Any]:
        request = self._request_next()
        if request is None:
            raise ValueError("there is no next page: this was the last")
        return request

    def _request_next(self, signal: AbortSignal | None = None) -> Pending[Any] | None:
        """Return the request for the next page, which is not begun; None on the last page.

        Raises:
            ValueError: There is a next page, but no client to fetch it with.

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
            self._source.set_signal(signal)
        return self._source.request(self.next)


class Items(Generic[T]):
    """The items of a page and of all that follow.

    While one page is read, the next one is fetched; there are never more than two in memory.
    """

    __slots__ = ("_first",)

    def __init__(self, first: Page[T]) -> None:
        self._first = first

    def __iter__(self) -> Iterator[T]:
        return flatten(self._batches(Blocking))

    def __aiter__(self) -> AsyncIterator[T]:
        return flatten_async(self._batches(Suspending))

    async def _batches(self, transport: type[Transport]) -> AsyncGenerator[list[T], None]:
        async for page in pages(self._first, transport):
            yield page.results


async def pages(
    page: Page[T], transport: type[Transport], signal: AbortSignal | None = None
) -> AsyncGenerator[Page[T], None]:
    """Yield a page and all that follow; each is fetched while the one before is read.

    Raises:
        APIResponseValidationError: A page's `next` leads back to an earlier page.
        AbortError: The signal was aborted.

    """
    seen: set[str] = set()
    while True:
        if page.next in seen:
            raise APIResponseValidationError(
                detail=f"the page after {page.next} is one that came before"
            )
        request = page._request_next(signal)
        if request is not None:
            request.begin()
        yield page
        if request is None or page.next is None:
            return
        if signal is not None:
            # Even if the next page has arrived.
            signal.throw_if_aborted()
        seen.add(page.next)
        page = page._source.to_page(await page._source.finish(request, transport), type(page))


def paginate(
    list_method: Callable[..., Page[T]], *, signal: AbortSignal | None = None
) -> Generator[Page[T], None, None]:
    """Yield the pages of a list method.

    Args:
        list_method: A method that returns a page, such as `client.models.list`.
        signal: Stops the requests, with an `AbortError`.

    Returns:
        A generator of pages.

    Raises:
        TypeError: `list_method` is not a method, or is an async one.

    """
    call, signal = _with_signal(sync_function("list_method", list_method), signal)
    return iterate_blocking(_all_pages(_check_page(call()), call, signal, Blocking))


def async_paginate(
    list_method: Callable[..., Awaitable[Page[T]]], *, signal: AbortSignal | None = None
) -> AsyncGenerator[Page[T], None]:
    """Yield the pages of an async list method; see `paginate`.

    Raises:
        TypeError: `list_method` is not a method, or one that blocks.

    """
    if not is_async_function(function("list_method", list_method)) and hasattr(
        list_method, "__self__"
    ):
        raise TypeError(
            "list_method must be an async one, of an AsyncReplicate, or with async_ before its name"
        )
    return _all_pages(None, *_with_signal(list_method, signal), Suspending)


async def _all_pages(
    page: Page[Any] | None,
    list_method: Callable[..., Any],
    signal: AbortSignal | None,
    transport: type[Transport],
) -> AsyncGenerator[Page[Any], None]:
    """Yield a page, or the first one, and all that follow.

    After a page without a source, such as a test makes, the list method is called for each page.
    """
    if page is None:
        page = await _fetch_page(list_method)
    if page.next is not None and not hasattr(page, "_source"):
        yield page
        while page.next is not None:
            page = await _fetch_page(list_method, page.next)
            yield page
        return
    following = pages(page, transport, signal)
    try:
        async for page in following:
            yield page
    finally:
        await following.aclose()


async def _fetch_page(list_method: Callable[..., Any], *cursor: str) -> Page[Any]:
    page = list_method(*cursor)
    return _check_page(await page if hasattr(page, "__await__") else page)


def _with_signal(
    list_method: Callable[..., Any], signal: AbortSignal | None
) -> tuple[Callable[..., Any], AbortSignal | None]:
    """Return a list method that passes on a signal, if it is a client's, and the signal."""
    if signal is None:
        return list_method, None
    signal = abort_signal("signal", signal)
    check = signal.throw_if_aborted
    method = list_method.func if type(list_method).__name__ == "partial" else list_method  # type: ignore[attr-defined]
    options = {"signal": signal} if isinstance(getattr(method, "__self__", None), Resource) else {}

    def call(*cursor: str) -> Any:
        check()
        return list_method(*cursor, **options)

    return call, signal


def _check_page(page: object) -> Page[Any]:
    if not isinstance(page, Page):
        close_unawaited(page)
        raise wrong_type("what list_method gives", "a Page", page)
    return page  # pyright: ignore[reportUnknownVariableType] - of whatever items


class _PageSource(Generic[R]):
    """The endpoint of a list, and the class of its records."""

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
        # The search text, sent by the method `QUERY`.
        self.text = text

    def set_signal(self, signal: AbortSignal) -> None:
        """Let a signal stop further requests."""
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

    def request(self, cursor: str | None, query: Query | None = None) -> Pending[dict[str, Any]]:
        """Return the request for a page, which is not begun."""
        if cursor is not None:
            query = _to_query(cursor)
        method = "GET" if self.text is None else "QUERY"
        return self.resource._send(
            method, self.target, Expect.PAGE, self.options, query=query, text=self.text
        )

    async def finish(
        self, request: Pending[dict[str, Any]], transport: type[Transport]
    ) -> dict[str, Any]:
        """Wait for a page after the first, outside of an operation that would adapt its errors."""
        try:
            return await transport.finish(request)
        except ReplicateError as error:
            adapter = self.resource._session.adapter
            if adapter is not None:
                adapter.adapt(error, self.resource)
            raise

    def to_page(self, data: dict[str, Any], page_class: type[Page[Any]]) -> Page[R]:
        """Return the page of a response."""
        session, kind = self.resource._session, self.kind
        results: list[R] = [kind._in_page(each, session) for each in data["results"]]
        page: Page[R] = page_class(results, data.get("next"), data.get("previous"))
        page._source = self
        return page


# Pickles made by earlier versions have this name.
_Source = _PageSource


def _to_query(cursor: str) -> dict[str, object]:
    """Return the query of a page's URL, or of a bare cursor.

    The rest of the URL is ignored: the next page is fetched from the same endpoint, through a
    gateway too, and the token is sent nowhere else.
    """
    from urllib.parse import parse_qsl

    if "://" not in cursor and "?" not in cursor:
        return {"cursor": cursor}
    return dict(parse_qsl(cursor.partition("#")[0].partition("?")[2], keep_blank_values=True))


def page_of(
    resource: Resource[Any],
    kind: type[R],
    target: tuple[str, ...],
    cursor: str | EllipsisType,
    options: Options,
    *,
    query: Query | None = None,
    text: str | None = None,
    page_class: type[Page[Any]] = Page,
) -> Awaitable[Page[R]]:
    """Fetch the page at a cursor, or the first one: with a query, or of a search for a text."""
    source = _PageSource(resource, kind, target, options, text)
    request = source.request(cursor if isinstance(cursor, str) else None, query)
    return resource._transport.finish(request.then(source.to_page, page_class))


defer_annotations(globals())
