"""Verification of webhooks: which are accepted, which are refused, and the messages of errors."""

import base64
import contextlib
import hashlib
import hmac
import json
import string
import time
from types import MappingProxyType

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import replicate_rs as replicate
from replicate_rs.webhook import (
    InvalidSecretKeyError,
    MissingWebhookBodyError,
    MissingWebhookHeaderError,
    WebhookSigningSecret,
    WebhookValidationError,
)
from support.webhooks import (
    BODY,
    HEADERS,
    PARTS,
    SECRET,
    SIGNATURE,
    lowercase_headers,
)

SECOND = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
THIRD = "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH"
DIGEST = SIGNATURE.removeprefix("v1,")
NAMES = ("id", "timestamp", "signature")

PREDICTION = (
    '{"id":"ufawqhfynnddngldkgtslldrkq","version":"5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",'
    '"created_at":"2022-04-26T22:13:06.224088Z","started_at":null,"completed_at":null,"status":"starting",'
    '"input":{"text":"Alice"},"output":null,"error":null,"logs":null,"metrics":{}}'
)
UNICODE = '{"output":"héllo 🚀 \N{LINE SEPARATOR} 你好"}'
USUAL = (PARTS["id"], PARTS["timestamp"])
# Secret, id, timestamp, body and digest of webhooks.
VECTORS = [
    (SECRET, *USUAL, BODY, DIGEST),
    (SECOND, *USUAL, BODY, "78nXHjpFP0tVJQW5D0SBwmVyyW87BV/rL6MgfM/Bw44="),
    (THIRD, *USUAL, BODY, "AqaiCGM+BGvE6j8lHZfybS4IlH+sK5racJJookRhxpM="),
    (
        SECOND,
        "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
        "1674087231",
        PREDICTION,
        "5m51sHs6qz+k+iUyFDUDcF37nlDU+9Ac4SuFitKSuhs=",
    ),
    (SECRET, "msg_unicode", "1700000000", UNICODE, "rRFq/w2haWe/qBMuDZ76on4r52CF6VN8fKazy7/KedU="),
    (SECRET, *USUAL, BODY + "\n", "FIt3hYjPQCdyuyMOw+0dZwwjGRAx1Il4CsgdFnOmrcc="),
    (SECRET, *USUAL, "0", "h+1aTBRR1rb9j50HFazM5bjwxCao6hXPwmAi6rsAxMY="),
    (SECRET, "a.b", "1", "c.d.e", "+N2LQd+B8cVuITR8NFlVIgO1BhWfrpX3RYRxhhDZ/kw="),
    (SECRET, *USUAL, "", "v48jdbgvh29KJz2Qc+ghw8G6vG3nAKnujWBg8oM/62A="),
    (SECRET, *USUAL, "x" * 65_536, "3Oh3TvpduXzyTA59Xgkb9u5exoKKm5T3KmLTB/DYXBs="),
    (SECRET, *USUAL, "x" * 1_048_576, "dLblXlh6+W5l7Hd1dIvDbX9KvyFaqP9g7URg8aW/teU="),
    (SECRET, *USUAL, b"\xff\xfe\x00{}", "AqSnxDws4x8cqJTgpKdp36Jm+tbqOjwdFeJ56KmWvhU="),
]


def validate(headers, body=BODY, secret=SECRET, tolerance=None):
    return replicate.validate_webhook(
        headers=headers, body=body, secret=secret, tolerance=tolerance
    )


@pytest.mark.parametrize(("secret", "id", "timestamp", "body", "digest"), VECTORS, ids=range(1, 13))
def test_the_contract_s_vectors_hold(secret, id, timestamp, body, digest):
    raw = body if isinstance(body, bytes) else body.encode()
    headers = lowercase_headers(id=id, timestamp=timestamp, signature=f"v1,{digest}")
    for content in (body, raw, bytearray(raw), memoryview(raw)):
        assert replicate.sign_webhook(secret, id, timestamp, content) == f"v1,{digest}"
        assert validate(headers, content, secret)
        replicate.WebhookVerifier(secret, tolerance=None).verify(headers, content)
        if raw:
            assert replicate.webhooks.validate(headers=headers, body=content, secret=secret) is None
            changed = raw[:-1] + bytes([raw[-1] ^ 1])
            assert not validate(headers, changed, secret)
    assert not validate(headers, raw + b" ", secret)


SHAPES = {
    "as HTTP writes them": HEADERS,
    "lower case": lowercase_headers(),
    "upper case": {name.upper(): value for name, value in lowercase_headers().items()},
    "bytes": {name.encode(): value.encode() for name, value in HEADERS.items()},
    "text and bytes": {name: value.encode() for name, value in HEADERS.items()},
    "pairs": [*HEADERS.items(), ("Host", "x")],
    "pairs of bytes": [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()],
    "lists of two": [[name, value] for name, value in HEADERS.items()],
    "a signature twice": [("webhook-signature", "v1,AAAA"), *HEADERS.items()],
    "an empty signature too": [*HEADERS.items(), ("webhook-signature", "")],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "secret",
    [SECRET, SECRET[6:], WebhookSigningSecret(key=SECRET), [SECOND, SECRET], {SECRET: "old"}],
)
def test_headers_and_secrets_come_in_many_shapes(shape, secret):
    headers = SHAPES[shape]
    assert validate(headers, secret=secret)
    assert not validate(headers, body="other", secret=secret)
    if isinstance(headers, list):
        assert validate(
            iter(headers),
            secret=iter([secret] if isinstance(secret, (str, WebhookSigningSecret)) else secret),
        )


def test_an_id_or_a_timestamp_that_came_twice_is_refused():
    for name in ("webhook-id", "webhook-timestamp"):
        for again in (lowercase_headers()[name], "", "other"):
            assert not validate([*HEADERS.items(), (name, again)])
            assert not validate([(name, again), *HEADERS.items()])


# Headers, and whether they are accepted; or the message of the error.
CASES = {
    "another version": (lowercase_headers(signature=f"v2,{DIGEST}"), False),
    "no version": (lowercase_headers(signature=f",{DIGEST}"), False),
    "something after it": (lowercase_headers(signature=f"{SIGNATURE},extra"), False),
    "the second is good": (lowercase_headers(signature=f"v1,{'A' * 43}= {SIGNATURE}"), True),
    "spaces": (lowercase_headers(signature=f"  v1,{'A' * 43}=   {SIGNATURE} "), True),
    "a line break": (lowercase_headers(signature=f"{SIGNATURE}\n"), False),
    "no comma": (lowercase_headers(signature=DIGEST), False),
    "a sibling without a comma": (lowercase_headers(signature=f"nosig {SIGNATURE}"), True),
    "a sibling that is not base64": (
        lowercase_headers(signature=f"v1a,xyz v1,@ {SIGNATURE}"),
        True,
    ),
    "no padding": (lowercase_headers(signature=SIGNATURE.rstrip("=")), True),
    "not base64": (lowercase_headers(signature="v1,!"), False),
    "the other alphabet": (
        lowercase_headers(signature=SIGNATURE.replace("+", "-").replace("/", "_")),
        False,
    ),
    "too short": (lowercase_headers(signature="v1,AAAA"), False),
    "wrong": (lowercase_headers(signature=f"v1,{'A' * 43}="), False),
    "a timestamp of other digits": (lowercase_headers(timestamp="١٦١٤٢٦٥٣٣٠"), False),
    "a timestamp that is a fraction": (lowercase_headers(timestamp="1614265330.0"), False),
    "a text that cannot be sent": (lowercase_headers(id="\ud800"), False),
    "no headers": ({}, "Missing webhook id"),
    "headers that are None": (None, "Missing webhook id"),
    **{
        f"no {name}": (lowercase_headers(**{name: None}), f"Missing webhook {name}")
        for name in NAMES
    },
    **{
        f"an empty {name}": (lowercase_headers(**{name: ""}), f"Missing webhook {name}")
        for name in NAMES
    },
}


@pytest.mark.parametrize("case", CASES)
def test_each_case_has_a_verdict_or_an_error_that_says_what_is_missing(case):
    headers, expected = CASES[case]
    if isinstance(expected, bool):
        assert validate(headers) is expected
        return
    with pytest.raises(MissingWebhookHeaderError, match=expected):
        validate(headers)


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        (None, "Missing webhook signing secret"),
        ([], "Missing webhook signing secret"),
        ("", "holds no key"),
        ("whsec_", "holds no key"),
        ("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "asymmetric"),
        ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "asymmetric"),
        ("foo_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "must be 'whsec_' and standard base64"),
        ("whsec_whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "must be 'whsec_'"),
        (f"{SECRET}\n", "without anything around it"),
        ("whsec_\ud800", "must be 'whsec_'"),
        ([SECRET, "whsec_@MfKQ9r8GKYqrTwjUPD8"], "must be 'whsec_'"),
        (WebhookSigningSecret(key="whsec_@MfKQ9r8GKYqrTwjUPD8"), "must be 'whsec_'"),
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_shown(secret, problem):
    for use in (validate, lambda headers, secret: replicate.WebhookVerifier(secret)):
        with pytest.raises(InvalidSecretKeyError, match=problem) as caught:
            use(HEADERS, secret=secret)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
        assert "MfKQ9r8" not in repr(caught.value)


@pytest.mark.parametrize("secret", [SECRET.encode(), 5, [5], object()])
def test_what_cannot_be_a_secret_is_a_type_error(secret):
    with pytest.raises(TypeError, match="a webhook secret must be str, or what"):
        validate(HEADERS, secret=secret)


@pytest.mark.parametrize("body", [{}, [1], 5, object(), json.loads(BODY)])
def test_a_parsed_body_is_a_type_error_that_says_so(body):
    for use in (
        validate,
        lambda headers, body: replicate.WebhookVerifier(SECRET).unwrap(headers, body),
    ):
        with pytest.raises(
            TypeError,
            match=r"body must be the raw body.*not \w+: what was parsed cannot be verified",
        ):
            use(HEADERS, body=body)


def test_a_body_that_is_missing_or_was_read_before_is_named():
    with pytest.raises(MissingWebhookBodyError, match="Missing webhook body"):
        validate(HEADERS, None)
    for empty in (b"", ""):
        with pytest.raises(MissingWebhookBodyError, match="was it read before"):
            validate(HEADERS, empty)
    assert not validate(HEADERS, "\ud800"), "text that UTF-8 cannot encode was not signed"


class OnlyGet:
    def get(self, name):
        return None


@pytest.mark.parametrize(
    "headers", [5, "webhook-id", [1], [("webhook-id",)], [(1, "x")], {"webhook-id": 5}, OnlyGet()]
)
def test_headers_that_are_none_are_a_type_error(headers):
    with pytest.raises(
        TypeError,
        match=(
            "headers must be a mapping, or pairs|the header webhook-id must be str or bytes,"
            " not int"
        ),
    ):
        validate(headers)


def test_an_environ_and_a_scope_may_be_any_mapping():
    environ = {
        "REQUEST_METHOD": "POST",
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()},
    }
    scope = {"type": "http", "headers": SHAPES["pairs of bytes"]}
    for request in (environ, MappingProxyType(environ), scope, MappingProxyType(scope)):
        assert replicate.validate_webhook(request, SECRET, None, body=BODY)


def test_only_one_way_to_say_what_came():
    for given_twice in ({"headers": HEADERS, "id": "x"}, {"request": object(), "headers": HEADERS}):
        with pytest.raises(ValueError, match="only one of these"):
            replicate.validate_webhook(secret=SECRET, body=BODY, **given_twice)
    with pytest.raises(
        TypeError,
        match="request must have headers, or be a WSGI environ or an ASGI scope, not object",
    ):
        replicate.validate_webhook(object(), SECRET)
    with pytest.raises(TypeError, match="give it as `body=`"):
        replicate.validate_webhook({"type": "http", "headers": []}, SECRET)


def test_a_webhook_is_good_for_as_long_as_the_tolerance_says():
    now = int(time.time())

    def genuine(age, **tolerance):
        stamp = str(now - age)
        signature = replicate.sign_webhook(SECRET, "id", stamp, BODY)
        return replicate.validate_webhook(
            secret=SECRET, body=BODY, id="id", timestamp=stamp, signature=signature, **tolerance
        )

    assert genuine(0)
    assert genuine(290)
    assert genuine(-290)
    assert not genuine(400)
    assert not genuine(-400)
    assert genuine(400, tolerance=500)
    assert genuine(10**6, tolerance=None)
    for bad in (-1, float("nan")):
        with pytest.raises(ValueError, match="tolerance must be a number of seconds, 0 or more"):
            genuine(0, tolerance=bad)


def test_several_secrets_sign_and_each_alone_verifies():
    signature = replicate.sign_webhook([SECRET, WebhookSigningSecret(key=SECOND)], *USUAL, BODY)
    assert signature == f"{SIGNATURE} v1,{VECTORS[1][4]}"
    for secret in (SECRET, SECOND, [THIRD, SECOND]):
        assert validate(lowercase_headers(signature=signature), secret=secret)
    assert not validate(lowercase_headers(signature=signature), secret=THIRD)
    assert replicate.sign_webhook(SECRET, PARTS["id"], int(PARTS["timestamp"]), BODY) == SIGNATURE
    with pytest.raises(ValueError, match="UTF-8"):
        replicate.sign_webhook(SECRET, "id", 5, "\ud800")


def test_a_secret_is_not_shown():
    assert SECRET not in repr(WebhookSigningSecret(key=SECRET))
    assert repr(replicate.WebhookVerifier(SECRET)) == "WebhookVerifier([REDACTED], tolerance=300)"


keys = st.binary(min_size=1, max_size=100)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
digits = st.text(string.digits, min_size=1, max_size=15)


@given(keys, texts, digits, st.binary(min_size=1, max_size=3000))
def test_python_s_own_hmac_signs_the_same(key, id, stamp, body):
    secret = f"whsec_{base64.b64encode(key).decode()}"
    digest = hmac.new(key, b".".join([id.encode(), stamp.encode(), body]), hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    assert replicate.sign_webhook(secret, id, stamp, body) == signature
    assert validate(lowercase_headers(id=id, timestamp=stamp, signature=signature), body, secret)


@given(st.data())
def test_any_changed_bit_is_refused(data):
    key, body = data.draw(keys), data.draw(st.binary(min_size=1, max_size=100))
    parts = {"key": key, "id": b"msg_1", "timestamp": b"1614265330", "body": body}
    signature = replicate.sign_webhook(base64.b64encode(key).decode(), "msg_1", "1614265330", body)
    parts["signature"] = base64.b64decode(signature[3:])
    name = data.draw(st.sampled_from([*parts]))
    at, bit = data.draw(st.integers(0, len(parts[name]) - 1)), data.draw(st.integers(0, 7))
    changed = bytearray(parts[name])
    changed[at] ^= 1 << bit

    def verdict(given):
        headers = {f"webhook-{name}": given[name] for name in ("id", "timestamp")}
        headers["webhook-signature"] = b"v1," + base64.b64encode(given["signature"])
        return validate(headers, given["body"], base64.b64encode(given["key"]).decode())

    assert verdict(parts)
    assert not verdict(parts | {name: bytes(changed)})


anything = st.one_of(
    st.text(st.characters(), max_size=50),
    st.binary(max_size=50),
    st.sampled_from([SIGNATURE, PARTS["id"], "v1,"]),
)
names = st.one_of(anything, st.sampled_from([*HEADERS, *lowercase_headers(), b"webhook-id"]))


@settings(max_examples=300)
@given(st.one_of(st.lists(st.tuples(names, anything)), st.dictionaries(names, anything)), anything)
@example([*HEADERS.items()], b"")
def test_whatever_comes_in_there_is_a_verdict_or_a_documented_error(headers, body):
    for use in (
        lambda: validate(headers, body),
        lambda: replicate.validate_webhook(headers=headers, body=body, secret=SECRET),
        lambda: replicate.webhooks.validate(headers=headers, body=body, secret=SECRET),
        lambda: replicate.WebhookVerifier(SECRET, tolerance=None).unwrap(headers, body),
    ):
        with contextlib.suppress(WebhookValidationError):
            assert not use()
    (outcome,) = replicate.WebhookVerifier(SECRET).verify_many([(headers, body)])
    assert isinstance(outcome, WebhookValidationError)
