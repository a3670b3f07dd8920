"""Simpler forms of values that JSON does not have: NumPy arrays, models, dates, Enums, files.

The module of a type that is not built in is looked up among the imported modules, never imported.
"""

from __future__ import annotations

from sys import modules

from .._base.record import Record
from .._base.typing import TYPE_CHECKING, is_array, is_object
from .detect import is_async, is_file_like, is_read_by_await, is_readable
from .output import FileOutput

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

# Digits of a Decimal; by default Python writes integers of as many.
MAX_DIGITS = 4300
# Characters of a value in an error message.
MAX_SHOWN = 100
# What `simplify` returns for a file.
IS_FILE = object()
# What a converter returns for a value of another kind; None is an input like any other.
_NO_MATCH = object()


class Unsupported(Exception):
    """Why JSON cannot carry a value; whoever knows its path raises an error of class `kind`."""

    def __init__(self, kind: type[TypeError | ValueError], reason: str) -> None:
        self.kind = kind
        self.reason = reason


def simplify(value: Any) -> Any:
    """Return the next simpler form of a value of no JSON type; `IS_FILE` for a file."""
    for convert in (
        _convert_scalar,
        _convert_numpy,
        _convert_builtin,
        _convert_url_path,
        _convert_file,
        _convert_time,
        _convert_model,
        _convert_members,
    ):
        simpler = convert(value)
        if simpler is not _NO_MATCH:
            return simpler
    return _convert_by_name(value)


def shorten(value: object) -> str:
    """Return the `repr` of a value, cut for an error message."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def is_instance(value: object, module: str, name: str) -> bool:
    """Return whether a value is of a type from a module that may not have been imported."""
    return isinstance(value, getattr(modules.get(module), name, ()))


def has_attributes(value: object, *names: str) -> bool:
    """Return whether a value's type has all of these attributes."""
    return all(getattr(type(value), name, None) is not None for name in names)


def check_text(text: str) -> str:
    """Refuse text that UTF-8 cannot carry."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])
        raise Unsupported(
            ValueError, f"has the lone surrogate {half} at {error.start}, which UTF-8 cannot carry"
        ) from None
    return text


def check_float(number: float) -> NoReturn:
    """Refuse NaN and infinity."""
    shown = "NaN" if number != number else "infinite"
    raise Unsupported(ValueError, f"is {shown}, which JSON cannot carry")


def check_int(number: int) -> int:
    """Refuse an integer of more digits than Python converts."""
    try:
        str(number)
    except ValueError as error:
        raise Unsupported(
            ValueError, f"is an integer that Python does not write: {error}"
        ) from None
    return number


def get_key(key: Any) -> str:
    """Return a dict's key as text; only text and integers have a single spelling."""
    if is_instance(key, "enum", "Enum"):
        key = key.value
    if not isinstance(key, str) and (isinstance(key, bool) or not has_attributes(key, "__index__")):
        raise Unsupported(
            TypeError,
            f"has the key {shorten(key)}, a {_type_name(key)}: keys must be text or integers",
        )
    try:
        if isinstance(key, str):
            return check_text(str.__str__(key))
        return str(check_int(key.__index__()))
    except Unsupported as error:
        raise Unsupported(error.kind, f"has a key that {error.reason}") from None


def _type_name(value: object) -> str:
    kind = type(value)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _convert_scalar(value: Any) -> Any:
    # First, since an Enum may be a str or an int too; its value is what its author chose.
    if is_instance(value, "enum", "Enum"):
        return value.value
    # The base type's value, as json writes it, whatever the subclass overrides.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, int):
        return int.__index__(value)
    if isinstance(value, type):
        raise Unsupported(TypeError, f"is the class {value.__qualname__} and not an instance of it")
    return _NO_MATCH


def _convert_numpy(value: Any) -> Any:
    is_ndarray = is_instance(value, "numpy", "ndarray")
    if not is_ndarray and not is_instance(value, "numpy", "generic"):
        return _NO_MATCH
    kind = value.dtype.kind
    if kind == "m":
        raise Unsupported(TypeError, "has the dtype timedelta64: pass numbers, such as its seconds")
    if kind in "cV":
        raise Unsupported(
            TypeError,
            f"has the dtype {value.dtype}, which JSON cannot carry: pass lists of numbers or text",
        )
    if kind == "M":
        # `item` and `tolist` return bare integers where the unit is finer than datetime's.
        texts = value.astype(str)
        if "NaT" in texts.ravel():
            raise Unsupported(ValueError, "has NaT (not a time), which JSON cannot carry")
        return texts.tolist()
    simpler = value.tolist()
    # A long double is its own simpler form.
    return float(value) if type(simpler) is type(value) else simpler


def _convert_builtin(value: Any) -> Any:
    if is_object(value):
        return _to_dict(value.items())
    if is_array(value):
        return list(value)
    if is_instance(value, "builtins", "set") or is_instance(value, "builtins", "frozenset"):
        # Hashes differ between processes, and the same input should be the same request.
        try:
            return sorted(value)
        except TypeError:
            return list(value)
    return _NO_MATCH


def _convert_url_path(value: Any) -> Any:
    if isinstance(value, FileOutput):
        return value.url
    try:
        # The `URLPath` of replicate 2.0, which downloads its file when it is used as a path.
        url = object.__getattribute__(value, "__url__")
    except AttributeError:
        return _NO_MATCH
    return url if isinstance(url, str) else _NO_MATCH


def _convert_file(value: Any) -> Any:
    try:
        if not is_file_like(value):
            return _NO_MATCH
    except Exception as error:
        raise Unsupported(
            TypeError,
            f"is a {_type_name(value)} that cannot be used: {type(error).__name__}: {error}",
        ) from error
    if is_readable(value):
        # The output files of Replicate's own clients, whose str() is their URL. Other files with a
        # URL (Django's, HTTP responses) may not be public there.
        shown = str(value)
        if shown.startswith(("https:", "http:", "data:")) and getattr(value, "url", None) == shown:
            return shown
        if is_read_by_await(value) and not is_async(value):
            raise Unsupported(
                TypeError,
                f"is a {_type_name(value)}, which is read by await: pass the bytes that it gives",
            )
        if getattr(value, "closed", False) is True:
            raise Unsupported(ValueError, "is a closed file")
    return IS_FILE


def _convert_time(value: Any) -> Any:
    if is_instance(value, "datetime", "date") or is_instance(value, "datetime", "time"):
        # NaT of pandas is a datetime, and not equal to itself.
        if value != value:
            raise Unsupported(ValueError, "is NaT (not a time), which JSON cannot carry")
        return value.isoformat()
    if is_instance(value, "datetime", "timedelta"):
        raise Unsupported(TypeError, "is a timedelta: pass a number, such as its total_seconds()")
    if is_instance(value, "uuid", "UUID"):
        return str(value)
    return _convert_decimal(value) if is_instance(value, "decimal", "Decimal") else _NO_MATCH


def _convert_decimal(value: Any) -> int | float:
    if not value.is_finite():
        raise Unsupported(ValueError, f"is the Decimal {value}, which JSON cannot carry")
    # Before the conversion to an integer, which may take all memory.
    if value.adjusted() >= MAX_DIGITS:
        raise Unsupported(ValueError, f"is a Decimal of more than {MAX_DIGITS} digits")
    is_whole = value == value.to_integral_value()
    number = float(value)
    if is_whole and (value.as_tuple().exponent >= 0 or number != value):
        return int(value)
    return number


def _convert_model(value: Any) -> Any:
    """Convert records, Pydantic models, dataclasses and attrs classes to dicts."""
    if isinstance(value, Record):
        return value.dict()
    if has_attributes(value, "model_dump"):
        return _restore_files(_dump(value, lambda: value.model_dump(mode="python")), value)
    if has_attributes(value, "__fields__", "dict"):
        return _dump(value, value.dict)
    if has_attributes(value, "__dataclass_fields__"):
        fields: Any = modules["dataclasses"].fields(value)
    elif has_attributes(value, "__attrs_attrs__"):
        fields = value.__attrs_attrs__
    else:
        return _NO_MATCH
    try:
        return {each.name: getattr(value, each.name) for each in fields}
    except AttributeError as error:
        raise Unsupported(
            ValueError, f"is a {_type_name(value)} that is not complete: {error}"
        ) from None


def _dump(value: object, dump: Any) -> Any:
    """Dump a Pydantic model by its own method: it may have aliases and serializers."""
    try:
        return dump()
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise Unsupported(
            kind, f"is a {_type_name(value)} that cannot be dumped: {error}"
        ) from error


def _restore_files(dumped: Any, model: Any) -> Any:
    """Put back a model's open files and generators, of which Pydantic 2 makes iterators."""
    if type(dumped).__name__ == "SerializationIterator":
        return model
    if getattr(model, "__pydantic_root_model__", False):
        model = model.root
    if is_object(dumped):
        return {
            key: _restore_files(each, _get_member(model, key, each)) for key, each in dumped.items()
        }
    if is_array(dumped) and is_array(model) and len(dumped) == len(model):
        return [_restore_files(each, model[index]) for index, each in enumerate(dumped)]
    return dumped


def _get_member(model: object, key: Any, default: object) -> Any:
    return model.get(key, default) if is_object(model) else getattr(model, str(key), default)


def _convert_members(value: Any) -> Any:
    if is_instance(value, "collections", "UserString"):
        return value.data
    _refuse_non_lists(value)
    # The rule by which dict() tells a mapping from an iterable of pairs.
    if has_attributes(value, "keys", "__getitem__"):
        return _to_dict((key, value[key]) for key in value.keys())  # noqa: SIM118 - iterating may differ
    return list(value) if has_attributes(value, "__iter__") else _NO_MATCH


def _refuse_non_lists(value: Any) -> None:
    """Refuse values that can be iterated over or awaited, and are not lists."""
    name = _type_name(value)
    if any(
        has_attributes(value, each) for each in ("__array__", "__array_interface__", "__dlpack__")
    ):
        # A table iterates over its columns' names, and a tensor may be on another device.
        raise Unsupported(
            TypeError, f"is a {name}: pass lists (such as its tolist()), or a file of it"
        )
    if type(value).__name__ == "SerializationIterator":
        raise Unsupported(
            TypeError,
            "is what Pydantic made of an open file or a generator: pass that outside of the model",
        )
    if has_attributes(value, "__await__"):
        raise Unsupported(TypeError, f"is a {name}: await it, and pass what it gives")
    if (
        has_attributes(value, "__iter__")
        and not has_attributes(value, "keys")
        and isinstance(getattr(value, "url", None), str)
    ):
        # The response of an HTTP client iterates over its content.
        raise Unsupported(TypeError, f"is a {name}: pass its url, or its content as bytes")


def _to_dict(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    items = list(pairs)
    result = dict(items)
    if len(result) != len(items):
        raise Unsupported(ValueError, "has a key twice")
    return result


def _convert_by_name(value: Any) -> Any:
    """Convert a URL or a file by its attributes; refuse all else."""
    if isinstance(url := getattr(value, "url", None), str):
        return url
    # The URL classes of pydantic, yarl and httpx.
    if type(value).__name__.lower().endswith("url") and "://" in str(value):
        return str(value)
    if has_attributes(value, "get_secret_value"):
        raise Unsupported(
            TypeError,
            f"is a {_type_name(value)}: pass its get_secret_value() if it is meant to be sent",
        )
    if has_attributes(value, "open"):
        return IS_FILE
    raise Unsupported(
        TypeError,
        f"is a {_type_name(value)}, which has no JSON of its own: pass text, a number, a bool,"
        " None, a list, a dict, or a file (a path, an open file, or bytes)",
    )
