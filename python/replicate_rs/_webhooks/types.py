"""Types of webhooks, as frameworks keep them, and of what verifies them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeAlias, runtime_checkable

from .._base.types import AsItIs


@runtime_checkable
class HasKey(Protocol):
    """The account's signing secret, of this library or of 1.0.7."""

    @property
    def key(self) -> str:
        """``whsec_`` and base64."""
        ...


@runtime_checkable
class HasHeaders(Protocol):
    """A request of Starlette, FastAPI, Django, Flask, aiohttp, Litestar, httpx, requests, or of one
    that looks like them.
    """

    @property
    def headers(self) -> Any:  # Each has a class of its own for them.
        """Its headers."""
        ...


Secret: TypeAlias = str | HasKey
# Several while keys are rotated.
Secrets: TypeAlias = Secret | Iterable[Secret]
# Seconds since 1970, or a time with its zone.
Moment: TypeAlias = float | datetime
Now: TypeAlias = Moment | Callable[[], Moment]
_Text: TypeAlias = str | bytes
# A request, a WSGI environ or an ASGI scope.
WebhookRequest: TypeAlias = HasHeaders | Mapping[str, Any]
WebhookHeaders: TypeAlias = (
    Mapping[str, str] | Mapping[str, _Text] | Mapping[bytes, bytes] | Iterable[tuple[_Text, _Text]]
)
WebhookBody: TypeAlias = Annotated[bytes | bytearray | memoryview | str, AsItIs()]
