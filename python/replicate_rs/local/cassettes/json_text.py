"""JSON text that is written as a value if the same bytes can be made of it again."""

from __future__ import annotations

import json
import re
from itertools import product
from typing import Any

# An event of a stream, which is easier to read on one line. No string has a line end as such.
_EVENT = re.compile(r'\[\n +([0-9.]+),\n +("(?:[^"\\]|\\.)*")\n +\]')
_SURROGATE = re.compile("[\ud800-\udfff]")
# The ways in which JSON is commonly written: the space after separators, the characters beyond
# ASCII, the end of the text. The first is not named in files.
_SEPARATORS = {"compact": (",", ":"), "spaced": (", ", ": ")}
_CHARACTERS = {"unicode": False, "ascii": True}
_ENDS = {"plain": "", "newline": "\n"}
_STYLES = tuple(" ".join(names) for names in product(_SEPARATORS, _CHARACTERS, _ENDS))
DEFAULT_STYLE = _STYLES[0]


def parse(content: bytes) -> Any:
    """Return the value of JSON text. Raises `ValueError`."""
    try:
        # Of bytes, `json` would read other encodings than UTF-8 too.
        return json.loads(content.decode())
    except RecursionError:
        raise ValueError("the JSON text is nested too deeply") from None


def find_style(content: bytes, value: Any) -> str | None:
    """Return the style in which the value is written as these bytes; None: in none."""
    for style in _STYLES:
        try:
            if write(value, style) == content:
                return style
        except (ValueError, RecursionError):
            # The value has a character that this style cannot write.
            continue
    return None


def write(value: Any, style: str = DEFAULT_STYLE) -> bytes:
    """Return JSON text in a style. Raises `ValueError` for an unknown one."""
    if style not in _STYLES:
        raise ValueError(f"there is no style {style!r}")
    separators, characters, end = style.split(" ")
    text = json.dumps(
        value, separators=_SEPARATORS[separators], ensure_ascii=_CHARACTERS[characters]
    )
    return (text + _ENDS[end]).encode()


def to_file(value: Any) -> bytes:
    """Return a file's content: indented JSON, readable in every language."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    text = _EVENT.sub(r"[\1, \2]", text)
    # UTF-8 cannot encode a lone surrogate, JSON can.
    return (_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n").encode()


def canonical(value: Any) -> str:
    """Return the same text for equal values, whatever the order of their keys."""
    return json.dumps(_normalize(value), sort_keys=True, separators=(",", ":"))


def _normalize(value: Any) -> Any:
    # JavaScript writes 1.0 as 1.
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {key: _normalize(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType] - of JSON
    if isinstance(value, list):
        return [_normalize(each) for each in value]  # pyright: ignore[reportUnknownVariableType] - of JSON
    return value
