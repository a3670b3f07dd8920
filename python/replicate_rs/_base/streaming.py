"""Operations whose answers come in parts, stated once for both clients.

A streaming operation is an ``async def`` generator of *batches*: lists of the items that are ready
at a time. Its caller iterates over the items, with a `Stream` or an `AsyncStream`. So an item costs
one step of a plain generator, and only a batch passes through the layers below.
"""

from __future__ import annotations

from .arguments import RULES, checker
from .operation import Function, Method, ResourceMethod, make_observable, run_blocking
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
    from typing import Any, Concatenate, Literal, Self, TypeAlias

    from .._core import ServerSentEvent
    from .resource import Resource

    # The items of a stream: events, the text of the output events, or encoded events to relay.
    Form: TypeAlias = Literal["events", "text", "frames"]

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
# The type of the prediction that streams, which a method names: this package knows no predictions.
R = TypeVar("R", covariant=True, default="Any")


if TYPE_CHECKING:
    from typing import Protocol

    class Streamed(Protocol[T_co, R]):
        """The result of a streaming operation that is more than a generator of batches."""

        @property
        def prediction(self) -> R:
            """The prediction whose events these are, once it was created."""
            ...

        def in_mode(self, mode: type[Sync | Async]) -> None:
            """Read the rest in this mode."""
            ...

        def batches(self) -> AsyncGenerator[Sequence[T_co], None]:
            """Yield the items in batches."""
            ...


class _HasPrediction(Generic[R]):
    __slots__ = ("_origin",)

    _origin: object

    @property
    def prediction(self) -> R | None:
        """The `Prediction` that streams; None before it was created, and for files."""
        prediction: R | None = getattr(self._origin, "prediction", None)
        return prediction


class Stream(_HasPrediction[R], Generic[T, R]):
    """An iterator over items as they arrive.

    Leaving it early, or the end of a ``with``, closes its connection. On an event loop, ``async
    for`` reads it without blocking. It is read once, in one of the two ways.
    """

    __slots__ = ("_begin", "_blocking", "_suspending")

    def __init__(
        self,
        begin: Callable[[type[Sync | Async]], AsyncGenerator[Sequence[T], None]],
        origin: object,
    ) -> None:
        self._begin = begin
        self._origin = origin
        self._blocking: Generator[T, None, None] | None = None
        self._suspending: AsyncGenerator[T, None] | None = None

    def _items(self) -> Generator[T, None, None]:
        if self._blocking is None:
            if self._suspending is not None:
                raise RuntimeError("this stream is read by `async for` already: make another one")
            self._blocking = flatten(self._begin(Sync))
        return self._blocking

    def __iter__(self) -> Iterator[T]:
        return self._items()

    def __aiter__(self) -> AsyncIterator[T]:
        if self._suspending is None:
            if self._blocking is not None:
                raise RuntimeError("this stream is read by `for` already: make another one")
            self._suspending = flatten_async(self._begin(Async))
        return self._suspending

    def __next__(self) -> T:
        return next(self._items())

    def close(self) -> None:
        """Close the stream and its connection."""
        if self._suspending is None:
            self._items().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def collect(self: Stream[str] | Stream[ServerSentEvent]) -> str:
        """Read to the end, and return the text, joined."""
        return "".join(map(str, self))


class AsyncStream(_HasPrediction[R], Generic[T, R]):
    """An async iterator over items as they arrive.

    Leaving it early, or the end of an ``async with``, closes its connection. It may be awaited
    before the ``async for``, as in 1.0.7.
    """

    __slots__ = ("_items",)

    def __init__(self, items: AsyncGenerator[T, None], origin: object) -> None:
        self._items = items
        self._origin = origin

    def __await__(self) -> Generator[None, None, Self]:
        yield from ()
        return self

    def __aiter__(self) -> AsyncIterator[T]:
        return self._items

    def __anext__(self) -> Awaitable[T]:
        return self._items.__anext__()

    def aclose(self) -> Awaitable[None]:
        """Close the stream and its connection."""
        return self._items.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._items.aclose()

    async def collect(self: AsyncStream[str] | AsyncStream[ServerSentEvent]) -> str:
        """Read to the end, and return the text, joined."""
        return "".join([str(item) async for item in self])


def flatten(batches: AsyncGenerator[Sequence[T], None]) -> Generator[T, None, None]:
    """Yield the items of batches that a blocking transport brings."""
    try:
        while True:
            yield from run_blocking(batches.__anext__())
    except StopAsyncIteration:
        return
    finally:
        run_blocking(batches.aclose())


async def flatten_async(batches: AsyncGenerator[Sequence[T], None]) -> AsyncGenerator[T, None]:
    """Yield the items of batches."""
    try:
        async for batch in batches:
            for item in batch:
                yield item
    finally:
        await batches.aclose()


def _get_batches(
    result: AsyncGenerator[Sequence[T], None] | Streamed[T],
) -> AsyncGenerator[Sequence[T], None]:
    """Return the batches of what a streaming operation returned."""
    source: Any = result
    batches: AsyncGenerator[Sequence[T], None] = (
        source.batches() if hasattr(source, "batches") else source
    )
    return batches


def _returning(kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a copy of a function that is annotated to return a `kind` of its batches' items."""
    annotations = texts(function)
    _, _, item = annotations["return"].removesuffix("]").partition("[")
    if item.endswith("], None"):
        # From AsyncGenerator[list[…], None].
        item = item.removeprefix("list[").removesuffix("], None")
    copy: Any = Function(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__ = function.__doc__
    copy.__annotations__ = {**annotations, "return": f"{kind}[{item}]"}
    return copy  # type: ignore[no-any-return]  # it is a function


class _StreamingMethod(ResourceMethod, Generic[P, T, R]):
    """What the decorators of streaming methods share."""

    def __init__(
        self,
        function: Callable[Concatenate[Any, P], AsyncGenerator[Sequence[T], None] | Streamed[T, R]],
    ) -> None:
        super().__init__(function)

    def _make_suspending(self) -> Callable[..., Any]:
        function = perform = self.function
        check = checker(function, RULES)

        def replace(by: Callable[..., Any]) -> None:
            nonlocal perform
            perform = by

        make_observable(self, replace)

        def call(resource: Resource[Any], *args: Any, **kwargs: Any) -> AsyncStream[Any]:
            adapter = resource._session.adapter
            if adapter is not None:
                resource = adapter.prepare(function, resource, kwargs)
            args = check((resource, *args), kwargs)[1:]
            result = perform(resource, *args, **kwargs)
            batches = _get_batches(result)
            if adapter is None:
                return AsyncStream(flatten_async(batches), result)
            stream: Any = AsyncStream(flatten_async(adapter.batches(batches, resource)), result)
            return adapter.stream(function, stream)  # type: ignore[no-any-return] # in the caller's form

        self._suspending = self._wrap(call, _returning("AsyncStream", self.function))
        return self._suspending

    def _make_unbound(self) -> Callable[..., Any]:
        kind = "AsyncStream" if self._is_awaited else "Stream"
        self._unbound = self._wrap(self._make_caller(), _returning(kind, self.function))
        return self._unbound

    @property
    def _is_awaited(self) -> bool:
        """Whether the method gives an `AsyncStream` when it is called through its class."""
        return True


class streaming(_StreamingMethod[P, T, R]):  # noqa: N801 - reads as a decorator
    """A method whose answer comes in parts: any async generator of batches, or a `Streamed`."""

    @overload
    def __get__(
        self, resource: None, owner: type[Resource[Async]]
    ) -> Callable[Concatenate[Any, P], AsyncStream[T, R]]: ...
    @overload
    def __get__(
        self, resource: None, owner: object
    ) -> Callable[Concatenate[Any, P], Stream[T, R]]: ...
    @overload
    def __get__(self, resource: Resource[Sync], owner: object) -> Callable[P, Stream[T, R]]: ...
    @overload
    def __get__(
        self, resource: Resource[Async], owner: object
    ) -> Callable[P, AsyncStream[T, R]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: object) -> Callable[..., Any]:
        if resource is None:
            return self._unbound or self._make_unbound()
        if resource._mode is Async:
            return Method(self._suspending or self._make_suspending(), resource)
        return Method(self._blocking or self._make_blocking(), resource)

    def _make_blocking(self) -> Callable[..., Any]:
        function = perform = self.function
        check = checker(function, RULES)

        def replace(by: Callable[..., Any]) -> None:
            nonlocal perform
            perform = by

        make_observable(self, replace)

        def call(resource: Resource[Any], *args: Any, **kwargs: Any) -> Stream[T, R]:
            adapter = resource._session.adapter
            if adapter is not None:
                resource = adapter.prepare(function, resource, kwargs)
            args = check((resource, *args), kwargs)[1:]
            result: Any = perform(resource, *args, **kwargs)

            def begin(mode: type[Sync | Async]) -> AsyncGenerator[Sequence[T], None]:
                batches: AsyncGenerator[Sequence[T], None]
                if hasattr(result, "batches"):
                    result.in_mode(mode)
                    batches = result.batches()
                elif mode is Sync:
                    batches = result
                else:
                    batches = _get_batches(perform(resource._in(mode), *args, **kwargs))
                return batches if adapter is None else adapter.batches(batches, resource)

            stream: Any = Stream(begin, result)
            return stream if adapter is None else adapter.stream(function, stream)  # type: ignore[no-any-return] # in the caller's form

        self._blocking = self._wrap(call, _returning("Stream", self.function))
        return self._blocking

    @property
    def _is_awaited(self) -> bool:
        return getattr(self.owner, "mode", None) is Async


class async_streaming(_StreamingMethod[P, T, R]):  # noqa: N801 - reads as a decorator
    """The ``async_`` twin of a streaming method, on either client."""

    def __init__(self, twin: streaming[P, T, R]) -> None:
        super().__init__(twin.function)

    @overload
    def __get__(
        self, resource: None, owner: object
    ) -> Callable[Concatenate[Any, P], AsyncStream[T, R]]: ...
    @overload
    def __get__(self, resource: Resource[Any], owner: object) -> Callable[P, AsyncStream[T, R]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: object) -> Callable[..., Any]:
        if resource is None:
            return self._unbound or self._make_unbound()
        return Method(self._suspending or self._make_suspending(), resource._in(Async))


defer_annotations(globals())
