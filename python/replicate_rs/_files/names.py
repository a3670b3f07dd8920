"""What a file that a model made is called on this machine, and how a notebook shows it."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Bytes that a name may have on the file systems in use.
LONGEST = 255
# What Windows allows in no name; other systems allow it, but their users would have to quote it.
FORBIDDEN = '<>:"|?*\\/'
_REPLACED = str.maketrans(FORBIDDEN, "_" * len(FORBIDDEN))
# Media types whose ending `mimetypes` does not know before Python 3.13.
ENDINGS = {
    "image/webp": ".webp",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/mp4": ".m4a",
    "model/gltf-binary": ".glb",
}
# How a notebook shows what begins with one of these.
ELEMENTS = {
    "image/": '<img src="{}">',
    "audio/": '<audio controls src="{}"></audio>',
    "video/": '<video controls src="{}"></video>',
}


def name_of(url: str, disposition: str | None = None, content_type: str | None = None) -> str:
    """Give a name for a file: its host's, else the last part of its URL, else "output"; without a
    folder, never empty.
    """
    given = _given(disposition) if disposition else None
    if given is None and url[:5].lower() != "data:":
        given = (
            url.partition("#")[0]
            .partition("?")[0]
            .partition("://")[2]
            .partition("/")[2]
            .rpartition("/")[2]
        )
        if "%" in given:
            from urllib.parse import unquote

            given = unquote(given)
    name = safe(given or "")
    return name if "." in name else safe(name, _ending(content_type))


def _given(disposition: str) -> str | None:
    from email.message import Message

    header = Message()
    header["Content-Disposition"] = disposition
    return header.get_filename()


def _ending(content_type: str | None) -> str:
    from mimetypes import guess_extension

    kind = (content_type or "").partition(";")[0].strip().lower()
    # A host that knows nothing says this.
    if kind in ("", "application/octet-stream", "binary/octet-stream"):
        return ""
    return guess_extension(kind) or ENDINGS.get(kind, "")


def safe(name: str, ending: str = "") -> str:
    """Give a name that is one on every system: no path, nothing hidden, no control characters, not
    too long.
    """
    name = name.replace("\\", "/").rpartition("/")[2].translate(_REPLACED)
    if not name.isprintable():
        name = "".join(each for each in name if each.isprintable())
    # Windows drops these from the end of names.
    name = name.lstrip(".").strip(" .") or "output"
    stem, suffix = _cut(name)
    return _fitting(stem, suffix or ending)


def _cut(name: str) -> tuple[str, str]:
    """Give a name's stem, and its ending with the dot."""
    stem, dot, ending = name.rpartition(".")
    return (stem, dot + ending) if dot else (name, "")


def _fitting(stem: str, ending: str) -> str:
    """Give as much of both as a name may have, in bytes of UTF-8."""
    if 4 * (len(stem) + len(ending)) <= LONGEST:
        return stem + ending
    ending = ending.encode()[: LONGEST - 1].decode(errors="ignore")
    return stem.encode()[: LONGEST - len(ending.encode())].decode(errors="ignore") + ending


def apart(names: Iterable[str]) -> list[str]:
    """Tell equal names apart by numbers; names that differ in case only are equal on some systems."""
    taken: set[str] = set()
    # Where the search for each name's next number begins: many may be equal.
    numbers: dict[str, int] = {}
    result: list[str] = []
    for name in names:
        stem, ending = _cut(name)
        number, new = numbers.get(name, 1), name
        while new.casefold() in taken:
            number += 1
            new = _fitting(stem, f"-{number}{ending}")
        numbers[name] = number
        taken.add(new.casefold())
        result.append(new)
    return result


def html_of(url: str, content_type: str | None) -> str | None:
    """Give the element that shows a file, or None if it is nothing to be shown."""
    from html import escape

    for kind, element in ELEMENTS.items():
        if (content_type or "").lower().startswith(kind):
            return element.format(escape(url))
    return None


def new_place(name: str) -> Path:
    """Give a path for a copy: a folder that only this user can read, and that goes when this
    process ends.
    """
    from pathlib import Path
    from tempfile import mkdtemp

    return Path(mkdtemp(dir=_folder())) / name


def _folder() -> str:
    from os import getpid
    from tempfile import mkdtemp

    global _own
    # A forked child has one of its own: what the parent's copies are in is not its to remove.
    if _own is None or _own[0] != getpid():
        from atexit import register

        _own = getpid(), mkdtemp(prefix="replicate-")
        register(_remove, *_own)
    return _own[1]


def _remove(owner: int, folder: str) -> None:
    from os import getpid
    from shutil import rmtree

    if getpid() == owner:
        rmtree(folder, ignore_errors=True)


_own: tuple[int, str] | None = None
