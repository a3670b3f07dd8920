"""Where the server listens, and by which addresses its clients know it."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .._typing import is_array, is_object

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::[0-9]{1,5})?")
# Addresses that mean all of a machine's; nobody can connect to them.
WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to be replaced


@dataclass(frozen=True, slots=True)
class Origins:
    """The origins of the API and of output files, as URLs begin with them."""

    api: str
    output: str

    def located(self, value: Any, other: Origins) -> Any:
        """Return a prediction's output with the URLs of output files here in the place of those at
        another origin.
        """
        if isinstance(value, str):
            prefix = f"{other.output}/pbxt/"
            return (
                f"{self.output}/pbxt/{value.removeprefix(prefix)}"
                if value.startswith(prefix)
                else value
            )
        if is_array(value):
            return [self.located(each, other) for each in value]
        return (
            {name: self.located(each, other) for name, each in value.items()}
            if is_object(value)
            else value
        )


# How the client of the request that is being served knows the server.
_known_as: ContextVar[Origins | None] = ContextVar("known_as", default=None)


@dataclass(frozen=True, slots=True)
class Addresses:
    """How the server is known to those who ask it.

    Args:
        own: Its origins where nobody has asked.
        ports: The ports of the API and of output files.
        public_url: The API's origin for everybody, if it is behind something else.
        public_output_url: The same of output files.

    """

    own: Origins
    ports: tuple[int, int] = (0, 0)
    public_url: str | None = None
    public_output_url: str | None = None

    @property
    def here(self) -> Origins:
        """The origins for the request that is being served."""
        return _known_as.get() or self.own

    def ask(self, headers: Iterable[tuple[bytes, bytes]], *, is_api: bool) -> None:
        """Note by which address a request has found the server."""
        host = next((value.decode("latin-1") for name, value in headers if name == b"host"), "")
        match = _HOST.fullmatch(host)
        if match is None:
            _known_as.set(None)
            return
        # Who knows the one port by this name knows the other by it too.
        api, output = (
            (host, f"{match[1]}:{self.ports[1]}")
            if is_api
            else (f"{match[1]}:{self.ports[0]}", host)
        )
        _known_as.set(
            Origins(
                self.public_url or f"http://{api}", self.public_output_url or f"http://{output}"
            )
        )


def addresses(
    host: str, ports: tuple[int, int], public_url: str | None, public_output_url: str | None
) -> Addresses:
    """Return the addresses of a server that listens on `host`."""
    if public_url is not None and public_output_url is None:
        parts = urlsplit(public_url)
        public_output_url = f"{parts.scheme}://{authority(parts.hostname or '', ports[1])}"
    api, output = (f"http://{authority(host, port)}" for port in ports)
    return Addresses(
        Origins(public_url or api, public_output_url or output),
        ports,
        public_url,
        public_output_url,
    )


def public(name: str, url: str | None) -> str | None:
    """Return the origin that a URL names, with or without `/v1`. Raises `ValueError`."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and not (parts.query or parts.fragment or parts.username)
        )
        # What is no port raises.
        _ = parts.port
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"{name} must be a URL like http://replicate:8787, not {url!r}")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def authority(host: str, port: int) -> str:
    """Return `host:port` as a URL has it, with an address that can be connected to."""
    host = WILDCARDS.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, ports: dict[str, int]) -> list[socket.socket]:
    """Take ports, by the name of their option. Raises `OSError` if one is taken."""
    listeners: list[socket.socket] = []
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for option, port in ports.items():
        try:
            listeners.append(socket.create_server((host, port), family=family, backlog=4096))
        except OSError as error:
            for each in listeners:
                each.close()
            # What a resolver says has a number of its own.
            why = (
                error.strerror
                if isinstance(error, socket.gaierror)
                else os.strerror(error.errno)
                if error.errno
                else str(error)
            )
            message = (
                f"cannot listen on {host}:{port}: {why}; choose another {option}, or 0 for a"
                " free one"
            )
            raise OSError(error.errno, message) from None
    return listeners
