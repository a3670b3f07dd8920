"""Moves URLs between the hosts of the upstream and those of this server.

The API's URLs keep their path. Those of other hosts, which are the hosts of output files and
streams, begin with the scheme and the host as path segments, on the output origin:
``https://replicate.delivery/a/b.png`` becomes ``http://127.0.0.1:8788/https/replicate.delivery/a/b.png``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..._base.typing import is_array, is_object
from ..addresses import Origins
from . import json_text

# A JSON string that may be a URL.
_JSON_STRING = re.compile(r'(?<!\\)"https?:(?:[^"\\\s]|\\.)*"')
_OUTPUT_PATH = re.compile(r"/(https?)/([^/?#]+)(/.*)?\Z", re.DOTALL)
_WHOLE_URL = re.compile(r"https?://[^\s\"'<>]+\Z", re.IGNORECASE)


class UrlMap:
    """Moves URLs.

    Args:
        upstream: The API's URL without `/v1`.
        hosts: Origins of output files and streams; `learn` adds others.

    """

    def __init__(self, upstream: str, hosts: Iterable[str] = ()) -> None:
        self.upstream: str = upstream
        self.hosts: set[str] = set(hosts)

    def is_api(self, url: str) -> bool:
        """Return whether a URL on the upstream is one of the API."""
        return url.startswith((f"{self.upstream}/v1/", f"{self.upstream}/v1?"))

    def learn(self, value: Any) -> None:
        """Add the origins of the outputs and streams in a response of the API."""
        for url in find_urls(value):
            self.learn_url(url)

    def learn_json(self, content: bytes) -> None:
        """Add the origins in a response's body. A broken one has none."""
        try:
            self.learn(json_text.parse(content))
        except (ValueError, RecursionError):
            return

    def learn_url(self, url: object) -> None:
        """Add the origin of a URL, unless it is one of the API."""
        origin = origin_of(url) if isinstance(url, str) else None
        if origin is not None and not self.is_api(str(url)):
            self.hosts.add(origin)

    def to_local(self, url: str, local: Origins) -> str:
        """Return the URL on this server of a URL of the API or of an output host."""
        if not _WHOLE_URL.match(url):
            return url
        if self.is_api(url):
            return local.api + url.removeprefix(self.upstream)
        origin = origin_of(url)
        if origin is None or origin not in self.hosts:
            return url
        scheme, _, rest = url.partition("://")
        return f"{local.output}/{scheme.lower()}/{rest}"

    def stream_to_local(self, url: str, stream: str, local: Origins) -> str:
        """Return the URL on this server of a URL in a stream; tokens of text stay as they are."""
        if "/v1/files/" in stream:
            # All outputs of this stream are files.
            self.learn_url(url)
        return self.to_local(url, local)

    def to_upstream(self, url: str, local: Origins) -> str:
        """Return the URL on its own host of a URL of this server."""
        if url.startswith(f"{local.api}/"):
            return self.upstream + url.removeprefix(local.api)
        if url.startswith(f"{local.output}/"):
            return find_output_url(url.removeprefix(local.output)) or url
        return url

    def json_to_local(
        self, content: bytes, local: Origins, inline: Mapping[str, str] | None = None
    ) -> bytes:
        """Move the URLs in JSON text; the rest of it stays as it is, byte by byte.

        Args:
            content: The JSON text.
            local: The origins of this server.
            inline: `data:` URIs that take the place of URLs.

        """
        known = inline or {}
        return _replace_strings(
            content, lambda url: known[url] if url in known else self.to_local(url, local)
        )

    def json_to_upstream(self, content: bytes, local: Origins) -> bytes:
        """Move the URLs in JSON text back."""
        return _replace_strings(content, lambda url: self.to_upstream(url, local))


def _replace_strings(content: bytes, replace: Callable[[str], str]) -> bytes:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content

    def on_match(match: re.Match[str]) -> str:
        try:
            url = json.loads(match[0])
        except ValueError:
            return match[0]
        replaced = replace(url)
        return match[0] if replaced == url else json.dumps(replaced)

    return _JSON_STRING.sub(on_match, text).encode()


def find_urls(value: Any, *, in_output: bool = False, streams: bool = True) -> Iterator[str]:
    """Return the URLs of the outputs in a response of the API, and those of its streams."""
    if isinstance(value, str):
        if in_output and origin_of(value) is not None:
            yield value
    elif is_array(value):
        for each in value:
            yield from find_urls(each, in_output=in_output, streams=streams)
    elif is_object(value):
        for key, each in value.items():
            if key == "urls" and is_object(each) and not in_output:
                if streams and isinstance(stream := each.get("stream"), str):
                    yield stream
            else:
                yield from find_urls(each, in_output=in_output or key == "output", streams=streams)


def origin_of(url: str) -> str | None:
    """Return the origin of an absolute URL; None for other text."""
    if not _WHOLE_URL.match(url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.username is not None or not parts.hostname:
        return None
    return f"{parts.scheme}://{parts.netloc.lower()}"


def find_output_url(path: str) -> str | None:
    """Return the URL that a path of the output origin stands for."""
    match = _OUTPUT_PATH.match(path)
    return None if match is None else f"{match[1]}://{match[2]}{match[3] or '/'}"
