"""A client's current options, and the core that is made from them.

Options may be assigned during a client's life, and the API's URL is read from the environment when
a request is made. When either changes, a new core is created. Requests in progress keep the core
that they began with.
"""

from __future__ import annotations

import sys
from _weakref import ref
from os import environ

from .._base.checks import integer, interval, is_async_function
from .._base.credentials import Secret, find_token, read_token, reveal
from .._base.encoding import header_pairs
from .._base.operation import close_unawaited
from .._base.session import Async, Session
from .._base.typing import TYPE_CHECKING, cast, defer_annotations
from .._core import Core
from ..exceptions import MissingTokenError
from .options import (
    CONNECTION_OPTIONS,
    DEFAULT_BASE_URL,
    DEFAULTS,
    USER_AGENT,
    normalize,
    to_certificate,
    to_trust,
)
from .timeout import to_timeout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from typing import Any, NoReturn

    from .._base.session import Sync
    from .http import Request

MAX_UINT32 = (1 << 32) - 1
# The environment has not been read yet.
UNREAD = object()


class Config:
    """A client's current options, and the core that is made from them."""

    __slots__ = (
        "_bare_core",
        "_core",
        "_env_url",
        "_former",
        "_uses_env_url",
        "is_default",
        "mode",
        "options",
    )

    # The core itself, and the core or the `Middleware` around it.
    _bare_core: Core
    _core: Core

    def __init__(
        self, mode: type[Sync | Async], options: dict[str, Any], share: Config | None = None
    ) -> None:
        """Create the core.

        Args:
            mode: The client's mode.
            options: Options as `normalize` returns them.
            share: The config of another client, whose connections are used if the options that
                concern connections are the same.

        """
        if level := environ.get("REPLICATE_LOG"):
            from .._base.logging import turn_on

            turn_on(level)
        self.mode: type[Sync | Async] = mode
        self.options: dict[str, Any] = options
        # Whether this is the config of the package's default client.
        self.is_default: bool = False
        # Cores made from former options, while a request uses them.
        self._former: list[ref[Core]] = []
        # `REPLICATE_BASE_URL` when the core was created, and whether it has to be read again.
        self._env_url: object = UNREAD
        self._uses_env_url: bool = True
        self._create_core(options, DEFAULT_BASE_URL, share)
        # Raises if `REPLICATE_POLL_INTERVAL` is invalid.
        _ = self.poll_interval

    @property
    def core(self) -> Core:
        """The core for the next request."""
        if self._uses_env_url and environ.get("REPLICATE_BASE_URL") != self._env_url:
            self._read_environment()
        return self._core

    @property
    def poll_interval(self) -> float | None:
        """Seconds between polls; None leaves it to the core."""
        seconds: float | None = self.options["poll_interval"]
        return _read_poll_interval() if seconds is None else seconds

    @property
    def is_closed(self) -> bool:
        """Whether the client was closed."""
        return self._core.is_closed

    def set_options(self, options: dict[str, Any]) -> None:
        """Use other options from the next request on."""
        self._create_core(options, DEFAULT_BASE_URL, self)
        self._env_url, self._uses_env_url = UNREAD, True

    def get_cores(self) -> Iterator[Core]:
        """Return the current core, and the former ones that requests still use."""
        yield self._core
        for each in self._former:
            if (core := each()) is not None:
                yield core

    def get_picklable_options(self, *, with_functions: bool) -> dict[str, Any]:
        """Return the options that differ from their defaults, without secrets.

        Args:
            with_functions: Whether to include functions that a pickler may refuse.

        """
        options = {
            name: value
            for name, value in self.options.items()
            if value is not DEFAULTS[name] and value != DEFAULTS[name]
        }
        options.pop("headers", None)
        token = options.get("api_token")
        if isinstance(token, Secret) or (token is None and has_authorization(self.options)):
            options["api_token"] = lost_token
        if "proxy" in options:
            credentials, at, host = reveal(options["proxy"]).rpartition("@")
            options["proxy"] = f"{credentials.partition('://')[0]}://{host}" if at else host
        if "timeout" in options:
            options["timeout"] = to_timeout(options["timeout"])
        if not with_functions:
            # What is unpickled blocks, and cannot await an async function.
            if callable(token) and (not _is_importable(token) or is_async_token(token)):
                options["api_token"] = lost_token
            if "fetch" in options and (not _is_importable(options["fetch"]) or self.mode is Async):
                del options["fetch"]
        return options

    @property
    def is_plain_default(self) -> bool:
        """Whether this is the default client's config, with no option assigned.

        What belongs to it, such as a record, belongs to the default client where it is unpickled.
        """
        return self.is_default and not self.get_picklable_options(with_functions=True)

    def reduce_session(self, mode: type[Sync | Async]) -> tuple[Any, ...]:
        """Return what `__reduce__` of a session returns."""
        options = self.get_picklable_options(with_functions=False)
        return _restored_session, (mode, self.mode, options)

    def _read_environment(self) -> None:
        if self.options["poll_interval"] is None:
            # Raises if it is invalid, before anything is sent.
            _read_poll_interval()
        if self.options["base_url"] is not None:
            self._uses_env_url = False
            return
        env_url = environ.get("REPLICATE_BASE_URL")
        url = (env_url or "").strip() or DEFAULT_BASE_URL
        if self._env_url is not UNREAD or url != DEFAULT_BASE_URL:
            try:
                self._create_core(self.options, url, self)
            except ValueError as error:
                problem = str(error)
            else:
                self._env_url = env_url
                return
            raise ValueError(problem.replace("base_url", "REPLICATE_BASE_URL", 1))
        self._env_url = env_url

    def _create_core(self, options: dict[str, Any], base_url: str, share: Config | None) -> None:
        """Create the core from options, and use it from now on."""
        shared = None
        if (
            share is not None
            and not share.is_closed
            and _get_connection_options(options) == _get_connection_options(share.options)
        ):
            shared = share._bare_core
        bare_core = _make_core(options, base_url, shared)
        core = _wrap_core(self.mode, options, bare_core)
        if share is self:
            if self.is_closed:
                bare_core.close()
            self._former = [each for each in self._former if each() is not None]
            self._former.append(ref(self._core))
        self._bare_core, self._core, self.options = bare_core, core, options


def _get_connection_options(options: dict[str, Any]) -> tuple[object, ...]:
    """Return the options in which clients must agree to share connections."""
    return (
        *(options[name] for name in CONNECTION_OPTIONS),
        to_timeout(options["timeout"]).connect,
    )


def _make_core(options: dict[str, Any], base_url: str, share: Core | None) -> Core:
    timeout = to_timeout(options["timeout"])
    verify, authorities = to_trust(options["verify"], options["ssl_cert_file"])
    max_connections = options["max_connections"]
    return Core(
        options["base_url"] or base_url,
        get_token_source(options),
        user_agent=options["user_agent"] or USER_AGENT,
        headers=header_pairs(options["headers"]),
        connect=timeout.connect,
        read=timeout.read,
        write=timeout.write,
        pool=timeout.pool,
        total=timeout.total,
        idle=timeout.idle,
        max_retries=integer("max_retries", options["max_retries"], 0, MAX_UINT32),
        max_connections=(
            None if max_connections is None else integer("max_connections", max_connections, 1)
        ),
        max_bytes=integer("max_response_bytes", options["max_response_bytes"], 1),
        public_only=options["block_private_addresses"],
        proxy=reveal(options["proxy"]),
        verify=verify,
        ssl_cert_file=authorities,
        cert=to_certificate(options["cert"]),
        share=share,
    )


def _wrap_core(mode: type[Sync | Async], options: dict[str, Any], core: Core) -> Core:
    """Return the core, or a `Middleware` if a function of the caller's has to run for requests."""
    token, fetch = options["api_token"], options["fetch"]
    bound_to: Any = getattr(fetch.__class__, "bound_to", None)
    if bound_to is not None:
        # A function that sends requests without the core, and needs the client's headers.
        fetch = bound_to(fetch, core.base_url, options)
    if is_async_token(token):
        fetch = await_token(token, core.base_url, fetch)
    if fetch is None:
        return core
    from .middleware import Middleware

    return cast("Core", Middleware(core, fetch, is_async=mode is Async))


def _restored_session(
    mode: type[Sync | Async], client_mode: type[Sync | Async], options: dict[str, Any]
) -> Session:
    """Return the session of an object that was pickled."""
    return Session(Config(client_mode, normalize(client_mode, options)), mode)


def _read_poll_interval() -> float | None:
    text = (environ.get("REPLICATE_POLL_INTERVAL") or "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(
            f"REPLICATE_POLL_INTERVAL must be a number of seconds, not {text!r}"
        ) from None
    return interval("REPLICATE_POLL_INTERVAL", seconds)


def _is_importable(function: Any) -> bool:
    """Return whether a function is pickled by its name."""
    found: Any = sys.modules.get(getattr(function, "__module__", None) or "")
    for name in str(getattr(function, "__qualname__", "")).split("."):
        found = getattr(found, name, None)
    return found is function


# The token that an async function has returned for the next request in this context. Created on
# first use: most programs have no such function.
_context_token: Any = None


def has_authorization(options: dict[str, Any]) -> bool:
    """Return whether a client's headers include ``Authorization``."""
    return any(name.lower() == "authorization" for name, _ in header_pairs(options["headers"]))


def is_async_token(token: Any) -> bool:
    """Return whether a token is an async function."""
    return callable(token) and not isinstance(token, Secret) and is_async_function(token)


def get_token_source(options: dict[str, Any]) -> str | Callable[[], str | None] | None:
    """Return what the core takes as the token: text, a function, or None."""
    token = options["api_token"]
    if token is None:
        # An `Authorization` header overrides the token of the environment.
        return None if has_authorization(options) else find_token
    if isinstance(token, Secret):
        text: str = reveal(token)
        return text
    if is_async_token(token):
        return _get_context_token
    return lambda: read_token("the API token", _refuse_awaitable(token()))


def _refuse_awaitable(token: Any) -> Any:
    if not hasattr(token, "__await__"):
        return token
    close_unawaited(token)
    raise TypeError(
        "the function given as api_token returned something to be awaited: on an AsyncReplicate"
        " write it as `async def`, on a Replicate as a plain function"
    )


def _get_context_token() -> str | None:
    token: str | None = None if _context_token is None else _context_token.get()
    return token


def await_token(token: Callable[[], Awaitable[object]], base_url: str, fetch: Any) -> Any:
    """Return a `fetch` function that awaits the token before each request to the API.

    Args:
        token: The async function that returns the token.
        base_url: The API's URL.
        fetch: The client's own `fetch`, which is called with each request, or None.

    """
    global _context_token
    if _context_token is None:
        from _contextvars import ContextVar

        _context_token = ContextVar("replicate_rs_token", default=None)
    api_origin = _get_origin(base_url)

    async def fetch_with_token(request: Request, send: Any) -> Any:
        async def send_with_token(request: Request) -> Any:
            if _get_origin(request.url) != api_origin:
                return await send(request)
            before = _context_token.set(read_token("the API token", await token()))
            try:
                return await send(request)
            finally:
                _context_token.reset(before)

        return await (
            send_with_token(request) if fetch is None else fetch(request, send_with_token)
        )

    return fetch_with_token


def _get_origin(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    return scheme.lower(), rest.partition("/")[0].partition("?")[0].lower()


def lost_token() -> NoReturn:
    """Raise `MissingTokenError`: the token of a client that was unpickled.

    Secrets are not pickled, and no other token may be used in place of one.
    """
    raise MissingTokenError(
        detail=(
            "this client was unpickled, and the token that it was given is not pickled: assign it"
            " (client.api_token = …), or have it read where it is used (REPLICATE_API_TOKEN, or a"
            " function of a module as api_token)"
        )
    )


defer_annotations(globals())
