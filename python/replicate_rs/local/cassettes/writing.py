"""Writes a cassette: a folder with a file for each exchange."""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from . import json_text
from .content import MAX_IN_MEMORY, Content
from .errors import CassetteError
from .exchange import Exchange, RecordedRequest, RecordedResponse, may_repeat
from .redaction import Headers

MANIFEST = "cassette.json"
FORMAT = "replicate_rs cassette"
VERSION = 1
# Names of files that belong to a cassette.
_OWN_FILE = re.compile(r"\.?[0-9]{4,}[-.].*", re.DOTALL)
_MAX_SLUG = 60
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


class CassetteWriter:
    """Replaces the cassette in a folder.

    Args:
        folder: The folder, which is created if it is missing.
        upstream: The API's URL without `/v1`.
        redact: The names of the fields that are removed.

    Raises:
        CassetteError: The folder cannot be written to, or its manifest is of something else.

    """

    def __init__(self, folder: Path, upstream: str, redact: Iterable[str]) -> None:
        self.folder = folder
        self._numbers = count(1)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "upstream": upstream,
            "redact": sorted(redact),
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _check_manifest(folder / MANIFEST)
            for path in sorted(folder.iterdir()):
                if _OWN_FILE.fullmatch(path.name) and path.is_file():
                    path.unlink()
            _write(folder / MANIFEST, json_text.to_file(manifest))
        except OSError as error:
            raise CassetteError(
                f"cannot record into {folder}: {error.strerror or error} ({error.filename})"
            ) from error

    def next_number(self) -> int:
        """Return the number of the next request."""
        return next(self._numbers)

    def spool_path(self, number: int, side: str) -> Path:
        """Return the path of a temporary file for a body."""
        return self.folder / f".{number:04}.{side}"

    def write(self, number: int, request: RecordedRequest, response: RecordedResponse) -> None:
        """Write an exchange. Raises `OSError`."""
        stem = f"{number:04}-{_slug(request)}"
        data: dict[str, Any] = {
            "request": {
                "method": request.method,
                "url": request.url,
                "headers": _headers_to_json(request.headers),
            },
            "response": {
                "status": response.status,
                "headers": _headers_to_json(response.headers),
            },
            "repeat": may_repeat(request, response),
        }
        if request.parts:
            data["request"]["form"] = [
                {"name": part.name}
                | ({} if part.filename is None else {"filename": part.filename})
                | ({} if part.media_type is None else {"type": part.media_type})
                | self._body(part.content, part.media_type, f"{stem}.request.{index}")
                for index, part in enumerate(request.parts, 1)
            ]
        elif request.body.size:
            data["request"]["body"] = self._body(
                request.body, request.header("content-type"), f"{stem}.request"
            )
        if response.events is not None:
            data["response"]["events"] = response.events
        elif response.body.size:
            media_type = next((v for k, v in response.headers if k == "content-type"), None)
            data["response"]["body"] = self._body(response.body, media_type, f"{stem}.response")
        if not response.is_complete:
            data["response"]["complete"] = False
        _write(self.folder / f"{stem}.json", json_text.to_file(data))

    def _body(self, content: Content, media_type: str | None, stem: str) -> dict[str, Any]:
        """Return the JSON object of a body; a binary one is written beside it."""
        if content.data is not None:
            body = _inline(content.data)
            if body is not None:
                return body
        kind = (media_type or "").partition(";")[0].strip().lower()
        # JSON beside would be taken for an exchange.
        end = mimetypes.guess_extension(kind) or ".bin"
        path = self.folder / f"{stem}{'.bin' if end == '.json' else end}"
        temporary = path.with_name(f".{path.name}")
        with temporary.open("wb") as file:
            for block in content.blocks():
                file.write(block)
        temporary.replace(path)
        return {"file": path.name, "size": content.size, "sha256": content.sha256()}


def _inline(data: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a body that is text; None for a binary one."""
    if data[:1] in (b"{", b"["):
        with suppress(ValueError):
            value = json_text.parse(data)
            style = json_text.find_style(data, value)
            if style == json_text.DEFAULT_STYLE:
                return {"json": value}
            if style is not None:
                return {"json": value, "style": style}
    if len(data) > MAX_IN_MEMORY:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else {"text": text}


def _check_manifest(path: Path) -> None:
    """Refuse a folder whose manifest is another program's."""
    if not path.exists():
        return
    try:
        manifest = json.loads(path.read_bytes())
        is_own = manifest["format"] == FORMAT
    except (ValueError, KeyError, TypeError):
        is_own = False
    if not is_own:
        raise CassetteError(
            f"{path} is not the manifest of a cassette: record into another folder, or delete it"
        )


def _headers_to_json(headers: Headers) -> dict[str, str | list[str]]:
    """Return the headers by name; a name that occurs more than once has a list."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    return {name: each[0] if len(each) == 1 else each for name, each in values.items()}


def _slug(request: RecordedRequest) -> str:
    """Return the part of a file's name that says what the request is."""
    parts = urlsplit(request.url)
    path = parts.path.removeprefix("/v1")
    words = re.sub(r"[^a-z0-9.]+", "-", unquote(f"{request.method}{path}").lower())
    return words[:_MAX_SLUG].strip("-.")


def _write(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


# Written by `CassetteWriter`, read by `reading`.
__all__ = ["FORMAT", "MANIFEST", "VERSION", "CassetteWriter", "Exchange"]
