"""Webhooks: verification, and the account's signing secret.

See https://replicate.com/docs/webhooks.
"""

from __future__ import annotations

from ._base.checks import integer, interval, text
from ._base.credentials import Secret as Hidden
from ._base.credentials import reveal
from ._base.operation import async_operation, operation
from ._base.record import Record, fetch
from ._base.resource import M, Namespace
from ._base.session import Async
from ._base.typing import defer_annotations
from ._core import Verifier
from ._core import sign_webhook as sign
from ._webhooks.requests import aread, headers_of, read

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, Final, Unpack

    from ._base.checks import Seconds
    from ._base.resource import Options
    from ._base.session import Sync
    from ._webhooks.types import HasKey as HasKey
    from ._webhooks.types import Now as Now
    from ._webhooks.types import Secret as Secret
    from ._webhooks.types import Secrets as Secrets
    from ._webhooks.types import WebhookBody as Body
    from ._webhooks.types import WebhookHeaders as Headers
    from ._webhooks.types import WebhookRequest as Request


# Seconds that a webhook's timestamp may differ from the current time, in either direction.
TOLERANCE = 300


class WebhookValidationError(ValueError):
    """A webhook cannot be verified, or is not genuine."""


class MissingWebhookHeaderError(WebhookValidationError):
    """A header is missing."""


class MissingWebhookBodyError(WebhookValidationError):
    """The body is missing or empty."""


class InvalidSecretKeyError(WebhookValidationError):
    """The secret is missing or malformed. The message does not show it."""


class InvalidTimestampError(WebhookValidationError):
    """The timestamp is malformed, or too far from the current time."""


class InvalidSignatureError(WebhookValidationError):
    """The signature does not match."""


class ReplayedWebhookError(WebhookValidationError):
    """The webhook is genuine, but was received before."""


class InvalidWebhookBodyError(WebhookValidationError):
    """The webhook is genuine, but its body is not a JSON object."""


_REFUSALS: dict[str, tuple[type[WebhookValidationError], str]] = {
    "no_secret": (InvalidSecretKeyError, "Missing webhook signing secret"),
    "secret": (InvalidSecretKeyError, "The webhook secret {}"),
    "no_id": (MissingWebhookHeaderError, "Missing webhook id"),
    "no_timestamp": (MissingWebhookHeaderError, "Missing webhook timestamp"),
    "no_signature": (MissingWebhookHeaderError, "Missing webhook signature"),
    "no_body": (MissingWebhookBodyError, "Missing webhook body"),
    "empty_body": (MissingWebhookBodyError, "The webhook's body is empty: was it read before?"),
    "timestamp": (InvalidTimestampError, "Webhook timestamp is not a number of seconds"),
    "tolerance": (
        InvalidTimestampError,
        "Webhook timestamp is outside the allowed tolerance of {} seconds",
    ),
    "signature": (InvalidSignatureError, "Webhook signature is invalid"),
    "seen": (ReplayedWebhookError, "This webhook has been received before"),
    "content": (InvalidWebhookBodyError, "The webhook is genuine, but its body {}"),
}


def refused(reason: str, detail: str) -> WebhookValidationError:
    """Return the exception for a refused webhook; the core calls this function.

    Args:
        reason: A key of `_REFUSALS`.
        detail: The text that is inserted into the message.

    """
    kind, message = _REFUSALS[reason]
    return kind(message.format(detail))


class WebhookSigningSecret(Record[M]):
    """The account's signing secret; its repr does not show it."""

    __slots__ = ()

    key: str
    """``whsec_`` and base64."""

    def __repr__(self) -> str:
        return "WebhookSigningSecret(key=[REDACTED])"

    def __reduce__(self) -> tuple[Any, ...]:
        # Secrets are not pickled.
        return self._reduced({name: value for name, value in self._data.items() if name != "key"})


def validate_webhook(
    request: Request | None = None,
    secret: Secrets | None = None,
    tolerance: Seconds | None = TOLERANCE,
    *,
    headers: Headers | None = None,
    id: str | None = None,
    timestamp: str | None = None,
    signature: str | None = None,
    body: Body | None = None,
    now: Now | None = None,
) -> bool:
    """Return whether a webhook was signed with the secret within the tolerance.

    See https://replicate.com/docs/webhooks/verify-webhook.

    Args:
        request: A request of Django, Flask, httpx, requests, or a similar library; or a WSGI
            environ or an ASGI scope, together with `body`. Instead, give `headers`, or `id`,
            `timestamp` and `signature`.
        secret: The result of `client.webhooks.default.secret.get()`, or its text; several while the
            secret is rotated.
        tolerance: Seconds that the timestamp may differ from the current time; None for no limit.
        headers: The request's headers: a mapping, or pairs.
        id: The header ``webhook-id``.
        timestamp: The header ``webhook-timestamp``.
        signature: The header ``webhook-signature``.
        body: The raw body. A parsed body cannot be verified.
        now: The current time, for tests: seconds since 1970, a `datetime`, or a function that
            returns one; None for the clock.

    Raises:
        MissingWebhookHeaderError: A header is missing.
        MissingWebhookBodyError: The body is missing, or empty though a body was signed.
        InvalidSecretKeyError: A secret is missing or malformed.
        TypeError: The body was parsed, or must be awaited (`avalidate_webhook`).
        ValueError: Two of a request, headers, and single headers are given.

    """
    hidden, secret = Hidden(secret), None
    received = _headers(request, headers, id, timestamp, signature)
    if request is not None and body is None:
        body = read(request)
    return _is_genuine(received, body, hidden, tolerance, now)


async def avalidate_webhook(
    request: Request,
    secret: Secrets | None = None,
    tolerance: Seconds | None = TOLERANCE,
    *,
    body: Body | None = None,
    now: Now | None = None,
) -> bool:
    """Return whether a webhook was signed with the secret; await the request's body.

    For requests of Starlette, FastAPI, aiohttp and Litestar. The arguments are those of
    `validate_webhook`, and so are the errors.

    Args:
        request: The request.
        secret: The signing secret, or several.
        tolerance: Seconds that the timestamp may differ from the current time; None for no limit.
        body: The raw body, if it was read before.
        now: The current time, for tests.

    """
    hidden, secret = Hidden(secret), None
    headers = headers_of(request)
    body = await aread(request) if body is None else body
    return _is_genuine(headers, body, hidden, tolerance, now)


def _headers(
    request: Request | None,
    headers: Headers | None,
    id: str | None,
    timestamp: str | None,
    signature: str | None,
) -> Headers:
    parts = {"webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature}
    single = {name: value for name, value in parts.items() if value is not None}
    if (request is not None) + (headers is not None) + bool(single) > 1:
        raise ValueError(
            "Give a request, or headers, or id, timestamp and signature: only one of these"
        )
    if request is not None:
        return headers_of(request)
    return single if headers is None else headers


def _is_genuine(
    headers: Headers, body: Body | None, secret: Hidden, tolerance: Seconds | None, now: Now | None
) -> bool:
    try:
        Verifier(reveal(secret), tolerance, now=now).verify(headers, body)
    except (InvalidSignatureError, InvalidTimestampError):
        return False
    return True


def sign_webhook(secret: Secrets, id: str, timestamp: int | str, body: Body) -> str:
    """Return the header ``webhook-signature`` that Replicate would send, for tests of receivers.

    Args:
        secret: The signing secret; with several, the header has an entry for each.
        id: The header ``webhook-id``.
        timestamp: The header ``webhook-timestamp``: seconds since 1970.
        body: The raw body.

    Raises:
        InvalidSecretKeyError: A secret is malformed.
        TypeError: An argument has the wrong type.

    """
    hidden, secret = Hidden(secret), ""
    seconds = timestamp if isinstance(timestamp, str) else integer("timestamp", timestamp)
    return sign(reveal(hidden), text("id", id), text("timestamp", str(seconds)), body)


class DefaultSecret(Namespace[M]):
    """`client.webhooks.default.secret`."""

    __slots__ = ("_cache",)

    # The secret that was fetched last, in both modes; empty before.
    _cache: list[WebhookSigningSecret[Any]]

    def _in(self, mode: type[Sync | Async]) -> Any:
        resource = super()._in(mode)
        resource._cache = self._fetched
        return resource

    @property
    def _fetched(self) -> list[WebhookSigningSecret[Any]]:
        if not hasattr(self, "_cache"):
            self._cache = []
        return self._cache

    @operation
    async def get(
        self, *, cached: bool = False, **options: Unpack[Options]
    ) -> WebhookSigningSecret[M]:
        """Fetch the account's signing secret.

        API: https://replicate.com/docs/reference/http#webhooks.default.secret.get

        Args:
            cached: Return the secret that was fetched last, if there is one. It rarely changes.

        Raises:
            AuthenticationError: The token is not valid.

        """
        cache = self._fetched
        if cached and cache:
            return cache[0]
        target = ("webhooks", "default", "secret")
        secret = await fetch(self, WebhookSigningSecret[M], "GET", target, options)
        cache[:] = [secret]
        return secret

    async_get: Final = async_operation(get)

    # In 1.0.7 it is called: `webhooks.default.secret()`.
    __call__ = get


class DefaultWebhook(Namespace[M]):
    """`client.webhooks.default`."""

    __slots__ = ()

    @property
    def secret(self) -> DefaultSecret[M]:
        """The account's signing secret."""
        resource: DefaultSecret[M] = self._namespace("secret", DefaultSecret)
        return resource

    @property
    def async_secret(self) -> DefaultSecret[Async]:
        """The account's signing secret; its methods are awaited."""
        resource: DefaultSecret[Async] = self._namespace(
            "async_secret", lambda _session, _mode: self.secret._in(Async)
        )
        return resource


class Webhooks(Namespace[M]):
    """`client.webhooks`."""

    __slots__ = ()

    @property
    def default(self) -> DefaultWebhook[M]:
        """The account's webhook settings."""
        resource: DefaultWebhook[M] = self._namespace("default", DefaultWebhook)
        return resource

    @staticmethod
    def validate(
        request: Request | None = None,
        headers: Headers | None = None,
        body: Body | None = None,
        secret: Secrets | None = None,
        tolerance: Seconds | None = None,
    ) -> None:
        """Raise unless a webhook was signed with the secret, with the errors of 1.0.7.

        Args:
            request: A request that `validate_webhook` accepts; or give `headers` and `body`.
            headers: The request's headers.
            body: The raw body.
            secret: The signing secret, or several.
            tolerance: Seconds that the timestamp may differ from the current time; None for no
                limit.

        Raises:
            WebhookValidationError: The webhook is not genuine; the subclass tells why.
            ValueError: The secret is missing, or both a request and parts of one are given.

        """
        if not secret:
            raise ValueError("Missing webhook signing secret")
        hidden, secret = Hidden(secret), None
        if request is not None:
            if headers or body:
                raise ValueError("Only one of request or headers/body can be provided")
            headers, body = headers_of(request), read(request)
        if not headers:
            raise MissingWebhookHeaderError("Missing webhook headers")
        _validate(headers, body or None, hidden, tolerance)


def _validate(
    received: Headers, body: Body | None, secret: Hidden, tolerance: Seconds | None
) -> None:
    """Check in the order of 1.0.7: missing parts, the age, the secret, the signatures."""
    from contextlib import suppress

    headers: Any = [*received] if hasattr(received, "__next__") else received
    with suppress(InvalidSignatureError):
        # Any secret reveals missing and malformed parts.
        Verifier("whsec_AAAA", None).verify(headers, body)
    if tolerance is not None:
        from time import time

        limit = interval("tolerance", tolerance)
        if abs(int(time()) - int(_header(headers, "webhook-timestamp"))) > limit:
            raise refused("tolerance", f"{limit:g}")
    try:
        verifier = Verifier(reveal(secret), None)
    except InvalidSecretKeyError as error:
        raise InvalidSecretKeyError(f"Invalid secret key format: {error}") from None
    try:
        verifier.verify(headers, body)
    except InvalidSignatureError:
        for entry in _header(headers, "webhook-signature").split():
            if "," not in entry:
                raise InvalidSignatureError(
                    f"Invalid signature format: {ascii(entry)[1:-1]}"
                ) from None
        raise


def _header(headers: Any, name: str) -> str:
    """Return the value of a header, or an empty string."""
    for key, value in headers.items() if hasattr(headers, "items") else headers:
        key = key.decode("latin-1") if isinstance(key, bytes) else key
        if key.lower() == name:
            return value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return ""


Webhooks.Default = DefaultWebhook  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - where 1.0.7 has it


defer_annotations(globals())
