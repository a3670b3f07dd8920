"""What a client is made with: its options, their names in other clients, and the session that they make."""

from __future__ import annotations

import os
import sys

from ._checks import (
    PARTS,
    file_path,
    flag,
    function,
    integer,
    interval,
    is_timeout,
    plain_function,
    seconds_or_none,
    strategy,
    text,
    wrong_type,
)
from ._checks import headers as checked_headers
from ._core import Core
from ._operation import Async, Session
from ._typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike
    from types import EllipsisType
    from typing import Any, TypeAlias, TypedDict

    from ._checks import HasTimeouts as HasTimeouts
    from ._checks import Limit, Seconds
    from ._operation import FileEncodingStrategy, Headers, Sync
    from .middleware import Fetch

    Token: TypeAlias = str | Callable[[], str | None]
    # A PEM file with a certificate and its key, or one of each.
    Certificate: TypeAlias = str | PathLike[str] | tuple[str | PathLike[str], str | PathLike[str]]

    class ClientOptions(TypedDict, total=False):
        """What a client is made with; its constructor says what each is."""

        api_token: Token | None
        auth: Token | None
        bearer_token: Token | None
        base_url: str | None
        timeout: Limit | None
        max_retries: int
        max_connections: int | None
        max_response_bytes: int
        headers: Headers | None
        default_headers: Headers | None
        user_agent: str | None
        poll_interval: Seconds | None
        file_encoding_strategy: FileEncodingStrategy
        use_file_output: bool
        block_private_addresses: bool
        proxy: str | None
        verify: bool | str | PathLike[str]
        ssl_cert_file: str | PathLike[str] | None
        cert: Certificate | None
        fetch: Fetch | None


# Options that say how servers are reached: a client that differs from another in these has connections of its own.
NETWORK = ("max_connections", "proxy", "verify", "ssl_cert_file", "cert")
# Other clients' names of options.
SPELLINGS = {"auth": "api_token", "bearer_token": "api_token", "default_headers": "headers"}
DEFAULT_BASE_URL = "https://api.replicate.com/v1"
USER_AGENT = "replicate-rs/0.1.0"

# Attempts after the first, for requests that may be repeated.
MAX_RETRIES = 5
MOST_RETRIES = (1 << 32) - 1
# Bytes of a decompressed JSON answer, or of one event of a stream.
MAX_RESPONSE_BYTES = 64 << 20


# Seconds that an event stream may be silent. Replicate's own end after 30, with a comment that says so.
IDLE = 60.0


# Seconds: the core's first interval between polls.
FIRST_INTERVAL = 0.25


class Stats:
    """What a client has done so far, in numbers."""

    __slots__ = ("connections", "failures", "in_flight", "predictions", "requests", "retries", "streams")

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
        """That calls hold now: they are cancelled if their callers leave, or the client is closed."""

    def __repr__(self) -> str:
        return f"Stats({', '.join(f'{name}={getattr(self, name)}' for name in self.__slots__)})"


class Timeout:
    """Seconds that each part of a request may take; None is without limit.

    ``Timeout(60)`` is 60 seconds for each of `connect`, `read`, `write` and `pool` that is not given by itself.
    Wherever there are seconds, a `timedelta` does too. As the `timeout` of one call, such as a run, it limits all of that call:
    its `total` does, or else its longest part.
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

        def part(name: str, value: Seconds | EllipsisType | None, usual: float | None) -> float | None:
            if value is not ...:
                return seconds_or_none(name, value)
            return usual if timeout is ... else timeout

        self.connect: float | None = part("connect", connect, 5.0)
        """To open a connection."""
        self.read: float | None = part("read", read, 30.0)
        """For the answer to begin, and between two parts of it. A request that holds for output gets the hold on top."""
        self.write: float | None = part("write", write, 30.0)
        """For the connection to take a piece of a file that is sent."""
        self.pool: float | None = part("pool", pool, None)
        """For one of `max_connections` to become free."""
        self.total: float | None = seconds_or_none("total", total)
        """For all of it, retries included."""
        self.idle: float | None = seconds_or_none("idle", idle)
        """For an event stream to be silent; then it is taken for dead, and opened again where it was."""

    def __repr__(self) -> str:
        return f"Timeout({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"

    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other) if isinstance(other, Timeout) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self))


def token_from_surroundings() -> str | None:
    """Find the API token where none was given: in the scope of a running cog model, else in the environment."""
    cog = sys.modules.get("cog")
    if cog is not None:
        try:
            context: Mapping[str, str | None] = cog.current_scope().context
            for name, value in context.items():
                if name.upper() == "REPLICATE_API_TOKEN":
                    return value
        except Exception:  # noqa: BLE001, S110 - any cog, of whatever version, without a scope
            pass
    return os.environ.get("REPLICATE_API_TOKEN")


def only(**spellings: Any) -> Any:
    """Give the one of several spellings of an option that was given. Raises `TypeError` if there are more."""
    given = {spelling: value for spelling, value in spellings.items() if value is not None}
    if len(given) > 1:
        raise TypeError(f"{' and '.join(given)} are the same argument: give one")
    return next(iter(given.values()), None)


def timeouts(timeout: Limit | None) -> Timeout:
    """Read the `timeout` option of a client."""
    if timeout is None:
        return Timeout()
    if isinstance(timeout, tuple):
        raise TypeError("timeout must be seconds or a Timeout, not a tuple: Timeout(connect=…, read=…)")
    if not is_timeout(timeout):
        return Timeout(seconds_or_none("timeout", timeout))
    # Those of httpx can be anything, and ours can be changed.
    names = (*PARTS, *(name for name in ("total", "idle") if hasattr(timeout, name)))
    return Timeout(**{name: seconds_or_none(f"timeout.{name}", getattr(timeout, name)) for name in names})


def trust(
    verify: bool | str | PathLike[str], ssl_cert_file: str | PathLike[str] | None
) -> tuple[bool, str | PathLike[str] | None]:
    """Read the options that say which servers are believed; httpx and requests take a file as `verify` too."""
    if isinstance(verify, bool):
        if not verify and ssl_cert_file is not None:
            raise ValueError("verify=False believes every server: leave out ssl_cert_file, or verify")
        return verify, None if ssl_cert_file is None else file_path("ssl_cert_file", ssl_cert_file)
    if not isinstance(verify, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance] - what callers pass is not always typed
        raise TypeError(f"verify must be a bool or the path of a PEM file, not {type(verify).__name__}")
    if ssl_cert_file is not None:
        raise TypeError("verify and ssl_cert_file are the same argument: give one")
    return True, file_path("verify", verify)


def identity_of(cert: Certificate | None) -> tuple[str | PathLike[str], str | PathLike[str]] | None:
    """Read the option that says who the client is: two files, or one with both in it."""
    if cert is None:
        return None
    if isinstance(cert, tuple):
        if len(cert) != 2:
            raise ValueError(f"cert must be the path of a PEM file, or a pair of paths, not {len(cert)} of them")
        return file_path("cert", cert[0]), file_path("cert", cert[1])
    if isinstance(cert, list):
        raise wrong_type("cert", "the path of a PEM file, or a tuple of two paths", cert)
    return file_path("cert", cert), cert


def session(
    mode: type[Sync | Async],
    *,
    api_token: Token | None,
    base_url: str | None,
    timeout: Limit | None,
    max_retries: int,
    max_connections: int | None,
    max_response_bytes: int,
    headers: Headers | None,
    user_agent: str | None,
    poll_interval: Seconds | None,
    file_encoding_strategy: FileEncodingStrategy,
    use_file_output: bool,
    block_private_addresses: bool,
    proxy: str | None,
    verify: bool | str | PathLike[str],
    ssl_cert_file: str | PathLike[str] | None,
    cert: Certificate | None,
    fetch: Fetch | None,
    share: Core | None = None,
) -> Session:
    """Make what the parts of a client share; `mode` is the client's, `share` a core whose connections are used.

    Raises:
        ValueError: An option, or `REPLICATE_POLL_INTERVAL` or `REPLICATE_LOG`, is not what it must be.

    """
    if level := os.environ.get("REPLICATE_LOG"):
        from .log import turn_on

        turn_on(level)
    if api_token is not None and not isinstance(api_token, str) and not callable(api_token):
        raise wrong_type("api_token", "a str, or a function that gives one", api_token)
    if isinstance(api_token, str):
        text("api_token", api_token)
    elif api_token is not None:
        plain_function("api_token", api_token)
    for name, value in (("base_url", base_url), ("user_agent", user_agent), ("proxy", proxy)):
        if value is not None:
            text(name, value)
    flag("use_file_output", use_file_output)
    flag("block_private_addresses", block_private_addresses)
    strategy("file_encoding_strategy", file_encoding_strategy)
    limits = timeouts(timeout)
    verified, authorities = trust(verify, ssl_cert_file)
    core = Core(
        base_url or os.environ.get("REPLICATE_BASE_URL") or DEFAULT_BASE_URL,
        token_from_surroundings if api_token is None else api_token,
        user_agent=user_agent or USER_AGENT,
        headers=[] if headers is None else checked_headers("headers", headers),
        connect=limits.connect,
        read=limits.read,
        write=limits.write,
        pool=limits.pool,
        total=limits.total,
        idle=limits.idle,
        max_retries=integer("max_retries", max_retries, 0, MOST_RETRIES),
        max_connections=None if max_connections is None else integer("max_connections", max_connections, 1),
        max_bytes=integer("max_response_bytes", max_response_bytes, 1),
        public_only=block_private_addresses,
        proxy=proxy,
        verify=verified,
        ssl_cert_file=authorities,
        cert=identity_of(cert),
        share=share,
    )
    if fetch is not None:
        from .middleware import Middleware

        function("fetch", fetch)
        # What has the core's verbs can stand in its place; a client without a fetch= has nothing of the kind.
        core = cast("Core", Middleware(core, fetch, is_async=mode is Async))
    if poll_interval is None and (setting := os.environ.get("REPLICATE_POLL_INTERVAL")):
        try:
            poll_interval = float(setting)
        except ValueError:
            raise ValueError(f"REPLICATE_POLL_INTERVAL must be a number of seconds, not {setting!r}") from None
        interval("REPLICATE_POLL_INTERVAL", poll_interval)
    return Session(
        core,
        mode=mode,
        poll_interval=None if poll_interval is None else interval("poll_interval", poll_interval),
        file_encoding_strategy=file_encoding_strategy,
        use_file_output=use_file_output,
    )
