"""Types of a client's options, and of the functions that a client calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from os import PathLike
from typing import Annotated, Any, TypeAlias

from .._base.types import (
    AsItIs,
    FileEncodingStrategy,
    Headers,
    Limit,
    Seconds,
    SecretText,
    TypedDict,
)
from .._core import Response
from ..prediction import Prediction
from .http import Request

OnProgress: TypeAlias = Annotated[Callable[[Prediction[Any]], Awaitable[object] | object], AsItIs()]
"""A function of a `Prediction`; it may be async on an async client."""
Token: TypeAlias = (
    str
    | SecretText
    | Callable[[], str | SecretText | None]
    | Callable[[], Awaitable[str | SecretText | None]]
)
"""An API token: text, an object with `get_secret_value()`, or a function that returns one of these.
An `AsyncReplicate` accepts an async function, too."""
Certificate: TypeAlias = str | PathLike[str] | tuple[str | PathLike[str], str | PathLike[str]]
"""A PEM file with a certificate and its key, or one of each."""
Send: TypeAlias = Callable[[Request], Response]
"""The function that a `fetch=` function calls to send a request."""
AsyncSend: TypeAlias = Callable[[Request], Awaitable[Response]]
"""The same for an async `fetch=` function, which awaits it."""
Fetch: TypeAlias = (
    Callable[[Request, Send], Response] | Callable[[Request, AsyncSend], Awaitable[Response]]
)
"""A function around every request: it takes a `Request` and a function that sends it, and returns a
`Response`."""


class ClientOptions(TypedDict, total=False):
    """Options of a client; the constructor of `Replicate` explains them."""

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
