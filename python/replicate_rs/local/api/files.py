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

from ..._base.typing import is_object
from ..files import StoredFile, store_file
from ..problem import Problem, invalid_field, not_found, unprocessable
from ..state import State
from .access import AccessControl
from .json_bodies import MAX_NESTING, as_json, read_json
from .pagination import paginate

MAX_NAME_BYTES = 255
_BLOCK_SIZE = 1 << 20
_METADATA_FIELD = re.compile(r"metadata((?:\[[^\[\]]*\])+)\Z")


class FileEndpoints:
    """The endpoints of files."""

    def __init__(self, state: State, access: AccessControl) -> None:
        self._state = state
        self.routes: list[Route] = [
            access.route("/files", GET=self.list, POST=self.create),
            access.route("/files/{id}", GET=self.get, DELETE=self.delete),
            # A download needs a signature, and no token.
            Route("/files/{id}/download", self.download),
        ]

    def _find(self, request: Request) -> StoredFile:
        file = self._state.find_upload(request.path_params["id"])
        if file is None:
            raise not_found("File not found")
        return file

    def _to_json(self, file: StoredFile) -> dict[str, Any]:
        return file.to_json(self._state.api_url)

    async def list(self, request: Request) -> Response:
        """`GET /files`."""
        uploads = self._state.live_uploads()
        return paginate(request, self._state, uploads, lambda each: each.id, self._to_json)

    async def create(self, request: Request) -> Response:
        """`POST /files`: a multipart body with a part `content`."""
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            raise unprocessable("The request body must be multipart/form-data.")
        async with AsyncExitStack() as stack:
            try:
                form = await stack.enter_async_context(request.form(max_files=2))
            except UnicodeError:
                # Some of Python's encodings, such as `idna`, cannot decode all bytes.
                raise Problem(
                    400, "The form is not in its charset.", title="Malformed request body"
                ) from None
            file = await self._store(form)
        self._state.uploads[file.id] = file
        return as_json(self._to_json(file), 201)

    async def _store(self, form: FormData) -> StoredFile:
        content, max_upload = form.get("content"), self._state.settings.max_upload
        if not isinstance(content, UploadFile):
            raise invalid_field("required", "", "content is required")
        if (content.size or 0) > max_upload:
            raise Problem(413, f"Files must be less than {max_upload // 1_000_000}MB in size")
        name = _text_field(form, "filename") or content.filename or "file"
        if len(name.encode(errors="replace")) > MAX_NAME_BYTES:
            raise invalid_field("string_lte", "filename", "must be at most 255 bytes")
        metadata = await _read_metadata(form)
        return await asyncio.to_thread(
            store_file,
            self._state.folder,
            name,
            _read_blocks(content.file),
            created_at=self._state.clock.time(),
            content_type=_text_field(form, "type") or content.content_type,
            metadata=metadata,
        )

    async def get(self, request: Request) -> Response:
        """`GET /files/{id}`."""
        return as_json(self._to_json(self._find(request)))

    async def delete(self, request: Request) -> Response:
        """`DELETE /files/{id}`."""
        file = self._find(request)
        del self._state.uploads[file.id]
        file.path.unlink(missing_ok=True)
        return Response(status_code=204, media_type="text/plain; charset=UTF-8")

    async def download(self, request: Request) -> Response:
        """`GET /files/{id}/download`, with a signature in the query."""
        file = self._find(request)
        owner, expiry, signature = (
            request.query_params.get(name, "") for name in ("owner", "expiry", "signature")
        )
        expected = sign_download(self._state.files_signing_secret, owner, file.id, expiry)
        is_genuine = hmac.compare_digest(signature.encode(errors="replace"), expected.encode())
        is_number = expiry.isascii() and expiry.isdigit()
        is_live = is_number and int(expiry[:18]) > self._state.clock.time()
        if not (is_genuine and is_live and owner == self._state.username):
            raise not_found("File not found")
        return FileResponse(file.path, media_type="application/octet-stream", filename=file.name)


def sign_download(secret: str, owner: str, id: str, expiry: str) -> str:
    """Return the signature for the download of a file."""
    digest = hmac.digest(
        b64decode(secret), f"{owner} {id} {expiry}".encode(errors="replace"), "sha256"
    )
    return b64encode(digest).decode()


def _read_blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK_SIZE):
        yield block


def _text_field(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) else None


async def _read_metadata(form: FormData) -> dict[str, Any]:
    """Return the metadata, in any of the encodings that clients use.

    These are a JSON part (Node), a JSON field (1.0.7), and fields with brackets (2.0).
    """
    content = form.get("metadata")
    if content is None:
        return _read_bracketed_metadata(form)
    if isinstance(content, UploadFile):
        content = (await content.read()).decode(errors="replace")
    try:
        metadata = read_json(content or "{}")
    except ValueError:
        metadata = None
    if not is_object(metadata):
        raise _invalid_metadata("must be a JSON object")
    return metadata


def _read_bracketed_metadata(form: FormData) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for name, value in form.multi_items():
        match = _METADATA_FIELD.match(name)
        if match is None or not isinstance(value, str):
            continue
        *path, last = match[1][1:-1].split("][")
        if len(path) >= MAX_NESTING:
            raise _invalid_metadata("is nested too deeply")
        target = metadata
        for key in path:
            child: object = target.setdefault(key, {})
            if not is_object(child):
                raise _invalid_metadata(f"{key} is not an object")
            target = child
        target[last] = value
    return metadata


def _invalid_metadata(description: str) -> Problem:
    return invalid_field("invalid_type", "metadata", description)
