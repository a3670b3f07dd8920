"""Forms, fields of text and files in one body: `multipart/form-data` (RFC 7578)."""

from __future__ import annotations

from .._base.checks import encodable
from .._base.encoding import to_json
from .._base.typing import TYPE_CHECKING, is_array, is_object
from .._core import Part, Upload
from .sources import FileSlot, FileSource

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeAlias

    from .._base.resource import Resource

    # A name and a media type replace those of the file.
    FormFile: TypeAlias = tuple[str | None, FileSlot, str | None]

# Bytes of a file's name in UTF-8 (https://replicate.com/docs/reference/http#files.create).
MAX_NAME = 255


def encode_form(fields: Iterable[tuple[str, str | FileSource]]) -> tuple[Upload, str]:
    """Return a form's body and its media type.

    Raises:
        ValueError: A form cannot carry a name or a media type.

    """
    from os import urandom

    boundary = f"replicate-rs-{urandom(16).hex()}"
    parts: list[bytes | Part] = []
    for name, value in fields:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_escape(name)}"'
        if isinstance(value, str):
            text = encodable(f"the form's field {name!r}", value)
            parts.append(f"{head}\r\n\r\n{text}\r\n".encode("utf-8", "surrogateescape"))
        else:
            check_file(value)
            head += (
                f'; filename="{_escape(value.name)}"\r\nContent-Type: {value.content_type}\r\n\r\n'
            )
            parts += [head.encode("utf-8", "surrogateescape"), value.part, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return Upload(parts), f"multipart/form-data; boundary={boundary}"


def check_file(file: FileSource) -> None:
    """Raise `ValueError` if a form cannot carry a file's name or media type."""
    name = file.name
    if any(each in file.content_type for each in "\r\n\0"):
        raise ValueError(f"content_type must not hold a line break: {file.content_type!r}")
    if not name or any(each in name for each in "/\0"):
        raise ValueError(f"a file's name must not be empty, or hold a slash or NUL: {name!r}")
    if len(name.encode("utf-8", "surrogateescape")) > MAX_NAME:
        raise ValueError(f"a file's name must not be longer than {MAX_NAME} bytes: {name!r}")


def _escape(name: str) -> str:
    """Escape a name as the HTML standard says ("multipart form data", §4.10.21.8)."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


async def encode_data_as_form(
    client: Resource[Any], data: object, content_type: str | None
) -> tuple[Upload, str]:
    """Return the result of `encode.to_plain`, a dict or pairs, as a form's body and media type.

    Raises:
        FileError: A file cannot be read.
        TypeError: A file is within the value of a field, or the caller's media type is another one.

    """
    if content_type is not None and (
        content_type.partition(";")[0].strip().lower() != "multipart/form-data"
    ):
        raise TypeError(
            f"data with files is sent as multipart/form-data, not as {content_type!r}: leave out"
            " the header Content-Type"
        )
    fields: list[tuple[str, str | FileSource]] = []
    for name, value in _get_fields(data):
        if files := _get_files(value):
            fields += [(name, await _get_source(client, *file)) for file in files]
        else:
            for slot in _find_slots(value):
                raise _misplaced_error(slot)
            fields.append((name, value if isinstance(value, str) else to_json(value).decode()))
    return encode_form(fields)


def _get_fields(data: Any) -> list[tuple[str, Any]]:
    if is_object(data):
        return [*data.items()]
    if is_array(data) and all(
        is_array(each) and len(each) == 2 and isinstance(each[0], str) for each in data
    ):
        return [(name, value) for name, value in data]
    raise _misplaced_error(next(iter(_find_slots(data))))


def _get_files(value: Any) -> list[FormFile]:
    """Return the files of a field: one, or a list of them; none if the value is anything else."""
    if (file := _get_file(value)) is not None:
        return [file]
    files = [_get_file(each) for each in value] if is_array(value) else []
    known = [file for file in files if file is not None]
    return known if len(known) == len(files) else []


def _get_file(value: Any) -> FormFile | None:
    """Return a file, or one in a tuple of a name, the file and optionally a media type."""
    if isinstance(value, FileSlot):
        return None, value, None
    if not is_array(value) or not 2 <= len(value) <= 3:
        return None
    name, file, content_type = value[0], value[1], value[2] if len(value) == 3 else None
    is_text = isinstance(name, (str, type(None))) and isinstance(content_type, (str, type(None)))
    return (name, file, content_type) if is_text and isinstance(file, FileSlot) else None


async def _get_source(
    client: Resource[Any], name: str | None, slot: FileSlot, content_type: str | None
) -> FileSource:
    try:
        source = await FileSource.of(client._transport, slot.file)
    except TypeError as error:
        raise TypeError(f"{slot.path}: {error}") from error
    return source.renamed(name, content_type)


def _find_slots(value: Any) -> Iterable[FileSlot]:
    """Return the files at any depth of a value."""
    if isinstance(value, FileSlot):
        return [value]
    members: Iterable[Any] = (
        value.values() if is_object(value) else value if is_array(value) else ()
    )
    return [slot for each in members for slot in _find_slots(each)]


def _misplaced_error(slot: FileSlot) -> TypeError:
    return TypeError(
        f"{slot.path} is a file: upload it with files.create, and pass the URL that it got. "
        "The files of a form are values of the dict that is its data"
    )
