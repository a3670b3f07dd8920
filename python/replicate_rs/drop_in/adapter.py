"""How calls under the name `replicate` differ: keywords, errors and results as programs for 1.0.7
expect them.
"""

from __future__ import annotations

import sys

from .._base.arguments import aliases_of
from .._base.credentials import without_frames
from .._base.operation import run_blocking
from .._base.resource import OPTIONS
from .._client.options import normalized
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

# The functions of 1.0.7 that take any keyword and ignore those that they do not know: module, class
# and method here.
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
# What each knows, by the function; None for those that refuse what they do not know.
_known: dict[Callable[..., Any], frozenset[str] | None] = {}
# Methods that are generators in 1.0.7.
_GENERATORS = ("stream", "stream_model", "output_iterator")


class Adapter:
    """Adapts the calls of one client, and of all that it gives."""

    __slots__ = ("_kind",)

    # As in 1.0.7, a run's first request may block for as long as the API allows, in seconds.
    max_first_wait: int = MAX_WAIT

    def __init__(self, kind: type[BaseClient[Any]]) -> None:
        self._kind = kind

    def call(
        self,
        function: Callable[..., Any],
        check: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Call a blocking operation; `check` checks its arguments."""
        args = (self.prepare(function, args[0], kwargs), *args[1:])
        try:
            result: Any = run_blocking(function(*check(args, kwargs), **kwargs))
        except RequestError as error:
            self.adapt(error, args[0])
            raise
        return _result(function, result)

    async def acall(
        self,
        function: Callable[..., Any],
        check: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Call an awaited operation."""
        args = (self.prepare(function, args[0], kwargs), *args[1:])
        try:
            result: Any = await function(*check(args, kwargs), **kwargs)
        except RequestError as error:
            self.adapt(error, args[0])
            raise
        return _result(function, result)

    def prepare(self, function: Callable[..., Any], resource: Any, kwargs: dict[str, Any]) -> Any:
        """Take out keywords that 1.0.7 ignores, with a warning; return the resource to call, which
        an `api_token` changes.
        """
        known = _known_by(function) if kwargs else None
        if known is None or known.issuperset(kwargs):
            return resource
        if "model_version" in kwargs and "ref" in known and "ref" not in kwargs:
            # The name of `ref` in early versions, which libraries that were written for those still
            # use.
            kwargs["ref"] = kwargs.pop("model_version")
        if "api_token" in kwargs:
            resource = self._with_token(resource, kwargs)
        unknown = [name for name in kwargs if name not in known]
        for name in unknown:
            del kwargs[name]
        if unknown:
            warn_of(
                unknown, f"{type(resource).__name__}.{function.__name__.removesuffix('_model')}"
            )
        return resource

    def adapt(self, error: Exception, resource: Resource[Any]) -> None:
        """Turn an error of the network, or a status that a file was answered with, into an error of
        httpx too.
        """
        if isinstance(error, RequestError):
            adapt(error, is_of_file=isinstance(resource, FileOutput))

    async def batches(
        self, batches: AsyncGenerator[Sequence[T], None], resource: Resource[Any]
    ) -> AsyncGenerator[Sequence[T], None]:
        """Return the parts of a streamed answer, with its errors adapted."""
        try:
            async for batch in batches:
                yield batch
        except RequestError as error:
            self.adapt(error, resource)
            raise
        finally:
            await batches.aclose()

    def stream(self, function: Callable[..., Any], stream: Any) -> Any:
        """Return a stream as the generator that it is in 1.0.7."""
        if function.__name__ not in _GENERATORS:
            return stream
        if hasattr(stream, "__await__"):
            items: Any = stream._items
            # A client's method is awaited for its generator in 1.0.7, and those of a prediction are
            # not.
            return (
                AsyncEvents(items)
                if function is _function("client", "BaseClient", "stream")
                else items
            )
        return stream._items()

    def _with_token(self, resource: Any, kwargs: dict[str, Any]) -> Any:
        """Take `api_token` out of keywords; return the same resource of a client with this token
        and the same connections.
        """
        token = kwargs.pop("api_token")
        if token is None:
            return resource
        settings = resource._session.settings
        client: Any = self._kind.__new__(self._kind)
        try:
            client._set_up(
                normalized(settings.mode, {**settings.options, "api_token": token}), settings
            )
        except (ValueError, TypeError) as error:
            # Reports of errors show the locals of frames.
            token = None
            raise without_frames(error) from None
        other = (
            client
            if isinstance(resource, BaseClient)
            else type(resource)(client._session, client._mode)
        )
        return other._in(resource._mode)


def _result(function: Callable[..., Any], result: Any) -> Any:
    """Return an output that may grow in a form that is an iterator too."""
    make: Any = Output
    return make(result) if function is run_model and type(result) is list else result


def _function(module: str, kind: str, method: str) -> Callable[..., Any] | None:
    """Return the function of an operation, if its module was imported: a call comes from one that
    was.
    """
    found = sys.modules.get(f"replicate_rs.{module}")
    if found is None:
        return None
    owner: type[Any] = vars(found)[kind]
    function: Callable[..., Any] = vars(owner)[method].function
    return function


def _known_by(function: Callable[..., Any]) -> frozenset[str] | None:
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


# The flag of a function that takes any keyword
# (https://docs.python.org/3/library/inspect.html#code-objects-bit-flags).
CO_VARKEYWORDS = 8


def warn_of(names: list[str], where: str) -> None:
    """Warn of keywords that are ignored, where the caller has them."""
    from warnings import warn

    frame, level = sys._getframe(), 1
    while (
        frame.f_back is not None
        and frame.f_globals.get("__name__", "").partition(".")[0] == __name__.partition(".")[0]
    ):
        frame, level = frame.f_back, level + 1
    listed = ", ".join(f"{name}=" for name in names)
    hint = "" if where == "Client()" else "; a model's inputs go into input={…}"
    warn(
        f"{where} ignores {listed}, as the official client does{hint}",
        UserWarning,
        stacklevel=level,
    )
