"""Uploaded files."""

from __future__ import annotations

import asyncio
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any, BinaryIO

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ..._typing import is_object
from ..files import Stored, keep
from ..problem import Problem, invalid
from ..state import State
from .access import MOST_NESTED, Gate, as_json, page, read_json

MOST_NAME = 255
_BLOCK = 1 << 20
_BRACKETS = re.compile(r"metadata((?:\[[^\[\]]*\])+)\Z")


class Files:
    """Their endpoints."""

    def __init__(self, state: State, gate: Gate) -> None:
        self._state = state
        self.routes: list[Route] = [
            gate.route("/files", GET=self.list, POST=self.create),
            gate.route("/files/{id}", GET=self.get, DELETE=self.delete),
            # The signature is all that it asks for.
            Route("/files/{id}/download", self.download),
        ]

    def find(self, request: Request) -> Stored:
        """Give the file that a path names."""
        stored = self._state.upload(request.path_params["id"])
        if stored is None:
            raise Problem(404, "File not found")
        return stored

    async def list(self, request: Request) -> Response:
        """`GET /files`."""
        uploads = self._state.live_uploads()
        return page(
            request,
            self._state,
            uploads,
            lambda each: each.id,
            lambda each: each.describe(self._state.api),
            100,
        )

    async def create(self, request: Request) -> Response:
        """`POST /files`: multipart, with a part `content`."""
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            raise Problem(
                422,
                "The request body must be multipart/form-data.",
                title="Input validation failed",
            )
        async with AsyncExitStack() as stack:
            try:
                form = await stack.enter_async_context(request.form(max_files=2))
            except UnicodeError:
                # Python knows charsets like `idna`, which are not for everything.
                raise Problem(
                    400, "The form is not in its charset.", title="Malformed request body"
                ) from None
            content = form.get("content")
            if not isinstance(content, UploadFile):
                raise invalid(
                    [{"type": "required", "field": "", "description": "content is required"}]
                )
            if (content.size or 0) > self._state.settings.max_upload:
                raise Problem(
                    413,
                    f"Files must be less than {self._state.settings.max_upload // 1_000_000}MB in"
                    " size",
                )
            name = _field(form, "filename") or content.filename or "file"
            if len(name.encode(errors="replace")) > MOST_NAME:
                raise invalid(
                    [
                        {
                            "type": "string_lte",
                            "field": "filename",
                            "description": "must be at most 255 bytes",
                        }
                    ]
                )
            metadata = await _metadata(form)
            stored = await asyncio.to_thread(
                keep,
                self._state.folder,
                name,
                _blocks(content.file),
                created=self._state.clock.time(),
                content_type=_field(form, "type") or content.content_type,
                metadata=metadata,
            )
        self._state.uploads[stored.id] = stored
        return as_json(stored.describe(self._state.api), 201)

    async def get(self, request: Request) -> Response:
        """`GET /files/{id}`."""
        return as_json(self.find(request).describe(self._state.api))

    async def delete(self, request: Request) -> Response:
        """`DELETE /files/{id}`."""
        stored = self.find(request)
        del self._state.uploads[stored.id]
        stored.path.unlink(missing_ok=True)
        return Response(status_code=204, media_type="text/plain; charset=UTF-8")

    async def download(self, request: Request) -> Response:
        """`GET /files/{id}/download`, for who has a signature."""
        stored, query = self.find(request), request.query_params
        owner, expiry, signature = (
            query.get("owner", ""),
            query.get("expiry", ""),
            query.get("signature", ""),
        )
        good = hmac.compare_digest(
            signature.encode(errors="replace"),
            sign(self._state.files_signing_secret, owner, stored.id, expiry).encode(),
        )
        fresh = (
            expiry.isascii() and expiry.isdigit() and int(expiry[:18]) > self._state.clock.time()
        )
        if not (good and fresh and owner == self._state.username):
            raise Problem(404, "File not found")
        return FileResponse(
            stored.path, media_type="application/octet-stream", filename=stored.name
        )


def sign(secret: str, owner: str, id: str, expiry: str) -> str:
    """Give the signature of a download."""
    digest = hmac.digest(
        b64decode(secret), f"{owner} {id} {expiry}".encode(errors="replace"), "sha256"
    )
    return b64encode(digest).decode()


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _field(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) else None


async def _metadata(form: FormData) -> dict[str, Any]:
    """Read metadata in each of its three encodings: a JSON part (Node), a JSON field (1.0.7),
    fields in brackets (2.0).
    """
    given = form.get("metadata")
    if given is None:
        return _bracketed(form)
    text = (await given.read()).decode(errors="replace") if isinstance(given, UploadFile) else given
    try:
        metadata = read_json(text or "{}")
    except ValueError:
        metadata = None
    if not is_object(metadata):
        raise invalid(
            [{"type": "invalid_type", "field": "metadata", "description": "must be a JSON object"}]
        )
    return metadata


def _bracketed(form: FormData) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for name, value in form.multi_items():
        match = _BRACKETS.match(name)
        if match is None or not isinstance(value, str):
            continue
        *path, last = match[1][1:-1].split("][")
        if len(path) >= MOST_NESTED:
            raise invalid(
                [
                    {
                        "type": "invalid_type",
                        "field": "metadata",
                        "description": "is nested too deeply",
                    }
                ]
            )
        place = metadata
        for key in path:
            inner: object = place.setdefault(key, {})
            if not is_object(inner):
                raise invalid(
                    [
                        {
                            "type": "invalid_type",
                            "field": "metadata",
                            "description": f"{key} is not an object",
                        }
                    ]
                )
            place = inner
        place[last] = value
    return metadata
