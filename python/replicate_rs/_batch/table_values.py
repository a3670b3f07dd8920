"""Values of table cells as inputs of a model: plain Python values, chosen types, and files.

Functions raise a `ValueError` or a `TypeError` with what is wrong with a value, without its place.
"""

from __future__ import annotations

from .._base.checks import shown
from .._base.typing import TYPE_CHECKING, is_array, is_object
from .._files.convert import IS_FILE, Unsupported, is_instance, simplify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any, TypeAlias

    Convert: TypeAlias = Callable[[Any], Any]

# Words for True and False in a text column.
BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
# Beginnings of text that the API takes as a file's URL.
URLS = ("http://", "https://", "data:")


def to_plain(value: object) -> Any:
    """Return a value without the types of a table's library; None for a missing one."""
    kind = type(value)
    if value is None or kind is str or kind is int or kind is bool or kind is bytes:
        return value
    if isinstance(value, float) and kind is float:
        return None if value != value else value
    if is_array(value):
        return [to_plain(each) for each in value]
    if is_object(value):
        return {key: to_plain(each) for key, each in value.items()}
    if _is_missing(value):
        return None
    try:
        simpler = simplify(value)
    except Unsupported as error:
        raise error.kind(error.reason) from error
    return value if simpler is IS_FILE else to_plain(simpler)


def _is_missing(value: Any) -> bool:
    """Return whether a value stands for none: NA and NaT of pandas, NaT of NumPy, a NaN."""
    if is_instance(value, "pandas._libs.missing", "NAType"):
        return True
    if is_instance(value, "numpy", "datetime64") or is_instance(value, "numpy", "timedelta64"):
        return str(value) == "NaT"
    # A comparison of arrays gives an array.
    return (value != value) is True


def to_text(value: Any) -> str:
    """Return text, or a whole number as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"must be text, not {_describe(value)}")


def to_int(value: Any) -> int:
    """Return a whole number, also of text and of a float without a fraction."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        # DataFrames write 4.0 where another row of the column has no value.
        digits, dot, zeros = value.strip().partition(".")
        unsigned = digits[1:] if digits[:1] in ("+", "-") else digits
        is_whole = not dot or (zeros != "" and not zeros.strip("0"))
        if is_whole and unsigned.isascii() and unsigned.isdigit():
            try:
                return int(digits)
            except ValueError as error:
                raise ValueError(f"must be a whole number: {error}") from None
    raise ValueError(f"must be a whole number, not {_describe(value)}")


def to_float(value: Any) -> float:
    """Return a number, also of text; no NaN and no infinity."""
    result: float | None = None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        result = value
    elif isinstance(value, str) and "_" not in value:
        try:
            result = float(value)
        except ValueError:
            result = None
    # Refuses NaN, too.
    if result is None or not abs(result) < float("inf"):
        raise ValueError(f"must be a number, not {_describe(value)}")
    return result


def to_bool(value: Any) -> bool:
    """Return a bool, also of the words for it and of 0 and 1."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, (str, int, float)) else ""
    word = {"1.0": "1", "0.0": "0"}.get(word, word)
    if word not in BOOLS:
        raise ValueError(f"must be true or false, yes or no, 1 or 0, not {_describe(value)}")
    return BOOLS[word]


def to_list(value: Any) -> list[Any]:
    """Return a list, also of text that is a JSON array."""
    value = _read_json(value, "a list")
    if not is_array(value):
        raise ValueError(f"must be a list, not {_describe(value)}")
    return value


def to_dict(value: Any) -> dict[str, Any]:
    """Return a dict, also of text that is a JSON object."""
    value = _read_json(value, "a dict")
    if not is_object(value):
        raise ValueError(f"must be a dict, not {_describe(value)}")
    return value


def _read_json(value: Any, wanted: str) -> Any:
    if not isinstance(value, str):
        return value
    from json import loads

    try:
        return loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"must be {wanted} as JSON: {error}") from None


def _describe(value: object) -> str:
    return f"the {type(value).__name__} {shown(value)}"


# The conversion to each type that `read_inputs` takes in `types`.
CONVERSIONS: dict[type, Convert] = {
    str: to_text,
    int: to_int,
    float: to_float,
    bool: to_bool,
    list: to_list,
    dict: to_dict,
}


def to_file(value: Any, folder: Path) -> Any:
    """Return a path for text that is one; URLs stay text, and bytes and files what they are."""
    if isinstance(value, str):
        return _to_path(value, folder)
    if is_array(value):
        return [to_file(each, folder) for each in value]
    # How the datasets library stores an image or a sound.
    if is_object(value) and value.keys() == {"bytes", "path"}:
        content: Any = value["bytes"]
        return to_file(value["path"], folder) if content is None else content
    if isinstance(value, bytes) or hasattr(value, "__fspath__") or hasattr(value, "read"):
        return value
    raise TypeError(f"must be a path, a URL or bytes, not {_describe(value)}")


def _to_path(text: str, folder: Path) -> Any:
    if text.lower().startswith(URLS):
        return text
    scheme, separator, _ = text.partition("://")
    if separator and scheme.isalnum():
        raise ValueError(
            f"must be a path, or a URL of http, https or data, not {shown(text)}: models cannot"
            f" fetch {scheme} URLs"
        )
    if not text or "\0" in text:
        raise ValueError(f"must be a path, not {shown(text)}")
    return folder / text
