"""Reads a cassette."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from ..._base.typing import is_array, is_object
from . import json_text
from .content import Content
from .errors import CassetteError, damaged
from .event_stream import Entry
from .exchange import Exchange, Part, RecordedRequest, RecordedResponse
from .redaction import Headers
from .writing import FORMAT, MANIFEST, VERSION

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cassette:
    """What a folder has: the exchanges in the order of their requests."""

    folder: Path
    upstream: str
    redact: list[str]
    exchanges: list[Exchange]


def read_cassette(folder: Path) -> Cassette:
    """Return the cassette in a folder.

    Raises:
        CassetteError: There is none, it is damaged, or a newer version wrote it.

    """
    if not folder.is_dir():
        raise CassetteError(f"there is no folder {folder}: record a cassette into it first")
    path = folder / MANIFEST
    if not path.exists():
        raise CassetteError(f"{folder} is not a cassette: it has no {MANIFEST}")
    manifest = _File(path, folder)
    if manifest.data.get("format") != FORMAT:
        manifest.fail(f"format must be {FORMAT!r}, not {manifest.data.get('format')!r}", "format")
    version = manifest.get(manifest.data, "version", int)
    if version > VERSION:
        manifest.fail(
            f"version {version} is newer than {VERSION}, the newest that this release reads:"
            " upgrade replicate-rs, or record again",
            "version",
        )
    if version < 1:
        manifest.fail(f"there is no version {version}", "version")
    redact = manifest.get_list(manifest.data, "redact")
    if not all(isinstance(each, str) for each in redact):
        manifest.fail("redact must be a list of names", "redact")
    exchanges = [
        _File(each, folder).exchange()
        for each in sorted(folder.glob("*.json"), key=_number)
        if each.name != MANIFEST and not each.name.startswith(".")
    ]
    return Cassette(folder, manifest.get(manifest.data, "upstream", str), redact, exchanges)


def _number(path: Path) -> tuple[int, str]:
    digits = path.name.partition("-")[0]
    return (int(digits) if digits.isascii() and digits.isdigit() else 0), path.name


class _File:
    """A file of a cassette, with errors that name its lines."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self._folder = folder
        try:
            self._text = path.read_bytes().decode()
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise CassetteError(f"{path}, line {line}: this is not UTF-8") from error
        except OSError as error:
            raise CassetteError(f"{path} cannot be read: {error.strerror or error}") from error
        try:
            data = json.loads(self._text)
        except json.JSONDecodeError as error:
            raise CassetteError(f"{path}, line {error.lineno}: {error.msg}") from error
        except RecursionError as error:
            raise CassetteError(f"{path}, line 1: this is nested too deeply") from error
        if not is_object(data):
            self.fail("this is not a JSON object")
        self.data: dict[str, Any] = data

    def fail(self, reason: str, key: str | None = None) -> NoReturn:
        """Raise a `CassetteError` for the line with a key."""
        raise damaged(self._path, self._text, reason, key)

    def get(self, data: dict[str, Any], key: str, type: type[T], default: T | None = None) -> T:
        """Return a value of an object. Without a default it has to be there."""
        value = data.get(key, default)
        if value is None and key not in data:
            self.fail(f"{key} is missing")
        if not isinstance(value, type) or (type is int and isinstance(value, bool)):
            self.fail(f"{key} must be {_WORDS[type]}, not {value!r:.60}", key)
        return value

    def get_object(self, data: dict[str, Any], key: str) -> dict[str, Any]:
        """Return an object in an object."""
        value = data.get(key)
        if key not in data:
            self.fail(f"{key} is missing")
        if not is_object(value):
            self.fail(f"{key} must be an object, not {value!r:.60}", key)
        return value

    def get_list(self, data: dict[str, Any], key: str) -> list[Any]:
        """Return a list in an object."""
        value = data.get(key)
        if key not in data:
            self.fail(f"{key} is missing")
        if not is_array(value):
            self.fail(f"{key} must be a list, not {value!r:.60}", key)
        return value

    def exchange(self) -> Exchange:
        """Return the exchange in this file."""
        request = self.get_object(self.data, "request")
        response = self.get_object(self.data, "response")
        return Exchange(
            self._path.name,
            self._request(request),
            self._response(response),
            self.get(self.data, "repeat", bool, default=False),
        )

    def _request(self, data: dict[str, Any]) -> RecordedRequest:
        form = self.get_list(data, "form") if "form" in data else []
        return RecordedRequest(
            self.get(data, "method", str),
            self.get(data, "url", str),
            self._headers(data),
            self._body(data),
            tuple(map(self._part, form)),
        )

    def _part(self, data: object) -> Part:
        if not is_object(data):
            self.fail("each part of a form must be an object", "form")
        return Part(
            self.get(data, "name", str),
            self.get(data, "filename", str) if "filename" in data else None,
            self.get(data, "type", str) if "type" in data else None,
            self._content(data),
        )

    def _response(self, data: dict[str, Any]) -> RecordedResponse:
        status = self.get(data, "status", int)
        if not 200 <= status <= 599:
            self.fail(f"status must be from 200 to 599, not {status}", "status")
        events: list[Entry] | None = None
        if "events" in data:
            events = [self._event(each) for each in self.get_list(data, "events")]
        return RecordedResponse(
            status,
            self._headers(data),
            self._body(data),
            events,
            self.get(data, "complete", bool, default=True),
        )

    def _event(self, entry: object) -> Entry:
        seconds, text = entry if is_array(entry) and len(entry) == 2 else (None, None)
        if not isinstance(seconds, (int, float)) or seconds < 0 or not isinstance(text, str):
            self.fail(f"an event must be a list of seconds and a text, not {entry!r:.60}", "events")
        return float(seconds), text

    def _headers(self, data: dict[str, Any]) -> Headers:
        headers: Headers = []
        for name, value in self.get_object(data, "headers").items():
            for each in value if is_array(value) else [value]:
                if not isinstance(each, str) or not _is_header(name, each):
                    self.fail(f"the header {name} has an invalid name or value", name)
                headers.append((name, each))
        return headers

    def _body(self, data: dict[str, Any]) -> Content:
        return self._content(self.get_object(data, "body")) if "body" in data else Content.of(b"")

    def _content(self, data: dict[str, Any]) -> Content:
        if "json" in data:
            style = self.get(data, "style", str, json_text.DEFAULT_STYLE)
            try:
                return Content.of(json_text.write(data["json"], style))
            except ValueError as error:
                self.fail(str(error), "style" if "style" in data else "json")
        if "text" in data:
            try:
                return Content.of(self.get(data, "text", str).encode())
            except UnicodeEncodeError:
                self.fail("text has a character that UTF-8 cannot encode", "text")
        if "file" not in data:
            self.fail("a body must have json, text or file", "body")
        return self._file(data)

    def _file(self, data: dict[str, Any]) -> Content:
        name, size = self.get(data, "file", str), self.get(data, "size", int)
        path = self._folder / name
        if "/" in name or "\\" in name or path.name != name:
            self.fail(f"file must be a name in this folder, not {name!r}", "file")
        try:
            content = Content(None, path, path.stat().st_size)
            if content.size != size or content.sha256() != self.get(data, "sha256", str):
                self.fail(
                    f"{name} is not the recorded file: its size or its SHA-256 differs", "file"
                )
        except OSError as error:
            self.fail(f"{name} cannot be read: {error.strerror or error}", "file")
        return content


_WORDS: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    str: "text",
}


def _is_header(name: str, value: str) -> bool:
    return (
        name.isascii()
        and bool(name)
        and not set(name) & set(" :\r\n\0")
        and not set(value) & set("\r\n\0")
        and all(ord(each) < 256 for each in value)
    )
