"""Forms: fields of text and files as one body, `multipart/form-data` (RFC 7578)."""

from __future__ import annotations

from .._base.checks import encodable
from .._base.typing import TYPE_CHECKING, defer_annotations
from .._core import Part, Upload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .sources import Source

# Bytes of a file's name in UTF-8 (https://replicate.com/docs/reference/http#files.create).
LONGEST_NAME = 255


def multipart(fields: Iterable[tuple[str, str | Source]]) -> tuple[Upload, str]:
    """Return a form's body and its media type.

    Raises:
        ValueError: A name or a media type cannot stand in a form.

    """
    from os import urandom

    boundary = f"replicate-rs-{urandom(16).hex()}"
    parts: list[bytes | Part] = []
    for name, value in fields:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(name)}"'
        if isinstance(value, str):
            text = encodable(f"the form's field {name!r}", value)
            parts.append(f"{head}\r\n\r\n{text}\r\n".encode("utf-8", "surrogateescape"))
        else:
            check(value)
            head += (
                f'; filename="{_escaped(value.name)}"\r\nContent-Type: {value.content_type}\r\n\r\n'
            )
            parts += [head.encode("utf-8", "surrogateescape"), value.part, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return Upload(parts), f"multipart/form-data; boundary={boundary}"


def check(file: Source) -> None:
    """Refuse a file whose name or media type cannot stand in a form. Raises `ValueError`."""
    name = file.name
    if any(each in file.content_type for each in "\r\n\0"):
        raise ValueError(f"content_type must not hold a line break: {file.content_type!r}")
    if not name or any(each in name for each in "/\0"):
        raise ValueError(f"a file's name must not be empty, or hold a slash or NUL: {name!r}")
    if len(name.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
        raise ValueError(f"a file's name must not be longer than {LONGEST_NAME} bytes: {name!r}")


def _escaped(name: str) -> str:
    """Escape a name as the HTML standard says ("multipart form data", §4.10.21.8)."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


defer_annotations(globals())
