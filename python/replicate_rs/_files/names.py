"""Names for output files on this machine, and temporary paths for copies of them."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Bytes of a name that all common file systems allow.
MAX_NAME = 255
# Characters that Windows does not allow in names, and shells need quoted.
FORBIDDEN = '<>:"|?*\\/'
_REPLACEMENTS = str.maketrans(FORBIDDEN, "_" * len(FORBIDDEN))
# Media types without an extension in `mimetypes` before Python 3.13.
EXTENSIONS = {
    "image/webp": ".webp",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/mp4": ".m4a",
    "model/gltf-binary": ".glb",
}


def get_file_name(url: str, disposition: str | None = None, content_type: str | None = None) -> str:
    """Return a safe name: that of ``Content-Disposition``, else the last part of the URL.

    A name without an extension gets that of the media type.
    """
    name = _get_disposition_name(disposition) if disposition else None
    if name is None and url[:5].lower() != "data:":
        path = url.partition("#")[0].partition("?")[0].partition("://")[2].partition("/")[2]
        name = path.rpartition("/")[2]
        if "%" in name:
            from urllib.parse import unquote

            name = unquote(name)
    name = to_safe_name(name or "")
    return name if "." in name else to_safe_name(name, _get_extension(content_type))


def _get_disposition_name(disposition: str) -> str | None:
    from email.message import Message

    header = Message()
    header["Content-Disposition"] = disposition
    return header.get_filename()


def _get_extension(content_type: str | None) -> str:
    from mimetypes import guess_extension

    kind = (content_type or "").partition(";")[0].strip().lower()
    # These are what hosts send for an unknown type.
    if kind in ("", "application/octet-stream", "binary/octet-stream"):
        return ""
    return guess_extension(kind) or EXTENSIONS.get(kind, "")


def to_safe_name(name: str, extension: str = "") -> str:
    """Return a name that every system allows: without a folder, visible, printable, not too long.

    `extension` is added to a name that has none.
    """
    name = name.replace("\\", "/").rpartition("/")[2].translate(_REPLACEMENTS)
    if not name.isprintable():
        name = "".join(each for each in name if each.isprintable())
    # Windows drops dots and spaces at the end of names.
    name = name.lstrip(".").strip(" .") or "output"
    stem, own_extension = _split_extension(name)
    return _shorten(stem, own_extension or extension)


def _split_extension(name: str) -> tuple[str, str]:
    """Return a name's stem, and its extension with the dot."""
    stem, dot, extension = name.rpartition(".")
    return (stem, dot + extension) if dot else (name, "")


def _shorten(stem: str, extension: str) -> str:
    """Return a name of at most `MAX_NAME` bytes in UTF-8; the stem is cut first."""
    if 4 * (len(stem) + len(extension)) <= MAX_NAME:
        return stem + extension
    extension = extension.encode()[: MAX_NAME - 1].decode(errors="ignore")
    return stem.encode()[: MAX_NAME - len(extension.encode())].decode(errors="ignore") + extension


def to_unique_names(names: Iterable[str]) -> list[str]:
    """Return names with numbers added to equal ones; some systems ignore the case of names."""
    taken: set[str] = set()
    # The last number used for each name, so that many equal names take linear time.
    numbers: dict[str, int] = {}
    result: list[str] = []
    for name in names:
        stem, extension = _split_extension(name)
        number, unique = numbers.get(name, 1), name
        while unique.casefold() in taken:
            number += 1
            unique = _shorten(stem, f"-{number}{extension}")
        numbers[name] = number
        taken.add(unique.casefold())
        result.append(unique)
    return result


def make_temporary_path(name: str) -> Path:
    """Create a folder that only this user can read, and return a path in it.

    The folder is removed when this process ends.
    """
    from pathlib import Path
    from tempfile import mkdtemp

    return Path(mkdtemp(dir=_get_temporary_folder())) / name


def _get_temporary_folder() -> str:
    from os import getpid
    from tempfile import mkdtemp

    global _temporary_folder
    # A forked process needs its own folder: its parent removes the other one.
    if _temporary_folder is None or _temporary_folder[0] != getpid():
        from atexit import register

        _temporary_folder = getpid(), mkdtemp(prefix="replicate-")
        register(_remove, *_temporary_folder)
    return _temporary_folder[1]


def _remove(owner: int, folder: str) -> None:
    from os import getpid
    from shutil import rmtree

    if getpid() == owner:
        rmtree(folder, ignore_errors=True)


# The process that made the folder, and the folder.
_temporary_folder: tuple[int, str] | None = None
