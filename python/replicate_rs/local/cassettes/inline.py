"""Output files within responses, as `data:` URIs, which every client makes a file of.

The official clients make files of `https:` URLs and `data:` URIs only, and this server has `http:`
URLs.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable

from . import json_text
from .content import Content
from .urls import find_urls


def find_output_files(body: bytes) -> Iterable[str]:
    """Return the URLs of the output files in a response of the API."""
    try:
        return list(dict.fromkeys(find_urls(json_text.parse(body), streams=False)))
    except (ValueError, RecursionError):
        return []


def to_data_uri(content: Content, media_type: str) -> str:
    """Return a file as a `data:` URI."""
    kind = media_type.partition(";")[0].strip() or "application/octet-stream"
    return f"data:{kind};base64,{b64encode(content.read()).decode()}"
