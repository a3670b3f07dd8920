"""Adapt keywords, errors and results of calls through `replicate` to those of 1.0.7."""

from __future__ import annotations

import sys

from .._base.arguments import aliases_of
from .._base.credentials import strip_frames
from .._base.operation import run_blocking
from .._base.resource import OPTIONS
from .._client.options import normalize
from .._files.output import FileOutput
from .._predictions.params import CREATE_OPTIONS, MAX_WAIT
from ..client import BaseClient
from ..exceptions import RequestError
from ..run import run_model
from .httpx_errors import adapt
from .output import AsyncEvents, Output

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from typing import Any, TypeVar

    from .._base.resource import Resource

    T = TypeVar("T")

# The functions of 1.0.7 that ignore unknown keywords: module, class and method in this package.
_LENIENT = (
    ("client", "BaseClient", "run"),
    ("client", "BaseClient", "stream"),
    ("prediction", "Predictions", "create"),
    ("model", "ModelsPredictions", "create"),
    ("deployment", "DeploymentPredictions", "create"),
    ("deployment", "DeploymentsPredictions", "create"),
    ("training", "Trainings", "create"),
    ("file", "Files", "create"),
    ("model", "Models", "get"),
    ("model", "Models", "delete"),
)
# The keywords of each function; None for functions that refuse unknown ones.
_known: dict[Callable[..., Any], frozenset[str] | None] = {}
# Methods that return generators in 1.0.7.
_GENERATORS = ("stream", "stream_model", "output_iterator")


class Adapter:
    """Adapts the calls of one client, and of its namespaces and records."""

    __slots__ = ("_kind",)

    # Seconds that a run's create request may wait for the output: as in 1.0.7, the API's maximum.
    max_first_wait: int = MAX_WAIT

    def __init__(self, kind: type[BaseClient[Any]]) -> None:
        self._kind = kind

    def call(
        self,
        function: Callable[..., Any],
        perform: Callable[..., Any],
        check: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Call a blocking operation: `perform`, in the place of `function`."""
        args = (self.prepare(function, args[0], kwargs), *args[1:])
        try:
            result: Any = run_blocking(perform(*check(args, kwargs), **kwargs))
        except RequestError as error:
            self.adapt(error, args[0])
            raise
        return _as_iterator(result) if function is run_model else result

    async def acall(
        self,
        function: Callable[..., Any],
        perform: Callable[..., Any],
        check: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Call an awaited operation: `perform`, in the place of `function`."""
        args = (self.prepare(function, args[0], kwargs), *args[1:])
        try:
            result: Any = await perform(*check(args, kwargs), **kwargs)
        except RequestError as error:
            self.adapt(error, args[0])
            raise
        return _as_iterator(result) if function is run_model else result

    def prepare(self, function: Callable[..., Any], resource: Any, kwargs: dict[str, Any]) -> Any:
        """Remove keywords that 1.0.7 ignores, with a warning, and return the resource to call.

        That is another resource if `api_token` is among the keywords.
        """
        known = _get_known(function) if kwargs else None
        if known is None or known.issuperset(kwargs):
            return resource
        if "model_version" in kwargs and "ref" in known and "ref" not in kwargs:
            # The name of `ref` in early versions, which older libraries still use.
            kwargs["ref"] = kwargs.pop("model_version")
        if "api_token" in kwargs:
            resource = self._with_token(resource, kwargs)
        unknown = [name for name in kwargs if name not in known]
        for name in unknown:
            del kwargs[name]
        if unknown:
            warn_ignored(
                unknown, f"{type(resource).__name__}.{function.__name__.removesuffix('_model')}"
            )
        return resource

    def adapt(self, error: Exception, resource: Resource[Any]) -> None:
        """Turn a network error, or an error status of a file's host, into an httpx error."""
        if isinstance(error, RequestError):
            adapt(error, is_of_file=isinstance(resource, FileOutput))

    async def batches(
        self, batches: AsyncGenerator[Sequence[T], None], resource: Resource[Any]
    ) -> AsyncGenerator[Sequence[T], None]:
        """Iterate over the batches of a stream, and adapt its errors."""
        try:
            async for batch in batches:
                yield batch
        except RequestError as error:
            self.adapt(error, resource)
            raise
        finally:
            await batches.aclose()

    def stream(self, function: Callable[..., Any], stream: Any) -> Any:
        """Convert a stream to the generator that it is in 1.0.7."""
        if function.__name__ not in _GENERATORS:
            return stream
        if hasattr(stream, "__await__"):
            items: Any = stream._items
            # In 1.0.7 a client's method has to be awaited, and those of a prediction have not.
            return (
                AsyncEvents(items)
                if function is _function("client", "BaseClient", "stream")
                else items
            )
        return stream._items()

    def _with_token(self, resource: Any, kwargs: dict[str, Any]) -> Any:
        """Remove `api_token` from keywords; return the resource of a client with this token.

        The client shares the connections of the resource's client.
        """
        token = kwargs.pop("api_token")
        if token is None:
            return resource
        config = resource._session.config
        client: Any = self._kind.__new__(self._kind)
        try:
            client._set_up(normalize(config.mode, {**config.options, "api_token": token}), config)
        except (ValueError, TypeError) as error:
            # Error reports show local variables.
            token = None
            raise strip_frames(error) from None
        if not isinstance(resource, BaseClient):
            client = type(resource)(client._session, client._mode)
        return client._in(resource._mode)


def _as_iterator(output: Any) -> Any:
    """Convert an output that is a list to one that is an iterator too."""
    make: Any = Output
    return make(output) if type(output) is list else output


def _function(module: str, kind: str, method: str) -> Callable[..., Any] | None:
    """Return the function of an operation, or None if its module was not imported."""
    imported = sys.modules.get(f"replicate_rs.{module}")
    if imported is None:
        return None
    owner: type[Any] = vars(imported)[kind]
    function: Callable[..., Any] = vars(owner)[method].function
    return function


def _get_known(function: Callable[..., Any]) -> frozenset[str] | None:
    """Return the keywords that a function knows, or None if it refuses unknown ones."""
    try:
        return _known[function]
    except KeyError:
        is_lenient = any(_function(*place) is function for place in _LENIENT)
        code = function.__code__
        names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        extras = (
            CREATE_OPTIONS | OPTIONS.keys() | aliases_of(function)
            if code.co_flags & CO_VARKEYWORDS
            else frozenset[str]()
        )
        return _known.setdefault(function, extras.union(names) if is_lenient else None)


# The flag of a function with a parameter ``**kwargs``
# (https://docs.python.org/3/library/inspect.html#code-objects-bit-flags).
CO_VARKEYWORDS = 8


def warn_ignored(names: list[str], where: str) -> None:
    """Warn of ignored keywords, at the line of the caller.

    Args:
        names: The keywords.
        where: The method that ignores them.

    """
    from warnings import warn

    frame, level = sys._getframe(), 1
    while (
        frame.f_back is not None
        and frame.f_globals.get("__name__", "").partition(".")[0] == __name__.partition(".")[0]
    ):
        frame, level = frame.f_back, level + 1
    keywords = ", ".join(f"{name}=" for name in names)
    hint = "" if where == "Client()" else "; a model's inputs go into input={…}"
    warn(
        f"{where} ignores {keywords}, as the official client does{hint}",
        UserWarning,
        stacklevel=level,
    )
