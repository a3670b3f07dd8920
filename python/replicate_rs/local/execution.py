"""How a prediction runs: its files are fetched, its function is called on a thread, and what that
gives is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import mimetypes
import shutil
import threading
import traceback
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from .._core import Expect, read_data_uri
from .._typing import is_array, is_object
from ..exceptions import ReplicateError
from .clock import text
from .files import keep
from .models.call import Cancelled, Job
from .models.model import Definition, Version, as_file
from .runs.prediction import Run
from .state import State

# Characters of the names of inputs that are ignored.
MAX_NAMES = 1000


class InputError(Exception):
    """An input that names a file which cannot be had."""


class Execution:
    """Runs predictions and trainings.

    All but the models' functions is on the server's own thread.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        # How many models run, and whose turn it is to be the next one.
        self._busy = 0
        self._turn = asyncio.Lock()
        self._left = asyncio.Event()
        # The loop keeps its tasks only weakly.
        self._tasks: set[asyncio.Task[None]] = set()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        # First asked for on the server's own thread.
        return asyncio.get_running_loop()

    def launch(
        self, run: Run, definition: Definition, *, cancel_after: float | None = None
    ) -> None:
        """Let a prediction run."""
        if cancel_after is not None:
            self._set_deadline(run, run.created + cancel_after)
        task = self._loop.create_task(self._execute(run, definition))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _set_deadline(self, run: Run, moment: float) -> None:
        clock = self._state.clock
        run.data["deadline"] = text(moment)
        run.deadline = clock.call_at(
            moment, lambda: run.cancel(clock.time(), "canceled" if run.started else "aborted")
        )

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncGenerator[None, None]:
        """Wait, in the order of arrival, until fewer models run than the settings allow."""
        async with self._turn:
            while self._busy >= self._state.settings.concurrency:
                self._left.clear()
                # The settings may be changed meanwhile.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._left.wait(), 0.05)
            self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            self._left.set()

    async def _execute(self, run: Run, definition: Definition) -> None:
        clock = self._state.clock
        async with self._place():
            if definition.cold_start:
                await clock.sleep(definition.cold_start)
            if not run.is_done:
                folder = self._state.folder / run.id
                try:
                    given = await self._arguments(run, definition, folder)
                    if not run.is_done:
                        await self._call(run, definition, given)
                except (InputError, OSError, ValueError) as error:
                    run.start(clock.time())
                    run.fail(clock.time(), str(error))
                finally:
                    shutil.rmtree(folder, ignore_errors=True)

    async def _call(self, run: Run, definition: Definition, given: dict[str, Any]) -> None:
        clock = self._state.clock
        job = run.job = Job(lambda text: self._post(run.log, text))
        run.start(clock.time())
        if unknown := ", ".join(map(repr, definition.signature.unknown(run.data["input"]))):
            run.log(f"Ignored inputs that {definition.name} does not have: {unknown[:MAX_NAMES]}\n")

        def work() -> Any:
            try:
                output = definition.call(
                    job, given, lambda item: self._post(run.emit, self._kept(run, definition, item))
                )
                return self._kept(run, definition, output)
            except Exception:
                job.write(traceback.format_exc())
                job.flush()
                raise

        try:
            output = await self._on_thread(work, name=definition.name)
            run.succeed(
                clock.time(), output if run.kind == "predictions" else self._trained(run, output)
            )
        except Cancelled:
            run.cancel(clock.time())
        except Exception as error:  # noqa: BLE001 - whatever a model raises is its prediction's error
            run.fail(clock.time(), str(error) or type(error).__name__)

    async def _on_thread(self, work: Callable[[], Any], *, name: str) -> Any:
        future: asyncio.Future[Any] = self._loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def main() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - it is raised where the thread is awaited
                self._post(settle, None, error)
            else:
                self._post(settle, result, None)

        # A daemon: a model that does not listen must not hold up the end of the process.
        threading.Thread(target=main, name=name, daemon=True).start()
        return await future

    def _post(self, callback: Callable[..., None], *arguments: Any) -> None:
        # When the server was stopped, its loop is closed, and nobody wants to know any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _trained(self, run: Run, weights: str) -> dict[str, Any]:
        destination = run.destination
        if destination is None:
            raise RuntimeError(f"the training {run.id} has no destination")
        base = run.version.definition
        defaults = (
            {"replicate_weights": weights}
            if "replicate_weights" in base.signature.input["properties"]
            else {}
        )
        id = hashlib.sha256(f"{run.id} {run.version.id}".encode()).hexdigest()
        version = Version(
            id=id,
            created=self._state.clock.time(),
            definition=base,
            defaults=defaults,
            base=run.version.id,
        )
        destination.versions.append(version)
        return {"version": f"{destination.full_name}:{id}", "weights": weights}

    def _kept(self, run: Run, definition: Definition, output: Any) -> Any:
        """Give an output as JSON: files become URLs."""
        if is_array(output):
            return [self._kept(run, definition, each) for each in output]
        if is_object(output):
            return {key: self._kept(run, definition, each) for key, each in output.items()}
        file = as_file(output)
        if file is not None:
            name, content = file
            if self._state.settings.files == "data":
                kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
                return f"data:{kind};base64,{b64encode(content).decode()}"
            stored = keep(self._state.folder, name, [content], created=self._state.clock.time())
            run.files.append(stored.id)
            self._state.outputs[stored.id] = stored
            # Who asks gets it at the address that he knows.
            return f"{self._state.addresses.own.output}/pbxt/{stored.id}/{quote(stored.name)}"
        try:
            json.dumps(output, allow_nan=False)
        except (TypeError, ValueError) as error:
            what = type(output).__name__ if isinstance(error, TypeError) else repr(output)
            raise TypeError(
                f"{definition.name} returned {what}, which is not JSON: return str, int, float,"
                " bool, a list or dict of these, bytes, pathlib.Path or a PIL image"
            ) from None
        return output

    async def _arguments(self, run: Run, definition: Definition, folder: Path) -> dict[str, Any]:
        """Give what the function is called with: files are fetched, in the form that it asks for."""
        given: dict[str, Any] = {**run.version.defaults, **run.data["input"]}
        for name in definition.signature.unknown(given):
            del given[name]
        for name, kind in definition.signature.files.items():
            value = given.get(name)
            if isinstance(value, str):
                given[name] = await self._fetched(value, kind, folder / name)
            elif is_array(value):
                given[name] = [
                    await self._fetched(each, kind, folder / name / str(n))
                    for n, each in enumerate(value)
                ]
        return given

    async def _fetched(self, url: str, kind: type, folder: Path) -> Path | bytes:
        stored = self._state.stored_at(url)
        if stored is None and url.startswith(
            (f"{self._state.api}/files/", f"{self._state.addresses.own.api}/v1/files/")
        ):
            raise InputError(f"the input file {url} does not exist, or has expired")
        if stored is not None:
            return await asyncio.to_thread(_placed, stored.path, stored.name, kind, folder)
        if url.startswith("data:"):
            name, content = "input", read_data_uri(url)[1]
        elif not url.startswith(("http://", "https://")):
            raise InputError(
                f"the input file {url} cannot be had: it is neither an HTTP nor a data URL"
            )
        else:
            try:
                content = await self._state.webhooks.core.send("GET", url, Expect.BYTES)
            except (ReplicateError, ValueError) as error:
                raise InputError(f"the input file {url} cannot be had: {error}") from None
            name = unquote(urlsplit(url).path)
        return await asyncio.to_thread(_placed, content, name, kind, folder)


def _placed(content: Path | bytes, name: str, kind: type, folder: Path) -> Path | bytes:
    """Give a file's content, or a path of its own name that the model may do with as it likes."""
    if kind is bytes:
        return content.read_bytes() if isinstance(content, Path) else content
    folder.mkdir(parents=True)
    path = folder / (Path(name).name or "input")
    if isinstance(content, Path):
        shutil.copyfile(content, path)
    else:
        path.write_bytes(content)
    return path
