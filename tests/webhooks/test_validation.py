"""Webhooks: what is accepted, what is refused, and in which words.

The arithmetic of it is tested in Rust too.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import pickle
import queue
import string
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import MappingProxyType

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import replicate_rs as replicate
from replicate_rs.local import LocalReplicate
from replicate_rs.webhook import (
    InvalidSecretKeyError,
    InvalidSignatureError,
    InvalidTimestampError,
    MissingWebhookBodyError,
    MissingWebhookHeaderError,
    WebhookSigningSecret,
    WebhookValidationError,
)
from support.webhooks import SECRET
from support.wire import Wire, reply

SECOND = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
THIRD = "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH"
BODY = '{"test": 2432232314}'
GOOD = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
DIGEST = GOOD.removeprefix("v1,")
PARTS = {"id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "timestamp": "1614265330", "signature": GOOD}
HEADERS = {f"Webhook-{name.title()}": value for name, value in PARTS.items()}
NAMES = ("id", "timestamp", "signature")

PREDICTION = (
    '{"id":"ufawqhfynnddngldkgtslldrkq","version":"5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",'
    '"created_at":"2022-04-26T22:13:06.224088Z","started_at":null,"completed_at":null,"status":"starting",'
    '"input":{"text":"Alice"},"output":null,"error":null,"logs":null,"metrics":{}}'
)
UNICODE = '{"output":"héllo 🚀 \N{LINE SEPARATOR} 你好"}'
USUAL = (PARTS["id"], PARTS["timestamp"])
# The contract's, §5.3.
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


def lowered(**changes):
    return {
        f"webhook-{name}": value for name, value in (PARTS | changes).items() if value is not None
    }


def validate(headers, body=BODY, secret=SECRET, tolerance=None):
    return replicate.validate_webhook(
        headers=headers, body=body, secret=secret, tolerance=tolerance
    )


@pytest.mark.parametrize(("secret", "id", "timestamp", "body", "digest"), VECTORS, ids=range(1, 13))
def test_the_contract_s_vectors_hold(secret, id, timestamp, body, digest):
    raw = body if isinstance(body, bytes) else body.encode()
    headers = lowered(id=id, timestamp=timestamp, signature=f"v1,{digest}")
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
    "lower case": lowered(),
    "upper case": {name.upper(): value for name, value in lowered().items()},
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
        for again in (lowered()[name], "", "other"):
            assert not validate([*HEADERS.items(), (name, again)])
            assert not validate([(name, again), *HEADERS.items()])


# The contract's table, §5.4; True and False are verdicts.
CASES = {
    "another version": (lowered(signature=f"v2,{DIGEST}"), False),
    "no version": (lowered(signature=f",{DIGEST}"), False),
    "something after it": (lowered(signature=f"{GOOD},extra"), False),
    "the second is good": (lowered(signature=f"v1,{'A' * 43}= {GOOD}"), True),
    "spaces": (lowered(signature=f"  v1,{'A' * 43}=   {GOOD} "), True),
    "a line break": (lowered(signature=f"{GOOD}\n"), False),
    "no comma": (lowered(signature=DIGEST), False),
    "a sibling without a comma": (lowered(signature=f"nosig {GOOD}"), True),
    "a sibling that is not base64": (lowered(signature=f"v1a,xyz v1,@ {GOOD}"), True),
    "no padding": (lowered(signature=GOOD.rstrip("=")), True),
    "not base64": (lowered(signature="v1,!"), False),
    "the other alphabet": (lowered(signature=GOOD.replace("+", "-").replace("/", "_")), False),
    "too short": (lowered(signature="v1,AAAA"), False),
    "wrong": (lowered(signature=f"v1,{'A' * 43}="), False),
    "a timestamp of other digits": (lowered(timestamp="١٦١٤٢٦٥٣٣٠"), False),
    "a timestamp that is a fraction": (lowered(timestamp="1614265330.0"), False),
    "a text that cannot be sent": (lowered(id="\ud800"), False),
    "no headers": ({}, "Missing webhook id"),
    "headers that are None": (None, "Missing webhook id"),
    **{f"no {name}": (lowered(**{name: None}), f"Missing webhook {name}") for name in NAMES},
    **{f"an empty {name}": (lowered(**{name: ""}), f"Missing webhook {name}") for name in NAMES},
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
    assert not validate(HEADERS, "\ud800"), "what cannot be UTF-8 was not signed"


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
    assert signature == f"{GOOD} v1,{VECTORS[1][4]}"
    for secret in (SECRET, SECOND, [THIRD, SECOND]):
        assert validate(lowered(signature=signature), secret=secret)
    assert not validate(lowered(signature=signature), secret=THIRD)
    assert replicate.sign_webhook(SECRET, PARTS["id"], int(PARTS["timestamp"]), BODY) == GOOD
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
    assert validate(lowered(id=id, timestamp=stamp, signature=signature), body, secret)


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
    st.sampled_from([GOOD, PARTS["id"], "v1,"]),
)
names = st.one_of(anything, st.sampled_from([*HEADERS, *lowered(), b"webhook-id"]))


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


def receive(both, start):
    """Headers and bodies of what a local server delivers to `start(url)`, until both events have
    come.
    """
    received: queue.Queue = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            received.put((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, args=(0.01,)).start()
        try:
            both(lambda: start(f"http://127.0.0.1:{receiver.server_port}/hook?x=1"))
            return [received.get(timeout=10) for _ in range(2)]
        finally:
            receiver.shutdown()


def test_the_local_server_delivers_what_the_client_accepts(both, client):
    events = ["start", "completed"]
    deliveries = receive(
        both,
        lambda url: client.run(
            "acme/shout", {"text": "hi"}, webhook=url, webhook_events_filter=events
        ),
    )
    secret = both(lambda: client.webhooks.default.secret.get())
    assert both(lambda: client.webhooks.default.secret()) == secret
    verifier = replicate.WebhookVerifier(secret)
    for headers, body in deliveries:
        assert replicate.validate_webhook(secret=secret, headers=headers, body=body)
        assert verifier.unwrap(headers, body).input == {"text": "hi"}
    assert {json.loads(body)["status"] for _, body in deliveries} >= {"succeeded"}


def test_a_training_s_webhooks_are_unwrapped_to_trainings(both):
    server = LocalReplicate()

    @server.model("acme/shout")
    def shout(text: str = "") -> str:
        return text.upper()

    @server.training("acme/shout")
    def train(steps: int = 1) -> bytes:
        return b"weights"

    with server:
        client = both.client(server.base_url, api_token=server.token)
        both(lambda: client.models.create("acme", "new", visibility="private", hardware="cpu"))
        given = {"version": server.version("acme/shout"), "input": {}, "destination": "acme/new"}
        events = ["start", "completed"]
        create = partial(
            client.trainings.create, model="acme/shout", webhook_events_filter=events, **given
        )
        deliveries = receive(both, lambda url: create(webhook=url))
        verifier = replicate.WebhookVerifier(server.webhook_secret)
    told = {each.status: each for each in (verifier.unwrap(*delivery) for delivery in deliveries)}
    assert all(type(each) is replicate.Training for each in told.values())
    assert told["succeeded"].destination == "acme/new"


@pytest.mark.parametrize(
    "answer",
    [
        reply(f'{{"key":"{SECRET}"'.encode()),
        reply([SECRET]),
        reply({"key": SECRET}, 404),
        reply({"detail": f"{SECRET} is old"}, 401),
    ],
)
def test_a_secret_is_not_shown_when_fetching_it_goes_wrong(both, answer):
    with Wire(lambda _: answer) as wire:
        with pytest.raises(replicate.APIError) as caught:
            both(lambda: both.client(wire.base_url, max_retries=0).webhooks.default.secret.get())
    error = caught.value
    shown = f"{error} {error!r} {vars(error)} {error.args} {error.to_dict()} {pickle.dumps(error)}"
    assert SECRET[6:] not in shown
    assert "[REDACTED]" in shown


def test_the_secret_is_fetched_once_where_that_is_enough(both, client, local):
    get = client.webhooks.default.secret.get
    first = both(lambda: get(cached=True))
    count = len(local.requests)
    assert both(lambda: get(cached=True)) is first
    assert both(lambda: client.webhooks.default.secret(cached=True)) is first
    assert len(local.requests) == count
    local.rotate_webhook_secret()
    newer = both(get)
    assert newer.key == local.webhook_secret != first.key
    assert both(lambda: get(cached=True)) is newer, "what was fetched last is what is kept"
    other = both.client(local.base_url, api_token=local.token)
    both(lambda: other.webhooks.default.secret.get(cached=True))
    assert len(local.requests) == count + 2, "each client has its own"


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
    given = {
        "secret": WebhookSigningSecret(key=SECRET),
        **({} if "request" in case else {"body": BODY}),
        **case,
    }
    if "request" in given:
        given["request"] = request

    def outcome(validate):
        try:
            return validate(**given)
        except ValueError as error:
            return type(error).__name__, str(error)

    assert outcome(replicate.webhooks.validate) == outcome(official.Webhooks.validate)


@pytest.mark.parametrize(
    "signature",
    [f"v2,{PARTS['signature'][3:]}", "nonsense", "v1,!", "v1a,xyz", PARTS["signature"][3:]],
)
def test_validate_is_stricter_where_1_0_7_lets_through_or_breaks(signature):
    secret = WebhookSigningSecret(key=SECRET)
    with pytest.raises(InvalidSignatureError):
        replicate.webhooks.validate(headers=lowered(signature=signature), body=BODY, secret=secret)
    with pytest.raises(InvalidTimestampError):
        replicate.webhooks.validate(headers=lowered(timestamp="1e9"), body=BODY, secret=secret)
    with pytest.raises(InvalidSecretKeyError):
        replicate.webhooks.validate(headers=lowered(), body=BODY, secret="foo_bar")
    assert replicate.webhooks.validate(headers=lowered(), body=BODY.encode(), secret=SECRET) is None
