"""The contenders at webhooks: how each library tells a genuine one from others, in its own plainest
way.

All get headers and a body as a server has them: the names of the headers in lower case, the body as
bytes. Where a library wants text, decoding is part of what it costs. As in contenders.py, libraries
are imported where they are used.
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

from contenders.predictions import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Takes headers and a body; raises, or gives False, unless the webhook is genuine.
    Check = Callable[[Mapping[str, str], bytes], Any]
    # Gives the prediction, or the dict of one; raises unless the webhook is genuine.
    Unwrap = Callable[[Mapping[str, str], bytes], Any]

# The example of the standard's own documents.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
# Seconds; what the libraries have that let nobody choose.
TOLERANCE = 300
# What a model would say.
OUTPUT = "hello Alice "
PREDICTION = Path(__file__).parents[1] / "server" / "prediction.json"
# The names of the exceptions that say so; anything else that is raised is a mistake here.
REFUSALS = {"InvalidSignatureError", "WebhookVerificationError"}


class Signed(NamedTuple):
    """A webhook."""

    headers: dict[str, str]
    body: bytes

    def forged(self) -> Signed:
        """Give the same with another byte in its body, which is JSON still."""
        return self._replace(body=self.body.replace(b"hello", b"hellp", 1))


def signed(size: int, number: int = 0) -> Signed:
    """Sign a webhook of so many bytes, now."""
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
    # Made of bytes, as a server does it: the names are not the very objects that the libraries
    # have.
    lines = [line.split(b": ", 1) for line in head.encode().split(b"\n")]
    return Signed({name.decode("latin-1"): value.decode("latin-1") for name, value in lines}, body)


def _key() -> bytes:
    return base64.b64decode(SECRET.removeprefix("whsec_"))


def _body(size: int) -> bytes:
    """Give a prediction whose output is of the right length."""
    prediction: dict[str, Any] = json.loads(PREDICTION.read_bytes())

    def written(output: str) -> bytes:
        return json.dumps(
            {**prediction, "output": output, "logs": ""}, separators=(",", ":")
        ).encode()

    room = size - len(written(""))
    body = written((OUTPUT * (room // len(OUTPUT) + 1))[:room])
    assert len(body) == size
    return body


def check_verdicts(check: Check, webhook: Signed) -> None:
    """Raise unless a contender accepts a webhook, and refuses it with another byte in its body."""
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

    # Untyped, for what it says of its arguments is not what it takes.
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
    # It would parse the body otherwise.
    return lambda headers, body: verify(body, headers, json_parse=False)


def _by_hand() -> Check:
    """Hash with both states of the key prepared, and the body where it is: the fastest there is in
    Python's own library.
    """
    pad = _key().ljust(64, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ mask for byte in pad)) for mask in (0x36, 0x5C))
    same, encode, now = hmac.compare_digest, binascii.b2a_base64, time.time

    def verify(headers: Mapping[str, str], body: bytes) -> bool:
        timestamp = headers["webhook-timestamp"]
        if abs(now() - int(timestamp)) > TOLERANCE:
            return False
        content, whole = inner.copy(), outer.copy()
        content.update(f"{headers['webhook-id']}.{timestamp}.".encode())
        content.update(body)
        whole.update(content.digest())
        expected = b"v1," + encode(whole.digest(), newline=False)
        for given in headers["webhook-signature"].encode().split(b" "):
            if same(given, expected):
                return True
        return False

    return verify


def _hmac_digest() -> Check:
    """Do it as most do who do it by hand."""
    key, digest, same, encode, now = (
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
        content = f"{headers['webhook-id']}.{timestamp}.".encode() + body
        expected = b"v1," + encode(digest(key, content, "sha256"), newline=False)
        for given in headers["webhook-signature"].encode().split(b" "):
            if same(given, expected):
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
    "by hand": _by_hand,
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


def _unwrap_by_hand() -> Unwrap:
    check = _by_hand()

    def unwrap(headers: Mapping[str, str], body: bytes) -> Any:
        return check(headers, body) and json.loads(body)

    return unwrap


UNWRAPS: dict[str, Callable[[], Unwrap]] = {
    OURS: _unwrap_ours,
    "1.0.7": _unwrap_1_0_7,
    "svix + json": _unwrap_svix,
    "standardwebhooks": _unwrap_standardwebhooks,
    "by hand + json": _unwrap_by_hand,
}
