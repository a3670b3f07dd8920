"""What is performed in the place of operations while they are recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from weakref import finalize

from opentelemetry import context as otel

from .._base.resource import Resource
from .._base.streaming import async_streaming, streaming
from .._core import ServerSentEvent
from .._files.output import FileOutput
from .._predictions.events import EventStream, parse_reason
from .._predictions.job import Job
from .._predictions.polling import cancel_unreceived
from ..exceptions import ReplicateError
from ..prediction import Prediction
from ..stream import Relay
from .attributes import arguments_of, attributes_of_arguments, name_of
from .recorder import Operation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence

    from opentelemetry.context import Context

    from .._base.operation import ResourceMethod
    from .._base.session import Async, Sync
    from .._base.streaming import Streamed
    from .recorder import Recorder

# Operations of files that are open: they read from memory more often than from the network.
_UNSEEN = frozenset(("OpenFile", "FileReader"))


class Observer:
    """Makes what is performed in the place of the methods of resources."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def wrap(self, method: ResourceMethod) -> Callable[..., Any]:
        """Return what is performed in the place of a method's function."""
        function, path = method.function, method._path
        if path.partition(".")[0] in _UNSEEN or function.__qualname__.partition(".")[0] in _UNSEEN:
            return function
        name = name_of(path, function)
        if isinstance(method, (streaming, async_streaming)):
            return self._wrap_stream(name, function)
        return self.wrap_operation(name, function)

    def wrap_operation(
        self, name: str, function: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Return a coroutine function that records what `function` does."""

        async def perform(*args: Any, **kwargs: Any) -> Any:
            operation = self._begin(name, function, args, kwargs)

            async def work() -> Any:
                # The function may make its request before its result is awaited.
                return await function(*args, **kwargs)

            if function.__name__ == "create":
                cancels = kwargs.get("cancel_on_exit", True)
                return await perform_create(args[0], operation, work(), cancels=cancels)
            result = await perform_within(operation, work())
            if isinstance(result, Relay):
                # It ends with its stream; if that is never read, with the relay.
                operation.note_stream(result.prediction, is_complete=False)
                observe_events(operation, result._events)
                finalize(result, operation.end)
                return result
            # Methods of a prediction, such as `reload`, change it, and return nothing.
            operation.note_result(args[0] if result is None and args else result)
            operation.end()
            return result

        return perform

    def _begin(
        self,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        parent: Context | None = None,
        is_stream: bool = False,
    ) -> Operation:
        arguments = arguments_of(function, args, kwargs)
        if name.startswith("job."):
            # A method of predictions and of trainings.
            name = type(args[0]).__name__.lower() + name.removeprefix("job")
        return Operation(
            self._recorder,
            name,
            attributes_of_arguments(arguments),
            parent=parent,
            base_url=address_of(args[0] if args else None),
            input=arguments.get("input"),
            is_stream=is_stream or name == "relay",
        )

    def _wrap_stream(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def perform(*args: Any, **kwargs: Any) -> Any:
            result: Any = function(*args, **kwargs)
            parent = otel.get_current()

            def begin() -> Operation:
                # Files are read in parts, too, which no model makes meanwhile.
                is_stream = not name.startswith("file.")
                return self._begin(name, function, args, kwargs, parent=parent, is_stream=is_stream)

            if hasattr(result, "batches"):
                return _ObservedStream(begin, result)
            return observe_batches(begin, result, args[0] if args else None)

        return perform


class _ObservedStream:
    """A stream that is recorded while it is read."""

    def __init__(self, begin: Callable[[], Operation], stream: Streamed[Any]) -> None:
        self._begin = begin
        self._stream = stream

    @property
    def prediction(self) -> Any:
        """The prediction whose events these are, once it was created."""
        return self._stream.prediction

    def in_mode(self, mode: type[Sync | Async]) -> None:
        """Read the rest in this mode."""
        self._stream.in_mode(mode)

    def batches(self) -> AsyncGenerator[Sequence[Any], None]:
        """Yield the items in batches."""
        return observe_batches(self._begin, self._stream.batches(), self._stream)


async def perform_within(operation: Operation, work: Awaitable[Any]) -> Any:
    """Await the work of an operation, which ends if that fails."""
    previous = otel.get_current()
    try:
        operation.enter()
        result = await work
        operation.leave(previous)
    except BaseException as error:
        # A signal handler may have raised within `leave`.
        operation.leave(previous)
        operation.fail(error)
        operation.end()
        raise
    return result


async def perform_create(
    client: Resource[Any], operation: Operation, work: Awaitable[Any], *, cancels: bool = True
) -> Any:
    """Await a create, and end its operation.

    If a signal handler raises meanwhile, the caller does not receive what was created. Then it is
    cancelled, if `cancels` is true.
    """
    created: list[Any] = []

    async def create() -> Any:
        created.append(await work)
        return created[0]

    try:
        result = await perform_within(operation, create())
        operation.note_result(result)
        operation.end()
    except BaseException:
        if cancels and created and isinstance(created[0], Job):
            cancel_unreceived(client, created[0])  # pyright: ignore[reportUnknownArgumentType] - of whatever mode
        raise
    return result


async def observe_batches(
    begin: Callable[[], Operation], batches: AsyncGenerator[Any, None], stream: object
) -> AsyncGenerator[Any, None]:
    """Yield the batches of a stream; its operation lasts from the first step to its end.

    The operation is the current one only during the steps, because what the caller does between
    them is not a part of it.
    """
    operation = begin()
    texts: list[str] | None = [] if operation.captures_content else None
    is_complete = False
    previous = otel.get_current()
    guard = _Guard(operation, stream)
    try:
        while True:
            previous = otel.get_current()
            try:
                operation.enter()
                batch = await batches.__anext__()
            except StopAsyncIteration:
                break
            finally:
                operation.leave(previous)
            if outputs := _outputs(batch):
                operation.note_chunks(len(outputs))
                if texts is not None:
                    texts += map(str, outputs)
            yield batch
        is_complete = True
        _note_stream(operation, stream, is_complete=True)
    except GeneratorExit:
        # The caller has left, which is no error.
        _note_stream(operation, stream, is_complete=False)
        raise
    except BaseException as error:
        _note_stream(operation, stream, is_complete=is_complete)
        operation.fail(error)
        raise
    finally:
        # A signal handler may have raised within the loop's own.
        operation.leave(previous)
        previous = otel.get_current()
        try:
            operation.enter()
            await batches.aclose()
        finally:
            operation.leave(previous)
            if texts:
                operation.note_output("".join(texts))
            guard.end()


class _Guard:
    """Ends the operation of a generator, also if that is dropped without being closed.

    That happens to async generators whose event loop has ended. It is a local variable of theirs.
    """

    def __init__(self, operation: Operation, stream: object) -> None:
        self._operation = operation
        self._stream = stream

    def end(self) -> None:
        """End the operation."""
        self._operation.end()

    def __del__(self) -> None:
        if not self._operation.has_ended:
            _note_stream(self._operation, self._stream, is_complete=False)
            self._operation.end()


def _outputs(batch: Sequence[Any]) -> list[Any]:
    """Return the parts of the output in a batch of events, which are all of one kind, or of parts.

    Of a relay's bytes, which are events, only the number of outputs in them is right.
    """
    if not batch:
        return []
    if isinstance(batch[0], ServerSentEvent):
        return [each for each in batch if each.event == "output"]
    if isinstance(batch[0], bytes):
        count = sum((b"\n" + each).count(b"\nevent: output\n") for each in batch)
        return [""] * count
    return [*batch]


def _note_stream(operation: Operation, stream: object, *, is_complete: bool) -> None:
    """Add the prediction of a stream, whose last event says how it ended.

    A caller may leave after the last event, and before the stream is known to have ended.
    """
    prediction: object = getattr(stream, "prediction", None)
    if isinstance(stream, Prediction):
        prediction = stream  # pyright: ignore[reportUnknownVariableType] - of either client
    reason = None
    if isinstance(stream, EventStream) and stream.position.end is not None:
        name, data = stream.position.end
        reason = name if name == "error" else parse_reason(data)
        is_complete = True
    operation.note_stream(prediction, is_complete=is_complete, reason=reason)  # pyright: ignore[reportUnknownArgumentType] - of either client


def address_of(resource: object) -> tuple[str, int] | None:
    """Return the host and the port of a resource's API; None for a file, which is elsewhere."""
    if not isinstance(resource, Resource) or isinstance(resource, FileOutput):
        return None
    try:
        base_url: str = resource._core.base_url
    except (ReplicateError, ValueError, TypeError):
        # An option is wrong, which the operation will say.
        return None
    parts = urlsplit(base_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def observe_events(operation: Operation, events: EventStream[Any]) -> EventStream[Any]:
    """Have a stream of events end an operation that has begun."""
    batches = events.batches

    def observed() -> AsyncGenerator[Any, None]:
        return observe_batches(lambda: operation, batches(), events)

    cast("Any", events).batches = observed
    return events
