"""Files that the server keeps: what users upload, and what models make.

Their content is on disk.
"""

from __future__ import annotations

import hashlib
import mimetypes
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .clock import text

# Seconds after which an upload is gone.
LIFETIME = 24 * 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A file."""

    id: str
    name: str
    content_type: str
    path: Path
    size: int
    sha256: str
    md5: str
    created: float
    metadata: dict[str, Any]

    def describe(self, api: str) -> dict[str, Any]:
        """Give the API's object for an uploaded file."""
        return {
            "id": self.id,
            "name": self.name,
            "content_type": self.content_type,
            "size": self.size,
            "etag": self.md5,
            "checksums": {"sha256": self.sha256, "md5": self.md5},
            "metadata": self.metadata,
            "created_at": text(self.created),
            "expires_at": text(self.created + LIFETIME),
            "urls": {"get": f"{api}/files/{self.id}"},
        }


def keep(
    folder: Path,
    name: str,
    blocks: Iterable[bytes],
    *,
    created: float,
    content_type: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Stored:
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
    return Stored(
        id=id,
        name=name,
        content_type=content_type or mimetypes.guess_type(name)[0] or "application/octet-stream",
        path=path,
        size=size,
        sha256=sha256.hexdigest(),
        md5=md5.hexdigest(),
        created=created,
        metadata=metadata or {},
    )
