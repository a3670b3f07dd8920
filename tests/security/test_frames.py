"""Reports of errors show the locals of every frame: none of this library's frames holds a secret
when an error leaves it.
"""

import functools
import traceback
from pathlib import Path
from types import ModuleType

import pytest

import replicate_rs as replicate
from replicate_rs import webhook
from replicate_rs._webhooks.verifier import WebhookVerifier
from support.proxies import HttpProxy
from support.wire import Wire, closed_port, hang, output, prediction, reply, streaming

PACKAGE = Path(replicate.__file__).parent
TOKEN, GATEWAY, PASSWORD = "r8_token_of_frames", "key-of-the-gateway", "hunter2-of-the-proxy"
KEY = "c2VjcmV0LXdlYmhvb2sta2V5LXNlY3JldA=="
WHSEC = f"whsec_{KEY}"
SECRETS = (TOKEN, GATEWAY, PASSWORD, KEY)
PROXY = f"http://me:{PASSWORD}@127.0.0.1:1"
HEADERS = {"X-Gateway-Key": GATEWAY}


def texts(value, depth=6):
    """Every text in a value, as tools for errors print it: its repr, and what containers and plain
    objects hold.
    """
    if isinstance(value, (str, bytes)):
        yield str(value)
        return
    try:
        yield repr(value)
    except Exception:
        return
    if depth and isinstance(value, dict):
        for key, each in list(value.items()):
            yield from texts(key, depth - 1)
            yield from texts(each, depth - 1)
    elif depth and isinstance(value, (list, tuple, set, frozenset)):
        for each in list(value):
            yield from texts(each, depth - 1)
    elif (
        depth
        and type(value).__module__.startswith("replicate_rs")
        and not isinstance(value, (replicate.Request, ModuleType))
    ):
        names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        held = [
            getattr(value, name, None)
            for name in names
            if isinstance(name, str) and name not in ("__weakref__", "__dict__")
        ]
        yield from texts([held, getattr(value, "__dict__", None)], depth - 1)
    elif depth and isinstance(value, functools.partial):
        yield from texts([value.args, value.keywords], depth - 1)


def chain(error, seen=()):
    """An error, and all that it came from, hidden or not."""
    while error is not None and error not in seen:
        yield error
        seen = (*seen, error)
        yield from chain(error.__cause__, seen)
        error = error.__context__


def shown(error):
    """Where a secret is in an error, and in which of this library's frames."""
    found = []
    for each in chain(error):
        texts_of = [
            ("str", str(each)),
            ("repr", repr(each)),
            ("args", repr(each.args)),
            ("vars", repr(vars(each))),
        ]
        found += [
            (type(each).__name__, where)
            for where, text in texts_of
            if any(secret in text for secret in SECRETS)
        ]
        if isinstance(each, UnicodeError):
            found += (
                ["the object of an error of encoding"]
                if any(secret in str(each.object) for secret in SECRETS)
                else []
            )
        for frame, line in traceback.walk_tb(each.__traceback__):
            if Path(frame.f_code.co_filename).is_relative_to(PACKAGE):
                for name, value in frame.f_locals.items():
                    if any(secret in text for text in texts(value) for secret in SECRETS):
                        found.append(
                            f"{Path(frame.f_code.co_filename).name}:{line}"
                            f" {frame.f_code.co_qualname}: {name}"
                        )
    return found


def check(call, kinds=Exception):
    with pytest.raises(kinds) as caught:
        call()
    assert shown(caught.value) == []
    return caught.value


class Broken:
    """What raises wherever it is looked at."""

    def get_secret_value(self):
        raise LookupError("no vault")


GOOD = {
    "base_url": "http://127.0.0.1:1",
    "api_token": TOKEN,
    "headers": HEADERS,
    "proxy": PROXY,
    "max_retries": 0,
}
WRONG = [
    {"api_token": f"{TOKEN}\u2019"},
    {"api_token": f"{TOKEN}\x00"},
    {"api_token": f"{TOKEN}\ud800"},
    {"api_token": TOKEN.encode()},
    {"api_token": [TOKEN]},
    {"api_token": {"token": TOKEN}},
    {"api_token": Broken()},
    {"auth": TOKEN},
    {"bearer_token": f"{TOKEN}\n{TOKEN}"},
    {"base_url": "ftp://x"},
    {"base_url": f"https://me:{PASSWORD}@x"},
    {"base_url": f"https://me:{PASSWORD}@[::1"},
    {"base_url": 5},
    {"timeout": "x"},
    {"timeout": -1},
    {"timeout": (1, 2)},
    {"max_retries": -1},
    {"max_retries": "1"},
    {"max_connections": 0},
    {"max_response_bytes": 0},
    {"headers": {"X-Gateway-Key": f"{GATEWAY}\n"}},
    {"headers": {"X Key": GATEWAY}},
    {"headers": {"X-Key": GATEWAY.encode()}},
    {"headers": [("X-Key", GATEWAY, GATEWAY)]},
    {"headers": {"X-Key": f"{GATEWAY}\ud800"}},
    {"headers": GATEWAY},
    {"default_headers": HEADERS},
    {"user_agent": 5},
    {"user_agent": "a\nb"},
    {"poll_interval": "x"},
    {"poll_interval": -1},
    {"file_encoding_strategy": "x"},
    {"use_file_output": 1},
    {"block_private_addresses": 1},
    {"proxy": f"ftp://me:{PASSWORD}@x"},
    {"proxy": f"http://me:{PASSWORD}@x:99999"},
    {"proxy": f"http://me:{PASSWORD}@ x"},
    {"proxy": [PROXY]},
    {"verify": 5},
    {"verify": "/nowhere.pem"},
    {"verify": False, "ssl_cert_file": "/nowhere.pem"},
    {"ssl_cert_file": "/nowhere.pem"},
    {"cert": "/nowhere.pem"},
    {"cert": ("a", "b", "c")},
    {"fetch": 5},
]


@pytest.mark.parametrize(
    "wrong", WRONG, ids=lambda wrong: f"{'-'.join(wrong)}-{WRONG.index(wrong)}"
)
def test_a_client_that_cannot_be_made(both, wrong, monkeypatch):
    check(lambda: both.kind(**(GOOD | wrong)))
    (name, value), *_ = wrong.items()
    client = both.kind(**GOOD)
    if name not in ("auth", "default_headers", "verify"):
        check(lambda: client.with_options(**wrong))
        check(
            lambda: client.copy(
                **({"api_token": TOKEN, "headers": HEADERS, "proxy": PROXY} | wrong)
            )
        )
        check(lambda: setattr(client, name, value))
        assert client.api_token == TOKEN
        for spelling in {"api_token": ("_api_token", "auth"), "base_url": ("_base_url",)}.get(
            name, ()
        ):
            check(lambda spelling=spelling: setattr(client, spelling, value))
        monkeypatch.setitem(vars(replicate), "proxy", PROXY)
        check(lambda: setattr(replicate, name, value))
        assert vars(replicate).get(name) is None or name == "proxy"


def test_options_that_do_not_exist_or_are_given_twice(both):
    client = both.kind(**GOOD)
    check(lambda: client.with_options(api_token=TOKEN, nonsense=TOKEN), TypeError)
    check(lambda: client.with_options(api_token=TOKEN, auth=f"{TOKEN}2"), TypeError)
    check(lambda: setattr(client, "nonsense", TOKEN), AttributeError)
    check(lambda: setattr(replicate, "nonsense", TOKEN), AttributeError)


@pytest.fixture(params=["plain", "fetch"])
def kind(request, both):
    """A client with or without a `fetch`, all of whose secrets are known."""

    def make(base_url, **options):
        if request.param == "fetch":
            options["fetch"] = awaited if both.is_async else (lambda request, send: send(request))
        return both.kind(
            **(
                {"base_url": base_url, "api_token": TOKEN, "headers": HEADERS, "max_retries": 0}
                | options
            )
        )

    async def awaited(request, send):
        return await send(request)

    return make


def calls(client, extra):
    """Calls of every kind, with headers of their own."""
    yield lambda: client.predictions.get("x", extra_headers=extra)
    yield lambda: client.predictions.create("v", {"a": 1}, extra_headers=extra)
    yield lambda: client.predictions.list(extra_headers=extra)
    yield lambda: client.run("acme/x", {"a": 1}, extra_headers=extra)
    yield lambda: client.stream("acme/x", {"a": 1}, extra_headers=extra)
    yield lambda: client.text_stream("acme/x", {"a": 1}, extra_headers=extra)
    yield lambda: client.relay("acme/x", {"a": 1}, extra_headers=extra)
    yield lambda: client.models.get("acme/x", extra_headers=extra)
    yield lambda: client.trainings.create("acme/x:v", {"a": 1}, "acme/y", extra_headers=extra)
    yield lambda: client.search("x", extra_headers=extra)
    yield lambda: client.request("/models", headers=extra)
    yield lambda: client.request("/models", method="POST", data={"a": 1}, headers=extra)
    yield lambda: client.files.create(b"content", filename="x")


ANSWERS = {
    "refused": lambda _: reply({"detail": "no"}, 401),
    "broken": lambda _: reply({"detail": "no"}, 503),
    "html": lambda _: reply(b"<html>"),
    "nothing": lambda _: None,
    "late": lambda _: hang,
    "failed": lambda _: reply(prediction("failed", error="OOM")),
    "redirected": lambda _: reply(status=302, headers="Location: ftp://x\r\n"),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_calls_that_fail(both, kind, answer):
    with Wire(ANSWERS[answer]) as wire:
        client = kind(wire.base_url, timeout=0.1)
        for number, call in enumerate(calls(client, {"X-Other": GATEWAY})):
            if answer == "late" and number == 3:
                # It is held for longer.
                continue
            try:
                both(call)
            except Exception as error:
                # Some may be answered as they want.
                assert shown(error) == []  # noqa: PT017 - after the frames were collected


def test_calls_without_an_answer(both, kind):
    port = closed_port()
    for call in calls(kind(f"http://127.0.0.1:{port}"), {"X-Other": GATEWAY}):
        check(lambda call=call: both(call))


@pytest.mark.parametrize(
    "extra",
    [
        {"X-Other": f"{GATEWAY}\n"},
        {"X Other": GATEWAY},
        {"X-Other": GATEWAY.encode()},
        [("X-Other", GATEWAY, "")],
        GATEWAY,
    ],
    ids=["value", "name", "bytes", "pairs", "text"],
)
def test_headers_of_a_call_that_are_refused(both, kind, extra):
    client = kind("http://127.0.0.1:1")
    for call in list(calls(client, extra))[:-1]:
        check(lambda call=call: both(call), (TypeError, ValueError))


@pytest.mark.parametrize(
    "wrong",
    [{"timeout": "x"}, {"signal": 5}, {"extra_query": 5}, {"extra_body": 5}, {"nonsense": 5}],
    ids=lambda each: next(iter(each)),
)
def test_other_arguments_beside_headers_that_are_refused(both, kind, wrong):
    client, extra = kind("http://127.0.0.1:1"), {"X-Other": GATEWAY}
    check(
        lambda: both(lambda: client.predictions.get("x", extra_headers=extra, **wrong)),
        (TypeError, ValueError),
    )
    check(
        lambda: both(lambda: client.predictions.get("x", **wrong, extra_headers=extra)),
        (TypeError, ValueError),
    )
    check(lambda: both(lambda: client.predictions.get(extra_headers=extra)), TypeError)
    check(lambda: both(lambda: client.run("a/b/c", {}, extra_headers=extra)), ValueError)
    check(lambda: both(lambda: client.run("a/b", {"a": object()}, extra_headers=extra)), TypeError)
    check(
        lambda: both(lambda: client.stream("a/b", {}, extra_headers=extra, timeout="x")), TypeError
    )
    check(lambda: both(lambda: client.request("/x?y", headers=extra)), ValueError)
    check(lambda: both(lambda: client.request("/x", headers=extra, data=object())), TypeError)
    check(lambda: both(lambda: client.request("/x", headers=extra, method="a b")), ValueError)


def test_tokens_of_functions(both):
    def broken():
        raise LookupError("no vault")

    for wrong in (f"{TOKEN}\u2026", TOKEN.encode(), [TOKEN], f"{TOKEN}\x01"):
        client = both.kind(lambda wrong=wrong: wrong, base_url="http://127.0.0.1:1")
        check(
            lambda client=client: both(lambda: client.predictions.get("x")), (TypeError, ValueError)
        )
    client = both.kind(broken, base_url="http://127.0.0.1:1", headers=HEADERS)
    check(
        lambda: both(lambda: client.predictions.get("x", extra_headers={"X-Other": GATEWAY})),
        LookupError,
    )


def test_tokens_of_the_environment(both, monkeypatch):
    monkeypatch.setenv("REPLICATE_API_TOKEN", f"{TOKEN}\u201d")
    client = both.kind(base_url="http://127.0.0.1:1", headers=HEADERS)
    check(
        lambda: both(lambda: client.predictions.get("x", extra_headers={"X-Other": GATEWAY})),
        ValueError,
    )
    monkeypatch.delenv("REPLICATE_API_TOKEN")
    client = both.kind(base_url="https://127.0.0.1.invalid", headers=HEADERS)
    check(
        lambda: both(lambda: client.predictions.get("x", extra_headers={"X-Other": GATEWAY})),
        replicate.ReplicateError,
    )


def test_ways_through_a_proxy(both):
    def answer(_):
        return reply({"detail": "no"}, 500)

    with HttpProxy(answer, credentials=f"me:{PASSWORD}") as proxy:
        for user in (f"me:{PASSWORD}", f"me:{PASSWORD}-not"):
            through = f"http://{user}@{proxy.origin.partition('://')[2]}"
            client = both.kind(
                TOKEN, base_url="http://api.invalid", proxy=through, headers=HEADERS, max_retries=0
            )
            for call in calls(client, {"X-Other": GATEWAY}):
                check(lambda call=call: both(call))
    client = both.kind(
        TOKEN, base_url="http://api.invalid", proxy=PROXY, headers=HEADERS, max_retries=0
    )
    for call in calls(client, {"X-Other": GATEWAY}):
        check(lambda call=call: both(call))


def test_proxies_of_the_environment(both, monkeypatch):
    for wrong in (PROXY, f"ftp://me:{PASSWORD}@x", f"http://me:{PASSWORD}@x:99999"):
        monkeypatch.setenv("HTTP_PROXY", wrong)
        client = both.kind(TOKEN, base_url="http://api.invalid", max_retries=0)
        check(lambda client=client: both(lambda: client.predictions.get("x")))


def test_uploads_that_fail(both, kind, tmp_path):
    with Wire(lambda _: reply({"detail": "no"}, 500)) as wire:
        client, extra = kind(wire.base_url), {"X-Other": GATEWAY}
        file = tmp_path / "file"
        file.write_bytes(b"x" * 1000)
        how = {"file_encoding_strategy": "upload", "extra_headers": extra}
        with file.open("rb") as opened:
            for given in (file, tmp_path / "missing", opened, (each for each in [b"a", 5])):
                check(lambda given=given: both(lambda: client.files.create(given)))
                check(
                    lambda given=given: both(lambda: client.run("acme/x", {"file": given}, **how))
                )


def test_streams_and_files_that_fail(both, kind, tmp_path):
    extra = {"X-Other": GATEWAY}
    with streaming(output("a"), poll=prediction("processing")) as wire:
        check(
            lambda: both(
                lambda: kind(wire.base_url).stream("acme/x", {}, timeout=0.2, extra_headers=extra)
            )
        )
    with Wire(lambda _: reply({"detail": "no"}, 404)) as wire:
        client = kind(wire.base_url)
        file = replicate.FileOutput(f"{wire.origin}/file", client)
        check(lambda: both(file.aread if both.is_async else file.read))
        check(lambda: both(lambda: (file.asave if both.is_async else file.save)(tmp_path / "x")))
        check(lambda: both(lambda: client.wait(replicate.Prediction(id="x", status="starting"))))


def test_webhook_secrets(both):
    headers = {"webhook-id": "m", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
    wrong = f"{WHSEC[:-3]}!"
    check(lambda: WebhookVerifier(wrong))
    check(lambda: WebhookVerifier([WHSEC, wrong]))
    check(lambda: WebhookVerifier(WHSEC, "x"))
    check(lambda: WebhookVerifier(WHSEC, seen=5))
    check(lambda: WebhookVerifier(WHSEC).verify(headers, b"{}"))
    check(lambda: WebhookVerifier(WHSEC).unwrap({}, b"{}"))
    for secret in (WHSEC, wrong, [WHSEC, wrong], replicate.WebhookSigningSecret(key=wrong)):
        check(
            lambda secret=secret: replicate.validate_webhook(headers={}, secret=secret, body=b"{}")
        )
        check(lambda secret=secret: replicate.validate_webhook(object(), secret=secret))
        check(lambda secret=secret: replicate.sign_webhook(secret, "m", None, b"{}"))
        validate = both.kind().webhooks.validate
        check(
            lambda secret=secret, validate=validate: validate(
                headers=headers, body=b"{}", secret=secret
            )
        )
        check(
            lambda secret=secret, validate=validate: validate(headers={}, body=b"{}", secret=secret)
        )
    check(lambda: replicate.sign_webhook(wrong, "m", 1, b"{}"), webhook.InvalidSecretKeyError)


def test_the_walk_finds_secrets():
    """A frame of this package that holds one, as they did."""
    code = compile("def fail(kept):\n    raise ValueError", str(PACKAGE / "made_up.py"), "exec")
    space = {}
    exec(code, space)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - it says nothing
        space["fail"]({"a": [(TOKEN,)]})
    assert len(shown(caught.value)) == 1
