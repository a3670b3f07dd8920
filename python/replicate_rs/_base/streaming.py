"""Answers that come in parts, stated once like other operations.

A streaming operation is an ``async def`` generator of *batches*: lists of what is ready at a time.
Its caller gets the items one by one, as a `Stream` or an `AsyncStream`. So an item costs one step
of a plain generator, and only a batch the way through the layers below, in either mode.
"""

from __future__ import annotations

from .arguments import RULES, checker
from .operation import Function, Method, ResourceMethod, run_blocking
from .session import Async, Sync
from .typing import Generic, ParamSpec, TypeVar, defer_annotations, overload, texts

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Generator,
        Iterator,
        Sequence,
    )
    from types import TracebackType
    from typing import Any, Concatenate, Self

    from .._core import ServerSentEvent
    from ..prediction import Prediction
    from .resource import Resource

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


if TYPE_CHECKING:
    from typing import Protocol

    class Streamed(Protocol[T_co]):
        """What a streaming operation returns, where it has more to tell than its parts."""

        @property
        def prediction(self) -> Prediction[Any]:
            """The prediction that streams, once it is known."""
            ...

        def in_mode(self, mode: type[Sync | Async]) -> None:
            """Go on in this mode."""
            ...

        def batches(self) -> AsyncGenerator[Sequence[T_co], None]:
            """Return its parts."""
            ...


class Stream(Generic[T]):
    """An iterator over what arrives. Left early, or at the end of a ``with``, it closes its
    connection.

    On an event loop, ``async for`` does the same without blocking. It is read once, in one of the
    two ways.
    """

    __slots__ = ("_begin", "_blocking", "_origin", "_suspending")

    def __init__(
        self,
        begin: Callable[[type[Sync | Async]], AsyncGenerator[Sequence[T], None]],
        origin: object,
    ) -> None:
        self._begin = begin
        self._origin = origin
        self._blocking: Generator[T, None, None] | None = None
        self._suspending: AsyncGenerator[T, None] | None = None

    @property
    def prediction(self) -> Prediction[Any] | None:
        """The prediction that streams, as far as is known here; None before it was created, and for
        a file.
        """
        return getattr(self._origin, "prediction", None)

    def _items(self) -> Generator[T, None, None]:
        if self._blocking is None:
            if self._suspending is not None:
                raise RuntimeError("this stream is read by `async for` already: make another one")
            self._blocking = spread(self._begin(Sync))
        return self._blocking

    def __iter__(self) -> Iterator[T]:
        return self._items()

    def __aiter__(self) -> AsyncIterator[T]:
        if self._suspending is None:
            if self._blocking is not None:
                raise RuntimeError("this stream is read by `for` already: make another one")
            self._suspending = spread_async(self._begin(Async))
        return self._suspending

    def __next__(self) -> T:
        return next(self._items())

    def close(self) -> None:
        """Leave it."""
        if self._suspending is None:
            self._items().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def collect(self: Stream[str] | Stream[ServerSentEvent]) -> str:
        """Give the whole text that is still to come."""
        return "".join(map(str, self))


class AsyncStream(Generic[T]):
    """An iterator over what arrives, for ``async for``, with or without an `await` before it: 1.0.7
    asks for one.

    Left early, or at the end of an ``async with``, it closes its connection.
    """

    __slots__ = ("_items", "_origin")

    def __init__(self, items: AsyncGenerator[T, None], origin: object) -> None:
        self._items = items
        self._origin = origin

    @property
    def prediction(self) -> Prediction[Any] | None:
        """The prediction that streams, as far as is known here; None before it was created, and for
        a file.
        """
        return getattr(self._origin, "prediction", None)

    def __await__(self) -> Generator[None, None, Self]:
        yield from ()
        return self

    def __aiter__(self) -> AsyncIterator[T]:
        return self._items

    def __anext__(self) -> Awaitable[T]:
        return self._items.__anext__()

    def aclose(self) -> Awaitable[None]:
        """Leave it."""
        return self._items.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._items.aclose()

    async def collect(self: AsyncStream[str] | AsyncStream[ServerSentEvent]) -> str:
        """Give the whole text that is still to come."""
        return "".join([str(item) async for item in self])


def spread(batches: AsyncGenerator[Sequence[T], None]) -> Generator[T, None, None]:
    """Give the items of batches that come without suspending."""
    try:
        while True:
            yield from run_blocking(batches.__anext__())
    except StopAsyncIteration:
        return
    finally:
        run_blocking(batches.aclose())


async def spread_async(batches: AsyncGenerator[Sequence[T], None]) -> AsyncGenerator[T, None]:
    """Give the items of batches."""
    try:
        async for batch in batches:
            for item in batch:
                yield item
    finally:
        await batches.aclose()


def parts(
    made: AsyncGenerator[Sequence[T], None] | Streamed[T],
) -> AsyncGenerator[Sequence[T], None]:
    """Return the batches of what a streaming operation returned."""
    source: Any = made
    batches: AsyncGenerator[Sequence[T], None] = (
        source.batches() if hasattr(source, "batches") else source
    )
    return batches


def batches(
    method: Callable[P, Stream[T]], *args: P.args, **kwargs: P.kwargs
) -> AsyncGenerator[Sequence[T], None]:
    """Return the batches of a streaming operation, as another operation reads them: its arguments
    are not checked again.
    """
    return parts(method.__wrapped__(*args, **kwargs))  # type: ignore[attr-defined] # `ResourceMethod` set it


def _returning(kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a streaming method's function as one that returns a `kind` of what is in its batches."""
    written = texts(function)
    _, _, item = written["return"].removesuffix("]").partition("[")
    if item.endswith("], None"):
        # Of an AsyncGenerator[list[…], None].
        item = item.removeprefix("list[").removesuffix("], None")
    twin: Any = Function(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    twin.__doc__ = function.__doc__
    twin.__annotations__ = {**written, "return": f"{kind}[{item}]"}
    return twin  # type: ignore[no-any-return]  # as above


class streaming(ResourceMethod, Generic[P, T]):  # noqa: N801 - reads as a decorator
    """A method whose answer comes in parts: any async generator of batches, or something that
    returns one.
    """

    def __init__(
        self,
        function: Callable[Concatenate[Any, P], AsyncGenerator[Sequence[T], None] | Streamed[T]],
    ) -> None:
        super().__init__(function)

    @overload
    def __get__(
        self, resource: None, owner: type[Resource[Async]]
    ) -> Callable[Concatenate[Any, P], AsyncStream[T]]: ...
    @overload
    def __get__(
        self, resource: None, owner: object
    ) -> Callable[Concatenate[Any, P], Stream[T]]: ...
    @overload
    def __get__(self, resource: Resource[Sync], owner: object) -> Callable[P, Stream[T]]: ...
    @overload
    def __get__(self, resource: Resource[Async], owner: object) -> Callable[P, AsyncStream[T]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: object) -> Callable[..., Any]:
        if resource is None:
            return self._unbound or self._make_unbound()
        if resource._mode is Async:
            return Method(self._suspending or self._make_suspending(), resource)
        return Method(self._blocking or self._make_blocking(), resource)

    def _make_blocking(self) -> Callable[..., Any]:
        function, check = self.function, checker(self.function, RULES)

        def call(resource: Resource[Any], *args: Any, **kwargs: Any) -> Stream[T]:
            adapter = resource._session.adapter
            if adapter is not None:
                resource = adapter.prepare(function, resource, kwargs)
            args = check((resource, *args), kwargs)[1:]
            made: Any = function(resource, *args, **kwargs)

            def begin(mode: type[Sync | Async]) -> AsyncGenerator[Sequence[T], None]:
                source = made
                if hasattr(made, "batches"):
                    made.in_mode(mode)
                elif mode is not Sync:
                    source = function(resource._in(mode), *args, **kwargs)
                return (
                    parts(source) if adapter is None else adapter.batches(parts(source), resource)
                )

            stream: Any = Stream(begin, made)
            return stream if adapter is None else adapter.stream(function, stream)  # type: ignore[no-any-return] # in the caller's form

        self._blocking = self._wrap(call, _returning("Stream", self.function))
        return self._blocking

    def _make_suspending(self) -> Callable[..., Any]:
        self._suspending = self._wrap(
            _awaited(self.function), _returning("AsyncStream", self.function)
        )
        return self._suspending

    def _make_unbound(self) -> Callable[..., Any]:
        kind = "AsyncStream" if getattr(self.owner, "mode", None) is Async else "Stream"
        self._unbound = self._wrap(self._make_caller(), _returning(kind, self.function))
        return self._unbound


class async_streaming(ResourceMethod, Generic[P, T]):  # noqa: N801 - reads as a decorator
    """The ``async_`` twin of a streaming method, on whatever client."""

    def __init__(self, twin: streaming[P, T]) -> None:
        super().__init__(twin.function)

    @overload
    def __get__(
        self, resource: None, owner: object
    ) -> Callable[Concatenate[Any, P], AsyncStream[T]]: ...
    @overload
    def __get__(self, resource: Resource[Any], owner: object) -> Callable[P, AsyncStream[T]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: object) -> Callable[..., Any]:
        if resource is None:
            return self._unbound or self._make_unbound()
        return Method(self._suspending or self._make_suspending(), resource._in(Async))

    def _make_suspending(self) -> Callable[..., Any]:
        self._suspending = self._wrap(
            _awaited(self.function), _returning("AsyncStream", self.function)
        )
        return self._suspending

    def _make_unbound(self) -> Callable[..., Any]:
        self._unbound = self._wrap(self._make_caller(), _returning("AsyncStream", self.function))
        return self._unbound


def _awaited(function: Callable[..., Any]) -> Callable[..., Any]:
    check = checker(function, RULES)

    def call(resource: Resource[Any], *args: Any, **kwargs: Any) -> AsyncStream[Any]:
        adapter = resource._session.adapter
        if adapter is not None:
            resource = adapter.prepare(function, resource, kwargs)
        args = check((resource, *args), kwargs)[1:]
        made = function(resource, *args, **kwargs)
        if adapter is None:
            return AsyncStream(spread_async(parts(made)), made)
        stream: Any = AsyncStream(spread_async(adapter.batches(parts(made), resource)), made)
        return adapter.stream(function, stream)  # type: ignore[no-any-return] # in the caller's form

    return call


defer_annotations(globals())
