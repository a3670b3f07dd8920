"""Operations: each API endpoint is defined once, and called from both clients.

An operation is an ``async def`` method of a `Resource`, or, if it is one request, a method that
returns its awaitable. It awaits the resource's transport and nothing else, so that the transport
decides whether it suspends:

* Through an ``Async`` resource it is a coroutine function.
* Through a ``Sync`` resource its awaitable runs to its end in one step, because the `Blocking`
  transport never suspends.
* Through the class (``Predictions.get(resource, id)``) it is a function in the resource's mode.
* `unchecked(Predictions.get)` is the function itself, for operations that await others.

A call checks its arguments first (`arguments`).

`observe` puts other functions in the place of those that callers have: an observer, such as
`telemetry`, costs nothing while there is none, and methods that were taken before see it too.
"""

from __future__ import annotations

from .._core import Pending
from .arguments import BLOCKING_RULES, RULES, checker
from .resource import OPTIONS, Resource
from .session import Async, Sync
from .typing import (
    Generic,
    ParamSpec,
    TypeVar,
    defer,
    defer_annotations,
    overload,
    texts,
)

TYPE_CHECKING = False

if TYPE_CHECKING:
    import types
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
    from typing import Any, Concatenate, Self

    Function, Method = types.FunctionType, types.MethodType
else:
    # Importing `types` would cost a quarter of the package's import.
    Function, Method = type(Resource._in), type(Resource._in.__get__(object()))

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")

# The shared options by the name of their `TypedDict`, and of each its description for `help()`. The
# descriptions in `types` are for editors: reading them here would import `typing`.
HELP: dict[str, dict[str, str]] = {"Options": OPTIONS}


class ResourceMethod:
    """A method of a resource that is defined once and called in two modes.

    Through a resource it is a bound method; through its class, a function whose first argument is
    the resource. These functions are created when they are first needed.
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
        """Return the same method as a method of another class, which help shows as its owner."""
        twin = type(self).__new__(type(self))
        twin.function, twin.owner, twin.__name__ = self.function, owner, self.__name__
        return twin

    if not TYPE_CHECKING:
        # Mocks and tracers replace only what looks like a function in a class's dictionary.

        @property
        def __class__(self) -> type:
            return Function

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self.__get__(None, self.owner)(*args, **kwargs)

    @property
    def _path(self) -> str:
        return self.__name__ if self.owner is None else f"{self.owner.__qualname__}.{self.__name__}"

    def _bind(self, args: tuple[Any, ...]) -> Callable[..., Any]:
        """Return the method bound to the first of some arguments."""
        if not args or not isinstance(args[0], Resource):
            raise TypeError(
                f"the first argument of {self._path} must be the object whose method it is"
            )
        method: Any = self
        bound: Callable[..., Any] = method.__get__(args[0], None)
        return bound

    def _make_caller(self) -> Callable[..., Any]:
        """Return a function that calls the method of its first argument."""

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._bind(args)(*args[1:], **kwargs)

        return call

    def _wrap(self, call: F, function: Callable[..., Any] | None = None) -> F:
        """Set the name, signature and documentation of `call` to those of `function`."""
        function = self.function if function is None else function
        _set_result_type(function)
        defer(function, function.__module__, self.owner)
        call.__module__ = (self.owner or function).__module__
        call.__name__, call.__qualname__ = self.__name__, self._path
        call.__doc__ = with_options(self.function)
        call.__annotations__ = function.__annotations__
        call.__wrapped__ = function  # type: ignore[attr-defined] # as `functools.wraps` does
        return call


def _set_result_type(function: Callable[..., Any]) -> None:
    """Annotate a function that returns an awaitable as if it were an ``async def``."""
    annotations = texts(function)
    text: str = annotations.get("return", "")
    if text.startswith(_AWAITABLE):
        annotations["return"] = text[len(_AWAITABLE) : -1]


_AWAITABLE = "Awaitable["


def _attribute_of_function(name: str) -> property:
    def get(method: Any) -> Any:
        value: Any = getattr(method.__get__(None, method.owner), name)
        return value

    return property(get)


for _name in ("closure", "code", "defaults", "globals", "kwdefaults", "wrapped"):
    setattr(ResourceMethod, f"__{_name}__", _attribute_of_function(f"__{_name}__"))


class operation(ResourceMethod, Generic[P, T]):  # noqa: N801 - reads as a decorator
    """Decorate a function whose awaited result a method returns."""

    function: Callable[..., Awaitable[T]]

    def __init__(self, function: Callable[Concatenate[Any, P], Awaitable[T]]) -> None:
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
        blocking: Callable[..., Any] = self._wrap(_stepped(self))
        self._blocking = blocking
        return blocking

    def _make_suspending(self) -> Callable[..., Any]:
        self._suspending = self._wrap(_checked(self))
        return self._suspending

    def _make_unbound(self) -> Callable[..., Any]:
        # The class of a client has a mode; other classes belong to clients of both modes. The
        # `mode` of a file is something else.
        mode = getattr(self.owner, "mode", None)
        if mode is Async:
            self._unbound = self._make_suspending()
        elif mode is Sync:
            self._unbound = self._make_blocking()
        else:
            self._unbound = self._wrap(self._make_caller())
        _FUNCTIONS[self._unbound] = self.function
        return self._unbound


class async_operation(ResourceMethod, Generic[P, T]):  # noqa: N801 - reads as a decorator
    """The ``async_`` twin of an operation: awaited on clients of both modes."""

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
        self._suspending = self._wrap(_checked(self))
        return self._suspending

    def _make_unbound(self) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._bind(args)(*args[1:], **kwargs)

        self._unbound = self._wrap(call)
        return self._unbound


def with_options(function: Callable[..., Any]) -> str | None:
    """Return a function's docstring with the options that it takes as ``**options`` listed."""
    text = function.__doc__
    options = texts(function).get("options", "")[len("Unpack[") : -1]
    if text is None or options not in HELP:
        return text
    lines = [line for line in text.split("\n")[1:] if line.strip()]
    margin = min((line[: len(line) - len(line.lstrip())] for line in lines), default="")
    listed = [f"{margin}    {name}: {description}" for name, description in HELP[options].items()]
    return "\n".join([text.rstrip(), "", f"{margin}Options:", *listed, "", margin])


def unchecked(method: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Return an operation's function, for another operation that awaits it.

    The arguments were checked when the outer operation was called.

    Args:
        method: The operation, taken from its class.

    """
    # A tracer or a test may have put something else in the operation's place.
    return (_FUNCTIONS.get(method) if type(method) is Function else None) or _as_async(method)


def _as_async(method: Callable[P, Any]) -> Callable[P, Coroutine[Any, Any, Any]]:
    async def call(*args: P.args, **kwargs: P.kwargs) -> Any:
        result = method(*args, **kwargs)
        return await result if hasattr(result, "__await__") else result

    return call


# The functions of operations, by the unbound functions of their classes.
_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}


def run_blocking(work: Awaitable[T]) -> T:
    """Run a coroutine that never suspends, or wait for a `Pending` that blocks."""
    if isinstance(work, Pending):
        answer: T = work.wait()  # pyright: ignore[reportUnknownMemberType] - of any result
        return answer
    coroutine: Any = work
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise _suspended_error(coroutine)


def _suspended_error(coroutine: Coroutine[Any, Any, Any]) -> RuntimeError:
    """Return the error for a coroutine that awaits more than the blocking transport."""
    coroutine.close()
    return RuntimeError(f"{coroutine!r} suspended under a blocking transport")


def close_unawaited(value: object) -> None:
    """Close what a caller's function returned if it is a coroutine, which would warn otherwise."""
    close: Callable[[], object] | None = getattr(value, "close", None)
    if close is not None:
        close()


def iterate_blocking(items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """Iterate over an async generator that never suspends."""
    try:
        while True:
            yield run_blocking(items.__anext__())
    except StopAsyncIteration:
        return
    finally:
        run_blocking(items.aclose())


# The methods that were called so far, with functions that replace what their callers perform.
_performed: list[tuple[ResourceMethod, Callable[[Callable[..., Any]], None]]] = []
# Returns what is performed in the place of a method's function, while there is an observer; and
# what is called when a module with other operations was imported.
_observer: Callable[[ResourceMethod], Callable[..., Any]] | None = None
_on_import: Callable[[str], object] | None = None


def observe(
    wrap: Callable[[ResourceMethod], Callable[..., Any]] | None,
    on_import: Callable[[str], object] | None = None,
) -> None:
    """Have `wrap(method)` performed in the place of the function of each method that is called.

    Operations that other operations call through `unchecked` are not replaced.

    Args:
        wrap: None to end it.
        on_import: Called with the name of a module that is slow to import, and has operations that
            are no methods of resources, when it was imported.

    """
    global _observer, _on_import
    _observer, _on_import = wrap, on_import
    for method, replace in _performed:
        replace(method.function if wrap is None else wrap(method))


def note_import(module: str) -> None:
    """Tell the observer that a module was imported."""
    if _on_import is not None:
        _on_import(module)


def make_observable(method: ResourceMethod, replace: Callable[[Callable[..., Any]], None]) -> None:
    """Have `replace` called with what is performed for a method, when that changes."""
    _performed.append((method, replace))
    if _observer is not None:
        replace(_observer(method))


def _checked(method: ResourceMethod) -> Callable[..., Coroutine[Any, Any, Any]]:
    function = perform = method.function
    check: Any = checker(function, RULES)

    def replace(by: Callable[..., Any]) -> None:
        nonlocal perform
        perform = by

    make_observable(method, replace)

    async def call(*args: Any, **kwargs: Any) -> Any:
        if args and (adapter := args[0]._session.adapter) is not None:
            return await adapter.acall(function, perform, check, args, kwargs)
        return await perform(*check(args, kwargs), **kwargs)

    return call


def _stepped(method: ResourceMethod) -> Callable[..., Any]:
    function = perform = method.function
    check: Any = checker(function, BLOCKING_RULES)

    def replace(by: Callable[..., Any]) -> None:
        nonlocal perform
        perform = by

    make_observable(method, replace)

    def call(*args: Any, **kwargs: Any) -> Any:
        if args and (adapter := args[0]._session.adapter) is not None:
            return adapter.call(function, perform, check, args, kwargs)
        # The body of `run_blocking`, to save a call for each operation.
        coroutine: Any = perform(*check(args, kwargs), **kwargs)
        if type(coroutine) is Pending:
            return coroutine.wait()  # pyright: ignore[reportUnknownVariableType] - of any result
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value
        raise _suspended_error(coroutine)

    return call


defer_annotations(globals())
