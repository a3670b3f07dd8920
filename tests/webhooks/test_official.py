"""`webhooks.validate` checks in the order of 1.0.7, and raises its errors and messages."""

import time

import httpx
import pytest

import replicate_rs
from replicate_rs import sign_webhook
from replicate_rs.webhook import (
    InvalidSecretKeyError,
    InvalidSignatureError,
    InvalidTimestampError,
    WebhookSigningSecret,
)
from support.webhooks import BODY as EXAMPLE_BODY
from support.webhooks import HEADERS, PARTS, lowercase_headers
from support.webhooks import SECRET as EXAMPLE_SECRET

official = pytest.importorskip("replicate")

SECRET = "whsec_" + "QUFB" * 8
NOW = str(int(time.time()))
BODY = '{"id": "x"}'


def signed(timestamp=NOW, secret=SECRET):
    headers = {"webhook-id": "msg_1", "webhook-timestamp": timestamp}
    return headers | {"webhook-signature": sign_webhook(secret, "msg_1", timestamp, BODY)}


OLD = str(int(NOW) - 1000)
OTHER = "whsec_" + "QkJC" * 8
CASES = {
    "genuine": (signed(), BODY, SECRET, None),
    "genuine and recent": (signed(), BODY, SECRET, 300),
    "genuine and old, for any age": (signed(OLD), BODY, SECRET, None),
    "no headers": ({}, BODY, SECRET, None),
    "no id": ({**signed(), "webhook-id": ""}, BODY, SECRET, None),
    "no timestamp": ({**signed(), "webhook-timestamp": ""}, BODY, SECRET, None),
    "no signature": ({**signed(), "webhook-signature": ""}, BODY, SECRET, None),
    "nothing": ({"x": "y"}, "", SECRET, None),
    "no body": (signed(), "", SECRET, None),
    "no body, a wrong secret, and too old": (signed(OLD), "", "wrong", 300),
    "too old": (signed(OLD), BODY, SECRET, 300),
    "too new": (signed(str(int(NOW) + 1000)), BODY, SECRET, 300),
    "too old, and forged": (signed(OLD, OTHER), BODY, SECRET, 300),
    "too old, with a malformed signature": (
        {**signed(OLD), "webhook-signature": "x"},
        BODY,
        SECRET,
        300,
    ),
    "too old, with a wrong secret": (signed(OLD), BODY, "wrong", 300),
    "forged": (signed(secret=OTHER), BODY, SECRET, 300),
    "changed": (signed(), BODY + " ", SECRET, None),
    "malformed": ({**signed(), "webhook-signature": "v1"}, BODY, SECRET, None),
    "forged, and then malformed": (
        {**signed(), "webhook-signature": "v1,QUFB x"},
        BODY,
        SECRET,
        None,
    ),
    "a second signature": (
        {**signed(), "webhook-signature": "v1,QUFB " + signed()["webhook-signature"]},
        BODY,
        SECRET,
        None,
    ),
}


def outcome(library, headers, body, secret, tolerance):
    secret = library.webhook.WebhookSigningSecret(key=secret)
    try:
        return library.webhooks.validate(
            headers=headers, body=body, secret=secret, tolerance=tolerance
        )
    except ValueError as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize("case", CASES)
def test_it_answers_as_1_0_7_does(case):
    assert outcome(replicate_rs, *CASES[case]) == outcome(official, *CASES[case])


def test_a_wrong_secret_is_not_shown():
    headers, body, _, _ = CASES["genuine"]
    wrong = "whsec_secret_with_parts"
    kind, message = outcome(replicate_rs, headers, body, wrong, None)
    assert (kind, "Invalid secret key format") == (
        outcome(official, headers, body, wrong, None)[0],
        message.partition(":")[0],
    )
    assert "with_parts" not in message


def test_there_is_one_request_or_its_parts_and_a_secret():
    for library in (official, replicate_rs):
        with pytest.raises(ValueError, match="^Missing webhook signing secret$"):
            library.webhooks.validate(headers=signed(), body=BODY)
    secret = replicate_rs.WebhookSigningSecret(key=SECRET)
    with pytest.raises(ValueError, match="^Only one of request or headers/body can be provided$"):
        replicate_rs.webhooks.validate(object(), signed(), BODY, secret)
    pairs = [(name.upper().encode(), value.encode()) for name, value in signed(OLD).items()]
    for headers in (pairs, iter(pairs)):
        with pytest.raises(replicate_rs.InvalidTimestampError):
            replicate_rs.webhooks.validate(
                headers=headers, body=BODY.encode(), secret=secret, tolerance=60
            )
    assert (
        replicate_rs.webhooks.validate(headers=iter(pairs), body=BODY.encode(), secret=secret)
        is None
    )


def test_validate_webhook_keeps_its_own_order():
    # A sender without the secret does not learn the receiver's time.
    assert (
        replicate_rs.validate_webhook(headers=signed(OLD, OTHER), body=BODY, secret=SECRET) is False
    )
    with pytest.raises(replicate_rs.InvalidSignatureError):
        replicate_rs.WebhookVerifier(SECRET).verify(signed(OLD, OTHER), BODY)
    with pytest.raises(replicate_rs.InvalidTimestampError):
        replicate_rs.WebhookVerifier(SECRET).verify(signed(OLD), BODY)


@pytest.mark.parametrize(
    "case",
    [
        {"headers": HEADERS},
        {"headers": lowercase_headers(signature=f"v1,AAAA {PARTS['signature']}")},
        {"headers": lowercase_headers(signature=f"  {PARTS['signature']}  ")},
        {"headers": lowercase_headers(), "body": "other"},
        {"headers": lowercase_headers(), "body": ""},
        {"headers": lowercase_headers(), "body": None},
        {"headers": {}},
        {"headers": None},
        *(
            {"headers": lowercase_headers(**{name: None})}
            for name in ("id", "timestamp", "signature")
        ),
        {"headers": lowercase_headers(), "tolerance": 300},
        {"headers": lowercase_headers(), "secret": None},
        {"headers": lowercase_headers(), "secret": WebhookSigningSecret(key="whsec_AAAA")},
        {"request": True},
        {"request": True, "headers": lowercase_headers()},
    ],
)
def test_validate_judges_and_speaks_as_1_0_7(case):
    request = httpx.Request("POST", "http://test/", headers=HEADERS, content=EXAMPLE_BODY)
    given = {
        "secret": WebhookSigningSecret(key=EXAMPLE_SECRET),
        **({} if "request" in case else {"body": EXAMPLE_BODY}),
        **case,
    }
    if "request" in given:
        given["request"] = request

    def outcome(validate):
        try:
            return validate(**given)
        except ValueError as error:
            return type(error).__name__, str(error)

    assert outcome(replicate_rs.webhooks.validate) == outcome(official.webhooks.validate)


@pytest.mark.parametrize(
    "signature",
    [f"v2,{PARTS['signature'][3:]}", "nonsense", "v1,!", "v1a,xyz", PARTS["signature"][3:]],
)
def test_validate_is_stricter_where_1_0_7_lets_through_or_breaks(signature):
    secret = WebhookSigningSecret(key=EXAMPLE_SECRET)
    with pytest.raises(InvalidSignatureError):
        replicate_rs.webhooks.validate(
            headers=lowercase_headers(signature=signature), body=EXAMPLE_BODY, secret=secret
        )
    with pytest.raises(InvalidTimestampError):
        replicate_rs.webhooks.validate(
            headers=lowercase_headers(timestamp="1e9"), body=EXAMPLE_BODY, secret=secret
        )
    with pytest.raises(InvalidSecretKeyError):
        replicate_rs.webhooks.validate(
            headers=lowercase_headers(), body=EXAMPLE_BODY, secret="foo_bar"
        )
    assert (
        replicate_rs.webhooks.validate(
            headers=lowercase_headers(), body=EXAMPLE_BODY.encode(), secret=EXAMPLE_SECRET
        )
        is None
    )
