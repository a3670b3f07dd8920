"""Turn a model's input into values that JSON can carry, with a slot in place of each file."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING, is_array, is_object
from .convert import (
    IS_FILE,
    Unsupported,
    check_float,
    check_int,
    check_text,
    get_key,
    has_attributes,
    is_instance,
    shorten,
    simplify,
)
from .sources import FileSlot

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

# Levels of containers: `json`, and Python before 3.12, use a call for each, of which Python allows
# 1,000.
MAX_DEPTH = 500
# Python converts integers of 640 digits (2,126 bits) whatever `sys.set_int_max_str_digits` says.
MAX_UNCHECKED_INT = 1 << 2000
# Characters of a path in an error message.
MAX_PATH = 300


def to_plain(value: object, root: str = "input") -> tuple[Any, list[FileSlot]]:
    """Return a copy of `value` that JSON can carry, and the slots in it, one for each file.

    Args:
        value: The caller's value, which is not changed.
        root: The first part of a value's path in error messages.

    Raises:
        TypeError: JSON has no form for a value; the message has its path and what to pass instead.
        ValueError: A value of a supported type cannot be written: NaN, a cycle, a lone surrogate.

    """
    encoder = _Encoder(root)
    try:
        result = encoder.encode(value, None)
    except RecursionError:
        # The caller itself is deep in calls.
        raise ValueError(
            f"{root} is nested too deeply for the calls that Python has left"
        ) from None
    if encoder.spent_generator is not None:
        raise ValueError(
            f"{encoder.spent_generator} is a generator that was read before: pass a list of what"
            " it gives"
        )
    return result, list(encoder.slots.values())


def fill_slots(value: Any) -> Any:
    """Replace the slots in a result of `to_plain` by their texts."""
    if isinstance(value, FileSlot):
        return value.text
    for key, each in _get_items(value):
        if isinstance(each, (dict, list, FileSlot)):
            value[key] = fill_slots(each)
    return value


def _get_items(value: object) -> Iterable[tuple[Any, Any]]:
    return value.items() if is_object(value) else enumerate(value) if is_array(value) else ()


class _Encoder:
    """Encodes one input."""

    def __init__(self, root: str) -> None:
        self.root = root
        # The values around the current one, by identity: the key of each in the one before it, or
        # None for a simpler form of that.
        self.parents: dict[int, object] = {}
        self.slots: dict[int, FileSlot] = {}
        # Iterators, which can be read once, and what they returned: they may be in an input twice.
        self.iterators: dict[int, tuple[object, object]] = {}
        # The path of a generator that was exhausted before.
        self.spent_generator: str | None = None

    def encode(self, value: Any, key: object) -> Any:
        """Return a copy of a value; one call per level, since Python limits their number."""
        kind = type(value)  # pyright: ignore[reportUnknownVariableType] - this is where it becomes known
        if kind is str:
            return value if value.isascii() else self.apply(check_text, value, key)
        if kind is float:
            return value if value - value == 0.0 else self.apply(check_float, value, key)
        if kind is int:
            is_short = -MAX_UNCHECKED_INT < value < MAX_UNCHECKED_INT
            return value if is_short else self.apply(check_int, value, key)
        if value is None or kind is bool:
            return value
        self.enter(value, key)
        result: Any
        if kind is dict:
            result = {}
            for name, each in value.items():
                is_ascii = type(name) is str and name.isascii()
                text = name if is_ascii else self.apply(get_key, name, None)
                if text in result:
                    raise ValueError(
                        f"{self.path(None)} has two keys that are {shorten(text)} in JSON"
                    )
                result[text] = self.encode(each, name)
        elif kind is list or kind is tuple:
            result = []
            for index, each in enumerate(value):
                result.append(self.encode(each, index))
        else:
            simpler = self.simplify(value)
            result = simpler if type(simpler) is FileSlot else self.encode(simpler, None)
        del self.parents[id(value)]
        return result

    def enter(self, value: object, key: object) -> None:
        if id(value) in self.parents:
            first = self.path(None, list(self.parents).index(id(value)) + 1)
            raise ValueError(f"{self.path(key)} is {first} again: JSON cannot carry a cycle")
        if len(self.parents) == MAX_DEPTH:
            raise ValueError(f"{self.path(key)} is nested more than {MAX_DEPTH} deep")
        self.parents[id(value)] = key

    def simplify(self, value: object) -> Any:
        if id(value) in self.slots:
            return self.slots[id(value)]
        if id(value) in self.iterators:
            return self.iterators[id(value)][1]
        if (
            self.spent_generator is None
            and is_instance(value, "types", "GeneratorType")
            and getattr(value, "gi_frame", None) is None
        ):
            self.spent_generator = self.path(None)
        result = self.apply(simplify, value, None)
        if result is IS_FILE:
            result = self.slots[id(value)] = FileSlot(value, self.path(None))
        elif has_attributes(value, "__next__"):
            self.iterators[id(value)] = value, result
        return result

    def apply(self, function: Any, value: object, key: object) -> Any:
        """Call a function with a value; its error gets the value's path."""
        try:
            return function(value)
        except Unsupported as error:
            raise error.kind(f"{self.path(key)} {error.reason}") from error.__cause__

    def path(self, key: object, depth: int | None = None) -> str:
        """Return the path of `key` in the innermost container, as Python code; None for itself."""
        keys = [*list(self.parents.values())[:depth], key]
        path = self.root + "".join(_step(each) for each in keys if each is not None)
        if len(path) <= MAX_PATH:
            return path
        return f"{path[: MAX_PATH // 2]}…{path[-MAX_PATH // 2 :]}"


def _step(key: object) -> str:
    if isinstance(key, str):
        # An Enum that is a str has another str() and repr().
        key = str.__str__(key)
        if key.isidentifier():
            return f".{key}"
    return f"[{shorten(key)}]"
