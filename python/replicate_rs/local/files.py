"""Stored files: uploads of clients, and output files of models."""

from __future__ import annotations

import hashlib
import mimetypes
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .clock import format_time

# Seconds until an upload expires.
UPLOAD_LIFETIME = 24 * 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A file on disk, and what the API reports about it."""

    id: str
    name: str
    content_type: str
    path: Path
    size: int
    sha256: str
    md5: str
    created_at: float
    metadata: dict[str, Any]

    def to_json(self, api_url: str) -> dict[str, Any]:
        """Return the API's object for an uploaded file."""
        return {
            "id": self.id,
            "name": self.name,
            "content_type": self.content_type,
            "size": self.size,
            "etag": self.md5,
            "checksums": {"sha256": self.sha256, "md5": self.md5},
            "metadata": self.metadata,
            "created_at": format_time(self.created_at),
            "expires_at": format_time(self.created_at + UPLOAD_LIFETIME),
            "urls": {"get": f"{api_url}/files/{self.id}"},
        }


def store_file(
    folder: Path,
    name: str,
    blocks: Iterable[bytes],
    *,
    created_at: float,
    content_type: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> StoredFile:
    """Write a file to `folder`."""
    id = urlsafe_b64encode(secrets.token_hex(18).encode()).decode().rstrip("=")
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    path = folder / id
    with path.open("wb") as file:
        for block in blocks:
            file.write(block)
            sha256.update(block)
            md5.update(block)
            size += len(block)
    return StoredFile(
        id=id,
        name=name,
        content_type=content_type or mimetypes.guess_type(name)[0] or "application/octet-stream",
        path=path,
        size=size,
        sha256=sha256.hexdigest(),
        md5=md5.hexdigest(),
        created_at=created_at,
        metadata=metadata or {},
    )
