"""Models are Python functions: what they take, what they print, and how they are told to stop."""

from __future__ import annotations

import contextvars
import hashlib
import inspect
import io
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TextIO, get_type_hints

Emit = Callable[[Any], None]


class Cancelled(BaseException):
    """The prediction was cancelled; a model may catch it to clean up."""


class Job:
    """One call of a model, as the model's side sees it."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self.log = log
        self.cancelled = threading.Event()


_job: contextvars.ContextVar[Job | None] = contextvars.ContextVar("_job", default=None)


def check_cancelled() -> None:
    """Raise `Cancelled` in a model whose prediction was cancelled."""
    job = _job.get()
    if job is not None and job.cancelled.is_set():
        raise Cancelled


def sleep(seconds: float) -> None:
    """Sleep in a model, and raise `Cancelled` as soon as its prediction is cancelled."""
    job = _job.get()
    if job is None:
        threading.Event().wait(seconds)
    elif job.cancelled.wait(seconds):
        raise Cancelled


class Model:
    """A registered function."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        owner, slash, short = name.partition("/")
        if not slash or not owner or not short or "/" in short or ":" in short:
            raise ValueError(f"a model's name must be 'owner/name', not {name!r}")
        self.owner = owner
        self.name = short
        self.function = function
        self.version = hashlib.sha256(f"{name}\0{function.__module__}.{function.__qualname__}".encode()).hexdigest()
        self.parameters = inspect.signature(function).parameters
        self.hints = get_type_hints(function)

    @property
    def full_name(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"

    @property
    def iterates(self) -> bool:
        """Whether the output grows item by item."""
        return inspect.isgeneratorfunction(self.function) or inspect.isasyncgenfunction(self.function)

    def problems(self, given: dict[str, Any]) -> list[dict[str, str]]:
        """Say what is wrong with an input, as the API does."""
        wide = any(each.kind is each.VAR_KEYWORD for each in self.parameters.values())
        found: list[dict[str, str]] = []
        for name, parameter in self.parameters.items():
            required = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
            if required and name not in given:
                found.append({"type": "required", "field": "input", "description": f"{name} is required"})
        for name in given:
            if name not in self.parameters and not wide:
                description = f"Additional property {name} is not allowed"
                found.append({"type": "additional_property_not_allowed", "field": "input", "description": description})
        return found

    def call(self, job: Job, given: dict[str, Any], emit: Emit) -> Any:
        """Run the function on this thread; items of a generator go to `emit`, and are returned together."""
        capture()
        token = _job.set(job)
        try:
            result: Any = self.function(**given)
            if inspect.iscoroutine(result):
                return _run(result)
            if inspect.isasyncgen(result):
                return _run(_collect(result, emit))
            if inspect.isgenerator(result):
                items: Iterator[Any] = result
                return [item for item in items if _passed_on(item, emit)]
            return result
        finally:
            _job.reset(token)


def _passed_on(item: Any, emit: Emit) -> bool:
    check_cancelled()
    emit(item)
    return True


async def _collect(items: AsyncIterator[Any], emit: Emit) -> list[Any]:
    return [item async for item in items if _passed_on(item, emit)]


def _run(coroutine: Any) -> Any:
    import asyncio

    return asyncio.run(coroutine)


class _Printed(io.TextIOBase):
    """What a model prints goes to its prediction's logs; everybody else's goes where it went before."""

    def __init__(self, before: TextIO) -> None:
        self.before = before

    def write(self, text: str) -> int:
        job = _job.get()
        if job is None:
            return self.before.write(text)
        job.log(text)
        return len(text)

    def flush(self) -> None:
        self.before.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.before, name)


def capture() -> None:
    """From now on, what models print becomes their logs; asked again at each call, since others replace these too."""
    if not isinstance(sys.stdout, _Printed):
        sys.stdout = _Printed(sys.stdout)
    if not isinstance(sys.stderr, _Printed):
        sys.stderr = _Printed(sys.stderr)


def release() -> None:
    """Put back what was there before."""
    if isinstance(sys.stdout, _Printed):
        sys.stdout = sys.stdout.before
    if isinstance(sys.stderr, _Printed):
        sys.stderr = sys.stderr.before


def as_file(value: Any) -> tuple[str, bytes] | None:
    """Give the name and content of an output that is a file: a path, bytes, or a PIL image."""
    if isinstance(value, Path):
        return value.name, value.read_bytes()
    if isinstance(value, (bytes, bytearray)):
        return "output.bin", bytes(value)
    if type(value).__module__.partition(".")[0] == "PIL" and hasattr(value, "save"):
        buffer = io.BytesIO()
        value.save(buffer, "PNG")
        return "output.png", buffer.getvalue()
    return None
