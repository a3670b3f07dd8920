"""A model as a function that runs it.

A call is one request that is held open for the output, as with `run`. `create` returns at once, so
that several runs can go on side by side until their `output()` is asked for.

Language models return their text as a list of strings, which a function joins. Only the model's
schema tells whether to join them (``x-cog-array-display``), and a prediction does not have it. 2.0
fetches the schema before each create. Here a function fetches it after the first output that is a
list of plain strings, and keeps it. So models with other outputs, such as files, never cost a
second request, and the others cost one in the function's life. (To fetch it during the create would
save the first call one round trip, and cost all other functions a needless request. Calls that run
at the same time before the schema is known each fetch it.)

Official models hide their versions; their schema is in the model's own description. If the schema
cannot be seen (404, 403), the list stays a list. If it is late or broken, the error is raised, with
the prediction: a function that returns text today and a list tomorrow would be worse.

Community models run by version only: without one, the API answers 404, and nothing is started. The
first call then fetches the newest version, as 2.0 does, and the function keeps it.
"""

from __future__ import annotations

from .._base.checks import flag
from .._base.operation import run_blocking, unchecked
from .._base.package import default_client
from .._base.resource import Resource
from .._base.session import Async, Sync
from .._base.typing import (
    TYPE_CHECKING,
    Generic,
    ParamSpec,
    TypeVar,
    defer_annotations,
    is_array,
    is_object,
)
from .._core import is_plain
from .._files.output import wrap_files
from .._files.urls import is_file_url
from .._predictions.polling import cancel_unreceived
from ..exceptions import (
    NotFoundError,
    PermissionDeniedError,
    ReplicateError,
    RequestError,
)
from ..identifier import ModelVersionIdentifier, resolve, target_of
from ..model import Model, Models
from ..run import create_prediction, run_to_end
from ..version import Version, Versions, schema_of
from .inputs import resolve_runs
from .output_iterator import AsyncOutputIterator, BaseOutputIterator, OutputIterator
from .run import AsyncRun, Run

if TYPE_CHECKING:
    from collections.abc import (
        Awaitable,
        Callable,
        Mapping,
    )
    from typing import Any, NoReturn

    from .._base.types import Named as Named
    from .._base.types import Usable as Usable
    from ..identifier import Ref
    from ..prediction import Prediction


P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _FunctionClient(Resource["Sync | Async"]):
    """A client in a function's mode."""

    __slots__ = ("_namespaces",)

    def __init__(self, client: Resource[Any], mode: type[Sync | Async]) -> None:
        super().__init__(client._session.in_mode(mode), mode)
        # Tests replace methods of these.
        self._namespaces: Any = getattr(client, "_namespaces", None)


class BaseFunction(Generic[P, R]):
    """What `Function` and `AsyncFunction` share."""

    _mode: type[Sync | Async]

    def __init__(
        self, ref: Usable, *, client: Resource[Any] | None = None, streaming: bool = False
    ) -> None:
        self.ref: Ref = _check_ref(ref)
        self.streaming: bool = flag("streaming", streaming)
        self._client = client
        self._version: Version[Any] | None = (
            ref
            if isinstance(ref, Version)
            else ref.latest_version  # pyright: ignore[reportUnknownMemberType] - of either client
            if isinstance(ref, Model)
            else None
        )
        # Whether lists of strings are joined, and what calls run: the reference or a version of it.
        # Both are None until a call has found out.
        self._joins: bool | None = None
        self._runs: Ref | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def default_example(self) -> NoReturn:
        """Not available, as in 2.0; use `client.models.get(name).default_example`."""
        raise NotImplementedError(
            f"a function has no default_example: models.get({self.name!r}).default_example"
        )

    @property
    def name(self) -> str:
        """``owner/name``, with the version if one was given."""
        return _to_text(self.ref)

    def _client_in(self, mode: type[Sync | Async]) -> Resource[Any]:
        """Return the client in a mode: the function's own, or the default client of the moment."""
        client = self._client
        if client is None:
            client = default_client()
        # The default client blocks, but an awaited function's requests and results are awaited.
        return _FunctionClient(client, mode)

    async def _call(self, args: tuple[object, ...], inputs: Mapping[str, object]) -> Any:
        if self.streaming:
            return await self._create_wrapped(
                args, inputs, lambda prediction: self._iterator(prediction, cancel_on_exit=True)
            )
        client = self._client_in(self._mode)
        prediction = await self._start(
            client, args, inputs, lambda ref, values: run_to_end(client, ref, values, options={})
        )
        return await self._to_result(client, prediction.output, prediction)

    async def _create(
        self, args: tuple[object, ...], inputs: Mapping[str, object]
    ) -> Prediction[Any]:
        client = self._client_in(self._mode)
        return await self._start(
            client, args, inputs, lambda ref, values: create_prediction(client, ref, values, {})
        )

    async def _create_wrapped(
        self,
        args: tuple[object, ...],
        inputs: Mapping[str, object],
        wrap: Callable[[Prediction[Any]], T],
    ) -> T:
        """Create a prediction, and return what `wrap` makes of it."""
        prediction = await self._create(args, inputs)
        try:
            return wrap(prediction)
        except BaseException:
            cancel_unreceived(self._client_in(self._mode), prediction)
            raise

    async def _start(
        self,
        client: Resource[Any],
        args: tuple[object, ...],
        inputs: Mapping[str, object],
        create: Callable[[Ref, Mapping[str, Any]], Awaitable[Prediction[Any]]],
    ) -> Prediction[Any]:
        """Create a prediction; for a model that runs by version only, of its newest version."""
        if args:
            is_dict = is_object(args[0]) and len(args) == 1
            hint = "name=value, or ** before the dict" if is_dict else "name=value"
            raise TypeError(f"{self.name} takes its inputs by name: use {hint}")
        inputs = await resolve_runs(client, inputs)
        ref = self._runs
        if ref is None and target_of(self.ref)[0] is None and not is_plain(inputs):
            # Read files once, because the create may be sent twice.
            from .._files.inputs import encode_input
            from .._files.upload import DataURIs

            inputs = await encode_input(client, inputs, DataURIs())
        try:
            prediction = await create(ref or self.ref, inputs)
        except NotFoundError as error:
            if ref is not None or not _is_from_create(error):
                raise
            ref = await self._newest_version(client)
            if ref is None:
                raise
            prediction = await create(ref, inputs)
        self._runs = ref or self.ref
        return prediction

    async def _newest_version(self, client: Resource[Any]) -> Ref | None:
        """Return a reference to the model's newest version; None if it cannot be seen."""
        try:
            version = await self._fetch_version(client, None)
        except (NotFoundError, PermissionDeniedError):
            return None
        if version is None:
            return None
        model = resolve(self.ref)
        return ModelVersionIdentifier(model.owner, model.name, version.id)

    def _iterator(
        self, prediction: Prediction[Any], *, cancel_on_exit: bool
    ) -> BaseOutputIterator[Any]:
        if self._mode is Sync:
            return OutputIterator(self, prediction, cancel_on_exit=cancel_on_exit)
        return AsyncOutputIterator(self, prediction, cancel_on_exit=cancel_on_exit)

    async def _to_result(
        self, client: Resource[Any], output: Any, prediction: Prediction[Any] | None
    ) -> Any:
        """Return an output as callers get it: text joined, files as `FileOutput`."""
        if (
            is_array(output)
            and all(isinstance(each, str) for each in output)
            and await self._is_text(client, output, prediction)
        ):
            return "".join(output)
        return wrap_files(output, client._session) if client._session.use_file_output else output

    async def _is_text(
        self, client: Resource[Any], output: list[str], prediction: Prediction[Any] | None
    ) -> bool:
        if self._joins is None:
            if output and all(map(is_file_url, output)):
                return False
            try:
                version = await self._fetch_version(client, prediction)
            except (NotFoundError, PermissionDeniedError):
                version = None
            except ReplicateError as error:
                error.prediction = prediction
                raise
            self._joins = version is not None and version.is_text
        return self._joins

    async def _fetch_version(
        self, client: Resource[Any], prediction: Prediction[Any] | None
    ) -> Version[Any] | None:
        """Return the version that runs, else the newest one; None if neither is known."""
        if self._version is None:
            id, model = target_of(self.ref)
            if id is None:
                found = await unchecked(Models.get)(Models(client._session, client._mode), model)
                self._version = found.latest_version
            else:
                try:
                    name = resolve(self.ref)
                except (TypeError, ValueError):
                    # A version's id does not tell its model, but a prediction of it does.
                    if prediction is None or not prediction.model:
                        return None
                    name = resolve(prediction.model)
                versions: Versions[Any] = Versions(client._session, client._mode)
                self._version = await unchecked(Versions.get)(versions, name.owner, name.name, id)
        return self._version

    async def _schema(self) -> dict[str, Any]:
        version = await self._fetch_version(self._client_in(self._mode), None)
        if version is None or version.openapi_schema is None:
            raise RequestError(
                detail=f"what {self.name} takes and gives is not to be seen: name its model"
            )
        return schema_of(version)


class Function(BaseFunction[P, R]):
    """A model as a function that blocks and returns the output; created by `use`.

    Inputs are passed by name. They may contain files, and runs and iterators of this or other
    models, at any depth: these stand for their whole output, which the call waits for.
    """

    _mode: type[Sync | Async] = Sync

    def __call__(self, /, *args: P.args, **inputs: P.kwargs) -> R:
        """Run the model and return its output.

        Leaving before that, for example by Ctrl-C, cancels the prediction.

        Raises:
            ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
            TypeError: An input was passed without its name.

        """
        output: R = run_blocking(self._call(args, inputs))
        return output

    def create(self, /, *args: P.args, **inputs: P.kwargs) -> Run[R]:
        """Start the model and return at once.

        Args:
            args: None: inputs are passed by their names.
            inputs: The model's inputs; files in them are uploaded.

        Raises:
            TypeError: An input was passed without its name.

        """
        run: Run[R] = run_blocking(self._create_wrapped(args, inputs, lambda made: Run(self, made)))
        return run

    def openapi_schema(self) -> dict[str, Any]:
        """Return the OpenAPI schema of the model's version.

        ``components.schemas`` has the schemas of the inputs and the output, with references
        replaced by what they refer to. As in 2.0, ``paths`` is empty, and schemas that were only
        referred to are left out.

        Raises:
            RequestError: The version has no schema, or cannot be seen.

        """
        return run_blocking(self._schema())


class AsyncFunction(BaseFunction[P, R]):
    """A model as a function that is awaited for its output; see `Function`."""

    _mode: type[Sync | Async] = Async

    async def __call__(self, /, *args: P.args, **inputs: P.kwargs) -> R:
        """Run the model and return its output; cancelling the task cancels the prediction.

        Raises:
            ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
            TypeError: An input was passed without its name.

        """
        output: R = await self._call(args, inputs)
        return output

    async def create(self, /, *args: P.args, **inputs: P.kwargs) -> AsyncRun[R]:
        """Start the model and return at once.

        Args:
            args: None: inputs are passed by their names.
            inputs: The model's inputs; files in them are uploaded.

        Raises:
            TypeError: An input was passed without its name.

        """
        run: AsyncRun[R] = await self._create_wrapped(
            args, inputs, lambda made: AsyncRun(self, made)
        )
        return run

    async def openapi_schema(self) -> dict[str, Any]:
        """Return the OpenAPI schema of the model's version; see `Function.openapi_schema`."""
        return await self._schema()


def _is_from_create(error: NotFoundError) -> bool:
    """Whether an error is the answer to the create of a model's prediction, so nothing started."""
    return error.method == "POST" and "/models/" in error.url and error.url.endswith("/predictions")


def _check_ref(ref: Any) -> Ref:
    """Return a reference; raise if it is malformed, here and not when the function is called."""
    name = None if isinstance(ref, str) or hasattr(ref, "owner") else getattr(ref, "name", None)
    checked: Ref = name if isinstance(name, str) else ref
    target_of(checked)
    return checked


def _to_text(ref: Ref) -> str:
    id, model = target_of(ref)
    return ref if isinstance(ref, str) else str(model or id)


defer_annotations(globals())
