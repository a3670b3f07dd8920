"""What a client is made with: its options, their names in other clients, and the session that they
make.
"""

from __future__ import annotations

import os

from .._base.checks import (
    PARTS,
    file_path,
    flag,
    function,
    interval,
    is_async_function,
    is_timeout,
    seconds_or_none,
    strategy,
    text,
    wrong_type,
)
from .._base.checks import headers as checked_headers
from .._base.credentials import Secret, is_secret_str, read_token, reveal
from .._base.operation import Async
from .._base.typing import TYPE_CHECKING, defer_annotations, is_array

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from types import EllipsisType
    from typing import Any

    from .._base.checks import HasTimeouts as HasTimeouts
    from .._base.checks import Limit, Seconds
    from .._base.operation import Sync
    from ..types import Certificate as Certificate
    from ..types import ClientOptions as ClientOptions
    from ..types import Token as Token


# Options that say how servers are reached: a client that differs from another in these has
# connections of its own.
NETWORK = ("max_connections", "proxy", "verify", "ssl_cert_file", "cert")
# Other clients' names of options.
SPELLINGS = {"auth": "api_token", "bearer_token": "api_token", "default_headers": "headers"}
# Their names of attributes.
ATTRIBUTES = {
    **SPELLINGS,
    "_api_token": "api_token",
    "_base_url": "base_url",
    "_timeout": "timeout",
}
DEFAULT_BASE_URL = "https://api.replicate.com/v1"
USER_AGENT = "replicate-rs/0.1.0"

# Attempts after the first, for requests that may be repeated.
MAX_RETRIES = 5
MOST_RETRIES = (1 << 32) - 1
# Bytes of a decompressed JSON answer, or of one event of a stream.
MAX_RESPONSE_BYTES = 64 << 20

# Every option, and what it is if it is not given.
DEFAULTS: dict[str, Any] = {
    "api_token": None,
    "base_url": None,
    "timeout": None,
    "max_retries": MAX_RETRIES,
    "max_connections": None,
    "max_response_bytes": MAX_RESPONSE_BYTES,
    "headers": None,
    "user_agent": None,
    "poll_interval": None,
    "file_encoding_strategy": "default",
    "use_file_output": True,
    "block_private_addresses": False,
    "proxy": None,
    "verify": True,
    "ssl_cert_file": None,
    "cert": None,
    "fetch": None,
}

# Seconds that an event stream may be silent. Replicate's own end after 30, with a comment that says
# so.
IDLE = 60.0


# Seconds: the core's first interval between polls.
FIRST_INTERVAL = 0.25


class Stats:
    """What a client has done so far, in numbers."""

    __slots__ = (
        "connections",
        "failures",
        "in_flight",
        "predictions",
        "requests",
        "retries",
        "streams",
    )

    def __init__(
        self,
        requests: int,
        in_flight: int,
        failures: int,
        retries: int,
        connections: int,
        streams: int = 0,
        predictions: int = 0,
    ) -> None:
        self.requests: int = requests
        """That were begun; attempts of the same request are not counted."""
        self.in_flight: int = in_flight
        """That are not over: waiting, under way, or between two attempts."""
        self.failures: int = failures
        """That ended in an error, after all attempts."""
        self.retries: int = retries
        """Attempts after the first."""
        self.connections: int = connections
        """That were opened, or tried to be."""
        self.streams: int = streams
        """Event streams and files that are being read now."""
        self.predictions: int = predictions
        """That calls hold now: they are cancelled if their callers leave, or the client is closed.
        """

    def __repr__(self) -> str:
        return f"Stats({', '.join(f'{name}={getattr(self, name)}' for name in self.__slots__)})"


class Timeout:
    """Seconds that each part of a request may take; None is without limit.

    ``Timeout(60)`` is 60 seconds for each of `connect`, `read`, `write` and `pool` that is not
    given by itself.
    Wherever there are seconds, a `timedelta` does too. As the `timeout` of one call, such as a run,
    it limits all of that call: its `total` does, or else its longest part.
    """

    __slots__ = ("connect", "idle", "pool", "read", "total", "write")

    def __init__(
        self,
        timeout: Seconds | EllipsisType | None = ...,
        *,
        connect: Seconds | EllipsisType | None = ...,
        read: Seconds | EllipsisType | None = ...,
        write: Seconds | EllipsisType | None = ...,
        pool: Seconds | EllipsisType | None = ...,
        total: Seconds | None = None,
        idle: Seconds | None = IDLE,
    ) -> None:
        if is_timeout(timeout):
            raise wrong_type("timeout", "a number of seconds", timeout)
        if timeout is not ...:
            timeout = seconds_or_none("timeout", timeout)

        def part(
            name: str, value: Seconds | EllipsisType | None, usual: float | None
        ) -> float | None:
            if value is not ...:
                return seconds_or_none(name, value)
            return usual if timeout is ... else timeout

        self.connect: float | None = part("connect", connect, 5.0)
        """To open a connection."""
        self.read: float | None = part("read", read, 30.0)
        """For the answer to begin, and between two parts of it.

        A request that holds for output gets the hold on top.
        """
        self.write: float | None = part("write", write, 30.0)
        """For the connection to take a piece of a file that is sent."""
        self.pool: float | None = part("pool", pool, None)
        """For one of `max_connections` to become free."""
        self.total: float | None = seconds_or_none("total", total)
        """For all of it, retries included."""
        self.idle: float | None = seconds_or_none("idle", idle)
        """For an event stream to be silent; then it is taken for dead, and opened again where it
        was.
        """

    def __repr__(self) -> str:
        return f"Timeout({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"

    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other) if isinstance(other, Timeout) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self))


def only(**spellings: Any) -> Any:
    """Give the one of several spellings of an option that was given.

    Raises `TypeError` if there are more.
    """
    given = {spelling: value for spelling, value in spellings.items() if value is not None}
    if len(given) > 1:
        raise TypeError(f"{' and '.join(given)} are the same argument: give one")
    return next(iter(given.values()), None)


def timeouts(timeout: Limit | None) -> Timeout:
    """Read the `timeout` option of a client."""
    if timeout is None:
        return Timeout()
    if isinstance(timeout, tuple):
        raise TypeError(
            "timeout must be seconds or a Timeout, not a tuple: Timeout(connect=…, read=…)"
        )
    if not is_timeout(timeout):
        return Timeout(seconds_or_none("timeout", timeout))
    # Those of httpx can be anything, and ours can be changed.
    names = (*PARTS, *(name for name in ("total", "idle") if hasattr(timeout, name)))
    return Timeout(
        **{name: seconds_or_none(f"timeout.{name}", getattr(timeout, name)) for name in names}
    )


def trust(
    verify: bool | str | PathLike[str], ssl_cert_file: str | PathLike[str] | None
) -> tuple[bool, str | PathLike[str] | None]:
    """Read the options that say which servers are believed; httpx and requests take a file as
    `verify` too.
    """
    if isinstance(verify, bool):
        if not verify and ssl_cert_file is not None:
            raise ValueError(
                "verify=False believes every server: leave out ssl_cert_file, or verify"
            )
        return verify, None if ssl_cert_file is None else file_path("ssl_cert_file", ssl_cert_file)
    if not isinstance(verify, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance] - what callers pass is not always typed
        raise TypeError(
            f"verify must be a bool or the path of a PEM file, not {type(verify).__name__}"
        )
    if ssl_cert_file is not None:
        raise TypeError("verify and ssl_cert_file are the same argument: give one")
    return True, file_path("verify", verify)


def identity_of(cert: Certificate | None) -> tuple[str | PathLike[str], str | PathLike[str]] | None:
    """Read the option that says who the client is: two files, or one with both in it."""
    if cert is None:
        return None
    if isinstance(cert, tuple):
        if len(cert) != 2:
            raise ValueError(
                f"cert must be the path of a PEM file, or a pair of paths, not {len(cert)} of them"
            )
        return file_path("cert", cert[0]), file_path("cert", cert[1])
    if isinstance(cert, list):
        raise wrong_type("cert", "the path of a PEM file, or a tuple of two paths", cert)
    return file_path("cert", cert), cert


def normalized(mode: type[Sync | Async], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked options in the form in which a client keeps them: secrets as a `Secret`, blank
    text as None.

    Raises:
        TypeError: An option is of the wrong type.
        ValueError: An option is not what it must be.

    """
    kept = {**DEFAULTS, **options}
    kept["api_token"] = _token(mode, kept["api_token"])
    for name in ("base_url", "user_agent", "proxy"):
        if kept[name] is not None:
            kept[name] = text(name, reveal(kept[name])).strip() or None
    if kept["proxy"] is not None:
        kept["proxy"] = Secret(kept["proxy"])
    if kept["headers"] is not None:
        given = reveal(kept["headers"])
        pairs = checked_headers("headers", given)
        kept["headers"] = Secret(tuple(pairs) if is_array(given) else dict(pairs))
    if kept["poll_interval"] is not None:
        kept["poll_interval"] = interval("poll_interval", kept["poll_interval"])
    flag("use_file_output", kept["use_file_output"])
    flag("block_private_addresses", kept["block_private_addresses"])
    strategy("file_encoding_strategy", kept["file_encoding_strategy"])
    if kept["fetch"] is not None:
        function("fetch", kept["fetch"])
    return kept


def _token(mode: type[Sync | Async], token: Any) -> Any:
    """Return a token as it is kept: a `Secret`, a function, or None."""
    if token is None:
        return None
    if isinstance(token, str) or is_secret_str(token):
        token = read_token("the API token", token)
        return None if token is None else Secret(token)
    if not callable(token):
        raise wrong_type("api_token", "a str, a SecretStr, or a function that returns one", token)
    if mode is not Async and is_async_function(token):
        raise TypeError(
            "api_token must be a plain function on a Replicate, whose calls block: an async one"
            " needs an AsyncReplicate"
        )
    return token


def with_spellings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options under this library's names.

    Raises:
        TypeError: An option does not exist, or is given under two names.

    """
    given: dict[str, Any] = {}
    for name, value in options.items():
        if given.setdefault(SPELLINGS.get(name, name), value) is not value:
            raise TypeError(f"{name} is given twice, under two names")
    if unknown := set(given) - set(DEFAULTS):
        raise TypeError(f"unexpected keyword argument {unknown.pop()!r}")
    return given


defer_annotations(globals())
