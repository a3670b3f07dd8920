"""State an endpoint once; call it from the sync client and the async client.

An operation is an ``async def`` method of a `Resource`. Its body awaits the resource's transport and nothing else, so whether it
suspends is the transport's choice:

* through an ``Async`` resource it is the coroutine function it looks like;
* through a ``Sync`` resource its coroutine is run to its end in one step, because the `Blocking` transport never suspends;
* through the class (``Predictions.get(self, id)``) it is the plain function, which is how one operation awaits another.

Called through a resource, it checks its arguments first (`_checks`).
"""

from __future__ import annotations

from ._checks import BLOCKING_RULES, RULES, checker, limit, wrong_type
from ._core import write_json
from ._transport import Blocking, Suspending, attend_the_end
from ._typing import Generic, ParamSpec, TypeVar, cast, is_array, overload

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Mapping, Sequence
    from typing import Any, Concatenate, Final, Literal, Protocol, Self, TypeAlias, TypedDict

    from ._checks import Limit
    from ._core import AbortSignal, Core, Expect, Pending, Upload
    from ._transport import Transport
    from .file_input import Inlined
    from .webhook import WebhookSigningSecret

    Target: TypeAlias = str | tuple[str, ...]
    Query: TypeAlias = Mapping[str, object]

    # Pairs may have several values of one name.
    Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]

    # What a stream of events is turned into: events, the text of those that are output, or bytes to be passed on.
    Form: TypeAlias = Literal["events", "text", "frames"]

    # What a host says of a file: its media type, its length in bytes, and the header that may have its name.
    Said: TypeAlias = tuple[str | None, int | None, str | None]

    class Adapter(Protocol):
        """What calls of one client differ in, because it has another library's name; `drop_in` has one."""

        def call(self, function: Callable[..., Any], check: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            """Call a blocking operation; `check` checks its arguments."""
            ...

        async def acall(self, function: Callable[..., Any], check: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            """Call an awaited operation."""
            ...

        def prepare(self, function: Callable[..., Any], resource: Any, kwargs: dict[str, Any]) -> Any:
            """Put keywords in this library's form, and return the resource to call."""
            ...

        def adapt(self, error: Exception) -> None:
            """Put an error in the form that callers expect."""
            ...

        def batches(self, batches: AsyncGenerator[Sequence[T], None]) -> AsyncGenerator[Sequence[T], None]:
            """Return the parts of a streamed answer."""
            ...

        def stream(self, function: Callable[..., Any], stream: Any) -> Any:
            """Return a blocking or an awaited stream in the form that callers expect."""
            ...

    FileEncodingStrategy = Literal["default", "upload", "url", "data-uri", "base64"]

    class Options(TypedDict, total=False):
        """What every operation takes besides its own arguments."""

        signal: AbortSignal | None
        """Stops the request."""
        timeout: Limit | None
        """Seconds for all of it, retries included; a `timedelta`, or the `total` of a `Timeout`, does too."""
        extra_headers: Headers | None
        """Sent with this request, over the client's own."""
        extra_query: Query | None
        """Added to the query."""
        extra_body: Mapping[str, object] | None
        """Added to the JSON body."""


OPTIONS = frozenset(("signal", "timeout", "extra_headers", "extra_query", "extra_body"))


class Sync:
    """The mode of a `Replicate` and of what it gives: operations return their result."""

    transport: type[Transport] = Blocking


class Async:
    """The mode of an `AsyncReplicate` and of what it gives: operations are awaited. In annotations: `Prediction[Async]`."""

    transport: type[Transport] = Suspending


# Without a mode, `Prediction` is `Prediction[Sync]`: the one whose methods block.
M = TypeVar("M", bound="Sync | Async", covariant=True, default=Sync)
P = ParamSpec("P")
T = TypeVar("T")


class Session:
    """What the parts of one client share."""

    __slots__ = ("adapter", "core", "file_encoding_strategy", "mode", "poll_interval", "use_file_output", "webhook_secret")

    def __init__(
        self,
        core: Core,
        *,
        mode: type[Sync | Async],
        poll_interval: float | None,
        file_encoding_strategy: FileEncodingStrategy,
        use_file_output: bool,
    ) -> None:
        self.core: Core = core
        # Of a client under another library's name.
        self.adapter: Adapter | None = None
        # The client's, and so that of the records, pages and files that it gives, whichever of its methods gave them.
        self.mode: type[Sync | Async] = mode
        # Seconds; None leaves it to the core.
        self.poll_interval: float | None = poll_interval
        self.file_encoding_strategy: FileEncodingStrategy = file_encoding_strategy
        self.use_file_output: bool = use_file_output
        # The account's, as it was fetched last.
        self.webhook_secret: WebhookSigningSecret[Any] | None = None

    def in_mode(self, mode: type[Sync | Async]) -> Session:
        """Return this session, or one like it whose records are in another mode."""
        if mode is self.mode:
            return self
        twin = Session(
            self.core,
            mode=mode,
            poll_interval=self.poll_interval,
            file_encoding_strategy=self.file_encoding_strategy,
            use_file_output=self.use_file_output,
        )
        twin.webhook_secret = self.webhook_secret
        twin.adapter = self.adapter
        return twin


class Resource(Generic[M]):
    """A group of operations in mode `M` over one session."""

    __slots__ = ("_core", "_mode", "_session", "_transport")

    _core: Core
    _mode: type[Sync | Async]
    _session: Session
    _transport: type[Transport]

    def __init__(self, session: Session, mode: type[Sync | Async]) -> None:
        self._session = session
        self._core = session.core
        self._mode = mode
        self._transport = mode.transport

    def _in(self, mode: type[Sync | Async]) -> Self:
        """Give the same resource in another mode."""
        return type(self)(self._session, mode)

    def _send(
        self,
        method: str,
        target: Target,
        expect: Expect[T],
        options: Options,
        *,
        query: Query | None = None,
        body: Mapping[str, object] | None = None,
        text: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        read: float | None = None,
        inlined: Inlined | None = None,
        creates: Literal["predictions", "trainings"] | None = None,
        keeps: bool = False,
    ) -> Pending[T]:
        """Begin a request with a JSON body, with files in it or without, a plain text, or nothing.

        Raises:
            TypeError: An option does not exist.

        """
        if not (options or query or headers) and body is None and text is None:
            # What is asked most often is asked at the least cost.
            return self._core.send(method, target, expect)
        if not options.keys() <= OPTIONS:
            raise TypeError(f"unexpected keyword argument {(options.keys() - OPTIONS).pop()!r}")
        if creates is not None:
            attend_the_end()
        extra_body = options.get("extra_body")
        if extra_body is not None:
            body = {**(body or {}), **extra_body}
        if extra_query := options.get("extra_query"):
            query = {**(query or {}), **extra_query}
        if extra_headers := options.get("extra_headers"):
            extra = header_pairs(extra_headers)
            names = {name.lower() for name, _ in extra}
            headers = [*(each for each in headers if each[0].lower() not in names), *extra]
        content: bytes | Upload | None = None
        kind = None
        if body is not None:
            content, kind = to_json(body), "application/json"
            if inlined is not None:
                content = inlined.body(content)
        elif text:
            content, kind = text.encode(), "text/plain"
        return self._core.send(
            method,
            target,
            expect,
            query=pairs(query) if query else None,
            body=content,
            content_type=kind,
            headers=headers,
            read=read,
            total=limit("timeout", options.get("timeout")),
            signal=options.get("signal"),
            creates=creates,
            keeps=keeps,
        )


def resource(name: str, value: object) -> Resource[Any]:
    """Check an argument that is a client, or something of one."""
    if not isinstance(value, Resource):
        raise wrong_type(name, "a Replicate or an AsyncReplicate", value)
    return value  # pyright: ignore[reportUnknownVariableType] - of whatever mode


class Namespace(Resource[M]):
    """A group of operations that belong to a client. Unlike a record it lets its methods be replaced, as tests do."""

    __slots__ = ("__dict__",)


def header_pairs(headers: Headers | None) -> list[tuple[str, str]]:
    """Return headers, given as a mapping or as pairs, as pairs."""
    items: Callable[[], Iterable[tuple[str, str]]] | None = getattr(headers, "items", None)
    return list(cast("Sequence[tuple[str, str]]", headers or ()) if items is None else items())


def pairs(query: Query) -> list[tuple[str, str]]:
    """Give a query's parts as text: None is left out, lists are joined by commas, as the API's other clients do."""
    return [(name, _text(value)) for name, value in query.items() if value is not None]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_array(value):
        return ",".join(map(_text, value))
    moment = getattr(value, "isoformat", None)
    return str(value if moment is None else moment())


def to_json(value: object) -> bytes:
    """Write JSON, as UTF-8."""
    global _encode
    written = write_json(value)
    if written is not None:
        return written
    if _encode is None:
        from json import JSONEncoder

        _encode = JSONEncoder(allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode
    return _encode(value).encode()


# Made when it is first wanted, and then kept.
_encode: Callable[[object], str] | None = None


def given(**values: object) -> dict[str, object]:
    """Give those of some fields that were given."""
    return {name: value for name, value in values.items() if value is not None}


class operation(Generic[P, T]):  # noqa: N801 - reads as a decorator
    """A method with one answer: any ``async def``."""

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        self.function = function
        self.checked: Final = _checked(function)
        self.stepped: Final = _stepped(function)
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, resource: None, owner: object) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, resource: Resource[Sync], owner: object) -> Callable[P, T]: ...
    @overload
    def __get__(self, resource: Resource[Async], owner: object) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: object) -> Callable[..., Any]:
        if resource is None:
            # A mock of a blocking client's method must not be one of a coroutine function.
            return self.stepped if getattr(owner, "mode", None) is Sync else self.function
        return Method(self.checked if resource._mode is Async else self.stepped, resource)


class awaitable(Generic[P, T]):  # noqa: N801 - reads as a decorator
    """The ``async_`` twin of an operation, on whatever client."""

    def __init__(self, twin: operation[P, T]) -> None:
        self.function: Final = twin.function
        self.checked: Final = twin.checked
        self.__doc__ = twin.__doc__

    @overload
    def __get__(self, resource: None, owner: object) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, resource: Resource[Any], owner: object) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: object) -> Callable[..., Any]:
        if resource is None:
            return self.function
        return _bound(self.checked, resource._in(Async))


def _bound(function: Callable[..., T], resource: Resource[Any]) -> Callable[..., T]:
    method: Callable[..., T] = Method(function, resource)
    return method


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise suspended(coroutine)


def suspended(coroutine: Coroutine[Any, Any, Any]) -> RuntimeError:
    """Make the error for a coroutine that awaits more than the blocking transport."""
    coroutine.close()
    return RuntimeError(f"{coroutine!r} suspended under a blocking transport")


def iterate(items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """Iterate over an async generator that never suspends."""
    try:
        while True:
            yield run(items.__anext__())
    except StopAsyncIteration:
        return
    finally:
        run(items.aclose())


def adapter_of(args: tuple[Any, ...]) -> Adapter | None:
    """Return what adapts a call with these arguments, the first of which is its resource."""
    adapter: Adapter | None = args[0]._session.adapter if args else None
    return adapter


def _checked(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    check: Any = checker(function, RULES)

    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if (adapter := adapter_of(args)) is not None:
            result: T = await adapter.acall(function, check, args, kwargs)
            return result
        return await function(*check(args, kwargs), **kwargs)

    return named(call, function)


def _stepped(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    check: Any = checker(function, BLOCKING_RULES)

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if (adapter := adapter_of(args)) is not None:
            adapted: T = adapter.call(function, check, args, kwargs)
            return adapted
        # As `run` does it, without one more call for each operation.
        coroutine = function(*check(args, kwargs), **kwargs)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            result: T = stop.value
            return result
        raise suspended(coroutine)

    return named(call, function)


if TYPE_CHECKING:
    import types

    Method = types.MethodType

    F = TypeVar("F", bound=Callable[..., Any])

    def named(call: F, function: Callable[..., Any]) -> F: ...
else:
    # `types` and `functools.wraps` would cost a quarter of the package's import.
    Method = type(Resource._in.__get__(object()))

    def named(call: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
        for name in ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__"):
            setattr(call, name, getattr(function, name))
        call.__wrapped__ = function
        return call
