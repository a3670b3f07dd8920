"""Encoding of requests: JSON bodies, queries, headers."""

from __future__ import annotations

from .._core import write_json
from .credentials import reveal
from .typing import TYPE_CHECKING, cast, is_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .types import Headers, Query


def to_json(value: object) -> bytes:
    """Encode a value as JSON in UTF-8."""
    global _encode
    encoded = write_json(value)
    if encoded is not None:
        return encoded
    if _encode is None:
        from json import JSONEncoder

        _encode = JSONEncoder(allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode
    return _encode(value).encode()


# Created when it is first needed.
_encode: Callable[[object], str] | None = None


def encode_query(query: Query) -> list[tuple[str, str]]:
    """Return the parameters of a query as text: None is left out, lists are joined by commas."""
    return [(name, _text(value)) for name, value in query.items() if value is not None]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_array(value):
        return ",".join(map(_text, value))
    to_iso_format = getattr(value, "isoformat", None)
    return str(value if to_iso_format is None else to_iso_format())


def header_pairs(headers: Headers | None) -> list[tuple[str, str]]:
    """Return headers, a mapping or pairs, as pairs."""
    headers = reveal(headers)
    items: Callable[[], Iterable[tuple[str, str]]] | None = getattr(headers, "items", None)
    return list(cast("Sequence[tuple[str, str]]", headers or ()) if items is None else items())


def merge_headers(
    headers: Sequence[tuple[str, str]], extra: Headers | None
) -> Sequence[tuple[str, str]]:
    """Return headers as pairs; `extra` replaces those of the same name."""
    if extra is None:
        return headers
    added = header_pairs(extra)
    names = {name.lower() for name, _ in added}
    return [*(pair for pair in headers if pair[0].lower() not in names), *added]


def drop_none(**values: object) -> dict[str, object]:
    """Return the keyword arguments that are not None."""
    return {name: value for name, value in values.items() if value is not None}
