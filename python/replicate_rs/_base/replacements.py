"""What programs, tests most likely, have put in the place of a client's methods."""

from __future__ import annotations

from .operation import Namespace, Sync
from .typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .operation import Resource


def is_namespace(value: object) -> bool:
    """Whether a value is a group of operations that belong to a client, and nothing that a test has
    put in its place.
    """
    # By its type: a proxy around a namespace says that it is of that class.
    return issubclass(type(value), Namespace)


def get_replacement(client: Resource[Any], path: str, method: str) -> Callable[..., Any] | None:
    """Return what is in the place of a method of a client's namespace; None if that is its own."""
    spaces: Any = getattr(client, "_namespaces", None)
    for mode in (client._mode, Sync) if spaces else ():
        name = method if mode is client._mode else f"async_{method}"
        first, *others = path.split(".")
        space: Any = spaces.get((first, mode))
        for part in others:
            space = (
                getattr(space, "_namespaces", {}).get((part, mode))
                if is_namespace(space)
                else getattr(space, part, None)
            )
        found: Any = space.__dict__.get(name) if is_namespace(space) else getattr(space, name, None)
        # Its own is what a test puts back when it ends, and what a tracer has wrapped with wrapt: a
        # run is one call to trace.
        if found is not None and not (
            is_namespace(space) and getattr(found, "__self__", None) is space
        ):
            answer: Callable[..., Any] = found
            return answer
    return None


defer_annotations(globals())
