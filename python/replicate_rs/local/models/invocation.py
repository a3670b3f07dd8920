"""Calling a model's function: plain or `async`, with or without `yield`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable
from typing import Any

from .call import Cancelled, ModelCall, check_cancelled, current_call
from .capture import capture_output
from .model import Definition

Emit = Callable[[Any], None]


def invoke(definition: Definition, call: ModelCall, inputs: dict[str, Any], emit: Emit) -> Any:
    """Call a model's function on the current thread, and return its result.

    If it returns an iterator, the items are passed to `emit`, and the result is None.
    """
    capture_output()
    token = current_call.set(call)
    try:
        result: Any = definition.function(**inputs)
        if inspect.iscoroutine(result):
            return _run(call, result)
        if not definition.signature.is_iterator:
            return result
        if isinstance(result, AsyncIterable):
            return _run(call, _emit_async(result, emit))  # pyright: ignore[reportUnknownArgumentType] - any items
        return _emit_all(result, emit)
    finally:
        current_call.reset(token)
        call.flush()


def _emit_all(items: Iterable[Any], emit: Emit) -> None:
    try:
        for item in items:
            check_cancelled()
            emit(item)
    finally:
        # Run the generator's `finally` blocks now, not when it is garbage collected.
        if inspect.isgenerator(items):
            items.close()


async def _emit_async(items: AsyncIterable[Any], emit: Emit) -> None:
    try:
        async for item in items:
            check_cancelled()
            emit(item)
    finally:
        if inspect.isasyncgen(items):
            await items.aclose()


def _run(call: ModelCall, coroutine: Coroutine[Any, Any, Any]) -> Any:
    async def main() -> Any:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def cancel() -> None:
            # The model may have ended in the meantime, and its loop with it.
            if task is not None and not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)

        call.on_cancel(cancel)
        return await coroutine

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise Cancelled from None
