"""Outputs that grow: parts that are yielded as they come, and kept."""

from __future__ import annotations

from .._base.cleanup import unregister
from .._base.operation import unchecked
from .._base.session import Async, Sync
from .._base.streaming import flatten, flatten_async
from .._base.typing import TYPE_CHECKING, Generic, TypeVar, defer_annotations
from .._files.output import wrap_files
from .._predictions.events import open_stream
from .._predictions.polling import Poller, increments, output_items, wait_for
from ..exceptions import APIConnectionError, ModelError
from ..prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
    from typing import Any, Protocol

    from .._base.resource import Resource

    class OutputFunction(Protocol):
        """What runs and iterators need of the function that created them."""

        _mode: type[Sync | Async]
        streaming: bool

        @property
        def name(self) -> str:
            """``owner/name``, with the version if one was given."""
            ...

        def _client_in(self, mode: type[Sync | Async]) -> Resource[Any]: ...

        def _iterator(
            self, prediction: Prediction[Any], *, cancel_on_exit: bool
        ) -> BaseOutputIterator[Any]: ...

        async def _to_result(
            self, client: Resource[Any], output: Any, prediction: Prediction[Any] | None
        ) -> Any: ...


T = TypeVar("T")


class BaseOutputIterator(Generic[T]):
    """What `OutputIterator` and `AsyncOutputIterator` share.

    Each iteration yields the parts that are known, and then reads a connection of its own, whose
    events begin at the first one. So iterations may be left, repeated, nested, and run in several
    tasks or threads.
    """

    __slots__ = ("_complete", "_function", "_parts", "_poller", "prediction")

    def __init__(
        self, function: OutputFunction, prediction: Prediction[Any], *, cancel_on_exit: bool
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
        received = 0
        replay: AsyncGenerator[list[Any], None] | None = None
        try:
            client = self._poller.client = self._function._client_in(mode)
            replay = self._replay(client)
            self._poller.register(self.prediction)
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
                self._poller.cancel(self.prediction, mode.transport)
            raise
        finally:
            unregister(self._poller)
            if replay is not None:
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
    """The prediction that runs."""

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
    """The prediction that runs."""

    def __aiter__(self) -> AsyncIterator[T]:
        return flatten_async(self._batches(Async))

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._wait_for_output(Async).__await__()


defer_annotations(globals())
