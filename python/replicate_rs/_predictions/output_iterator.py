"""The output of a model as a function, while it comes."""

from __future__ import annotations

from .._base.operation import unchecked
from .._base.resource import Resource
from .._base.session import Async, Sync
from .._base.streaming import batches, spread, spread_async
from .._base.typing import TYPE_CHECKING, Generic, TypeVar, defer_annotations
from .._files.output import outputs
from ..exceptions import APIConnectionError, ModelError
from ..prediction import Prediction
from ..run import wait_for
from .polling import Course, increments, items_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
    from typing import Any

    from ..use import BaseFunction

T = TypeVar("T")


class BaseOutputIterator(Generic[T]):
    """What both kinds of iterator are made of.

    Each iteration gives what is here already, and then has a connection of its own, whose events
    begin at the first one. So iterations may be left, repeated, nested, and go on in several tasks
    or threads.
    """

    __slots__ = ("_complete", "_course", "_function", "_parts", "prediction")

    def __init__(
        self, function: BaseFunction[Any, Any], prediction: Prediction[Any], *, cancel_on_exit: bool
    ) -> None:
        self._function = function
        client = function._through(function._mode)
        self._course = Course(
            client, None, None, cancel_on_exit=cancel_on_exit, signal=None, timeout=None
        )
        self._parts: list[Any] = []
        self._complete = False
        self.prediction: Prediction[Any] = prediction
        """As far as is known here; leaving the iterator does not cancel it, ``prediction.cancel()``
        does.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._function.name!r}, {self.prediction.id!r})"

    async def _each(self, mode: type[Sync | Async]) -> AsyncGenerator[list[Any], None]:
        given = 0
        while batch := self._parts[given:]:
            given += len(batch)
            yield batch
        if self._complete:
            return
        client = self._course.client = self._function._through(mode)
        came = 0
        parts = self._replay(client)
        self._course.hold(self.prediction)
        try:
            async for batch in parts:
                # Of two iterations at a time, one adds the parts and the other finds them there.
                self._parts[came : came + len(batch)] = batch
                came += len(batch)
                if came > given:
                    fresh, given = batch[given - came :], came
                    yield fresh
            self._complete = True
        except BaseException as error:
            # Another iteration may go on after a loop that was left, or a connection that failed.
            # Whoever was interrupted is gone, and from a stream that cannot be read nobody gets
            # anything.
            if not isinstance(error, (GeneratorExit, APIConnectionError, ModelError)):
                self._course.cancel(self.prediction, client._transport)
            raise
        finally:
            self._course.release()
            await parts.aclose()

    async def _replay(self, client: Resource[Any]) -> AsyncGenerator[list[Any], None]:
        """Give the parts from the first on, as they come."""
        # What another iteration learns meanwhile must not make this one skip anything.
        prediction = self.prediction.copy()._in(client._mode)
        files = client._session.use_file_output
        if (prediction.urls or {}).get("stream") is not None:
            events = batches(Prediction.stream, prediction, files)
            try:
                async for batch in events:
                    yield [event.data for event in batch if event.event == "output"]
            finally:
                await events.aclose()
            return
        if here := items_of(prediction):
            yield outputs(here, client._session) if files else here
        items = increments(client, prediction, signal=None, timeout=None)
        try:
            async for batch in items:
                yield batch
        finally:
            await items.aclose()

    async def _settle(self, client: Resource[Any]) -> None:
        """Fetch how the prediction has ended, and raise if it failed."""
        if not self.prediction.is_done:
            await unchecked(Prediction.reload)(self.prediction._in(client._mode))
        done = await wait_for(client, self.prediction)
        self.prediction._update(done.dict())

    async def _whole(self, mode: type[Sync | Async]) -> Any:
        """Give what the function would give without streaming: events are text, whatever the
        output's type is.
        """
        async for _ in self._each(mode):
            pass
        client = self._function._through(mode)
        await self._settle(client)
        return await self._function._given(client, self.prediction.output, self.prediction)


class OutputIterator(BaseOutputIterator[T]):
    """An output that grows: ``for`` gives its parts as they come, and ``str()`` all of them,
    joined, when it is whole.

    Parts are text, or `FileOutput` if the model makes files. What has come is kept: another ``for``
    gives it again, and goes on from there. Leaving a ``for`` closes its connection. As an input of
    a function it stands for the whole output.

    Raises (while it is iterated over):
        ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
        StreamInterrupted: The connection ended before the output was whole.

    """

    __slots__ = ()

    prediction: Prediction

    def __iter__(self) -> Iterator[T]:
        return spread(self._each(Sync))

    def __str__(self) -> str:
        return "".join(map(str, self))


class AsyncOutputIterator(BaseOutputIterator[T]):
    """An output that grows: ``async for`` gives its parts as they come, and ``await`` all of it,
    when it is whole.

    Awaited, it is what the function gives without streaming: text, a file, a list. See
    `OutputIterator`.
    """

    __slots__ = ()

    prediction: Prediction[Async]

    def __aiter__(self) -> AsyncIterator[T]:
        return spread_async(self._each(Async))

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._whole(Async).__await__()


defer_annotations(globals())
