"""Webhooks: the account's signing secret, and whether a request was signed with it
(https://replicate.com/docs/webhooks).
"""

from __future__ import annotations

from ._base.checks import integer, interval, text
from ._base.credentials import Secret as Hidden
from ._base.credentials import reveal
from ._base.operation import Async, M, Namespace, async_operation, operation
from ._base.record import Record
from ._base.typing import defer_annotations
from ._core import Expect, Verifier
from ._core import sign_webhook as sign
from ._webhooks.requests import aread, headers_of, read

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, Final, Unpack

    from ._base.checks import Seconds
    from ._base.operation import Options
    from ._webhooks.types import HasKey as HasKey
    from ._webhooks.types import Now as Now
    from ._webhooks.types import Secret as Secret
    from ._webhooks.types import Secrets as Secrets
    from ._webhooks.types import WebhookBody as Body
    from ._webhooks.types import WebhookHeaders as Headers
    from ._webhooks.types import WebhookRequest as Request


# Seconds between a webhook's timestamp and now that are accepted, one way or the other.
TOLERANCE = 300


class WebhookValidationError(ValueError):
    """A webhook that cannot be judged, or is not genuine."""


class MissingWebhookHeaderError(WebhookValidationError):
    """A header is missing."""


class MissingWebhookBodyError(WebhookValidationError):
    """The body is missing, or empty."""


class InvalidSecretKeyError(WebhookValidationError):
    """The secret is not one. The message does not show it."""


class InvalidTimestampError(WebhookValidationError):
    """The timestamp is not one, or is too far from now."""


class InvalidSignatureError(WebhookValidationError):
    """Nobody with the secret signed this."""


class ReplayedWebhookError(WebhookValidationError):
    """The webhook is genuine, but came before."""


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
    """Make the exception that says why a webhook was refused; the core asks for it."""
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
        # What is secret is not pickled.
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
    """Whether a webhook was signed with the secret, and lately
    (https://replicate.com/docs/webhooks/verify-webhook).

    Args:
        request: The request, of Django, Flask, httpx or requests, or of whatever looks like one of
            them; a WSGI environ or an ASGI scope, with `body`. Without it `headers`, or `id`,
            `timestamp` and `signature`.
        secret: From `client.webhooks.default.secret.get()`, or its text; several while keys are
            rotated.
        tolerance: Seconds between the timestamp and now that are accepted; None for any.
        headers: The request's headers: a mapping, or pairs.
        id: The header ``webhook-id``.
        timestamp: The header ``webhook-timestamp``.
        signature: The header ``webhook-signature``.
        body: The raw body, as it came; once parsed, it cannot be verified.
        now: The time that the timestamp is compared with, for tests: seconds since 1970, a
            `datetime`, or a function that returns one; None for the clock.

    Raises:
        MissingWebhookHeaderError: A header is missing.
        MissingWebhookBodyError: The body is missing, or is empty and was not signed so.
        InvalidSecretKeyError: A secret is missing, or is not one.
        TypeError: The body was parsed, or has to be awaited (`avalidate_webhook`).
        ValueError: Two of a request, headers, and single headers are given.

    """
    hidden, secret = Hidden(secret), None
    given = _headers(request, headers, id, timestamp, signature)
    if request is not None and body is None:
        body = read(request)
    return _is_genuine(given, body, hidden, tolerance, now)


async def avalidate_webhook(
    request: Request,
    secret: Secrets | None = None,
    tolerance: Seconds | None = TOLERANCE,
    *,
    body: Body | None = None,
    now: Now | None = None,
) -> bool:
    """Do what `validate_webhook` does for requests whose body is awaited: those of Starlette,
    FastAPI, aiohttp and Litestar.
    """
    hidden, secret = Hidden(secret), None
    given = headers_of(request)
    return _is_genuine(
        given, await aread(request) if body is None else body, hidden, tolerance, now
    )


def _headers(
    request: Request | None,
    headers: Headers | None,
    id: str | None,
    timestamp: str | None,
    signature: str | None,
) -> Headers:
    parts = {"webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature}
    alone = {name: value for name, value in parts.items() if value is not None}
    if (request is not None) + (headers is not None) + bool(alone) > 1:
        raise ValueError(
            "Give a request, or headers, or id, timestamp and signature: only one of these"
        )
    if request is not None:
        return headers_of(request)
    return alone if headers is None else headers


def _is_genuine(
    headers: Headers, body: Body | None, secret: Hidden, tolerance: Seconds | None, now: Now | None
) -> bool:
    try:
        Verifier(reveal(secret), tolerance, now=now).verify(headers, body)
    except (InvalidSignatureError, InvalidTimestampError):
        return False
    return True


def sign_webhook(secret: Secrets, id: str, timestamp: int | str, body: Body) -> str:
    """Give the header ``webhook-signature`` for a webhook, as Replicate would.

    Args:
        secret: With several, the header has an entry for each, as while keys are rotated.
        id: The header ``webhook-id``.
        timestamp: The header ``webhook-timestamp``: seconds since 1970.
        body: The raw body.

    Raises:
        InvalidSecretKeyError: A secret is not one.

    """
    hidden, secret = Hidden(secret), ""
    moment = timestamp if isinstance(timestamp, str) else integer("timestamp", timestamp)
    return sign(reveal(hidden), text("id", id), text("timestamp", str(moment)), body)


class DefaultSecret(Namespace[M]):
    """`client.webhooks.default.secret`."""

    __slots__ = ()

    @operation
    async def get(
        self, *, cached: bool = False, **options: Unpack[Options]
    ) -> WebhookSigningSecret[M]:
        """Fetch the account's signing secret
        (https://replicate.com/docs/reference/http#webhooks.default.secret.get).

        Args:
            cached: Be content with the one that this client fetched last, if it did: it rarely
                changes.
            options: What every operation takes.

        """
        known: WebhookSigningSecret[M] | None = self._session.webhook_secret
        if cached and known is not None:
            return known
        target = ("webhooks", "default", "secret")
        pending = self._send("GET", target, Expect.OBJECT, options)
        secret: WebhookSigningSecret[M] = WebhookSigningSecret._of(
            await self._transport.finish(pending), self._session
        )
        self._session.webhook_secret = secret
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
        """The same, to be awaited."""
        resource: DefaultSecret[Async] = self._namespace(
            "async_secret", lambda session, _: DefaultSecret(session, Async)
        )
        return resource


class Webhooks(Namespace[M]):
    """`client.webhooks`."""

    __slots__ = ()

    @property
    def default(self) -> DefaultWebhook[M]:
        """What belongs to the account."""
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
        """Raise unless a webhook was signed with the secret, in the order and words of 1.0.7; as
        strict as `validate_webhook`.

        Args:
            request: A request, as `validate_webhook` takes them; or `headers` and `body`.
            headers: The request's headers.
            body: The raw body.
            secret: From `client.webhooks.default.secret()`.
            tolerance: Seconds between the timestamp and now that are accepted; any if not given.

        Raises:
            WebhookValidationError: One of its subclasses says what is wrong.
            ValueError: There is no secret, or both a request and parts of one.

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


def _validate(given: Headers, body: Body | None, secret: Hidden, tolerance: Seconds | None) -> None:
    """Check a webhook in the order of 1.0.7: what is missing, its age, the secret, the signatures."""
    from contextlib import suppress

    headers: Any = [*given] if hasattr(given, "__next__") else given
    with suppress(InvalidSignatureError):
        # What is missing or malformed is found with any secret.
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
    """Return the value of a header that is there."""
    for key, value in headers.items() if hasattr(headers, "items") else headers:
        found = key.decode("latin-1") if isinstance(key, bytes) else key
        if found.lower() == name:
            return value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return ""


Webhooks.Default = DefaultWebhook  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - where 1.0.7 has it


defer_annotations(globals())
