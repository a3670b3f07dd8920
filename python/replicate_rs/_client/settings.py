"""What a client is made with at the moment, and the core that is made of it.

Options may be assigned while a client lives, and what comes from the environment is read when a
request is made. So the core is made anew when either changes; requests that are under way go on
with the one they began with.
"""

from __future__ import annotations

import sys
from _weakref import ref
from os import environ

from .._base.checks import integer, interval, is_async_function
from .._base.credentials import Secret, find_token, read_token, reveal
from .._base.operation import Async, header_pairs
from .._base.session import Session
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

    from .._base.operation import Sync
    from .http import Request


# No request was made yet.
UNREAD = object()
MAX_UINT32 = (1 << 32) - 1


class Settings:
    """What a client is made with, and the core that is made of it."""

    __slots__ = (
        "_bare",
        "_base_url",
        "_core",
        "_follows",
        "_former",
        "is_default",
        "mode",
        "options",
    )

    _bare: Core
    _core: Core

    def __init__(
        self, mode: type[Sync | Async], options: dict[str, Any], share: Settings | None = None
    ) -> None:
        """Create the core from options as `normalize` returns them; `share` has connections to be
        used, if they fit.
        """
        if level := environ.get("REPLICATE_LOG"):
            from .._base.logging import turn_on

            turn_on(level)
        self.mode: type[Sync | Async] = mode
        self.options: dict[str, Any] = options
        # Whether they are those of the module's own client.
        self.is_default: bool = False
        # Cores that were made of other options, as long as something uses them.
        self._former: list[ref[Core]] = []
        # The environment's address, as it was when the core was made; and whether it is to be
        # looked at.
        self._base_url: object = UNREAD
        self._follows: bool = True
        self._set(options, DEFAULT_BASE_URL, share)
        # What is wrong with it by now is told by now.
        _ = self.poll_interval

    @property
    def core(self) -> Core:
        """What requests go through now."""
        if self._follows and environ.get("REPLICATE_BASE_URL") != self._base_url:
            self._follow()
        return self._core

    @property
    def poll_interval(self) -> float | None:
        """Seconds between polls; None leaves it to the core."""
        given: float | None = self.options["poll_interval"]
        return _interval_of_environment() if given is None else given

    @property
    def is_closed(self) -> bool:
        """Whether the client was closed."""
        return self._core.is_closed

    def change(self, options: dict[str, Any]) -> None:
        """Use other options from the next request on; connections are kept if these options do not
        concern them.
        """
        self._set(options, DEFAULT_BASE_URL, self)
        self._base_url, self._follows = UNREAD, True

    def cores(self) -> Iterator[Core]:
        """Return the core, and those that were made before it and are still in use."""
        yield self._core
        for each in self._former:
            if (core := each()) is not None:
                yield core

    def pickled(self, *, with_functions: bool) -> dict[str, Any]:
        """Return the options that are not as usual, without secrets. A token that is left out is
        never replaced by another one.

        Functions that a pickler might not take are left out too, unless they are asked for.
        """
        kept = {
            name: value
            for name, value in self.options.items()
            if value is not DEFAULTS[name] and value != DEFAULTS[name]
        }
        kept.pop("headers", None)
        token = kept.get("api_token")
        if isinstance(token, Secret) or (token is None and _has_authorization(self.options)):
            kept["api_token"] = lost_token
        if "proxy" in kept:
            scheme, mark, rest = reveal(kept["proxy"]).rpartition("@")
            kept["proxy"] = f"{scheme.partition('://')[0]}://{rest}" if mark else rest
        if "timeout" in kept:
            kept["timeout"] = to_timeout(kept["timeout"])
        if not with_functions:
            # What is unpickled blocks, where nobody awaits an async function.
            if callable(token) and (not _is_importable(token) or _is_awaited(token)):
                kept["api_token"] = lost_token
            if "fetch" in kept and (not _is_importable(kept["fetch"]) or self.mode is Async):
                del kept["fetch"]
        return kept

    @property
    def is_plain_default(self) -> bool:
        """Whether these are the module's own, with nothing assigned: what belongs to them belongs
        to the module elsewhere too.
        """
        return self.is_default and not self.pickled(with_functions=True)

    def reduced(self, mode: type[Sync | Async]) -> tuple[Any, ...]:
        """Return what a pickle of a session has."""
        return _restored_session, (mode, self.mode, self.pickled(with_functions=False))

    def _follow(self) -> None:
        """Read the environment."""
        if self.options["poll_interval"] is None:
            # What is wrong with it is told before anything is sent.
            _interval_of_environment()
        if self.options["base_url"] is not None:
            self._follows = False
            return
        found = environ.get("REPLICATE_BASE_URL")
        address = (found or "").strip() or DEFAULT_BASE_URL
        if self._base_url is not UNREAD or address != DEFAULT_BASE_URL:
            try:
                self._set(self.options, address, self)
            except ValueError as error:
                problem = str(error)
            else:
                self._base_url = found
                return
            raise ValueError(problem.replace("base_url", "REPLICATE_BASE_URL", 1))
        self._base_url = found

    def _set(self, options: dict[str, Any], address: str, share: Settings | None) -> None:
        """Create the core from these options, and use it from now on."""
        shared = (
            share._bare
            if share is not None
            and not share.is_closed
            and _network(options) == _network(share.options)
            else None
        )
        bare, core = _core_of(self.mode, options, address, shared)
        if share is self:
            if self.is_closed:
                bare.close()
            self._former = [each for each in self._former if each() is not None] + [ref(self._core)]
        self._bare, self._core, self.options = bare, core, options


def _network(options: dict[str, Any]) -> tuple[object, ...]:
    """Return what says how servers are reached: clients with the same may share connections."""
    return (*(options[name] for name in CONNECTION_OPTIONS), to_timeout(options["timeout"]).connect)


def _core_of(
    mode: type[Sync | Async], options: dict[str, Any], address: str, share: Core | None
) -> tuple[Core, Core]:
    """Create a core, and what stands in its place where a function of the caller's is asked before
    requests.
    """
    limits = to_timeout(options["timeout"])
    verified, authorities = to_trust(options["verify"], options["ssl_cert_file"])
    most, token = options["max_connections"], options["api_token"]
    awaited = mode is Async and _is_awaited(token)
    core = Core(
        options["base_url"] or address,
        # A header that says who asks is as good as a token that is given, and better than one of
        # the environment.
        (
            None
            if token is None and _has_authorization(options)
            else _given_token
            if awaited
            else _source_of(token)
        ),
        user_agent=options["user_agent"] or USER_AGENT,
        headers=_pairs(options),
        connect=limits.connect,
        read=limits.read,
        write=limits.write,
        pool=limits.pool,
        total=limits.total,
        idle=limits.idle,
        max_retries=integer("max_retries", options["max_retries"], 0, MAX_UINT32),
        max_connections=None if most is None else integer("max_connections", most, 1),
        max_bytes=integer("max_response_bytes", options["max_response_bytes"], 1),
        public_only=options["block_private_addresses"],
        proxy=reveal(options["proxy"]),
        verify=verified,
        ssl_cert_file=authorities,
        cert=to_certificate(options["cert"]),
        share=share,
    )
    fetch = options["fetch"]
    bound_to: Any = getattr(fetch.__class__, "bound_to", None)
    if bound_to is not None:
        # One that sends requests without the core, and adds the client's headers itself.
        fetch = bound_to(fetch, core.base_url, options)
    if awaited:
        fetch = _with_token(cast("Callable[[], Awaitable[object]]", token), core.base_url, fetch)
    if fetch is None:
        return core, core
    from .middleware import Middleware

    # What has the core's verbs can stand in its place; a client without a fetch= has nothing of the
    # kind.
    return core, cast("Core", Middleware(core, fetch, is_async=mode is Async))


def _pairs(options: dict[str, Any]) -> list[tuple[str, str]]:
    return header_pairs(options["headers"])


def _has_authorization(options: dict[str, Any]) -> bool:
    return any(name.lower() == "authorization" for name, _ in _pairs(options))


def _source_of(token: Any) -> str | Callable[[], str | None]:
    """Return what the core asks for the token: text, or a function."""
    if token is None:
        return find_token
    if isinstance(token, Secret):
        text: str = reveal(token)
        return text
    return lambda: read_token("the API token", _not_awaited(token()))


def _is_awaited(token: Any) -> bool:
    return callable(token) and not isinstance(token, Secret) and is_async_function(token)


def _not_awaited(token: Any) -> Any:
    """Refuse a token that has to be awaited, where it cannot be."""
    if not hasattr(token, "__await__"):
        return token
    close = getattr(token, "close", None)
    if close is not None:
        close()
    raise TypeError(
        "the function given as api_token returned something to be awaited: on an AsyncReplicate"
        " write it as `async def`, on a Replicate as a plain function"
    )


# The token that an async function has returned for the request that is begun next in this context.
_token_of_context: Any = None


def _given_token() -> str | None:
    token: str | None = None if _token_of_context is None else _token_of_context.get()
    return token


def _with_token(token: Callable[[], Awaitable[object]], base_url: str, fetch: Any) -> Any:
    """Return a `fetch` that awaits the token of each request to the API, around another `fetch` or
    none.
    """
    global _token_of_context
    if _token_of_context is None:
        from _contextvars import ContextVar

        _token_of_context = ContextVar("replicate_rs_token", default=None)
    own = _origin(base_url)

    async def asked() -> str | None:
        return read_token("the API token", await token())

    async def pass_on(request: Request, send: Any) -> Any:
        async def with_token(request: Request) -> Any:
            if _origin(request.url) != own:
                return await send(request)
            before = _token_of_context.set(await asked())
            try:
                return await send(request)
            finally:
                _token_of_context.reset(before)

        return await (with_token(request) if fetch is None else fetch(request, with_token))

    return pass_on


def _origin(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    return scheme.lower(), rest.partition("/")[0].partition("?")[0].lower()


def lost_token() -> NoReturn:
    """Stand for the token of a client that was unpickled: secrets are not pickled, and no other one
    may take its place.
    """
    raise MissingTokenError(
        detail=(
            "this client was unpickled, and the token that it was given is not pickled: assign it"
            " (client.api_token = …), or have it read where it is used (REPLICATE_API_TOKEN, or a"
            " function of a module as api_token)"
        )
    )


def _restored_session(
    mode: type[Sync | Async], client_mode: type[Sync | Async], options: dict[str, Any]
) -> Session:
    """Return the session of something that was pickled."""
    return Session(Settings(client_mode, normalize(client_mode, options)), mode)


def _interval_of_environment() -> float | None:
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
    """Whether a pickle has only a function's name."""
    found: Any = sys.modules.get(getattr(function, "__module__", None) or "")
    for name in str(getattr(function, "__qualname__", "")).split("."):
        found = getattr(found, name, None)
    return found is function


defer_annotations(globals())
