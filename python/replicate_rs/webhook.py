"""Webhooks: the account's signing secret, and whether a request was signed with it (https://replicate.com/docs/webhooks)."""

from __future__ import annotations

from ._core import Expect
from ._operation import Async, M, Namespace, awaitable, operation
from ._record import Record

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Final, Protocol, TypeAlias

    from ._core import AbortSignal

    Secret: TypeAlias = "str | WebhookSigningSecret"  # noqa: S105 - a type
    Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]

    class HasContent(Protocol):
        """A request that was read to its end, as httpx has them."""

        @property
        def headers(self) -> Mapping[str, str]:
            """Its headers."""
            ...

        @property
        def content(self) -> bytes:
            """Its raw body."""
            ...


# Seconds between a webhook's timestamp and now that are accepted, one way or the other.
TOLERANCE = 300


class WebhookValidationError(ValueError):
    """A webhook that cannot be judged, or is not genuine."""


class MissingWebhookHeaderError(WebhookValidationError):
    """A header is missing."""


class MissingWebhookBodyError(WebhookValidationError):
    """The body is missing."""


class InvalidSecretKeyError(WebhookValidationError):
    """The secret is not one."""


class InvalidTimestampError(WebhookValidationError):
    """The timestamp is not one, or is too far from now."""


class InvalidSignatureError(WebhookValidationError):
    """Nobody with the secret signed this."""


class WebhookSigningSecret(Record):
    """The account's signing secret; its repr does not show it."""

    __slots__ = ()

    key: str
    """``whsec_`` and base64."""

    def __repr__(self) -> str:
        return "WebhookSigningSecret(key=[REDACTED])"


def validate_webhook(
    *,
    secret: Secret | Sequence[Secret],
    body: bytes | bytearray | memoryview | str,
    headers: Headers | None = None,
    id: str | None = None,
    timestamp: str | None = None,
    signature: str | None = None,
    tolerance: int | None = TOLERANCE,
) -> bool:
    """Whether a webhook was signed with the secret, and lately.

    Args:
        secret: From `client.webhooks.default.secret.get()`; several while keys are rotated.
        body: The raw body, as it came; a parsed one cannot be verified.
        headers: The request's headers, or give the next three.
        id: The header ``webhook-id``.
        timestamp: The header ``webhook-timestamp``.
        signature: The header ``webhook-signature``.
        tolerance: Seconds between the timestamp and now that are accepted; None for any.

    Raises:
        MissingWebhookHeaderError: A header is missing.
        InvalidSecretKeyError: A secret is not one.

    """
    content = _bytes(body)
    return _refusal(secret, _head(headers, id, timestamp, signature), content, tolerance) is None


def _head(headers: Headers | None, id: str | None, timestamp: str | None, signature: str | None) -> list[str]:
    """Give the three headers of a webhook."""
    if headers is not None:
        given = _lowered(headers)
        id, timestamp, signature = (given.get(f"webhook-{name}") for name in ("id", "timestamp", "signature"))
    head: list[str] = []
    for name, value in (("id", id), ("timestamp", timestamp), ("signature", signature)):
        if not value:
            raise MissingWebhookHeaderError(f"Missing webhook {name}")
        head.append(value)
    return head


def _refusal(secret: Secret | Sequence[Secret], head: list[str], body: bytes, tolerance: int | None) -> str | None:
    """Say why a webhook is not genuine, or None if it is."""
    from ._core import verify_webhook

    secrets = [secret] if isinstance(secret, (str, WebhookSigningSecret)) else [*secret]
    keys = [each if isinstance(each, str) else each.key for each in secrets]
    id, timestamp, signature = (each.encode() for each in head)
    refusal = verify_webhook(keys, id, timestamp, signature, body, tolerance)
    if refusal == "secret":
        raise InvalidSecretKeyError("the webhook secret must be 'whsec_' and base64")
    return refusal


def _bytes(part: bytes | bytearray | memoryview | str) -> bytes:
    if not isinstance(part, (bytes, bytearray, memoryview, str)):  # pyright: ignore[reportUnnecessaryIsInstance] - what callers pass is not always typed
        raise TypeError(f"body must be the raw body (bytes or str), not a parsed {type(part).__name__}")
    return part.encode() if isinstance(part, str) else bytes(part)


def _lowered(headers: Headers) -> dict[str, str]:
    items: Callable[[], Iterable[tuple[str | bytes, str | bytes]]] | None = getattr(headers, "items", None)
    pairs: Iterable[tuple[str | bytes, str | bytes]] = headers if items is None else items()  # type: ignore[assignment]  # not a mapping
    return {_text(name).lower(): _text(value) for name, value in pairs}


def _text(header: str | bytes) -> str:
    return header.decode("latin-1") if isinstance(header, bytes) else header


def sign_webhook(secret: Secret, id: str, timestamp: int | str, body: bytes | str) -> str:
    """Give the header ``webhook-signature`` for a webhook, as Replicate would.

    Raises:
        InvalidSecretKeyError: The secret is not one.

    """
    from ._core import sign_webhook as sign

    key = secret if isinstance(secret, str) else secret.key
    signature = sign(key, id.encode(), str(timestamp).encode(), _bytes(body))
    if signature is None:
        raise InvalidSecretKeyError("the webhook secret must be 'whsec_' and base64")
    return signature


class DefaultSecret(Namespace[M]):
    """`client.webhooks.default.secret`."""

    __slots__ = ()

    @operation
    async def get(self, *, signal: AbortSignal | None = None, timeout: float | None = None) -> WebhookSigningSecret:
        """Fetch the account's signing secret; keep it, it rarely changes."""
        target = ("webhooks", "default", "secret")
        pending = self._core.send("GET", target, Expect.OBJECT, total=timeout, signal=signal)
        return WebhookSigningSecret._of(await self._transport.finish(pending), self._session)

    async_get: Final = awaitable(get)

    # In 1.0.7 it is called: `webhooks.default.secret()`.
    __call__ = get


class DefaultWebhook(Namespace[M]):
    """`client.webhooks.default`."""

    __slots__ = ()

    @property
    def secret(self) -> DefaultSecret[M]:
        """The account's signing secret."""
        return DefaultSecret(self._session, self._mode)

    @property
    def async_secret(self) -> DefaultSecret[Async]:
        """The same, to be awaited."""
        return DefaultSecret(self._session, Async)


class Webhooks(Namespace[M]):
    """`client.webhooks`."""

    __slots__ = ()

    @property
    def default(self) -> DefaultWebhook[M]:
        """What belongs to the account."""
        return DefaultWebhook(self._session, self._mode)

    @staticmethod
    def validate(
        request: HasContent | None = None,
        headers: Headers | None = None,
        body: bytes | bytearray | memoryview | str | None = None,
        secret: Secret | Sequence[Secret] | None = None,
        tolerance: int | None = None,
    ) -> None:
        """Raise unless a webhook was signed with the secret; as in 1.0.7, and as strict as `validate_webhook`.

        Args:
            request: A request of httpx, or `headers` and `body`.
            headers: The request's headers.
            body: The raw body.
            secret: From `client.webhooks.default.secret()`.
            tolerance: Seconds between the timestamp and now that are accepted; any if not given.

        Raises:
            WebhookValidationError: One of its subclasses says what is wrong.

        """
        if not secret:
            raise ValueError("Missing webhook signing secret")
        if request is not None:
            if headers or body:
                raise ValueError("Only one of request or headers/body can be provided")
            headers, body = request.headers, request.content
        if not headers:
            raise MissingWebhookHeaderError("Missing webhook headers")
        head = _head(headers, None, None, None)
        if not body:
            raise MissingWebhookBodyError("Missing webhook body")
        # The signature is judged first: who cannot sign does not learn what the clock says.
        refusal = _refusal(secret, head, _bytes(body), tolerance)
        if refusal == "signature":
            raise InvalidSignatureError("Webhook signature is invalid")
        if refusal == "timestamp":
            raise InvalidTimestampError("Webhook timestamp is not a number of seconds")
        if refusal == "tolerance":
            raise InvalidTimestampError(f"Webhook timestamp is outside the allowed tolerance of {tolerance} seconds")


Webhooks.Default = DefaultWebhook  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - where 1.0.7 has it
