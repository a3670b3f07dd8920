"""What is secret: how it is kept, what a token may consist of, and how an error leaves this package
without it.
"""

from __future__ import annotations

import os
import sys

from .typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Any, NoReturn, TypeVar

    E = TypeVar("E", bound=BaseException)

PACKAGE = __name__.partition(".")[0]


class Secret:
    """A value that is kept, and not shown: no repr, no copy of an object's attributes and no pickle
    has it.
    """

    __slots__ = ("get_secret_value",)

    def __init__(self, value: object) -> None:
        # In a function's cell, where tools that print the attributes of objects do not find it.
        self.get_secret_value: Callable[[], Any] = lambda: value

    def __repr__(self) -> str:
        return "[REDACTED]"

    def __eq__(self, other: object) -> bool:
        return (
            self.get_secret_value() == other.get_secret_value()
            if isinstance(other, Secret)
            else NotImplemented
        )

    def __hash__(self) -> int:
        return hash(Secret)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _known: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot pickle a secret")


def reveal(value: Any) -> Any:
    """Return what a `Secret` keeps; any other value as it is."""
    return value.get_secret_value() if isinstance(value, Secret) else value


def is_secret_str(value: object) -> bool:
    """Whether a value keeps text that it does not show, as `SecretStr` of pydantic does."""
    return callable(getattr(value, "get_secret_value", None))


def read_token(source: str, value: Any) -> str | None:
    """Return a token without the white space around it; None if there is none.

    Raises:
        TypeError: It is no text.
        ValueError: It holds what no token does. The message does not show it.

    """
    if is_secret_str(value):
        value = value.get_secret_value()
    if value is None:
        return None
    if not isinstance(value, str):
        kind = type(value).__name__
        # Error reports show the locals of frames.
        del value
        raise TypeError(f"{source} must be a str, not {kind}")
    value = value.strip()
    if not (value.isascii() and value.isprintable()):
        from .token_text import describe_problem

        problem = describe_problem(value)
        del value
        raise ValueError(f"{source} holds {problem}")
    return value or None


def find_token() -> str | None:
    """Return the API token where none was given: from the scope of a running cog model, else from
    the environment.
    """
    found = get_cog_tokens()
    if found and (token := read_token("the API token of cog's scope", found[0])):
        return token
    return read_token("the API token in REPLICATE_API_TOKEN", os.environ.get("REPLICATE_API_TOKEN"))


def get_cog_tokens() -> list[Any]:
    """Return the API tokens in the scope of a running cog model, as they are: none without a scope."""
    cog = sys.modules.get("cog")
    if cog is None:
        return []
    try:
        context: Mapping[str, Any] = cog.current_scope().context
        return [value for name, value in context.items() if name.upper() == "REPLICATE_API_TOKEN"]
    except Exception:  # noqa: BLE001 - any cog, of whatever version, without a scope
        return []


def strip_frames(error: E) -> E:
    """Return an error without this package's frames, and without what it hides: their locals may
    hold secrets.
    """
    seen: set[int] = set()
    rest: list[BaseException] = [error]
    while rest:
        each = rest.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = _of_others(each.__traceback__)
        if each.__suppress_context__:
            each.__context__ = None
        rest += [other for other in (each.__cause__, each.__context__) if other is not None]
    return error


def _of_others(trace: TracebackType | None) -> TracebackType | None:
    """Return the entries of a traceback that are in other packages."""
    kept: list[TracebackType] = []
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0] != PACKAGE:
            kept.append(trace)
        trace = trace.tb_next
    for entry, following in zip(kept, [*kept[1:], None], strict=False):
        entry.tb_next = following
    return kept[0] if kept else None


defer_annotations(globals())
