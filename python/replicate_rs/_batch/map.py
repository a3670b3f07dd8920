"""`map`: run a model on any number of inputs, and iterate over the results as they end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, cast

from .._base.operation import note_import
from .._base.resource import M
from .._base.session import Async
from .._base.typing import Generic
from .._predictions.params import split_options
from ..exceptions import ForkedError
from .connect import shown_journal
from .feed import AsyncFeed, ThreadFeed
from .handoff import Handoff
from .keys import read_input, target_digest
from .plan import make_plan
from .progress import Display
from .runner import Runner

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable
    from types import TracebackType
    from typing import Any, Self

    from .._base.resource import Resource
    from .feed import Feed
    from .plan import Plan
    from .results import Result

# Seconds for which a caller who leaves waits until the journal is closed.
MAX_CLOSE = 5.0


class Results(Generic[M]):
    """The results of many runs, as they end. Nothing is sent before the first one is asked for.

    ``for`` waits on its thread, ``async for`` on its event loop; ``await`` returns a list of all.
    Leaving the loop, or the end of a ``with``, ends the run: inputs are taken no more, and
    predictions that run are left to the journal, or cancelled if there is none.
    """

    def __init__(
        self,
        client: Resource[M],
        inputs: Iterable[Any] | AsyncIterable[Any],
        plan: Plan,
    ) -> None:
        self._client = client
        self._inputs = inputs
        self._plan = plan
        self._handoff = Handoff()
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._runner: Runner | None = None
        self._process = os.getpid()
        self._is_closed = False

    def __iter__(self) -> Generator[Result, None, None]:
        """Iterate over the results; each is given once."""
        self._start(None)
        results = None
        try:
            while results := self._take():
                count = len(results)
                while results:
                    yield results.popleft()
                self._made_room(count)
        except BaseException as error:
            self._explain(error)
            raise
        finally:
            self.close()

    def _take(self) -> deque[Result]:
        self._check_process()
        return self._handoff.take()

    async def __aiter__(self) -> AsyncGenerator[Result, None]:
        """Iterate over the results; each is given once."""
        self._start(_running_loop())
        try:
            while results := await self._handoff.take_async():
                count = len(results)
                while results:
                    yield results.popleft()
                self._made_room(count)
        except BaseException as error:
            self._explain(error)
            raise
        finally:
            await self.aclose()

    def __await__(self) -> Generator[Any, Any, list[Result]]:
        """Return all results as a list."""
        return self._collect().__await__()

    async def _collect(self) -> list[Result]:
        return [result async for result in self]

    def close(self) -> None:
        """End the run, if it has not ended: take no more inputs, and close the journal."""
        if self._stop():
            self._join()

    async def aclose(self) -> None:
        """End the run, as `close` does, without blocking the event loop."""
        if self._stop():
            await asyncio.shield(asyncio.to_thread(self._join))

    def _join(self) -> None:
        """Wait for the end of the thread."""
        # While Python ends, a thread cannot be waited for from 3.14 on.
        with suppress(RuntimeError):
            if self._thread is not None:
                self._thread.join(MAX_CLOSE)

    def _stop(self) -> bool:
        """End the run; return whether its thread is to be waited for."""
        if self._process != os.getpid():
            return False
        self._is_closed = True
        loop, task, self._task = self._loop, self._task, None
        # A second cancellation would interrupt the ending of the run.
        if loop is not None and task is not None and not self._handoff.has_ended:
            # It may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(task.cancel)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._explain(error)
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._explain(error)
        await self.aclose()

    def __repr__(self) -> str:
        runner = self._runner
        done = "not begun"
        if runner is not None:
            state = runner.get_state()
            done = f"{state.done} done, {state.failed} failed"
        return f"<Results of {self._plan.target.name}: {done}>"

    def _explain(self, error: BaseException) -> None:
        """Add to an error that ends the run how to go on."""
        runner = self._runner
        if runner is None or isinstance(error, GeneratorExit) or hasattr(error, "__notes__"):
            return
        state = runner.get_state()
        if state.done == state.running == 0:
            # There is nothing to go on with, as where the token is missing.
            return
        if self._plan.journal is None:
            error.add_note(
                f"map was left with {state.done} inputs done. What was running is cancelled; with"
                " journal= it would be collected later."
            )
        else:
            what = "is cancelled" if self._plan.cancels else "goes on at Replicate"
            error.add_note(
                f"map was left with {state.done} inputs done; what was running (at most"
                f" {state.running}) {what}. Call it again with"
                f" journal={shown_journal(self._plan.journal)!r} to go on: nothing is paid for"
                " twice."
            )

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise ForkedError("these results belong to the parent process: call map here")

    # The thread.

    def _start(self, home: asyncio.AbstractEventLoop | None) -> None:
        self._check_process()
        if self._thread is not None or self._is_closed:
            if self._is_closed and self._thread is None:
                raise RuntimeError("these results were closed")
            return
        self._thread = Thread(target=self._run, args=(home,), name="replicate-map", daemon=True)
        self._thread.start()

    def _run(self, home: asyncio.AbstractEventLoop | None) -> None:
        error: BaseException | None = None
        try:
            with asyncio.Runner() as runner:
                runner.run(self._run_async(home))
        except asyncio.CancelledError:
            pass
        except BaseException as caught:  # noqa: BLE001 - raised to the consumer
            error = caught
        self._handoff.end(error)

    async def _run_async(self, home: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        if self._is_closed:
            return
        client = cast("Resource[Async]", self._client._in(Async))
        runner = Runner(client, self._client._session, self._plan, self._handoff)
        total = len(self._inputs) if hasattr(self._inputs, "__len__") else None  # type: ignore[arg-type]  # it has a length
        display = Display.of(self._plan.progress, total, self._plan.target.name)
        read_item = partial(read_input, target=target_digest(self._plan.target.name))
        feed: Feed
        if hasattr(self._inputs, "__aiter__"):
            feed = AsyncFeed(self._inputs, read_item, home or loop)  # type: ignore[arg-type]  # it is async
        else:
            feed = ThreadFeed(self._inputs, read_item, loop)  # pyright: ignore[reportArgumentType] - it is not async
        self._runner = runner
        if display is None:
            await runner.run(feed)
            return
        try:
            await runner.run(feed, lambda: display.update(runner.get_state))
        finally:
            display.close(runner.get_state())

    def _made_room(self, count: int) -> None:
        loop, runner = self._loop, self._runner
        # Each wake-up of the runner's loop costs as much as a part of a run.
        if self._handoff.took(count) and loop is not None and runner is not None:
            # It may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(runner.made_room)


def map_inputs(
    client: Resource[M],
    ref: Any,
    inputs: Iterable[Any] | AsyncIterable[Any] | None,
    *,
    deployment: Any,
    journal: str | os.PathLike[str] | None,
    save_to: str | os.PathLike[str] | None,
    concurrency: int | None,
    rate: float | None,
    max_failures: float | None,
    timeout: Any,
    options: Mapping[str, Any],
    **choices: Any,
) -> Results[M]:
    """Return the results of `map`, whose arguments these are, before anything is sent."""
    split_options(options)
    if (
        inputs is None
        or isinstance(inputs, (str, bytes, Mapping))
        or not (hasattr(inputs, "__iter__") or hasattr(inputs, "__aiter__"))
    ):
        hint = ": for one input, pass [input]" if isinstance(inputs, Mapping) else ""
        if isinstance(inputs, str):
            hint = ": for a file, pass replicate_rs.batch.read_inputs(path)"
        kind = type(inputs).__name__  # pyright: ignore[reportUnknownArgumentType] - the caller's
        raise TypeError(f"inputs must be an iterable of dicts, not {kind}{hint}")
    plan = make_plan(
        ref,
        deployment,
        concurrency,
        rate,
        journal,
        save_to,
        max_failures,
        timeout,
        options,
        choices,
    )
    return Results(client, inputs, plan)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        # Another kind of loop.
        return None


note_import(__name__)
