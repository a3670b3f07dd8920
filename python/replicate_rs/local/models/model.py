"""Models, their versions, and how a version is called."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import io
import json
import re
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..clock import text
from .call import Cancelled, Job, capture, check_cancelled, current
from .signature import Signature

Emit = Callable[[Any], None]

# Versions of Cog before 0.3.9 mean a list by an iterator; clients look at this.
COG_VERSION = "0.16.0"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """A function that was registered as a model, and what was said about it."""

    name: str
    function: Callable[..., Any]
    signature: Signature
    visibility: str = "public"
    hardware: str = "cpu"
    readme: str | None = None
    examples: tuple[dict[str, Any], ...] = ()
    cold_start: float = 0.0

    @property
    def id(self) -> str:
        """The version's id: the same for the same function with the same schema."""
        code = f"{self.function.__module__}.{self.function.__qualname__}"
        return hashlib.sha256(
            f"{self.name}\0{code}\0{json.dumps(self.signature.openapi)}".encode()
        ).hexdigest()

    def call(self, job: Job, given: dict[str, Any], emit: Emit) -> Any:
        """Run the function on this thread; items of a generator go to `emit`, and None is returned."""
        capture()
        token = current.set(job)
        try:
            result: Any = self.function(**given)
            if inspect.iscoroutine(result):
                return _run(job, result)
            if not self.signature.iterates:
                return result
            if isinstance(result, AsyncIterable):
                return _run(job, _pass_on_async(result, emit))  # pyright: ignore[reportUnknownArgumentType] - any items
            return _pass_on(result, emit)
        finally:
            current.reset(token)
            job.flush()


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """Something that can be run."""

    id: str
    created: float
    definition: Definition
    # Inputs that a training has set.
    defaults: dict[str, Any] = field(default_factory=dict[str, Any])
    # Whose training this version comes from, if from one.
    base: str | None = None

    def describe(self) -> dict[str, Any]:
        """Give the API's object."""
        schema = self.definition.signature.openapi
        return {
            "id": self.id,
            "created_at": text(self.created),
            "cog_version": COG_VERSION,
            "openapi_schema": schema,
        }


@dataclass(kw_only=True, slots=True)
class Model:
    """A model, registered as a function or created through the API."""

    owner: str
    name: str
    created: float
    description: str | None = None
    visibility: str = "public"
    hardware: str = "cpu"
    links: dict[str, str | None] = field(default_factory=dict[str, str | None])
    readme: str | None = None
    run_count: int = 0
    # As the API has them, for who asks.
    examples: list[Callable[[], dict[str, Any]]] = field(
        default_factory=list[Callable[[], dict[str, Any]]]
    )
    versions: list[Version] = field(default_factory=list[Version])

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    def describe(self, origin: str) -> dict[str, Any]:
        """Give the API's object."""
        return {
            "url": f"{origin}/#{self.full_name}",
            "owner": self.owner,
            "name": self.name,
            "description": self.description,
            "visibility": self.visibility,
            "run_count": self.run_count,
            "github_url": None,
            "paper_url": None,
            "license_url": None,
            "cover_image_url": None,
            **self.links,
            "is_official": False,
            "default_example": self.examples[0]() if self.examples else None,
            "latest_version": self.versions[-1].describe() if self.versions else None,
            "created_at": text(self.created),
        }


def parts(name: str) -> tuple[str, str]:
    """Split `owner/name`. Raises `ValueError` for anything else."""
    owner, _, short = name.partition("/")
    if not (_NAME.match(owner) and _NAME.match(short)):
        raise ValueError(
            f"a model's name is 'owner/name', of letters, digits, '.', '_' and '-'; not {name!r}"
        )
    return owner, short


def _pass_on(items: Iterable[Any], emit: Emit) -> None:
    try:
        for item in items:
            check_cancelled()
            emit(item)
    finally:
        # What a generator has opened is closed now, not when it happens to be collected.
        if inspect.isgenerator(items):
            items.close()


async def _pass_on_async(items: AsyncIterable[Any], emit: Emit) -> None:
    try:
        async for item in items:
            check_cancelled()
            emit(item)
    finally:
        if inspect.isasyncgen(items):
            await items.aclose()


def _run(job: Job, coroutine: Coroutine[Any, Any, Any]) -> Any:
    async def main() -> Any:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def stop() -> None:
            # The model may have ended in the meantime, and its loop with it.
            if task is not None and not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)

        job.on_cancel(stop)
        return await coroutine

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise Cancelled from None


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
