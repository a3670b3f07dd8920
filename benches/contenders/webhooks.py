"""Verifying webhooks.

Each contender takes headers and a body as a server has them: header names in lower case, the body
as bytes. Where a library takes text, its cost includes decoding.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from contenders import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Both take headers and a body, and raise an error (or return False) for a forged webhook.
    Check = Callable[[Mapping[str, str], bytes], Any]
    # Returns a Prediction, or the dict of one.
    Unwrap = Callable[[Mapping[str, str], bytes], Any]

# The example secret of the Standard Webhooks specification.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
# Seconds. Some libraries have this tolerance and no option for it.
TOLERANCE = 300
OUTPUT = "hello Alice "
PREDICTION = Path(__file__).parents[1] / "server" / "prediction.json"
# Exceptions that mean a forged webhook; any other exception is a fault of the benchmark.
REFUSALS = {"InvalidSignatureError", "WebhookVerificationError"}


class SignedWebhook(NamedTuple):
    """A webhook with its signature."""

    headers: dict[str, str]
    body: bytes

    def forged(self) -> SignedWebhook:
        """Return a copy whose body, still JSON, differs in one byte."""
        return self._replace(body=self.body.replace(b"hello", b"hellp", 1))


def sign_webhook(size: int, number: int = 0) -> SignedWebhook:
    """Return a webhook whose body has `size` bytes, signed now."""
    body = _body(size)
    id, timestamp = f"msg_p5jXN8AQM9LWM0D4loKWx{number:03}", str(int(time.time()))
    digest = hmac.digest(_key(), f"{id}.{timestamp}.".encode() + body, "sha256")
    head = f"""host: example.com
user-agent: Replicate/1.0
accept: */*
content-type: application/json
content-length: {size}
webhook-id: {id}
webhook-timestamp: {timestamp}
webhook-signature: v1,{base64.b64encode(digest).decode()}"""
    # Decoded from bytes, as a server does it: string constants of a library would be the same
    # objects as those in its code, and so compare faster.
    lines = [line.split(b": ", 1) for line in head.encode().split(b"\n")]
    return SignedWebhook(
        {name.decode("latin-1"): value.decode("latin-1") for name, value in lines}, body
    )


def _key() -> bytes:
    return base64.b64decode(SECRET.removeprefix("whsec_"))


def _body(size: int) -> bytes:
    """Return the JSON of a prediction, padded to `size` bytes by its output."""
    prediction: dict[str, Any] = json.loads(PREDICTION.read_bytes())

    def encode(output: str) -> bytes:
        return json.dumps(
            {**prediction, "output": output, "logs": ""}, separators=(",", ":")
        ).encode()

    length = size - len(encode(""))
    body = encode((OUTPUT * (length // len(OUTPUT) + 1))[:length])
    assert len(body) == size
    return body


def check_verdicts(check: Check, webhook: SignedWebhook) -> None:
    """Raise ValueError unless a contender accepts a webhook and refuses a forged copy."""
    if check(*webhook) is False:
        raise ValueError("wrong answer: a genuine webhook was refused")
    forged = webhook.forged()
    assert forged != webhook
    try:
        accepted = check(*forged) is not False
    except Exception as error:
        if type(error).__name__ not in REFUSALS:
            raise
        accepted = False
    if accepted:
        raise ValueError("wrong answer: a forged webhook was accepted")


def _ours() -> Check:
    from replicate_rs import WebhookVerifier

    return WebhookVerifier(SECRET).verify


def _ours_function() -> Check:
    from replicate_rs import validate_webhook

    return lambda headers, body: validate_webhook(secret=SECRET, headers=headers, body=body)


def _1_0_7() -> Check:
    from replicate.webhook import Webhooks, WebhookSigningSecret

    # Untyped: the annotations of its arguments are wrong.
    validate: Any = Webhooks.validate
    secret = WebhookSigningSecret(key=SECRET)
    return lambda headers, body: validate(
        headers=headers, body=body.decode(), secret=secret, tolerance=TOLERANCE
    )


def _svix() -> Check:
    from svix.webhooks import Webhook

    verify: Any = Webhook(SECRET).verify
    return lambda headers, body: verify(body, headers)


def _standardwebhooks() -> Check:
    from standardwebhooks import Webhook

    verify: Any = Webhook(SECRET).verify
    # By default, it also parses the body.
    return lambda headers, body: verify(body, headers, json_parse=False)


def _hand_written() -> Check:
    """Hash with the key's two states prepared, and without a copy of the body.

    This is the fastest way with Python's standard library.
    """
    pad = _key().ljust(64, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ mask for byte in pad)) for mask in (0x36, 0x5C))
    equal, encode, now = hmac.compare_digest, binascii.b2a_base64, time.time

    def verify(headers: Mapping[str, str], body: bytes) -> bool:
        timestamp = headers["webhook-timestamp"]
        if abs(now() - int(timestamp)) > TOLERANCE:
            return False
        message, mac = inner.copy(), outer.copy()
        message.update(f"{headers['webhook-id']}.{timestamp}.".encode())
        message.update(body)
        mac.update(message.digest())
        expected = b"v1," + encode(mac.digest(), newline=False)
        for signature in headers["webhook-signature"].encode().split(b" "):
            if equal(signature, expected):
                return True
        return False

    return verify


def _hmac_digest() -> Check:
    """Use `hmac.digest`, as most hand-written code does."""
    key, digest, equal, encode, now = (
        _key(),
        hmac.digest,
        hmac.compare_digest,
        binascii.b2a_base64,
        time.time,
    )

    def verify(headers: Mapping[str, str], body: bytes) -> bool:
        timestamp = headers["webhook-timestamp"]
        if abs(now() - int(timestamp)) > TOLERANCE:
            return False
        message = f"{headers['webhook-id']}.{timestamp}.".encode() + body
        expected = b"v1," + encode(digest(key, message, "sha256"), newline=False)
        for signature in headers["webhook-signature"].encode().split(b" "):
            if equal(signature, expected):
                return True
        return False

    return verify


CHECKS: dict[str, Callable[[], Check]] = {
    OURS: _ours,
    f"{OURS}, validate_webhook": _ours_function,
    "1.0.7": _1_0_7,
    "svix": _svix,
    "standardwebhooks": _standardwebhooks,
    "hmac.digest": _hmac_digest,
    "by hand": _hand_written,
}


def _unwrap_ours() -> Unwrap:
    from replicate_rs import WebhookVerifier

    return WebhookVerifier(SECRET).unwrap


def _unwrap_1_0_7() -> Unwrap:
    from replicate.prediction import Prediction

    check = _1_0_7()

    def unwrap(headers: Mapping[str, str], body: bytes) -> Any:
        check(headers, body)
        return Prediction(**json.loads(body))

    return unwrap


def _unwrap_svix() -> Unwrap:
    check = _svix()

    def unwrap(headers: Mapping[str, str], body: bytes) -> Any:
        check(headers, body)
        return json.loads(body)

    return unwrap


def _unwrap_standardwebhooks() -> Unwrap:
    from standardwebhooks import Webhook

    verify: Any = Webhook(SECRET).verify
    return lambda headers, body: verify(body, headers)


def _unwrap_hand_written() -> Unwrap:
    check = _hand_written()

    def unwrap(headers: Mapping[str, str], body: bytes) -> Any:
        return check(headers, body) and json.loads(body)

    return unwrap


UNWRAPS: dict[str, Callable[[], Unwrap]] = {
    OURS: _unwrap_ours,
    "1.0.7": _unwrap_1_0_7,
    "svix + json": _unwrap_svix,
    "standardwebhooks": _unwrap_standardwebhooks,
    "by hand + json": _unwrap_hand_written,
}


def _many_ours() -> Callable[[list[SignedWebhook]], int]:
    from replicate_rs import WebhookVerifier

    verify_many = WebhookVerifier(SECRET).verify_many
    # The list has None for each genuine webhook.
    return lambda batch: verify_many(batch).count(None)


def _one_by_one(name: str) -> Callable[[], Callable[[list[SignedWebhook]], int]]:
    def create() -> Callable[[list[SignedWebhook]], int]:
        check = CHECKS[name]()

        def verify_all(batch: list[SignedWebhook]) -> int:
            return sum(check(headers, body) is not False for headers, body in batch)

        return verify_all

    return create


BATCH_CHECKS: dict[str, Callable[[], Callable[[list[SignedWebhook]], int]]] = {
    OURS: _many_ours,
    f"{OURS}, one by one": _one_by_one(OURS),
    "svix": _one_by_one("svix"),
    "by hand": _one_by_one("by hand"),
}
