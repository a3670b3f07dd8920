"""Models as functions.

    claude = replicate.use("anthropic/claude-4-sonnet")
    print(claude(prompt="a haiku about iguanas"))

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

from ._base.checks import flag, function
from ._base.cleanup import unregister
from ._base.operation import run_blocking, unchecked
from ._base.package import default_client
from ._base.resource import Resource
from ._base.session import Async, Sync
from ._base.streaming import flatten, flatten_async
from ._base.typing import (
    TYPE_CHECKING,
    Generic,
    ParamSpec,
    TypeVar,
    defer_annotations,
    is_array,
    is_object,
    overload,
)
from ._core import is_plain
from ._files.output import wrap_files
from ._files.urls import is_file_url
from ._predictions.events import open_stream
from ._predictions.polling import Poller, increments, output_items, wait_for
from .exceptions import (
    APIConnectionError,
    ModelError,
    NotFoundError,
    PermissionDeniedError,
    ReplicateError,
    RequestError,
)
from .identifier import ModelVersionIdentifier, resolve, target_of
from .model import Model, Models
from .prediction import Prediction
from .run import create_prediction, run_to_end
from .version import Version, Versions, schema_of

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Generator,
        Iterable,
        Iterator,
        Mapping,
    )
    from typing import Any, ClassVar, Literal, NoReturn, TypeGuard

    from ._base.types import Named as Named
    from ._base.types import Usable as Usable
    from .identifier import Ref


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

    _mode: ClassVar[type[Sync | Async]]

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
            return self._iterator(await self._create(args, inputs), cancel_on_exit=True)
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
        inputs = await _resolve(client, inputs)
        ref = self._runs
        if ref is None and target_of(self.ref)[0] is None and not is_plain(inputs):
            # Read files once, because the create may be sent twice.
            from ._files.inputs import encode_input
            from ._files.upload import DataURIs

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

    _mode = Sync

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

        Raises:
            TypeError: An input was passed without its name.

        """
        return Run(self, run_blocking(self._create(args, inputs)))

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

    _mode = Async

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

        Raises:
            TypeError: An input was passed without its name.

        """
        return AsyncRun(self, await self._create(args, inputs))

    async def openapi_schema(self) -> dict[str, Any]:
        """Return the OpenAPI schema of the model's version; see `Function.openapi_schema`."""
        return await self._schema()


class BaseRun(Generic[R]):
    """What `Run` and `AsyncRun` share."""

    __slots__ = ("_function", "prediction")

    def __init__(self, function: BaseFunction[Any, R], prediction: Prediction[Any]) -> None:
        self._function = function
        self.prediction: Prediction[Any] = prediction
        """As last seen."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._function.name!r}, {self.prediction.id!r})"

    async def _output(self) -> Any:
        if self._function.streaming:
            return self._function._iterator(self.prediction, cancel_on_exit=False)
        return await self._wait_for_output(self._function._mode)

    async def _wait_for_output(self, mode: type[Sync | Async]) -> Any:
        client = self._function._client_in(mode)
        done = await wait_for(client, self.prediction)
        self.prediction._update(done.dict())
        return await self._function._to_result(client, done.output, done)

    async def _logs(self) -> str | None:
        if not self.prediction.is_done:
            await unchecked(Prediction.reload)(self.prediction._in(self._function._mode))
        return self.prediction.logs


class Run(BaseRun[R]):
    """A prediction that a function has created; as an input of a function it is its output."""

    __slots__ = ()

    prediction: Prediction

    def output(self) -> R:
        """Wait for the output and return it.

        A streaming function's is an `OutputIterator`, which is returned at once. Leaving does not
        cancel the prediction.

        Raises:
            ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.

        """
        output: R = run_blocking(self._output())
        return output

    def logs(self) -> str | None:
        """Return the model's logs up to now."""
        return run_blocking(self._logs())


class AsyncRun(BaseRun[R]):
    """A prediction that a function has created; as an input of a function it is its output."""

    __slots__ = ()

    prediction: Prediction[Async]

    async def output(self) -> R:
        """Wait for the output and return it; see `Run.output`."""
        output: R = await self._output()
        return output

    async def logs(self) -> str | None:
        """Return the model's logs up to now."""
        return await self._logs()


class BaseOutputIterator(Generic[T]):
    """What `OutputIterator` and `AsyncOutputIterator` share.

    Each iteration yields the parts that are known, and then reads a connection of its own, whose
    events begin at the first one. So iterations may be left, repeated, nested, and run in several
    tasks or threads.
    """

    __slots__ = ("_complete", "_function", "_parts", "_poller", "prediction")

    def __init__(
        self, function: BaseFunction[Any, Any], prediction: Prediction[Any], *, cancel_on_exit: bool
    ) -> None:
        self._function = function
        self._poller = Poller(function._client_in(function._mode), cancel_on_exit=cancel_on_exit)
        self._parts: list[Any] = []
        self._complete = False
        self.prediction: Prediction[Any] = prediction
        """As last seen; leaving the iterator does not cancel it, ``prediction.cancel()`` does."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._function.name!r}, {self.prediction.id!r})"

    async def _batches(self, mode: type[Sync | Async]) -> AsyncGenerator[list[Any], None]:
        yielded = 0
        while batch := self._parts[yielded:]:
            yielded += len(batch)
            yield batch
        if self._complete:
            return
        client = self._poller.client = self._function._client_in(mode)
        received = 0
        replay = self._replay(client)
        self._poller.register(self.prediction)
        try:
            async for batch in replay:
                # Of two iterations at a time, one adds the parts and the other finds them there.
                self._parts[received : received + len(batch)] = batch
                received += len(batch)
                if received > yielded:
                    new, yielded = batch[yielded - received :], received
                    yield new
            self._complete = True
        except BaseException as error:
            # After a loop that was left, or a connection that failed, another iteration may follow.
            # After an interrupt or an unreadable stream none will.
            if not isinstance(error, (GeneratorExit, APIConnectionError, ModelError)):
                self._poller.cancel(self.prediction, client._transport)
            raise
        finally:
            unregister(self._poller)
            await replay.aclose()

    async def _replay(self, client: Resource[Any]) -> AsyncGenerator[list[Any], None]:
        """Yield the parts from the first on."""
        # A copy: what another iteration learns must not make this one skip parts.
        prediction = self.prediction.copy()._in(client._mode)
        files = client._session.use_file_output
        if (prediction.urls or {}).get("stream") is not None:
            events = open_stream(
                prediction, prediction._as_given(), "events", files=files
            ).batches()
            try:
                async for batch in events:
                    yield [event.data for event in batch if event.event == "output"]
            finally:
                await events.aclose()
            return
        if items := output_items(prediction):
            yield wrap_files(items, client._session) if files else items
        added = increments(client, prediction)
        try:
            async for batch in added:
                yield batch
        finally:
            await added.aclose()

    async def _wait_for_output(self, mode: type[Sync | Async]) -> Any:
        """Return what the function returns without streaming.

        It is taken from the prediction, because events are text, whatever the output's type is.
        """
        async for _ in self._batches(mode):
            pass
        client = self._function._client_in(mode)
        if not self.prediction.is_done:
            await unchecked(Prediction.reload)(self.prediction._in(mode))
        done = await wait_for(client, self.prediction)
        self.prediction._update(done.dict())
        return await self._function._to_result(client, self.prediction.output, self.prediction)


class OutputIterator(BaseOutputIterator[T]):
    """An output that grows: ``for`` yields its parts as they come, ``str()`` returns them joined.

    Parts are text, or `FileOutput` if the model makes files. They are kept: another ``for`` yields
    them again, and goes on from there. Leaving a ``for`` closes its connection. As an input of a
    function the iterator is its whole output.

    Raises (while it is iterated over):
        ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
        StreamInterrupted: The connection ended before the output was complete.

    """

    __slots__ = ()

    prediction: Prediction

    def __iter__(self) -> Iterator[T]:
        return flatten(self._batches(Sync))

    def __str__(self) -> str:
        return "".join(map(str, self))


class AsyncOutputIterator(BaseOutputIterator[T]):
    """An output that grows: ``async for`` yields its parts as they come, ``await`` returns it all.

    Awaited, it is what the function returns without streaming: text, a file, a list. See
    `OutputIterator`.
    """

    __slots__ = ()

    prediction: Prediction[Async]

    def __aiter__(self) -> AsyncIterator[T]:
        return flatten_async(self._batches(Async))

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._wait_for_output(Async).__await__()


@overload
def use(
    ref: Usable,
    *,
    hint: None = None,
    streaming: Literal[False] = False,
    use_async: Literal[False] = False,
) -> Function[..., Any]: ...
@overload
def use(
    ref: Usable,
    *,
    hint: Callable[P, R],
    streaming: Literal[False] = False,
    use_async: Literal[False] = False,
) -> Function[P, R]: ...
@overload
def use(
    ref: Usable, *, hint: None = None, streaming: Literal[True], use_async: Literal[False] = False
) -> Function[..., OutputIterator[Any]]: ...
@overload
def use(
    ref: Usable,
    *,
    hint: Callable[P, Iterable[T]],
    streaming: Literal[True],
    use_async: Literal[False] = False,
) -> Function[P, OutputIterator[T]]: ...
@overload
def use(
    ref: Usable, *, hint: None = None, streaming: Literal[False] = False, use_async: Literal[True]
) -> AsyncFunction[..., Any]: ...
@overload
def use(
    ref: Usable,
    *,
    hint: Callable[P, R],
    streaming: Literal[False] = False,
    use_async: Literal[True],
) -> AsyncFunction[P, R]: ...
@overload
def use(
    ref: Usable, *, hint: None = None, streaming: Literal[True], use_async: Literal[True]
) -> AsyncFunction[..., AsyncOutputIterator[Any]]: ...
@overload
def use(
    ref: Usable,
    *,
    hint: Callable[P, Iterable[T]],
    streaming: Literal[True],
    use_async: Literal[True],
) -> AsyncFunction[P, AsyncOutputIterator[T]]: ...
def use(
    ref: Usable,
    *,
    hint: Callable[..., Any] | None = None,
    streaming: bool = False,
    use_async: bool = False,
) -> Function[..., Any] | AsyncFunction[..., Any]:
    """Return a model as a function that runs it, through the default client.

    Nothing is sent before the function is called.

    Args:
        ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version object.
        hint: A function with the parameters and the result of the model, for type checkers and
            editors.
        streaming: Have the function return an iterator over the output's parts as they come.
        use_async: Have the function be awaited.

    Returns:
        A `Function`, or an `AsyncFunction`.

    Raises:
        ValueError: `ref` is not a reference.

    """
    if hint is not None:
        function("hint", hint)
    if flag("use_async", use_async):
        return AsyncFunction(ref, streaming=streaming)
    return Function(ref, streaming=streaming)


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


async def _resolve(client: Resource[Any], inputs: Mapping[str, object]) -> Mapping[str, object]:
    """Replace every run and iterator in the inputs, at any depth, by its output.

    Each is waited for once.
    """
    runs: dict[int, BaseRun[Any] | BaseOutputIterator[Any]] = {}
    containers: set[int] = set()
    queue: list[object] = [*inputs.values()]
    while queue:
        value = queue.pop()
        if _is_run(value):
            runs[id(value)] = value
        elif (is_object(value) or is_array(value)) and id(value) not in containers:
            containers.add(id(value))
            queue.extend(value.values() if is_object(value) else value)
    if not runs:
        # What JSON cannot carry raises where the inputs are encoded.
        return inputs
    # Each is waited for in this function's mode, whichever mode it was created in.
    known = {key: await each._wait_for_output(client._mode) for key, each in runs.items()}
    return {name: _substitute(value, known) for name, value in inputs.items()}


def _is_run(value: object) -> TypeGuard[BaseRun[Any] | BaseOutputIterator[Any]]:
    return isinstance(value, (BaseRun, BaseOutputIterator))


def _substitute(value: object, known: dict[int, Any]) -> Any:
    """Copy a value, with the objects in `known`, by identity, replaced.

    The copy of a container that contains itself contains itself, too.
    """
    if id(value) in known:
        return known[id(value)]
    if is_object(value):
        fields: dict[Any, Any] = {}
        known[id(value)] = fields
        fields.update((key, _substitute(each, known)) for key, each in value.items())
        return fields
    if is_array(value):
        items: list[Any] = []
        known[id(value)] = items
        items.extend(_substitute(each, known) for each in value)
        return items
    return value


defer_annotations(globals())
