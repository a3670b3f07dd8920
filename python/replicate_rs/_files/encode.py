"""What may be among a model's inputs, as JSON knows it; files are set aside for whoever sends them.

An object of a type that is not built in can exist only if the module of its type was imported, so
those are looked for among the imported modules, and nothing is imported for their sake.
"""

from __future__ import annotations

from sys import modules

from .._base.record import Record
from .._base.typing import TYPE_CHECKING, is_array, is_object
from .content import is_async, is_read_by_await, is_readable
from .output import FileOutput
from .sources import is_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

# Containers in containers: json, and Python before 3.12, count each level as a call, of which there
# are 1,000 at most.
DEEPEST = 500
# Python writes integers of 640 digits (2,126 bits) whatever `sys.set_int_max_str_digits` was given.
SURELY_WRITTEN = 1 << 2000
# Digits of a Decimal; 4,300 is what Python writes of an integer unless it is told otherwise.
MOST_DIGITS = 4300
# Characters of a path in a message.
LONGEST_PATH = 300


class Slot:
    """Stands where a file is until there is a text to put there."""

    __slots__ = ("file", "path", "text")

    def __init__(self, file: Any, path: str) -> None:
        self.file: Any = file
        self.path: str = path
        self.text: str | None = None


def plain(value: object, root: str = "input") -> tuple[Any, list[Slot]]:
    """Give a copy of `value` that JSON can carry, and the slots in it, one for each file.

    Args:
        value: What the caller gave; it is read and not changed.
        root: What its path begins with in messages.

    Raises:
        TypeError: Something in it has no JSON of its own; the message has its path and what would
            do.
        ValueError: Something in it is of the right type and still cannot be written: NaN, a cycle,
            half a character.

    """
    walk = _Walk(root)
    try:
        result = walk.copy(value, None)
    except RecursionError:
        # The caller's own calls are many already.
        raise ValueError(
            f"{root} is nested too deeply for the calls that Python has left"
        ) from None
    if walk.read_before is not None:
        raise ValueError(
            f"{walk.read_before} is a generator that was read before: pass a list of what it gives"
        )
    return result, list(walk.slots.values())


def fill(value: Any) -> Any:
    """Put the texts of slots in their place, inside what `plain` gave."""
    if isinstance(value, Slot):
        return value.text
    for key, each in _members_of(value):
        if isinstance(each, (dict, list, Slot)):
            value[key] = fill(each)
    return value


def _members_of(value: object) -> Iterable[tuple[Any, Any]]:
    return value.items() if is_object(value) else enumerate(value) if is_array(value) else ()


class _Refused(Exception):
    """What is wrong with a value, by one who does not know where it is."""

    def __init__(self, kind: type[TypeError | ValueError], why: str) -> None:
        self.kind = kind
        self.why = why


class _Walk:
    """The way through one input."""

    def __init__(self, root: str) -> None:
        self.root = root
        # The containers around the present value, by identity: where each is in the one before it,
        # or None for its other form.
        self.around: dict[int, object] = {}
        self.slots: dict[int, Slot] = {}
        # An iterator gives what it has only once, but may be in an input twice.
        self.spent: dict[int, tuple[object, object]] = {}
        # The path of a generator that has nothing more, since it was read before this walk.
        self.read_before: str | None = None

    def copy(self, value: Any, key: object) -> Any:
        """Recurs in this one method only: two calls for each level would halve how deep an input
        may be.
        """
        kind = type(value)  # pyright: ignore[reportUnknownVariableType] - this is where it becomes known
        if kind is str:
            return value if value.isascii() else self.checked(_text, value, key)
        if kind is float:
            return value if value - value == 0.0 else self.checked(_float, value, key)
        if kind is int:
            return (
                value
                if -SURELY_WRITTEN < value < SURELY_WRITTEN
                else self.checked(_int, value, key)
            )
        if value is None or kind is bool:
            return value
        self.enter(value, key)
        result: Any
        if kind is dict:
            result = {}
            for name, each in value.items():
                text = (
                    name
                    if type(name) is str and name.isascii()
                    else self.checked(_name, name, None)
                )
                if text in result:
                    raise ValueError(
                        f"{self.path(None)} has two keys that are {_shown(text)} in JSON"
                    )
                result[text] = self.copy(each, name)
        elif kind is list or kind is tuple:
            result = []
            for index, each in enumerate(value):
                result.append(self.copy(each, index))
        else:
            simpler = self.simpler(value)
            result = simpler if type(simpler) is Slot else self.copy(simpler, None)
        del self.around[id(value)]
        return result

    def enter(self, value: object, key: object) -> None:
        if id(value) in self.around:
            first = self.path(None, list(self.around).index(id(value)) + 1)
            raise ValueError(f"{self.path(key)} is {first} again: JSON cannot carry a cycle")
        if len(self.around) == DEEPEST:
            raise ValueError(f"{self.path(key)} is nested more than {DEEPEST} deep")
        self.around[id(value)] = key

    def simpler(self, value: object) -> Any:
        if id(value) in self.slots:
            return self.slots[id(value)]
        if id(value) in self.spent:
            return self.spent[id(value)][1]
        if (
            self.read_before is None
            and _is(value, "types", "GeneratorType")
            and getattr(value, "gi_frame", None) is None
        ):
            self.read_before = self.path(None)
        result = self.checked(_simpler, value, None)
        if result is _file:
            result = self.slots[id(value)] = Slot(value, self.path(None))
        elif _has(value, "__next__"):
            self.spent[id(value)] = value, result
        return result

    def checked(self, check: Any, value: object, key: object) -> Any:
        try:
            return check(value)
        except _Refused as refused:
            raise refused.kind(f"{self.path(key)} {refused.why}") from refused.__cause__

    def path(self, key: object, depth: int | None = None) -> str:
        """Write the path of what is at `key` of the innermost container, as Python would reach it;
        None for itself.
        """
        steps = [*list(self.around.values())[:depth], key]
        path = self.root + "".join(_step(each) for each in steps if each is not None)
        return (
            path
            if len(path) <= LONGEST_PATH
            else f"{path[: LONGEST_PATH // 2]}…{path[-LONGEST_PATH // 2 :]}"
        )


def _step(key: object) -> str:
    if isinstance(key, str):
        # What the base type says: an Enum shows its name.
        key = str.__str__(key)
        if key.isidentifier():
            return f".{key}"
    return f"[{_shown(key)}]"


def _shown(key: object) -> str:
    text = repr(key)
    return text if len(text) <= 100 else f"{text[:100]}…"


def _type_name(value: object) -> str:
    kind = type(value)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _is(value: object, module: str, name: str) -> bool:
    """Whether a value is of a type that may not have been imported."""
    return isinstance(value, getattr(modules.get(module), name, ()))


def _has(value: object, *names: str) -> bool:
    """Whether a value's type has all of these."""
    return all(getattr(type(value), name, None) is not None for name in names)


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])
        raise _Refused(
            ValueError, f"has the lone surrogate {half} at {error.start}, which UTF-8 cannot carry"
        ) from None
    return text


def _float(number: float) -> NoReturn:
    # Only NaN is not itself.
    shown = "NaN" if number != number else "infinite"
    raise _Refused(ValueError, f"is {shown}, which JSON cannot carry")


def _int(number: int) -> int:
    try:
        str(number)
    except ValueError as error:
        raise _Refused(ValueError, f"is an integer that Python does not write: {error}") from None
    return number


def _name(key: Any) -> str:
    """Give a key as JSON knows it; numbers other than integers have more than one spelling, and
    None and True have none.
    """
    if _is(key, "enum", "Enum"):
        key = key.value
    if not isinstance(key, str) and (isinstance(key, bool) or not _has(key, "__index__")):
        raise _Refused(
            TypeError,
            f"has the key {_shown(key)}, a {_type_name(key)}: keys must be text or integers",
        )
    try:
        return _text(str.__str__(key)) if isinstance(key, str) else str(_int(key.__index__()))
    except _Refused as refused:
        raise _Refused(refused.kind, f"has a key that {refused.why}") from None


def _simpler(value: Any) -> Any:
    """Give the next simpler form of what is none of JSON's own types; `_file` for what stands for
    its content.
    """
    for form in (
        _scalar,
        _numbers,
        _builtin,
        _elsewhere,
        _stands_for_content,
        _moment,
        _fields,
        _members,
    ):
        simpler = form(value)
        if simpler is not _no:
            return simpler
    return _last_resort(value)


# What a form answers to what it does not know, and to files; None is an input like any other.
_no = object()
_file = object()


def _scalar(value: Any) -> Any:
    # Before the types that an Enum may also be: its value is what its author chose, not what it
    # inherited.
    if _is(value, "enum", "Enum"):
        return value.value
    # What the base type says, as json would, whatever the subclass shows of itself.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, int):
        return int.__index__(value)
    if isinstance(value, type):
        raise _Refused(TypeError, f"is the class {value.__qualname__} and not an instance of it")
    return _no


def _numbers(value: Any) -> Any:
    """NumPy's scalars and arrays."""
    is_array = _is(value, "numpy", "ndarray")
    if not is_array and not _is(value, "numpy", "generic"):
        return _no
    kind = value.dtype.kind
    if kind == "m":
        raise _Refused(TypeError, "has the dtype timedelta64: pass numbers, such as its seconds")
    if kind in "cV":
        raise _Refused(
            TypeError,
            f"has the dtype {value.dtype}, which JSON cannot carry: pass lists of numbers or text",
        )
    if kind == "M":
        # `item` and `tolist` give bare integers where the unit is finer than `datetime` knows.
        texts = value.astype(str)
        simpler = texts.tolist()
        if "NaT" in texts.ravel():
            raise _Refused(ValueError, "has NaT (not a time), which JSON cannot carry")
        return simpler
    simpler = value.tolist()
    # What is wider than Python's float stays what it was.
    return float(value) if type(simpler) is type(value) else simpler


def _builtin(value: Any) -> Any:
    if is_object(value):
        return _object(value.items())
    if is_array(value):
        return list(value)
    if _is(value, "builtins", "set") or _is(value, "builtins", "frozenset"):
        # Text has another hash in each process, and the same input should be the same request.
        try:
            return sorted(value)
        except TypeError:
            return list(value)
    return _no


def _elsewhere(value: Any) -> Any:
    if isinstance(value, FileOutput):
        return value.url
    try:
        # The paths that Replicate's 2.0 gives, which fetch their file when they are asked for their
        # text.
        url = object.__getattribute__(value, "__url__")
    except AttributeError:
        return _no
    return url if isinstance(url, str) else _no


def _stands_for_content(value: Any) -> Any:
    try:
        if not is_file(value):
            return _no
    except Exception as error:
        raise _Refused(
            TypeError,
            f"is a {_type_name(value)} that cannot be used: {type(error).__name__}: {error}",
        ) from error
    if is_readable(value):
        # The output files of Replicate's own clients can be read, but are at a URL already. Other
        # files may have a URL too (Django's, a response's), but are not known to be public there.
        shown = str(value)
        if shown.startswith(("https:", "http:", "data:")) and getattr(value, "url", None) == shown:
            return shown
        if is_read_by_await(value) and not is_async(value):
            raise _Refused(
                TypeError,
                f"is a {_type_name(value)}, which is read by await: pass the bytes that it gives",
            )
        if getattr(value, "closed", False) is True:
            raise _Refused(ValueError, "is a closed file")
    return _file


def _moment(value: Any) -> Any:
    if _is(value, "datetime", "date") or _is(value, "datetime", "time"):
        # pandas' NaT is a datetime that is not itself.
        if value != value:
            raise _Refused(ValueError, "is NaT (not a time), which JSON cannot carry")
        return value.isoformat()
    if _is(value, "datetime", "timedelta"):
        raise _Refused(TypeError, "is a timedelta: pass a number, such as its total_seconds()")
    if _is(value, "uuid", "UUID"):
        return str(value)
    return _decimal(value) if _is(value, "decimal", "Decimal") else _no


def _decimal(value: Any) -> int | float:
    if not value.is_finite():
        raise _Refused(ValueError, f"is the Decimal {value}, which JSON cannot carry")
    # Before it is made an integer, which may take all memory.
    if value.adjusted() >= MOST_DIGITS:
        raise _Refused(ValueError, f"is a Decimal of more than {MOST_DIGITS} digits")
    is_whole = value == value.to_integral_value()
    number = float(value)
    if is_whole and (value.as_tuple().exponent >= 0 or number != value):
        return int(value)
    return number


def _fields(value: Any) -> Any:
    if isinstance(value, Record):
        return value.dict()
    if _has(value, "model_dump"):
        return _restored(_dumped(value, lambda: value.model_dump(mode="python")), value)
    if _has(value, "__fields__", "dict"):
        return _dumped(value, value.dict)
    if _has(value, "__dataclass_fields__"):
        fields: Any = modules["dataclasses"].fields(value)
    elif _has(value, "__attrs_attrs__"):
        fields = value.__attrs_attrs__
    else:
        return _no
    try:
        return {each.name: getattr(value, each.name) for each in fields}
    except AttributeError as error:
        raise _Refused(
            ValueError, f"is a {_type_name(value)} that is not complete: {error}"
        ) from None


def _dumped(value: object, dump: Any) -> Any:
    """Let a Pydantic model write itself, for it may have its own mind about names and values."""
    try:
        return dump()
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise _Refused(kind, f"is a {_type_name(value)} that cannot be dumped: {error}") from error


def _restored(dumped: Any, origin: Any) -> Any:
    """Give a dumped model with the open files and generators that it was made of; Pydantic 2 makes
    iterators of them.
    """
    if type(dumped).__name__ == "SerializationIterator":
        return origin
    if getattr(origin, "__pydantic_root_model__", False):
        origin = origin.root
    if is_object(dumped):
        return {key: _restored(each, _member(origin, key, each)) for key, each in dumped.items()}
    if is_array(dumped) and is_array(origin) and len(dumped) == len(origin):
        return [_restored(each, origin[index]) for index, each in enumerate(dumped)]
    return dumped


def _member(origin: object, key: Any, default: object) -> Any:
    return origin.get(key, default) if is_object(origin) else getattr(origin, str(key), default)


def _members(value: Any) -> Any:
    if _is(value, "collections", "UserString"):
        return value.data
    _refuse_lookalikes(value)
    # What `dict` takes for a mapping, whatever it iterates over.
    if _has(value, "keys", "__getitem__"):
        return _object((key, value[key]) for key in value.keys())  # noqa: SIM118
    return list(value) if _has(value, "__iter__") else _no


def _refuse_lookalikes(value: Any) -> None:
    """Refuse what Python can iterate over, or nearly, and what is no list."""
    name = _type_name(value)
    if any(_has(value, each) for each in ("__array__", "__array_interface__", "__dlpack__")):
        # A table iterates over its columns' names, and a tensor may be on another device.
        raise _Refused(
            TypeError, f"is a {name}: pass lists (such as its tolist()), or a file of it"
        )
    if type(value).__name__ == "SerializationIterator":
        raise _Refused(
            TypeError,
            "is what Pydantic made of an open file or a generator: pass that outside of the model",
        )
    if _has(value, "__await__"):
        raise _Refused(TypeError, f"is a {name}: await it, and pass what it gives")
    if (
        _has(value, "__iter__")
        and not _has(value, "keys")
        and isinstance(getattr(value, "url", None), str)
    ):
        # The answers of HTTP clients iterate over pieces of their content.
        raise _Refused(TypeError, f"is a {name}: pass its url, or its content as bytes")


def _object(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    given = list(pairs)
    result = dict(given)
    if len(result) != len(given):
        raise _Refused(ValueError, "has a key twice")
    return result


def _last_resort(value: Any) -> Any:
    if isinstance(url := getattr(value, "url", None), str):
        return url
    # URLs of pydantic, yarl and httpx are objects of their own.
    if type(value).__name__.lower().endswith("url") and "://" in str(value):
        return str(value)
    if _has(value, "get_secret_value"):
        raise _Refused(
            TypeError,
            f"is a {_type_name(value)}: pass its get_secret_value() if it is meant to be sent",
        )
    if _has(value, "open"):
        return _file
    raise _Refused(
        TypeError,
        f"is a {_type_name(value)}, which has no JSON of its own: pass text, a number, a bool,"
        " None, a list, a dict, or a file (a path, an open file, or bytes)",
    )
