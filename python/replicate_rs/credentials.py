"""What is secret: how it is kept, what a token may consist of, and how an error leaves this package without it."""

from __future__ import annotations

import os
import sys

from ._typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Any, NoReturn, TypeVar

    E = TypeVar("E", bound=BaseException)

PACKAGE = __name__.partition(".")[0]

# What takes the place of a token's characters when it is copied, and why.
CAUSES = {
    "\u2026": "an ellipsis (…): it was copied from where it is shown in part only",
    **dict.fromkeys(
        "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a",
        "a typographic quote: a word processor or a chat has put it in",
    ),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "a typographic dash: a word processor or a chat has put it in"),
    **dict.fromkeys("\u2022\u2023\u25cf\u25e6\u2219\u22c5\u00b7\u2217", "a bullet: it was copied from where it is masked"),
    **dict.fromkeys(
        "\u200b\u200c\u200d\u2060\u00ad\u200e\u200f", "an invisible character: it was copied from a web page or a document"
    ),
    **dict.fromkeys("\u00a0\u202f\u2007\u2009", "a space that is none of ASCII: it was copied from a web page or a document"),
    "\ufeff": "a byte order mark: it was read from a file that begins with one",
    "\ufffd": "a replacement character: it was decoded with the wrong encoding",
}


class Secret:
    """A value that is kept, and not shown: no repr, no copy of an object's attributes and no pickle has it."""

    __slots__ = ("get_secret_value",)

    def __init__(self, value: object) -> None:
        # In a function's cell, where tools that print the attributes of objects do not find it.
        self.get_secret_value: Callable[[], Any] = lambda: value

    def __repr__(self) -> str:
        return "[REDACTED]"

    def __eq__(self, other: object) -> bool:
        return self.get_secret_value() == other.get_secret_value() if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(Secret)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _known: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot pickle a secret")


def revealed(value: Any) -> Any:
    """Return what a `Secret` keeps; any other value as it is."""
    return value.get_secret_value() if isinstance(value, Secret) else value


def is_secret_text(value: object) -> bool:
    """Whether a value keeps text that it does not show, as `SecretStr` of pydantic does."""
    return callable(getattr(value, "get_secret_value", None))


def read_token(source: str, value: Any) -> str | None:
    """Return a token without the white space around it; None if there is none.

    Raises:
        TypeError: It is no text.
        ValueError: It holds what no token does. The message does not show it.

    """
    if is_secret_text(value):
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
        problem = _problem(value)
        del value
        raise ValueError(f"{source} holds {problem}")
    return value or None


def _problem(token: str) -> str:
    """Return what is wrong with a token's characters, in words that say where it comes from."""
    if any(character < " " or character == "\x7f" for character in token):
        return "a line break or another control character; remove it"
    cause = next((CAUSES[character] for character in token if character in CAUSES), "a character that is not printable ASCII")
    return f"{cause}. Copy the token once more"


def token_from_surroundings() -> str | None:
    """Return the API token where none was given: from the scope of a running cog model, else from the environment."""
    found = tokens_of_scope()
    if found and (token := read_token("the API token of cog's scope", found[0])):
        return token
    return read_token("the API token in REPLICATE_API_TOKEN", os.environ.get("REPLICATE_API_TOKEN"))


def tokens_of_scope() -> list[Any]:
    """Return the API tokens in the scope of a running cog model, as they are: none without a scope."""
    cog = sys.modules.get("cog")
    if cog is None:
        return []
    try:
        context: Mapping[str, Any] = cog.current_scope().context
        return [value for name, value in context.items() if name.upper() == "REPLICATE_API_TOKEN"]
    except Exception:  # noqa: BLE001 - any cog, of whatever version, without a scope
        return []


def without_frames(error: E) -> E:
    """Return an error without this package's frames, and without what it hides: their locals may hold secrets."""
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
