"""Files that clients uploaded, and files that models made."""

from __future__ import annotations

import hashlib
import mimetypes
import secrets
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any


class Stored:
    """A file in memory."""

    def __init__(self, name: str, content: bytes, content_type: str | None = None) -> None:
        self.id = urlsafe_b64encode(secrets.token_hex(18).encode()).decode().rstrip("=")
        self.name = name
        self.content = content
        self.content_type = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        self.created = datetime.now(UTC)

    def describe(self, base_url: str, metadata: dict[str, Any]) -> dict[str, Any]:
        """Give the API's object for an uploaded file."""
        md5 = hashlib.md5(self.content, usedforsecurity=False).hexdigest()
        return {
            "id": self.id,
            "name": self.name,
            "content_type": self.content_type,
            "size": len(self.content),
            "etag": md5,
            "checksums": {"sha256": hashlib.sha256(self.content).hexdigest(), "md5": md5},
            "metadata": metadata,
            "created_at": _text(self.created),
            "expires_at": _text(self.created + timedelta(hours=24)),
            "urls": {"get": f"{base_url}/files/{self.id}"},
        }


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
