"""State an endpoint once; call it from the sync client and the async client.

An operation is an ``async def`` method of a `Resource`. Its body awaits the resource's transport
and nothing else, so whether it suspends is the transport's choice:

* through an ``Async`` resource it is the coroutine function it looks like;
* through a ``Sync`` resource its coroutine is run to its end in one step, because the `Blocking`
  transport never suspends;
* through the class (``Predictions.get(resource, id)``) it is a function that does what the
  resource's mode says;
* `unchecked(Predictions.get)` is the coroutine function itself, which is how one operation awaits
  another.

Called by a program, it checks its arguments first (`_checks`).
"""

from __future__ import annotations

from .._core import write_json
from .checks import BLOCKING_RULES, RULES, checker, limit, wrong_type
from .credentials import reveal
from .transport import Blocking, Suspending, attend_the_end
from .typing import (
    Generic,
    ParamSpec,
    TypeVar,
    cast,
    defer,
    defer_annotations,
    is_array,
    overload,
    texts,
)

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Callable,
        Coroutine,
        Generator,
        Iterable,
        Mapping,
        Sequence,
    )
    from typing import Any, Concatenate, Literal, Self, TypeAlias

    from .._core import Core, Expect, Pending, Upload
    from .._files.upload import Inlined
    from .session import Session as Session
    from .transport import Transport
    from .types import Headers as Headers
    from .types import Options as Options
    from .types import Query as Query

    Target: TypeAlias = str | tuple[str, ...]

    # What a stream of events is turned into: events, the text of those that are output, or bytes to
    # be passed on.
    Form: TypeAlias = Literal["events", "text", "frames"]

    # What a host says of a file: its media type, its length in bytes, the header that may have its
    # name, and its `ETag` or date.
    Said: TypeAlias = tuple[str | None, int | None, str | None, str | None]


# What is said of each option in the documentation of a method that takes it; `types.Options` has
# their types.
HELP: dict[str, dict[str, str]] = {
    "Options": {
        "signal": "Stops the request.",
        "timeout": (
            "Seconds for all of the call, retries included, or a `timedelta`; of a `Timeout`, its"
            " `total` or its longest part."
        ),
        "extra_headers": "Sent with this request, over the client's own.",
        "extra_query": "Added to the query.",
        "extra_body": "Added to the JSON body.",
    }
}
OPTIONS = frozenset(HELP["Options"])
for _kind in ("model", "deployment"):
    _owner, _name = f"The owner of the {_kind}, as in 2.0.", f"The name of the {_kind}, as in 2.0."
    HELP[f"{_kind.capitalize()}Options"] = {
        f"{_kind}_owner": _owner,
        f"{_kind}_name": _name,
        **HELP["Options"],
    }


class Sync:
    """The mode of a `Replicate` and of what it gives: operations return their result."""

    transport: type[Transport] = Blocking


class Async:
    """The mode of an `AsyncReplicate` and of what it gives: operations are awaited.

    In annotations: `Prediction[Async]`.
    """

    transport: type[Transport] = Suspending


# Without a mode, `Prediction` is `Prediction[Sync]`: the one whose methods block.
M = TypeVar("M", bound="Sync | Async", covariant=True, default=Sync)
P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")


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
        return self._session.config.core

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
        form: tuple[Upload, str] | None = None,
        headers: Sequence[tuple[str, str]] = (),
        read: float | None = None,
        inlined: Inlined | None = None,
        creates: Literal["predictions", "trainings"] | None = None,
        keeps: bool = False,
    ) -> Pending[T]:
        """Begin a request with a JSON body, with files in it or without, a plain text, a form and
        its media type, or nothing.

        Raises:
            TypeError: An option does not exist.

        """
        if not (options or query or headers) and body is None and text is None and form is None:
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
        content, kind = _content(body, text, inlined) if form is None else form
        return self._core.send(
            method,
            target,
            expect,
            query=encode_query(query) if query else None,
            body=content,
            content_type=kind,
            # In no local, since reports of errors show these.
            headers=(
                _with_extra(headers, options["extra_headers"])
                if "extra_headers" in options
                else headers
            ),
            read=read,
            total=limit("timeout", options.get("timeout")),
            signal=options.get("signal"),
            creates=creates,
            keeps=keeps,
        )


if TYPE_CHECKING:
    import types

    Function, Method = types.FunctionType, types.MethodType
else:
    # Importing `types` would cost a quarter of the package's import.
    Function, Method = type(Resource._in), type(Resource._in.__get__(object()))


def _content(
    body: Mapping[str, object] | None, text: str | None, inlined: Inlined | None
) -> tuple[bytes | Upload | None, str | None]:
    """Return a request's body, and its media type."""
    if body is not None:
        written = to_json(body)
        return written if inlined is None else inlined.body(written), "application/json"
    return (text.encode(), "text/plain") if text else (None, None)


def resource(name: str, value: object) -> Resource[Any]:
    """Check an argument that is a client, or something of one."""
    if not isinstance(value, Resource):
        raise wrong_type(name, "a Replicate or an AsyncReplicate", value)
    return value  # pyright: ignore[reportUnknownVariableType] - of whatever mode


class Namespace(Resource[M]):
    """A group of operations that belong to a client.

    Unlike a record it lets its methods be replaced, as tests do.
    """

    __slots__ = ("__dict__", "_namespaces")

    # Those within this one, by name and mode: each is made once, so that what a test replaces stays
    # replaced.
    _namespaces: dict[tuple[str, type[Sync | Async]], Any]

    def _namespace(self, name: str, kind: Callable[[Session, Any], T]) -> T:
        """Return a namespace within this one."""
        try:
            known = self._namespaces
        except AttributeError:
            known = self._namespaces = {}
        key = (name, self._mode)
        try:
            namespace: T = known[key]
        except KeyError:
            namespace = known.setdefault(key, kind(self._session, self._mode))
        return namespace

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, known: Any) -> Self:
        return self


def _with_extra(
    headers: Sequence[tuple[str, str]], extra: Headers | None
) -> Sequence[tuple[str, str]]:
    if extra is None:
        return headers
    pairs = header_pairs(extra)
    names = {name.lower() for name, _ in pairs}
    return [*(each for each in headers if each[0].lower() not in names), *pairs]


def header_pairs(headers: Headers | None) -> list[tuple[str, str]]:
    """Return headers, given as a mapping or as pairs, as pairs."""
    headers = reveal(headers)
    items: Callable[[], Iterable[tuple[str, str]]] | None = getattr(headers, "items", None)
    return list(cast("Sequence[tuple[str, str]]", headers or ()) if items is None else items())


def encode_query(query: Query) -> list[tuple[str, str]]:
    """Give a query's parts as text: None is left out, lists are joined by commas, as the API's
    other clients do.
    """
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


def drop_none(**values: object) -> dict[str, object]:
    """Give those of some fields that were given."""
    return {name: value for name, value in values.items() if value is not None}


class Described:
    """A method of a resource that is stated once and called in two modes.

    Through a resource it is a bound method; through its class, a function whose first argument is
    the resource, in the mode of that. The functions behind it are created when they are first asked
    for.
    """

    owner: type[Resource[Any]] | None = None
    __name__: str
    _blocking: Callable[..., Any] | None = None
    _suspending: Callable[..., Any] | None = None
    _unbound: Callable[..., Any] | None = None

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __set_name__(self, owner: type[Resource[Any]], name: str) -> None:
        if self.owner is None:
            self.owner, self.__name__ = owner, name

    def of(self, owner: type[Resource[Any]]) -> Self:
        """Return the same method as one of another class, under whose name it is shown."""
        twin = type(self).__new__(type(self))
        twin.function, twin.owner, twin.__name__ = self.function, owner, self.__name__
        return twin

    if not TYPE_CHECKING:
        # Mocks and tracers look for functions in a class's dictionary; they find one, though
        # `__get__` decides which it is.

        @property
        def __class__(self) -> type:
            return Function

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self.__get__(None, self.owner)(*args, **kwargs)

    @property
    def _path(self) -> str:
        return self.__name__ if self.owner is None else f"{self.owner.__qualname__}.{self.__name__}"

    def _bound_to(self, args: tuple[Any, ...]) -> Callable[..., Any]:
        if not args or not isinstance(args[0], Resource):
            raise TypeError(
                f"the first argument of {self._path} must be the object whose method it is"
            )
        method: Any = self
        bound: Callable[..., Any] = method.__get__(args[0], None)
        return bound

    def _calling(self) -> Callable[..., Any]:
        """Return a function that calls the method of its first argument."""

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._bound_to(args)(*args[1:], **kwargs)

        return call

    def _named(self, call: F, function: Callable[..., Any] | None = None) -> F:
        """Have a function look as if it was written in the class: with the signature of `function`."""
        function = self.function if function is None else function
        defer(function, function.__module__, self.owner)
        call.__module__ = (self.owner or function).__module__
        call.__name__, call.__qualname__ = self.__name__, self._path
        call.__doc__ = documented(self.function)
        call.__annotations__ = function.__annotations__
        call.__wrapped__ = function  # type: ignore[attr-defined] # as `functools.wraps` does
        return call


def _of_function(name: str) -> property:
    def get(method: Any) -> Any:
        found: Any = getattr(method.__get__(None, method.owner), name)
        return found

    return property(get)


for _name in (
    "__closure__",
    "__code__",
    "__defaults__",
    "__globals__",
    "__kwdefaults__",
    "__wrapped__",
):
    setattr(Described, _name, _of_function(_name))


class operation(Described, Generic[P, T]):  # noqa: N801 - reads as a decorator
    """A method with one answer: any ``async def``."""

    function: Callable[..., Coroutine[Any, Any, T]]

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        super().__init__(function)

    @overload
    def __get__(
        self, resource: None, owner: type[Resource[Async]]
    ) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, resource: None, owner: object) -> Callable[Concatenate[Any, P], T]: ...
    @overload
    def __get__(self, resource: Resource[Sync], owner: object) -> Callable[P, T]: ...
    @overload
    def __get__(
        self, resource: Resource[Async], owner: object
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: object) -> Callable[..., Any]:
        if resource is None:
            return self._unbound or self._make_unbound()
        if resource._mode is Async:
            return Method(self._suspending or self._make_suspending(), resource)
        return Method(self._blocking or self._make_blocking(), resource)

    def _make_blocking(self) -> Callable[..., Any]:
        blocking: Callable[..., Any] = self._named(_stepped(self.function))
        self._blocking = blocking
        return blocking

    def _make_suspending(self) -> Callable[..., Any]:
        self._suspending = self._named(_checked(self.function))
        return self._suspending

    def _make_unbound(self) -> Callable[..., Any]:
        # A client has a mode; what belongs to clients of either mode has none, though files have a
        # `mode` of their own.
        mode = getattr(self.owner, "mode", None)
        if mode is Async:
            self._unbound = self._make_suspending()
        elif mode is Sync:
            self._unbound = self._make_blocking()
        else:
            self._unbound = self._named(self._calling())
        _FUNCTIONS[self._unbound] = self.function
        return self._unbound


class async_operation(Described, Generic[P, T]):  # noqa: N801 - reads as a decorator
    """The ``async_`` twin of an operation, on whatever client."""

    def __init__(self, twin: operation[P, T]) -> None:
        super().__init__(twin.function)

    @overload
    def __get__(
        self, resource: None, owner: object
    ) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(
        self, resource: Resource[Any], owner: object
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: object) -> Callable[..., Any]:
        if resource is None:
            return self._unbound or self._make_unbound()
        return Method(self._suspending or self._make_suspending(), resource._in(Async))

    def _make_suspending(self) -> Callable[..., Any]:
        self._suspending = self._named(_checked(self.function))
        return self._suspending

    def _make_unbound(self) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._bound_to(args)(*args[1:], **kwargs)

        self._unbound = self._named(call)
        return self._unbound


def documented(function: Callable[..., Any]) -> str | None:
    """Return a function's docstring, with every option that it takes as ``**options``."""
    text = function.__doc__
    options = texts(function).get("options", "")[len("Unpack[") : -1]
    if text is None or options not in HELP:
        return text
    margins = [
        line[: len(line) - len(line.lstrip())] for line in text.split("\n")[1:] if line.strip()
    ]
    margin = min(margins, default="")
    lines = [f"{margin}    {name}: {said}" for name, said in HELP[options].items()]
    return "\n".join([text.rstrip(), "", f"{margin}Options:", *lines, "", margin])


def unchecked(method: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return an operation as another operation awaits it: its arguments were checked where the call
    entered.

    Args:
        method: The operation, taken from its class.

    """
    # What was put in its place, by a tracer or a test, is not ours.
    return (_FUNCTIONS.get(method) if type(method) is Function else None) or _replaced(method)


def _replaced(method: Callable[P, Any]) -> Callable[P, Coroutine[Any, Any, Any]]:
    async def call(*args: P.args, **kwargs: P.kwargs) -> Any:
        result = method(*args, **kwargs)
        return await result if hasattr(result, "__await__") else result

    return call


# The coroutine functions of operations, by what their classes give.
_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}


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

    async def call(*args: Any, **kwargs: Any) -> T:
        if args and (adapter := args[0]._session.adapter) is not None:
            result: T = await adapter.acall(function, check, args, kwargs)
            return result
        return await function(*check(args, kwargs), **kwargs)

    return call


def _stepped(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    check: Any = checker(function, BLOCKING_RULES)

    def call(*args: Any, **kwargs: Any) -> T:
        if args and (adapter := args[0]._session.adapter) is not None:
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

    return call


defer_annotations(globals())
