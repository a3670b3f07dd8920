"""A model as a function.

    claude = replicate.use("anthropic/claude-4-sonnet")
    print(claude(prompt="a haiku about iguanas"))

A call is one request, held open for the output, as `run` has it. `create` does not hold, so that
several runs can go on side by side until their `output()` is asked for.

Language models give their text as a list of pieces, which a function joins. Whether pieces belong
together is said by the model's schema only (``x-cog-array-display``), which a prediction does not
carry. 2.0 fetches it, and more, before each create. Here it is fetched after the first output that
is a list of plain texts, and kept: models that give anything else, files above all, never cost a
second request, and the others cost one for the function's whole life, when the output is there
already. Asking along with the create would save the first call one round trip, and cost every other
function a request for nothing. Calls that go on at the same time before the answer is known each
ask for themselves. Official models hide their versions: there the model's own description has the
schema. Where it cannot be seen (404, 403), the list stays a list. An answer that is merely late or
broken is raised, with the prediction, because a function that gives text today and a list tomorrow
is worse.

Models of the community are run by their version only: the API answers 404 where none is named.
Nothing was started then, so the first call asks for the newest version, as 2.0 does, and the
function keeps to it.
"""

from __future__ import annotations

from ._base.checks import flag, function
from ._base.operation import run_blocking, unchecked
from ._base.package import default_client
from ._base.resource import Resource
from ._base.session import Async, Sync
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
from ._files.output import is_file, outputs
from ._predictions.output_iterator import AsyncOutputIterator, BaseOutputIterator, OutputIterator
from .exceptions import NotFoundError, PermissionDeniedError, ReplicateError, RequestError
from .identifier import ModelVersionIdentifier, resolve, target_of
from .model import Model, Models
from .prediction import Prediction
from .run import run_to_end, started, wait_for
from .version import Version, Versions, schema_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from typing import Any, ClassVar, Literal, NoReturn, TypeGuard

    from ._base.types import Named as Named
    from ._base.types import Usable as Usable
    from .identifier import Ref


P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _Through(Resource["Sync | Async"]):
    """What a function's requests go through: a client, in the function's mode."""

    __slots__ = ("_namespaces",)

    def __init__(self, client: Resource[Any], mode: type[Sync | Async]) -> None:
        super().__init__(client._session.in_mode(mode), mode)
        # Where tests put their own methods.
        self._namespaces: Any = getattr(client, "_namespaces", None)


class BaseFunction(Generic[P, R]):
    """What both kinds of function are made of."""

    _mode: ClassVar[type[Sync | Async]]

    def __init__(
        self, ref: Usable, *, client: Resource[Any] | None = None, streaming: bool = False
    ) -> None:
        self.ref: Ref = _reference(ref)
        self.streaming: bool = flag("streaming", streaming)
        self._client = client
        self._version: Version[Any] | None = (
            ref
            if isinstance(ref, Version)
            else ref.latest_version  # pyright: ignore[reportUnknownMemberType] - of either client
            if isinstance(ref, Model)
            else None
        )
        self._joins: bool | None = None
        # What a call starts, once a call has found that out: the reference itself, or a version of
        # it.
        self._runs: Ref | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def default_example(self) -> NoReturn:
        """Not here, as in 2.0: ``client.models.get(…)`` has it."""
        raise NotImplementedError(
            f"a function has no default_example: models.get({self.name!r}).default_example"
        )

    @property
    def name(self) -> str:
        """``owner/name``, with the version if one was given."""
        return _spelled(self.ref)

    def _through(self, mode: type[Sync | Async]) -> Resource[Any]:
        """Give what its requests go through.

        The default client may be made, or another one, after the function.
        """
        client = self._client
        if client is None:
            client = default_client()
        # What an awaited function gives is awaited too, also through the default client, which
        # blocks.
        return _Through(client, mode)

    async def _call(self, args: tuple[object, ...], inputs: Mapping[str, object]) -> Any:
        client = self._through(self._mode)
        if self.streaming:
            return self._iterator(await self._create(args, inputs), cancel_on_exit=True)
        prepared = await self._prepared(client, args, inputs)
        prediction = await self._begun(
            client, prepared, lambda ref, given: run_to_end(client, ref, given, options={})
        )
        return await self._given(client, prediction.output, prediction)

    async def _create(
        self, args: tuple[object, ...], inputs: Mapping[str, object]
    ) -> Prediction[Any]:
        client = self._through(self._mode)
        prepared = await self._prepared(client, args, inputs)
        return await self._begun(
            client, prepared, lambda ref, given: started(client, ref, given, {})
        )

    async def _begun(
        self,
        client: Resource[Any],
        inputs: Mapping[str, Any],
        begin: Callable[[Ref, Mapping[str, Any]], Awaitable[Prediction[Any]]],
    ) -> Prediction[Any]:
        """Begin a prediction; of a model that is run by its version only, with its newest one."""
        ref = self._runs
        if ref is None and target_of(self.ref)[0] is None and not is_plain(inputs):
            # Files are read once, though they may be sent twice.
            from ._files.upload import Written, encoded

            inputs = await encoded(client, inputs, Written())
        try:
            prediction = await begin(ref or self.ref, inputs)
        except NotFoundError as error:
            if ref is not None or not _is_of_create(error):
                raise
            newest = await self._newest(client)
            if newest is None:
                raise
            prediction = await begin(newest, inputs)
            ref = newest
        self._runs = ref or self.ref
        return prediction

    async def _newest(self, client: Resource[Any]) -> Ref | None:
        """Return the model's newest version; None if it is not to be seen."""
        try:
            version = await self._described(client, None)
        except (NotFoundError, PermissionDeniedError):
            return None
        model = resolve(self.ref)
        return (
            None if version is None else ModelVersionIdentifier(model.owner, model.name, version.id)
        )

    async def _prepared(
        self, client: Resource[Any], args: tuple[object, ...], inputs: Mapping[str, object]
    ) -> Mapping[str, object]:
        if args:
            many = is_object(args[0]) and len(args) == 1
            how = "name=value, or ** before the dict" if many else "name=value"
            raise TypeError(f"{self.name} takes its inputs by name: use {how}")
        return await _resolved(client, inputs)

    def _iterator(
        self, prediction: Prediction[Any], *, cancel_on_exit: bool
    ) -> BaseOutputIterator[Any]:
        if self._mode is Sync:
            return OutputIterator(self, prediction, cancel_on_exit=cancel_on_exit)
        return AsyncOutputIterator(self, prediction, cancel_on_exit=cancel_on_exit)

    async def _given(
        self, client: Resource[Any], output: Any, prediction: Prediction[Any] | None
    ) -> Any:
        """Give an output as a caller gets it."""
        if (
            is_array(output)
            and all(isinstance(each, str) for each in output)
            and await self._is_text(client, output, prediction)
        ):
            return "".join(output)
        return outputs(output, client._session) if client._session.use_file_output else output

    async def _is_text(
        self, client: Resource[Any], output: list[str], prediction: Prediction[Any] | None
    ) -> bool:
        if self._joins is None:
            if output and all(map(is_file, output)):
                return False
            try:
                version = await self._described(client, prediction)
            except (NotFoundError, PermissionDeniedError):
                version = None
            except ReplicateError as error:
                error.prediction = prediction
                raise
            self._joins = version is not None and version.is_text
        return self._joins

    async def _described(
        self, client: Resource[Any], prediction: Prediction[Any] | None
    ) -> Version[Any] | None:
        """Give the version that runs, or the newest one; None if there is none to be seen."""
        if self._version is None:
            id, model = target_of(self.ref)
            if id is None:
                found = await unchecked(Models.get)(Models(client._session, client._mode), model)
                self._version = found.latest_version
            else:
                try:
                    named = resolve(self.ref)
                except (TypeError, ValueError):
                    # A version's id does not say whose it is; a prediction of it does.
                    if prediction is None or not prediction.model:
                        return None
                    named = resolve(prediction.model)
                versions: Versions[Any] = Versions(client._session, client._mode)
                self._version = await unchecked(Versions.get)(versions, named.owner, named.name, id)
        return self._version

    async def _schema(self) -> dict[str, Any]:
        version = await self._described(self._through(self._mode), None)
        if version is None or version.openapi_schema is None:
            raise RequestError(
                detail=f"what {self.name} takes and gives is not to be seen: name its model"
            )
        return schema_of(version)


class Function(BaseFunction[P, R]):
    """A model whose call blocks, and gives its output; `use` makes one.

    Inputs are given by name. Among them, at any depth, may be files, and runs and iterators of this
    or other models: they stand for their whole output, which is waited for.
    """

    _mode = Sync

    def __call__(self, /, *args: P.args, **inputs: P.kwargs) -> R:
        """Run the model and give its output; leaving before it is there cancels the prediction.

        Raises:
            ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
            TypeError: An input was given without its name.

        """
        output: R = run_blocking(self._call(args, inputs))
        return output

    def create(self, /, *args: P.args, **inputs: P.kwargs) -> Run[R]:
        """Start the model and return at once.

        Raises:
            TypeError: An input was given without its name.

        """
        return Run(self, run_blocking(self._create(args, inputs)))

    def openapi_schema(self) -> dict[str, Any]:
        """Return the schema of the inputs and the output, under ``components.schemas``, with
        references in them replaced.

        As in 2.0, its ``paths`` are empty, and what was referred to is left out where it was.
        """
        return run_blocking(self._schema())


class AsyncFunction(BaseFunction[P, R]):
    """A model whose call is awaited, and gives its output; see `Function`."""

    _mode = Async

    async def __call__(self, /, *args: P.args, **inputs: P.kwargs) -> R:
        """Run the model and give its output; cancelling the task cancels the prediction.

        Raises:
            ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
            TypeError: An input was given without its name.

        """
        output: R = await self._call(args, inputs)
        return output

    async def create(self, /, *args: P.args, **inputs: P.kwargs) -> AsyncRun[R]:
        """Start the model and return at once.

        Raises:
            TypeError: An input was given without its name.

        """
        return AsyncRun(self, await self._create(args, inputs))

    async def openapi_schema(self) -> dict[str, Any]:
        """Return the schema of the inputs and the output, under ``components.schemas``, with
        references in them replaced.

        As in 2.0, its ``paths`` are empty, and what was referred to is left out where it was.
        """
        return await self._schema()


class BaseRun(Generic[R]):
    """What both kinds of run are made of."""

    __slots__ = ("_function", "prediction")

    def __init__(self, function: BaseFunction[Any, R], prediction: Prediction[Any]) -> None:
        self._function = function
        self.prediction: Prediction[Any] = prediction
        """As far as is known here."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._function.name!r}, {self.prediction.id!r})"

    async def _output(self) -> Any:
        if self._function.streaming:
            return self._function._iterator(self.prediction, cancel_on_exit=False)
        return await self._whole(self._function._mode)

    async def _whole(self, mode: type[Sync | Async]) -> Any:
        client = self._function._through(mode)
        done = await wait_for(client, self.prediction)
        self.prediction._update(done.dict())
        return await self._function._given(client, done.output, done)

    async def _logs(self) -> str | None:
        if not self.prediction.is_done:
            await unchecked(Prediction.reload)(self.prediction._in(self._function._mode))
        return self.prediction.logs


class Run(BaseRun[R]):
    """One run of a model, which has been started; as an input of a function it stands for its
    output.
    """

    __slots__ = ()

    prediction: Prediction

    def output(self) -> R:
        """Wait for the output; of a streaming function, give an `OutputIterator` at once. Leaving
        does not cancel.

        Raises:
            ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.

        """
        output: R = run_blocking(self._output())
        return output

    def logs(self) -> str | None:
        """Give what the model has printed up to now."""
        return run_blocking(self._logs())


class AsyncRun(BaseRun[R]):
    """One run of a model, which has been started; as an input of a function it stands for its
    output.
    """

    __slots__ = ()

    prediction: Prediction[Async]

    async def output(self) -> R:
        """Wait for the output; of a streaming function, give an `AsyncOutputIterator` at once.
        Leaving does not cancel.

        Raises:
            ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.

        """
        output: R = await self._output()
        return output

    async def logs(self) -> str | None:
        """Give what the model has printed up to now."""
        return await self._logs()


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
    """Give a model as a function that runs it, through the default client; nothing is sent before
    it is called.

    Args:
        ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version object.
        hint: A function whose parameters and result are the model's, for type checkers and editors.
        streaming: Give the output as an iterator over its parts as they come.
        use_async: Give a function to be awaited.

    Raises:
        ValueError: `ref` is not a reference.

    """
    if hint is not None:
        function("hint", hint)
    return (
        AsyncFunction(ref, streaming=streaming)
        if flag("use_async", use_async)
        else Function(ref, streaming=streaming)
    )


def _is_of_create(error: NotFoundError) -> bool:
    """Whether an error is the answer to the create of a model's prediction; nothing was started
    then.
    """
    return error.method == "POST" and "/models/" in error.url and error.url.endswith("/predictions")


def _reference(ref: Any) -> Ref:
    """Find a malformed reference where it is written, and not where it is called."""
    name = None if isinstance(ref, str) or hasattr(ref, "owner") else getattr(ref, "name", None)
    named: Ref = name if isinstance(name, str) else ref
    target_of(named)
    return named


def _spelled(ref: Ref) -> str:
    id, model = target_of(ref)
    return ref if isinstance(ref, str) else str(model or id)


async def _resolved(client: Resource[Any], inputs: Mapping[str, object]) -> Mapping[str, object]:
    """Give inputs with every run and iterator in them, at any depth, replaced by its output.

    Each is waited for once.
    """
    found: dict[int, BaseRun[Any] | BaseOutputIterator[Any]] = {}
    seen: set[int] = set()
    rest: list[object] = [*inputs.values()]
    while rest:
        value = rest.pop()
        if _is_run(value):
            found[id(value)] = value
        elif (is_object(value) or is_array(value)) and id(value) not in seen:
            seen.add(id(value))
            rest.extend(value.values() if is_object(value) else value)
    if not found:
        # What is wrong with them is said where they are written as JSON.
        return inputs
    # Each waits as this function does, whichever of the two it was made for.
    known = {key: await each._whole(client._mode) for key, each in found.items()}
    return {name: _replaced(value, known) for name, value in inputs.items()}


def _is_run(value: object) -> TypeGuard[BaseRun[Any] | BaseOutputIterator[Any]]:
    return isinstance(value, (BaseRun, BaseOutputIterator))


def _replaced(value: object, known: dict[int, Any]) -> Any:
    """Copy a value, but for what is known by its identity; a container that holds itself goes on
    doing so.
    """
    if id(value) in known:
        return known[id(value)]
    if is_object(value):
        fields: dict[Any, Any] = {}
        known[id(value)] = fields
        fields.update((key, _replaced(each, known)) for key, each in value.items())
        return fields
    if is_array(value):
        items: list[Any] = []
        known[id(value)] = items
        items.extend(_replaced(each, known) for each in value)
        return items
    return value


defer_annotations(globals())
