"""Runs of a function: predictions that it has created."""

from __future__ import annotations

from .._base.operation import run_blocking, unchecked
from .._base.typing import TYPE_CHECKING, Generic, TypeVar, defer_annotations
from .._predictions.polling import wait_for
from ..prediction import Prediction

if TYPE_CHECKING:
    from typing import Any

    from .._base.session import Async, Sync
    from .output_iterator import OutputFunction

R = TypeVar("R")


class BaseRun(Generic[R]):
    """What `Run` and `AsyncRun` share."""

    __slots__ = ("_function", "prediction")

    def __init__(self, function: OutputFunction, prediction: Prediction[Any]) -> None:
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
    """The prediction that runs."""

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
    """The prediction that runs."""

    async def output(self) -> R:
        """Wait for the output and return it; see `Run.output`."""
        output: R = await self._output()
        return output

    async def logs(self) -> str | None:
        """Return the model's logs up to now."""
        return await self._logs()


defer_annotations(globals())
