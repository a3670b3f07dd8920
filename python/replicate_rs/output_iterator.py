"""The output of a model as a function, while it comes."""

from __future__ import annotations

from ._operation import Async, Resource, Sync, iterate
from ._typing import TYPE_CHECKING, Generic, TypeVar
from .exceptions import StreamError, StreamInterrupted
from .file_output import outputs
from .prediction import Prediction
from .run import increments, items_of, wait_for
from .stream import events_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
    from typing import Any

    from .use import BaseFunction

T = TypeVar("T")


class BaseOutputIterator(Generic[T]):
    """What both kinds of iterator are made of.

    Each iteration gives what is here already, and then has a connection of its own, whose events begin at the first one. So
    iterations may be left, repeated, nested, and go on in several tasks or threads.
    """

    __slots__ = ("_cancel_on_exit", "_complete", "_function", "_parts", "prediction")

    def __init__(self, function: BaseFunction[Any, Any], prediction: Prediction, *, cancel_on_exit: bool) -> None:
        self._function = function
        self._cancel_on_exit = cancel_on_exit
        self._parts: list[Any] = []
        self._complete = False
        self.prediction: Prediction = prediction
        """As far as is known here; leaving the iterator does not cancel it, ``prediction.cancel()`` does."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._function.name!r}, {self.prediction.id!r})"

    async def _each(self, mode: type[Sync | Async]) -> AsyncGenerator[Any, None]:
        given = 0
        while given < len(self._parts):
            given += 1
            yield self._parts[given - 1]
        if self._complete:
            return
        client = self._function._through(mode)
        came = 0
        parts = self._replay(client)
        try:
            async for part in parts:
                came += 1
                # Of two iterations at a time, one adds the part and the other finds it there.
                self._parts[came - 1 : came] = [part]
                if came > given:
                    given = came
                    yield part
            self._complete = True
        except BaseException as error:
            # Ctrl-C, or a cancelled task: whoever waited is gone, and so is the iterator.
            if self._cancel_on_exit and not isinstance(error, (Exception, GeneratorExit)):
                client._transport.part(client._core, "POST", ("predictions", self.prediction.id, "cancel"))
            raise
        finally:
            await parts.aclose()

    async def _replay(self, client: Resource[Any]) -> AsyncGenerator[Any, None]:
        """Give the parts from the first on, as they come."""
        if "stream" not in (self.prediction.urls or {}):
            # What another iteration learns meanwhile must not make this one skip anything.
            prediction = self.prediction.copy()
            for item in items_of(prediction):
                yield outputs(item, client._session) if client._session.use_file_output else item
            items = increments(client, prediction, signal=None, timeout=None)
            try:
                async for item in items:
                    yield item
            finally:
                await items.aclose()
            return
        files = client._session.use_file_output
        events = events_of(client, self.prediction, files=files, signal=None, timeout=None)
        try:
            async for event in events:
                if event.event == "output":
                    yield event.data
                elif event.event == "done" and str(event.data).strip() not in ("", "{}"):
                    # It was canceled, or failed.
                    await self._settle(client)
        except StreamInterrupted:
            raise
        except StreamError:
            # The prediction's own error says more than the event, and is what a call without a stream raises.
            await self._settle(client)
            raise
        finally:
            await events.aclose()

    async def _settle(self, client: Resource[Any]) -> None:
        """Fetch how the prediction has ended, and raise if it failed."""
        if not self.prediction.is_done:
            await Prediction.reload(self.prediction._in(client._mode))
        done = await wait_for(client, self.prediction)
        self.prediction._update(done.dict())

    async def _whole(self, mode: type[Sync | Async]) -> Any:
        """Give what the function would give without streaming: events are text, whatever the output's type is."""
        async for _ in self._each(mode):
            pass
        client = self._function._through(mode)
        await self._settle(client)
        return await self._function._given(client, self.prediction.output, self.prediction)


class OutputIterator(BaseOutputIterator[T]):
    """An output that grows: ``for`` gives its parts as they come, and ``str()`` all of them, joined, when it is whole.

    Parts are text, or `FileOutput` if the model makes files. What has come is kept: another ``for`` gives it again, and goes
    on from there. Leaving a ``for`` closes its connection. As an input of a function it stands for the whole output.

    Raises (while it is iterated over):
        ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
        StreamInterrupted: The connection ended before the output was whole.

    """

    __slots__ = ()

    def __iter__(self) -> Iterator[T]:
        return iterate(self._each(Sync))

    def __str__(self) -> str:
        return "".join(map(str, self))


class AsyncOutputIterator(BaseOutputIterator[T]):
    """An output that grows: ``async for`` gives its parts as they come, and ``await`` all of it, when it is whole.

    Awaited, it is what the function gives without streaming: text, a file, a list. See `OutputIterator`.
    """

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[T]:
        return self._each(Async)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._whole(Async).__await__()
