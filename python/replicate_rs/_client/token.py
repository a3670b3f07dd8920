"""The API token of a client: text, a function, or none."""

from __future__ import annotations

from .._base.checks import is_async_function
from .._base.credentials import Secret, find_token, read_token, reveal
from .._base.encoding import header_pairs
from .._base.typing import TYPE_CHECKING, defer_annotations
from ..exceptions import MissingTokenError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, NoReturn

    from .http import Request

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
    close = getattr(token, "close", None)
    if close is not None:
        close()
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
