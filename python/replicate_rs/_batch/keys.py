"""One input of many: its key, its JSON for the journal, and the value that is sent."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from json import dumps
from typing import TYPE_CHECKING

from .._base.typing import is_object
from .._core import write_json
from .._files.detect import is_async
from .._files.encode import fill_slots, to_plain
from .._files.sources import FileSlot, FileSource
from ..exceptions import FileError, file_error

if TYPE_CHECKING:
    from typing import Any

# Bytes of a key that is made from an input.
DIGEST_SIZE = 16
# Characters of a caller's key.
MAX_KEY = 500


def target_digest(target: str) -> bytes:
    """Return the part of a key that stands for what runs the input."""
    return blake2b(target.encode(), digest_size=DIGEST_SIZE).digest()


@dataclass(slots=True)
class Input:
    """One input, checked and with its key."""

    index: int
    """Its place among the inputs, from 0."""
    key: str
    digest: bytes | None
    """Tells inputs with the same key apart; None if the key is made from the input."""
    json: str
    """The input as the journal keeps it: files by name and content's digest."""
    value: dict[str, Any]
    """The input to send."""
    has_files: bool
    """Whether `value` contains files, which are uploaded before the input is sent."""


@dataclass(slots=True)
class BadInput:
    """An input that cannot be sent."""

    index: int
    key: str | None
    value: object
    error: Exception


def read_input(item: object, index: int, target: bytes) -> Input | BadInput:
    """Check an item of the caller's inputs, and return it with its key.

    Args:
        item: A dict, or a pair of a key and a dict.
        index: Its place among the inputs, which messages name.
        target: What runs the inputs. It is part of the keys that are made from inputs.

    """
    key: str | None = None
    value = item
    try:
        if isinstance(item, tuple) and len(item) == 2:  # pyright: ignore[reportUnknownArgumentType] - the caller's
            key, value = _check_key(item[0], index), item[1]  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType] - as above
        if not is_object(value):  # pyright: ignore[reportUnknownArgumentType] - as above
            kind = type(value).__name__  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType] - as above
            raise TypeError(
                f"inputs[{index}] must be a dict of a model's inputs, or a pair of a key and a"
                f" dict, not {kind}"
            )
        json = write_json(value, sort_keys=True)
        if json is not None:
            return _keyed(index, key, target, json, value, has_files=False)
        plain, slots = to_plain(value, f"inputs[{index}]")
        for slot in slots:
            slot.text = _describe(slot)
        # `to_plain` may have read iterators of the caller, so its copy is what is sent.
        sent = _put_files(plain)
        described = dumps(
            fill_slots(plain), sort_keys=True, ensure_ascii=False, separators=(",", ":")
        ).encode()
        return _keyed(index, key, target, described, sent, has_files=bool(slots))
    except (TypeError, ValueError, OSError) as error:
        return BadInput(index, key, value, error)  # pyright: ignore[reportUnknownArgumentType] - as above


def _keyed(
    index: int, key: str | None, target: bytes, json: bytes, value: Any, *, has_files: bool
) -> Input:
    if key is None:
        key = blake2b(json, digest_size=DIGEST_SIZE, key=target).hexdigest()
        return Input(index, key, None, json.decode(), value, has_files)
    digest = blake2b(json, digest_size=DIGEST_SIZE).digest()
    return Input(index, key, digest, json.decode(), value, has_files)


def _check_key(key: object, index: int) -> str:
    if isinstance(key, int) and not isinstance(key, bool):
        key = str(key)
    if not isinstance(key, str):
        raise TypeError(f"the key of inputs[{index}] must be text, not {type(key).__name__}")
    if not key or len(key) > MAX_KEY:
        raise ValueError(f"the key of inputs[{index}] must have 1 to {MAX_KEY} characters")
    key.encode()
    return key


def _describe(slot: FileSlot) -> str:
    """Return a file's name and the digest of its content."""
    if is_async(slot.file):
        raise TypeError(f"{slot.path} is an async file: `map` takes bytes, paths and open files")
    try:
        source = FileSource.of_sync(slot.file)
        content = source.part.read_base64()
    except FileError as error:
        placed = file_error(f"{slot.path}: {error.detail}", error.errno, error.filename)
        raise placed from error.__cause__ or error
    except (TypeError, ValueError) as error:
        raise type(error)(f"{slot.path}: {error}") from error
    return f"{source.name}#{blake2b(content.encode(), digest_size=DIGEST_SIZE).hexdigest()}"


def _put_files(value: Any) -> Any:
    """Return a copy of a result of `to_plain` with the files themselves."""
    if isinstance(value, FileSlot):
        return value.file
    if isinstance(value, dict):
        return {name: _put_files(each) for name, each in value.items()}  # pyright: ignore[reportUnknownVariableType] - JSON
    if isinstance(value, list):
        return [_put_files(each) for each in value]  # pyright: ignore[reportUnknownVariableType] - JSON
    return value
