"""The sockets that the server listens on, and the addresses by which clients reach it."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .._base.typing import is_array, is_object

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::[0-9]{1,5})?")
# Addresses that listen on all interfaces, and the one that a client on this machine connects to.
WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to be replaced


@dataclass(frozen=True, slots=True)
class Origins:
    """The origins of the API, and of output files and streams."""

    api: str
    output: str

    def rewrite_urls(self, value: Any, other: Origins) -> Any:
        """Return a prediction's output with URLs of output files moved from `other` to here."""
        if isinstance(value, str):
            prefix = f"{other.output}/pbxt/"
            if value.startswith(prefix):
                return f"{self.output}/pbxt/{value.removeprefix(prefix)}"
        elif is_array(value):
            return [self.rewrite_urls(each, other) for each in value]
        elif is_object(value):
            return {name: self.rewrite_urls(each, other) for name, each in value.items()}
        return value


# The origins by which the client of the current request reaches the server.
_request_origins: ContextVar[Origins | None] = ContextVar("request_origins", default=None)


@dataclass(frozen=True, slots=True)
class Addresses:
    """The server's addresses, by its own configuration and by the request being served.

    Args:
        own: The origins outside of a request.
        ports: The ports of the API and of the output origin.
        public_url: The API's origin for all clients, for example that of a gateway.
        public_output_url: The output origin for all clients.

    """

    own: Origins
    ports: tuple[int, int] = (0, 0)
    public_url: str | None = None
    public_output_url: str | None = None

    @property
    def current(self) -> Origins:
        """The origins for URLs in the response to the current request."""
        return _request_origins.get() or self.own

    def set_current(self, headers: Iterable[tuple[bytes, bytes]], *, is_api: bool) -> None:
        """Take the current origins from the `Host` header of a request."""
        host = next((value.decode("latin-1") for name, value in headers if name == b"host"), "")
        match = _HOST.fullmatch(host)
        if match is None:
            _request_origins.set(None)
            return
        # A client that reaches one port by this host name reaches the other by it too.
        if is_api:
            api, output = host, f"{match[1]}:{self.ports[1]}"
        else:
            api, output = f"{match[1]}:{self.ports[0]}", host
        _request_origins.set(
            Origins(
                self.public_url or f"http://{api}", self.public_output_url or f"http://{output}"
            )
        )


def create_addresses(
    host: str, ports: tuple[int, int], public_url: str | None, public_output_url: str | None
) -> Addresses:
    """Return the addresses of a server that listens on `host`."""
    if public_url is not None and public_output_url is None:
        parts = urlsplit(public_url)
        public_output_url = f"{parts.scheme}://{to_authority(parts.hostname or '', ports[1])}"
    api, output = (f"http://{to_authority(host, port)}" for port in ports)
    return Addresses(
        Origins(public_url or api, public_output_url or output),
        ports,
        public_url,
        public_output_url,
    )


def parse_public_url(argument: str, url: str | None) -> str | None:
    """Return the origin in a URL with or without `/v1`.

    Raises `ValueError`, with the argument's name.
    """
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        is_valid = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and not (parts.query or parts.fragment or parts.username)
        )
        # Reading an invalid port raises.
        _ = parts.port
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError(f"{argument} must be a URL like http://replicate:8787, not {url!r}")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def to_authority(host: str, port: int) -> str:
    """Return `host:port` for a URL; a wildcard address becomes one that can be connected to."""
    host = WILDCARDS.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, ports: dict[str, int]) -> list[socket.socket]:
    """Return listening sockets for ports, which are keyed by the name of their argument.

    Raises `OSError` if a port is taken.
    """
    listeners: list[socket.socket] = []
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for argument, port in ports.items():
        try:
            listeners.append(socket.create_server((host, port), family=family, backlog=4096))
        except OSError as error:
            for each in listeners:
                each.close()
            # The error numbers of name resolution are not those of the operating system.
            if isinstance(error, socket.gaierror):
                reason = error.strerror
            else:
                reason = os.strerror(error.errno) if error.errno else str(error)
            message = (
                f"cannot listen on {host}:{port}: {reason}; choose another {argument}, or 0 for a"
                " free one"
            )
            raise OSError(error.errno, message) from None
    return listeners
