"""A request's body with files in it, as a form."""

from __future__ import annotations

from .._base.encoding import to_json
from .._base.typing import TYPE_CHECKING, defer_annotations, is_array, is_object
from .encode import Slot
from .multipart import multipart
from .sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeAlias

    from .._base.resource import Resource
    from .._core import Upload

    # Its name if it has another one than its own, the file, and its media type if that is given.
    FormFile: TypeAlias = tuple[str | None, Slot, str | None]


async def as_form(client: Resource[Any], data: object, kind: str | None) -> tuple[Upload, str]:
    """Return a body with files as a form, and its media type.

    Args:
        client: Whose request it is.
        data: A dict, or pairs of names and values, as `input.plain` has returned it.
        kind: The media type that the caller has given.

    Raises:
        FileError: A file cannot be read.
        TypeError: A file is somewhere within a value, or the caller's media type is another one.

    """
    if kind is not None and kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise TypeError(
            f"data with files is sent as multipart/form-data, not as {kind!r}: leave out the header"
            " Content-Type"
        )
    fields: list[tuple[str, str | Source]] = []
    for name, value in _fields(data):
        if files := _files(value):
            fields += [(name, await _source(client, *file)) for file in files]
        else:
            for slot in _slots(value):
                raise _misplaced(slot)
            fields.append((name, value if isinstance(value, str) else to_json(value).decode()))
    return multipart(fields)


def _fields(data: Any) -> list[tuple[str, Any]]:
    if is_object(data):
        return [*data.items()]
    if is_array(data) and all(
        is_array(each) and len(each) == 2 and isinstance(each[0], str) for each in data
    ):
        return [(name, value) for name, value in data]
    raise _misplaced(next(iter(_slots(data))))


def _files(value: Any) -> list[FormFile]:
    """Return the file or files that a field has: one, one with a name and a type, or a list of
    these.
    """
    if (file := _file(value)) is not None:
        return [file]
    files = [_file(each) for each in value] if is_array(value) else []
    known = [file for file in files if file is not None]
    return known if len(known) == len(files) else []


def _file(value: Any) -> FormFile | None:
    if isinstance(value, Slot):
        return None, value, None
    if not is_array(value) or not 2 <= len(value) <= 3:
        return None
    name, file, kind = value[0], value[1], value[2] if len(value) == 3 else None
    is_named = isinstance(name, (str, type(None))) and isinstance(kind, (str, type(None)))
    return (name, file, kind) if is_named and isinstance(file, Slot) else None


async def _source(client: Resource[Any], name: str | None, slot: Slot, kind: str | None) -> Source:
    try:
        return (await Source.of(client._transport, slot.file)).named(name, kind)
    except TypeError as error:
        raise TypeError(f"{slot.path}: {error}") from error


def _slots(value: Any) -> Iterable[Slot]:
    """Return the files at any depth of a value."""
    if isinstance(value, Slot):
        return [value]
    members: Iterable[Any] = (
        value.values() if is_object(value) else value if is_array(value) else ()
    )
    return [slot for each in members for slot in _slots(each)]


def _misplaced(slot: Slot) -> TypeError:
    return TypeError(
        f"{slot.path} is a file: upload it with files.create, and pass the URL that it got. "
        "The files of a form are values of the dict that is its data"
    )


defer_annotations(globals())
