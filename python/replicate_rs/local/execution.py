"""Running predictions: fetch the input files, call the model on a thread, store the output."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import mimetypes
import re
import shutil
import threading
import traceback
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from .._base.typing import is_array, is_object
from .._core import Expect, read_data_uri
from ..exceptions import ReplicateError
from .clock import format_time
from .files import store_file
from .models.call import Cancelled, ModelCall
from .models.invocation import invoke
from .models.model import Definition, Version
from .runs.prediction import StoredPrediction
from .state import State

# Characters of the names of ignored inputs in a log line.
MAX_IGNORED_NAMES = 1000
# How files begin, by the ends of their names.
BEGINNINGS = re.compile(
    rb"(?P<png>\x89PNG\r\n\x1a\n)|(?P<jpg>\xff\xd8\xff)|(?P<gif>GIF8[79]a)|(?P<webp>RIFF.{4}WEBP)"
    rb"|(?P<svg>\s*(?:<\?xml[^>]*>\s*)?<svg\b)"
    rb"|(?P<wav>RIFF.{4}WAVE)|(?P<mp3>ID3)|(?P<ogg>OggS)|(?P<mp4>.{4}ftyp)",
    re.DOTALL,
)


class InputFileError(Exception):
    """An input file cannot be fetched."""


class Execution:
    """Runs predictions and trainings.

    Everything but the models' functions runs on the server's thread.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._running_models = 0
        # Held by the prediction that is next to start.
        self._queue = asyncio.Lock()
        self._model_ended = asyncio.Event()
        # The event loop keeps only weak references to tasks.
        self._tasks: set[asyncio.Task[None]] = set()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        # First read on the server's thread.
        return asyncio.get_running_loop()

    def launch(
        self,
        prediction: StoredPrediction,
        definition: Definition,
        *,
        cancel_after: float | None = None,
    ) -> None:
        """Start a prediction or training in the background.

        Args:
            prediction: The prediction or training.
            definition: The function to call.
            cancel_after: Seconds from its creation after which it is canceled.

        """
        if cancel_after is not None:
            self._set_deadline(prediction, prediction.created_at + cancel_after)
        task = self._loop.create_task(self._execute(prediction, definition))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _set_deadline(self, prediction: StoredPrediction, deadline: float) -> None:
        clock = self._state.clock

        def cancel() -> None:
            prediction.cancel(
                clock.time(), "aborted" if prediction.started_at is None else "canceled"
            )

        prediction.data["deadline"] = format_time(deadline)
        prediction.deadline_timer = clock.call_at(deadline, cancel)

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncGenerator[None, None]:
        """Wait, in the order of creation, until fewer models run than the settings allow."""
        async with self._queue:
            while self._running_models >= self._state.settings.concurrency:
                self._model_ended.clear()
                # The timeout is for settings that change in the meantime.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._model_ended.wait(), 0.05)
            self._running_models += 1
        try:
            yield
        finally:
            self._running_models -= 1
            self._model_ended.set()

    async def _execute(self, prediction: StoredPrediction, definition: Definition) -> None:
        clock = self._state.clock
        async with self._slot():
            if definition.cold_start:
                await clock.sleep(definition.cold_start)
            if prediction.is_done:
                return
            folder = self._state.folder / prediction.id
            try:
                inputs = await self._prepare_inputs(prediction, definition, folder)
                if not prediction.is_done:
                    await self._call(prediction, definition, inputs)
            except (InputFileError, OSError, ValueError) as error:
                prediction.start(clock.time())
                prediction.fail(clock.time(), str(error))
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    async def _call(
        self, prediction: StoredPrediction, definition: Definition, inputs: dict[str, Any]
    ) -> None:
        clock = self._state.clock
        call = prediction.call = ModelCall(lambda text: self._post(prediction.log, text))
        prediction.start(clock.time())
        ignored = definition.signature.find_unknown(prediction.data["input"])
        if names := ", ".join(map(repr, ignored))[:MAX_IGNORED_NAMES]:
            prediction.log(f"Ignored inputs that {definition.name} does not have: {names}\n")

        def emit(item: Any) -> None:
            self._post(prediction.add_output, self._store_output(prediction, definition, item))

        def work() -> Any:
            try:
                output = invoke(definition, call, inputs, emit)
                return self._store_output(prediction, definition, output)
            except Exception:
                call.write(traceback.format_exc())
                call.flush()
                raise

        try:
            output = await self._run_on_thread(work, name=definition.name)
            if prediction.kind == "trainings":
                output = self._add_trained_version(prediction, output)
            prediction.succeed(clock.time(), output)
        except Cancelled:
            prediction.cancel(clock.time())
        except Exception as error:  # noqa: BLE001 - any error of a model fails its prediction
            prediction.fail(clock.time(), str(error) or type(error).__name__)

    async def _run_on_thread(self, function: Callable[[], Any], *, name: str) -> Any:
        future: asyncio.Future[Any] = self._loop.create_future()

        def resolve(result: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def main() -> None:
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - raised where the future is awaited
                self._post(resolve, None, error)
            else:
                self._post(resolve, result, None)

        # A daemon thread: a model that ignores its cancellation must not delay the process's exit.
        threading.Thread(target=main, name=name, daemon=True).start()
        return await future

    def _post(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Call a function on the server's thread, unless the server has stopped."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _add_trained_version(self, training: StoredPrediction, weights: str) -> dict[str, Any]:
        destination, base = training.destination, training.version
        if destination is None:
            raise RuntimeError(f"the training {training.id} has no destination")
        properties = base.definition.signature.input["properties"]
        version = Version(
            id=hashlib.sha256(f"{training.id} {base.id}".encode()).hexdigest(),
            created_at=self._state.clock.time(),
            definition=base.definition,
            defaults=({"replicate_weights": weights} if "replicate_weights" in properties else {}),
            base_id=base.id,
        )
        destination.versions.append(version)
        return {"version": f"{destination.full_name}:{version.id}", "weights": weights}

    def _store_output(
        self, prediction: StoredPrediction, definition: Definition, output: Any
    ) -> Any:
        """Return an output as JSON, with its files stored and replaced by their URLs."""
        if is_array(output):
            return [self._store_output(prediction, definition, each) for each in output]
        if is_object(output):
            return {
                key: self._store_output(prediction, definition, each)
                for key, each in output.items()
            }
        file = _read_file(output)
        if file is not None:
            return self._store_output_file(prediction, *file)
        try:
            json.dumps(output, allow_nan=False)
        except (TypeError, ValueError) as error:
            what = type(output).__name__ if isinstance(error, TypeError) else repr(output)
            raise TypeError(
                f"{definition.name} returned {what}, which is not JSON: return str, int, float,"
                " bool, a list or dict of these, bytes, pathlib.Path or a PIL image"
            ) from None
        return output

    def _store_output_file(self, prediction: StoredPrediction, name: str, content: bytes) -> str:
        if self._state.settings.files == "data":
            content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
            return f"data:{content_type};base64,{b64encode(content).decode()}"
        file = store_file(self._state.folder, name, [content], created_at=self._state.clock.time())
        prediction.file_ids.append(file.id)
        self._state.outputs[file.id] = file
        # A response replaces the origin with the one that its client uses.
        return f"{self._state.addresses.own.output}/pbxt/{file.id}/{quote(file.name)}"

    async def _prepare_inputs(
        self, prediction: StoredPrediction, definition: Definition, folder: Path
    ) -> dict[str, Any]:
        """Return the function's arguments, with files fetched, as paths or bytes."""
        inputs: dict[str, Any] = {**prediction.version.defaults, **prediction.data["input"]}
        for name in definition.signature.find_unknown(inputs):
            del inputs[name]
        for name, file_type in definition.signature.file_types.items():
            value = inputs.get(name)
            if isinstance(value, str):
                inputs[name] = await self._fetch(value, file_type, folder / name)
            elif is_array(value):
                inputs[name] = [
                    await self._fetch(each, file_type, folder / name / str(index))
                    for index, each in enumerate(value)
                ]
        return inputs

    async def _fetch(self, url: str, file_type: type, folder: Path) -> Path | bytes:
        state = self._state
        file = state.find_file(url)
        if file is not None:
            return await asyncio.to_thread(_to_input, file.path, file.name, file_type, folder)
        if url.startswith((f"{state.api_url}/files/", f"{state.addresses.own.api}/v1/files/")):
            raise InputFileError(f"the input file {url} does not exist, or has expired")
        if url.startswith("data:"):
            name, content = "input", read_data_uri(url)[1]
        elif not url.startswith(("http://", "https://")):
            raise InputFileError(
                f"the input file {url} cannot be fetched: it is neither an HTTP nor a data URL"
            )
        else:
            try:
                content = await state.webhooks.core.send("GET", url, Expect.BYTES)
            except (ReplicateError, ValueError) as error:
                raise InputFileError(f"the input file {url} cannot be fetched: {error}") from None
            name = unquote(urlsplit(url).path)
        return await asyncio.to_thread(_to_input, content, name, file_type, folder)


def _read_file(output: Any) -> tuple[str, bytes] | None:
    """Return the name and content of an output that is a file: a path, bytes or a PIL image."""
    if isinstance(output, Path):
        return output.name, output.read_bytes()
    if isinstance(output, (bytes, bytearray)):
        found = BEGINNINGS.match(output)
        return f"output.{found.lastgroup if found else 'bin'}", bytes(output)
    if type(output).__module__.partition(".")[0] == "PIL" and hasattr(output, "save"):
        buffer = io.BytesIO()
        output.save(buffer, "PNG")
        return "output.png", buffer.getvalue()
    return None


def _to_input(content: Path | bytes, name: str, file_type: type, folder: Path) -> Path | bytes:
    """Return bytes, or the path of a copy that the model may change or delete."""
    if file_type is bytes:
        return content.read_bytes() if isinstance(content, Path) else content
    folder.mkdir(parents=True)
    path = folder / (Path(name).name or "input")
    if isinstance(content, Path):
        shutil.copyfile(content, path)
    else:
        path.write_bytes(content)
    return path
