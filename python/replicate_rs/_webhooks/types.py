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
"""``whsec_`` and base64, or an object that has it as `key`."""
Secrets: TypeAlias = Secret | Iterable[Secret]
"""One secret, or several while the secret is rotated."""
Moment: TypeAlias = float | datetime
"""A time: seconds since 1970, or a `datetime`."""
Now: TypeAlias = Moment | Callable[[], Moment]
"""The time, or a function that returns it."""
_Text: TypeAlias = str | bytes
WebhookRequest: TypeAlias = HasHeaders | Mapping[str, Any]
"""A request of a web framework, a WSGI environment or an ASGI scope."""
WebhookHeaders: TypeAlias = (
    Mapping[str, str] | Mapping[str, _Text] | Mapping[bytes, bytes] | Iterable[tuple[_Text, _Text]]
)
"""The headers of a webhook: a mapping, or pairs of text or bytes."""
WebhookBody: TypeAlias = Annotated[bytes | bytearray | memoryview | str, AsItIs()]
"""The raw body of a webhook, as it was received."""
