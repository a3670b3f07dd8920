"""Values in messages: errors for wrong arguments, and shortened representations."""

from __future__ import annotations

from .typing import is_array, is_object

# Characters of a value that an error message shows.
MAX_SHOWN = 80
# Limits of a record's `repr`: characters of a string, items of a list or an object, nested levels,
# characters of a field.
MAX_STRING, MAX_ITEMS, MAX_DEPTH, MAX_FIELD = 200, 20, 8, 2000


def wrong_type(name: str, wanted: str, value: object) -> TypeError:
    """Return the error for an argument of the wrong type; its message does not show the value."""
    return TypeError(f"{name} must be {wanted}, not {type(value).__name__}")


def wrong_value(name: str, wanted: str, value: object) -> ValueError:
    """Return the error for an argument of the right type with a value that is not allowed."""
    return ValueError(f"{name} must be {wanted}, not {shown(value)}")


def shown(value: object) -> str:
    """Return a value as an error message shows it."""
    try:
        text = ascii(value)
    except ValueError:
        # Python converts integers of at most 4,300 digits to text.
        return "an integer with too many digits to show"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def shortened(value: object, depth: int = 0) -> str:
    """Return the `repr` of a JSON value with long strings, lists and objects cut."""
    if isinstance(value, (str, bytes)) and len(value) > MAX_STRING:
        unit = "characters" if isinstance(value, str) else "bytes"
        return f"{value[:MAX_STRING]!r}… ({len(value):,} {unit})"
    if not is_object(value) and not (is_array(value) and type(value) is list):
        return repr(value)
    if depth == MAX_DEPTH:
        return "…"
    items: list[str] = []
    if is_object(value):
        first = [*value.items()][:MAX_ITEMS]
        items = [f"{shortened(key)}: {shortened(item, depth + 1)}" for key, item in first]
    elif is_array(value):
        items = [shortened(item, depth + 1) for item in value[:MAX_ITEMS]]
    if len(value) > MAX_ITEMS:
        items.append(f"… ({len(value):,} in all)")
    text = ", ".join(items)
    text = text if len(text) <= MAX_FIELD else f"{text[:MAX_FIELD]}…"
    return f"{{{text}}}" if is_object(value) else f"[{text}]"
