"""Inputs of a function that contain runs and iterators."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING, is_array, is_object
from .output_iterator import BaseOutputIterator
from .run import BaseRun

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeGuard

    from .._base.resource import Resource


async def resolve_runs(client: Resource[Any], inputs: Mapping[str, object]) -> Mapping[str, object]:
    """Replace every run and iterator in the inputs, at any depth, by its output.

    Each is waited for once.
    """
    runs: dict[int, BaseRun[Any] | BaseOutputIterator[Any]] = {}
    containers: set[int] = set()
    queue: list[object] = [*inputs.values()]
    while queue:
        value = queue.pop()
        if _is_run(value):
            runs[id(value)] = value
        elif (is_object(value) or is_array(value)) and id(value) not in containers:
            containers.add(id(value))
            queue.extend(value.values() if is_object(value) else value)
    if not runs:
        # What JSON cannot carry raises where the inputs are encoded.
        return inputs
    # Each is waited for in this function's mode, whichever mode it was created in.
    known = {key: await each._wait_for_output(client._mode) for key, each in runs.items()}
    return {name: _substitute(value, known) for name, value in inputs.items()}


def _is_run(value: object) -> TypeGuard[BaseRun[Any] | BaseOutputIterator[Any]]:
    return isinstance(value, (BaseRun, BaseOutputIterator))


def _substitute(value: object, known: dict[int, Any]) -> Any:
    """Copy a value, with the objects in `known`, by identity, replaced.

    The copy of a container that contains itself contains itself, too.
    """
    if id(value) in known:
        return known[id(value)]
    if is_object(value):
        fields: dict[Any, Any] = {}
        known[id(value)] = fields
        fields.update((key, _substitute(each, known)) for key, each in value.items())
        return fields
    if is_array(value):
        items: list[Any] = []
        known[id(value)] = items
        items.extend(_substitute(each, known) for each in value)
        return items
    return value
