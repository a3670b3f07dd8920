"""Secrets: how they are stored, how tokens are read, and how they are kept out of errors."""

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
    """A value that neither a repr, nor a dump of an object's attributes, nor a pickle shows."""

    __slots__ = ("get_secret_value",)

    def __init__(self, value: object) -> None:
        # Stored in a closure: tools that print the attributes of objects do not look there.
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
    """Return the value in a `Secret`, or any other value unchanged."""
    return value.get_secret_value() if isinstance(value, Secret) else value


def is_secret_str(value: object) -> bool:
    """Return whether a value is a `SecretStr` of pydantic, or has its method."""
    return callable(getattr(value, "get_secret_value", None))


def read_token(source: str, value: Any) -> str | None:
    """Return a token without surrounding white space, or None if it is blank.

    Args:
        source: What the error messages call the token.
        value: A str, a `SecretStr`, or None.

    Raises:
        TypeError: The token is not text.
        ValueError: The token has characters that no token has. The message does not show it.

    """
    if is_secret_str(value):
        value = value.get_secret_value()
    if value is None:
        return None
    if not isinstance(value, str):
        kind = type(value).__name__
        # Error reports show local variables.
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
    """Return the API token of a running cog model's scope, else that of the environment."""
    tokens = get_cog_tokens()
    if tokens and (token := read_token("the API token of cog's scope", tokens[0])):
        return token
    return read_token("the API token in REPLICATE_API_TOKEN", os.environ.get("REPLICATE_API_TOKEN"))


def get_cog_tokens() -> list[Any]:
    """Return the API tokens in the scope of a running cog model, unchecked; usually one or none."""
    cog = sys.modules.get("cog")
    if cog is None:
        return []
    try:
        context: Mapping[str, Any] = cog.current_scope().context
        return [value for name, value in context.items() if name.upper() == "REPLICATE_API_TOKEN"]
    except Exception:  # noqa: BLE001 - any cog, of whatever version, without a scope
        return []


def strip_frames(error: E) -> E:
    """Remove this package's frames and suppressed contexts from an error, and return it.

    The local variables of these frames may hold secrets, and error reports show them.
    """
    seen: set[int] = set()
    errors: list[BaseException] = [error]
    while errors:
        each = errors.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = _strip_traceback(each.__traceback__)
        if each.__suppress_context__:
            each.__context__ = None
        errors += [other for other in (each.__cause__, each.__context__) if other is not None]
    return error


def _strip_traceback(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without its entries for this package."""
    entries: list[TracebackType] = []
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0] != PACKAGE:
            entries.append(trace)
        trace = trace.tb_next
    for entry, following in zip(entries, [*entries[1:], None], strict=False):
        entry.tb_next = following
    return entries[0] if entries else None


defer_annotations(globals())
