"""What a client is made with: its options, their names in other clients, and the session that they make."""

from __future__ import annotations

import os
import sys

from ._core import Core
from ._operation import Async, Session, header_pairs
from ._typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike
    from typing import Any, Protocol, TypeAlias, TypedDict

    from ._operation import FileEncodingStrategy, Headers, Sync
    from .middleware import Fetch

    Token: TypeAlias = str | Callable[[], str | None]
    # A PEM file with a certificate and its key, or one of each.
    Certificate: TypeAlias = str | PathLike[str] | tuple[str | PathLike[str], str | PathLike[str]]

    class HasTimeouts(Protocol):
        """A `Timeout`, or one of httpx, as 1.0.7 and 2.0 take."""

        @property
        def connect(self) -> float | None:
            """To open a connection."""
            ...

        @property
        def read(self) -> float | None:
            """Between two parts of an answer."""
            ...

        @property
        def write(self) -> float | None:
            """For the connection to take a piece of a body."""
            ...

        @property
        def pool(self) -> float | None:
            """For a connection to become free."""
            ...

    class ClientOptions(TypedDict, total=False):
        """What a client is made with; its constructor says what each is."""

        api_token: Token | None
        auth: Token | None
        bearer_token: Token | None
        base_url: str | None
        timeout: float | HasTimeouts | None
        max_retries: int
        max_connections: int | None
        max_response_bytes: int
        headers: Headers | None
        default_headers: Headers | None
        user_agent: str | None
        poll_interval: float | None
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
    """Seconds that each part of a request may take; None is without limit."""

    __slots__ = ("connect", "idle", "pool", "read", "total", "write")

    def __init__(
        self,
        *,
        connect: float | None = 5.0,
        read: float | None = 30.0,
        write: float | None = 30.0,
        pool: float | None = None,
        total: float | None = None,
        idle: float | None = IDLE,
    ) -> None:
        self.connect: float | None = connect
        """To open a connection."""
        self.read: float | None = read
        """For the answer to begin, and between two parts of it. A request that holds for output gets the hold on top."""
        self.write: float | None = write
        """For the connection to take a piece of a file that is sent."""
        self.pool: float | None = pool
        """For one of `max_connections` to become free."""
        self.total: float | None = total
        """For all of it, retries included."""
        self.idle: float | None = idle
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


def timeouts(timeout: float | HasTimeouts | None) -> HasTimeouts:
    """Read the `timeout` option of a client."""
    if timeout is None:
        return Timeout()
    if isinstance(timeout, (int, float)):
        return Timeout(connect=timeout, read=timeout, write=timeout, pool=timeout)
    if not hasattr(timeout, "connect"):
        raise TypeError(f"timeout must be seconds or a Timeout, not {type(timeout).__name__}")
    return timeout


def trust(
    verify: bool | str | PathLike[str], ssl_cert_file: str | PathLike[str] | None
) -> tuple[bool, str | PathLike[str] | None]:
    """Read the options that say which servers are believed; httpx and requests take a file as `verify` too."""
    if isinstance(verify, bool):
        if not verify and ssl_cert_file is not None:
            raise ValueError("verify=False believes every server: leave out ssl_cert_file, or verify")
        return verify, ssl_cert_file
    if not isinstance(verify, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance] - what callers pass is not always typed
        raise TypeError(f"verify must be a bool or the path of a PEM file, not {type(verify).__name__}")
    if ssl_cert_file is not None:
        raise TypeError("verify and ssl_cert_file are the same argument: give one")
    return True, verify


def session(
    mode: type[Sync | Async],
    *,
    api_token: Token | None,
    base_url: str | None,
    timeout: float | HasTimeouts | None,
    max_retries: int,
    max_connections: int | None,
    max_response_bytes: int,
    headers: Headers | None,
    user_agent: str | None,
    poll_interval: float | None,
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
    limits = timeouts(timeout)
    verified, authorities = trust(verify, ssl_cert_file)
    core = Core(
        base_url or os.environ.get("REPLICATE_BASE_URL") or DEFAULT_BASE_URL,
        token_from_surroundings if api_token is None else api_token,
        user_agent=user_agent or USER_AGENT,
        headers=header_pairs(headers),
        connect=limits.connect,
        read=limits.read,
        write=limits.write,
        pool=limits.pool,
        total=getattr(limits, "total", None),
        idle=getattr(limits, "idle", IDLE),
        max_retries=max_retries,
        max_connections=max_connections,
        max_bytes=max_response_bytes,
        public_only=block_private_addresses,
        proxy=proxy,
        verify=verified,
        ssl_cert_file=authorities,
        cert=cert if cert is None or isinstance(cert, tuple) else (cert, cert),
        share=share,
    )
    if fetch is not None:
        from .middleware import Middleware

        # What has the core's verbs can stand in its place; a client without a fetch= has nothing of the kind.
        core = cast("Core", Middleware(core, fetch, is_async=mode is Async))
    if poll_interval is None and (text := os.environ.get("REPLICATE_POLL_INTERVAL")):
        try:
            poll_interval = float(text)
        except ValueError:
            raise ValueError(f"REPLICATE_POLL_INTERVAL must be a number of seconds, not {text!r}") from None
    return Session(
        core,
        mode=mode,
        poll_interval=poll_interval,
        file_encoding_strategy=file_encoding_strategy,
        use_file_output=use_file_output,
    )
