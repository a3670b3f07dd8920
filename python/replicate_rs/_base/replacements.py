"""Find what tests have put in place of a client's methods."""

from __future__ import annotations

from .resource import Namespace
from .session import Sync
from .typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .resource import Resource


def is_namespace(value: object) -> bool:
    """Return whether a value is a client's own namespace, not a test's replacement for it."""
    # `isinstance` would accept a proxy around a namespace, which claims its class.
    return issubclass(type(value), Namespace)


def get_replacement(client: Resource[Any], path: str, method: str) -> Callable[..., Any] | None:
    """Return what replaces a method of a client's namespace, or None if it is not replaced.

    Args:
        client: The client.
        path: The namespace, such as ``models.predictions``.
        method: The method's name, without ``async_``.

    """
    namespaces: Any = getattr(client, "_namespaces", None)
    for mode in (client._mode, Sync) if namespaces else ():
        name = method if mode is client._mode else f"async_{method}"
        first, *others = path.split(".")
        space: Any = namespaces.get((first, mode))
        if space is None:
            # The program has not used it.
            continue
        for attribute in others:
            space = (
                getattr(space, "_namespaces", {}).get((attribute, mode))
                if is_namespace(space)
                else getattr(space, attribute, None)
            )
        if not is_namespace(space):
            found: Any = getattr(space, name, None)
        elif getattr(found := space.__dict__.get(name), "__self__", None) is space:
            # The namespace's own method, which a test has put back or a tracer has wrapped with
            # wrapt: the tracer is to see a run as one call.
            continue
        if found is not None:
            return found  # type: ignore[no-any-return] # callable
    return None


defer_annotations(globals())
