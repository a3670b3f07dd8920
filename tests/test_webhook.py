"""Webhooks, as far as the foundation goes: the rules are tested in Rust, the whole way here."""

import json
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import replicate_rs as replicate
from replicate_rs.webhook import (
    InvalidSecretKeyError,
    InvalidSignatureError,
    InvalidTimestampError,
    MissingWebhookHeaderError,
    WebhookSigningSecret,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"test": 2432232314}'
PARTS = {
    "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "timestamp": "1614265330",
    "signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
HEADERS = {f"Webhook-{name.title()}": value for name, value in PARTS.items()}


@pytest.mark.parametrize("secret", [SECRET, WebhookSigningSecret(key=SECRET), ["whsec_AAAA", SECRET]])
@pytest.mark.parametrize("body", [BODY, BODY.encode(), bytearray(BODY.encode()), memoryview(BODY.encode())])
def test_a_genuine_webhook_is_accepted_in_every_form(secret, body):
    pairs = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    for given in ({"headers": HEADERS}, {"headers": list(HEADERS.items())}, {"headers": pairs}, PARTS):
        assert replicate.validate_webhook(secret=secret, body=body, tolerance=None, **given)
        assert not replicate.validate_webhook(secret=secret, body=body, **given), "it is years old"
    assert not replicate.validate_webhook(
        secret=secret, body=bytes(body, "utf-8") if isinstance(body, str) else bytes(body) + b" ", **(PARTS | {"id": "x"})
    )


def test_what_is_missing_is_named():
    for name in PARTS:
        with pytest.raises(MissingWebhookHeaderError, match=f"Missing webhook {name}"):
            replicate.validate_webhook(secret=SECRET, body=BODY, **(PARTS | {name: None}))
    with pytest.raises(InvalidSecretKeyError) as caught:
        replicate.validate_webhook(secret="whpk_secret", body=BODY, **PARTS)
    assert "secret'" not in str(caught.value)
    with pytest.raises(TypeError, match="raw body.*parsed dict"):
        replicate.validate_webhook(secret=SECRET, body=json.loads(BODY), **PARTS)


def test_what_is_signed_now_is_accepted_now():
    stamp = str(int(time.time()))
    signature = replicate.sign_webhook(SECRET, "id", stamp, BODY)
    assert replicate.validate_webhook(secret=SECRET, body=BODY, id="id", timestamp=stamp, signature=signature)


def test_a_secret_is_not_shown():
    assert SECRET not in repr(WebhookSigningSecret(key=SECRET))


def test_the_local_server_delivers_what_the_client_accepts(both, client):
    received: queue.Queue = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            received.put((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, args=(0.01,)).start()
        try:
            url = f"http://127.0.0.1:{receiver.server_port}/hook?x=1"
            both(lambda: client.run("acme/shout", {"text": "hi"}, webhook=url, webhook_events_filter=["start", "completed"]))
            deliveries = [received.get(timeout=10) for _ in range(2)]
        finally:
            receiver.shutdown()
    secret = both(lambda: client.webhooks.default.secret.get())
    assert both(lambda: client.webhooks.default.secret()) == secret
    for headers, body in deliveries:
        assert replicate.validate_webhook(secret=secret, headers=headers, body=body)
    assert {json.loads(body)["status"] for _, body in deliveries} >= {"succeeded"}


NAMES = ("id", "timestamp", "signature")


def lowered(**changes):
    return {f"webhook-{name}": value for name, value in (PARTS | changes).items() if value is not None}


@pytest.mark.parametrize(
    "case",
    [
        {"headers": HEADERS},
        {"headers": lowered(signature=f"v1,AAAA {PARTS['signature']}")},
        {"headers": lowered(signature=f"  {PARTS['signature']}  ")},
        {"headers": lowered(), "body": "other"},
        {"headers": lowered(), "body": ""},
        {"headers": lowered(), "body": None},
        {"headers": {}},
        {"headers": None},
        *({"headers": lowered(**{name: None})} for name in NAMES),
        {"headers": lowered(), "tolerance": 300},
        {"headers": lowered(), "secret": None},
        {"headers": lowered(), "secret": WebhookSigningSecret(key="whsec_AAAA")},
        {"request": True},
        {"request": True, "headers": lowered()},
    ],
)
def test_validate_judges_and_speaks_as_1_0_7(case):
    official = pytest.importorskip("replicate.webhook")
    httpx = pytest.importorskip("httpx")
    request = httpx.Request("POST", "http://test/", headers=HEADERS, content=BODY)
    given = {"secret": WebhookSigningSecret(key=SECRET), **({} if "request" in case else {"body": BODY}), **case}
    if "request" in given:
        given["request"] = request

    def outcome(validate):
        try:
            return validate(**given)
        except ValueError as error:
            return type(error).__name__, str(error)

    assert outcome(replicate.webhooks.validate) == outcome(official.Webhooks.validate)


@pytest.mark.parametrize("signature", [f"v2,{PARTS['signature'][3:]}", "nonsense", "v1,!", "v1a,xyz", PARTS["signature"][3:]])
def test_validate_is_stricter_where_1_0_7_lets_through_or_breaks(signature):
    secret = WebhookSigningSecret(key=SECRET)
    with pytest.raises(InvalidSignatureError):
        replicate.webhooks.validate(headers=lowered(signature=signature), body=BODY, secret=secret)
    with pytest.raises(InvalidTimestampError):
        replicate.webhooks.validate(headers=lowered(timestamp="1e9"), body=BODY, secret=secret)
    with pytest.raises(InvalidSecretKeyError):
        replicate.webhooks.validate(headers=lowered(), body=BODY, secret="foo_bar")
    assert replicate.webhooks.validate(headers=lowered(), body=BODY.encode(), secret=SECRET) is None
