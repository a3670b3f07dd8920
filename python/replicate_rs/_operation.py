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
from .credentials import revealed

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Mapping, Sequence
    from typing import Any, Concatenate, Final, Literal, Self, TypeAlias, TypedDict

    from ._checks import Limit
    from ._core import AbortSignal, Core, Expect, Pending, Upload
    from ._transport import Transport
    from .file_input import Inlined
    from .settings import Session as Session

    Target: TypeAlias = str | tuple[str, ...]
    Query: TypeAlias = Mapping[str, object]

    # Pairs may have several values of one name.
    Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]

    # What a stream of events is turned into: events, the text of those that are output, or bytes to be passed on.
    Form: TypeAlias = Literal["events", "text", "frames"]

    # What a host says of a file: its media type, its length in bytes, and the header that may have its name.
    Said: TypeAlias = tuple[str | None, int | None, str | None]

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


class Resource(Generic[M]):
    """A group of operations in mode `M` over one session."""

    __slots__ = ("_mode", "_session", "_transport")

    _mode: type[Sync | Async]
    _session: Session
    _transport: type[Transport]

    def __init__(self, session: Session, mode: type[Sync | Async]) -> None:
        self._session = session
        self._mode = mode
        self._transport = mode.transport

    @property
    def _core(self) -> Core:
        """What requests go through now: options may be assigned while a client lives."""
        return self._session.settings.core

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
            # In no local, since reports of errors show these.
            headers=_with_extra(headers, options.get("extra_headers")),
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

    __slots__ = ("__dict__", "_namespaces")

    # Those within this one, by name and mode: each is made once, so that what a test replaces stays replaced.
    _namespaces: dict[tuple[str, type[Sync | Async]], Any]

    def _namespace(self, name: str, kind: Callable[[Session, Any], Any]) -> Any:
        """Return a namespace within this one."""
        try:
            known = self._namespaces
        except AttributeError:
            known = self._namespaces = {}
        key = (name, self._mode)
        try:
            return known[key]
        except KeyError:
            return known.setdefault(key, kind(self._session, self._mode))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, known: Any) -> Self:
        return self


def _with_extra(headers: Sequence[tuple[str, str]], extra: Headers | None) -> Sequence[tuple[str, str]]:
    if extra is None:
        return headers
    pairs = header_pairs(extra)
    names = {name.lower() for name, _ in pairs}
    return [*(each for each in headers if each[0].lower() not in names), *pairs]


def header_pairs(headers: Headers | None) -> list[tuple[str, str]]:
    """Return headers, given as a mapping or as pairs, as pairs."""
    headers = revealed(headers)
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


class Descriptor:
    """What is a method without being a function. It says that it is one: `unittest.mock` takes the `self` of no other methods."""

    function: Callable[..., Any]
    # What it is bound to, by mode.
    calls: tuple[Any, ...]

    def __set_name__(self, _owner: object, name: str) -> None:
        # A pickle of a bound method has its name. What is known under two names has its first one.
        for call in self.calls:
            if not hasattr(call, "is_named"):
                call.__name__, call.is_named = name, True

    if not TYPE_CHECKING:

        @property
        def __class__(self) -> type[Any]:
            return type(named)

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self.function(*args, **kwargs)

        def __getattr__(self, name: str) -> Any:
            if name == "function":
                raise AttributeError(name)
            return getattr(self.function, name)


class operation(Descriptor, Generic[P, T]):  # noqa: N801 - reads as a decorator
    """A method with one answer: any ``async def``."""

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        self.function = function
        self.checked: Final = _checked(function)
        self.stepped: Final = _stepped(function)
        self.calls = (self.checked, self.stepped)
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


class awaitable(Descriptor, Generic[P, T]):  # noqa: N801 - reads as a decorator
    """The ``async_`` twin of an operation, on whatever client."""

    def __init__(self, twin: operation[P, T]) -> None:
        self.function = twin.function
        self.checked: Final = twin.checked
        self.calls = ()
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


def _checked(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    check: Any = checker(function, RULES)

    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return await function(*check(args, kwargs), **kwargs)

    return named(call, function)


def _stepped(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    check: Any = checker(function, BLOCKING_RULES)

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
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
