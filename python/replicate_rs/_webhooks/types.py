"""Types of the requests, secrets and times that the verification of webhooks accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeAlias, runtime_checkable

from .._base.types import AsItIs


@runtime_checkable
class HasKey(Protocol):
    """A signing secret of this library or of 1.0.7."""

    @property
    def key(self) -> str:
        """``whsec_`` and base64."""
        ...


@runtime_checkable
class HasHeaders(Protocol):
    """A request of a web framework or HTTP library: Starlette, Django, Flask, httpx, and others."""

    @property
    def headers(self) -> Any:  # Each framework has a class of its own.
        """The headers of the request."""
        ...


Secret: TypeAlias = str | HasKey
# Several while the secret is rotated.
Secrets: TypeAlias = Secret | Iterable[Secret]
# Seconds since 1970, or a `datetime`.
Moment: TypeAlias = float | datetime
Now: TypeAlias = Moment | Callable[[], Moment]
_Text: TypeAlias = str | bytes
# A request, a WSGI environment or an ASGI scope.
WebhookRequest: TypeAlias = HasHeaders | Mapping[str, Any]
WebhookHeaders: TypeAlias = (
    Mapping[str, str] | Mapping[str, _Text] | Mapping[bytes, bytes] | Iterable[tuple[_Text, _Text]]
)
WebhookBody: TypeAlias = Annotated[bytes | bytearray | memoryview | str, AsItIs()]
