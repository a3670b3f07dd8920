"""Secrets are shown nowhere: not in errors, logs, pickles, copies, or what is printed."""

import copy
import logging
import pickle
import traceback
import warnings
from pathlib import Path

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from replicate_rs._webhooks.verifier import WebhookVerifier
from support.wire import Wire, closed_port, hang, output, prediction, reply, streaming

PACKAGE = Path(replicate.__file__).parent
TOKEN = "r8_secret"
KEY = "whsec_c2VjcmV0LXdlYmhvb2sta2V5LXNlY3JldA=="
SECRETS = (TOKEN, "gateway-secret", "hunter2", KEY.removeprefix("whsec_"))
OPTIONS = {"headers": {"X-Gateway-Key": "gateway-secret"}, "max_retries": 0, "poll_interval": 0.001}


def client_of(both, base_url, **options):
    return both.client(base_url, **(OPTIONS | options))


def shown(what):
    """The secrets in a text."""
    return [secret for secret in SECRETS if secret in what]


def frames_that_show(error):
    """Locals of this library's frames that hold a secret, as tools for errors print them."""
    found = []
    for each in chain_of(error):
        for frame, _ in traceback.walk_tb(each.__traceback__):
            where = Path(frame.f_code.co_filename)
            if where.is_relative_to(PACKAGE):
                found += [
                    f"{where.name}: {frame.f_code.co_name}: {name}"
                    for name in frame.f_locals
                    if shown(local(frame, name))
                ]
    return found


def local(frame, name):
    try:
        return repr(frame.f_locals[name])
    except AttributeError:
        # An object whose making failed; a test of its own is about that.
        return ""


def chain_of(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def check(error):
    """An error keeps secrets, however it is printed or stored."""
    texts = [str(error), repr(error), repr(error.args), repr(vars(error))]
    texts += traceback.TracebackException.from_exception(error).format_exception_only()
    texts.append(pickle.dumps(error).decode("latin-1"))
    texts.append(repr(copy.copy(error)))
    assert [secret for text in texts for secret in shown(text)] == []
    assert frames_that_show(error) == []


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Nothing secret is logged or warned of, whatever a test does."""
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    texts = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    texts += [str(each.message) for each in told]
    assert [secret for text in texts for secret in shown(text)] == []


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413, 418, 422, 429, 500, 503])
def test_an_error_of_the_api(both, status):
    with Wire(lambda _: reply({"detail": "no"}, status)) as wire:
        client = client_of(both, wire.base_url)
        for call in (
            lambda: client.predictions.get("x"),
            lambda: client.predictions.create("v", {"prompt": "a"}),
            lambda: client.run("acme/x", {}),
            lambda: client.files.create(b"content", filename="a.txt"),
            lambda: client.request("/models", headers={"X-Other-Key": "of-one-call"}),
        ):
            with pytest.raises(exceptions.APIStatusError) as caught:
                both(call)
            check(caught.value)


def test_an_answer_that_is_none(both):
    for answer in (
        reply(b"<html>"),
        None,
        reply(status=302, headers="Location: ftp://x\r\n"),
        reply(b"{}", length=100),
    ):
        with Wire(
            lambda _, answer=answer: answer and (lambda connection: connection.sendall(answer))
        ) as wire:
            with pytest.raises(exceptions.APIError) as caught:
                both(lambda: client_of(both, wire.base_url).predictions.get("x"))
            check(caught.value)


def test_no_answer(both):
    port = closed_port()
    with pytest.raises(exceptions.APIConnectionError) as caught:
        both(lambda: client_of(both, f"http://127.0.0.1:{port}").predictions.get("x"))
    check(caught.value)
    with Wire(lambda _: hang) as wire:
        with pytest.raises(exceptions.APITimeoutError) as caught:
            both(lambda: client_of(both, wire.base_url, timeout=0.05).predictions.get("x"))
    check(caught.value)


def test_an_error_of_a_model_or_a_stream(both):
    with Wire(lambda _: reply(prediction("failed", error="OOM"))) as wire:
        with pytest.raises(replicate.ModelError) as caught:
            both(lambda: client_of(both, wire.base_url).run("acme/x", {}))
        check(caught.value)
    with streaming(output("a"), poll=prediction("processing")) as wire:
        with pytest.raises(replicate.ReplicateError) as caught:
            both(lambda: client_of(both, wire.base_url).stream("acme/x", {}, timeout=0.2))
        check(caught.value)


def test_the_webhook_secret_in_an_answer_that_is_none(both):
    with Wire(lambda _: reply(f'{{"key": "{KEY}", '.encode())) as wire:
        with pytest.raises(exceptions.APIResponseValidationError) as caught:
            both(lambda: client_of(both, wire.base_url).webhooks.default.secret())
        check(caught.value)


@pytest.mark.parametrize(
    "wrong", [f"{TOKEN}\r\nX: y", f"{TOKEN}\n{TOKEN}", f"\0{TOKEN}", f"{TOKEN}\x7f"]
)
def test_a_token_that_no_header_can_carry(both, wrong):
    with pytest.raises(
        ValueError, match="token holds a line break or another control character"
    ) as caught:
        client_of(both, "http://127.0.0.1:1", api_token=wrong)
    assert shown(str(caught.value)) == []
    with pytest.raises(
        ValueError, match="token holds a line break or another control character"
    ) as caught:
        both(
            lambda: client_of(both, "http://127.0.0.1:1", api_token=lambda: wrong).predictions.get(
                "x"
            )
        )
    check(caught.value)


def test_a_token_of_another_type(both):
    for wrong in (TOKEN.encode(), [TOKEN]):
        with pytest.raises(TypeError, match="token") as caught:
            client_of(both, "http://127.0.0.1:1", api_token=wrong)
        assert shown(str(caught.value)) == []
        with pytest.raises(TypeError, match="token") as caught:
            both(
                lambda wrong=wrong: client_of(
                    both, "http://127.0.0.1:1", api_token=lambda: wrong
                ).predictions.get("x")
            )
        check(caught.value)


def test_a_client_that_cannot_be_made_shows_no_token_in_its_frames(both):
    """Tools for errors print the locals of every frame."""
    for wrong in (
        {"base_url": "ftp://x"},
        {"max_connections": 0},
        {"headers": {"a b": "gateway-secret"}},
        {"timeout": "1"},
    ):
        with pytest.raises((ValueError, TypeError)) as caught:
            both.kind(**({"api_token": TOKEN, "base_url": "http://127.0.0.1:1"} | wrong))
        assert shown(str(caught.value)) == []
        assert frames_that_show(caught.value) == []


def test_a_client_that_cannot_be_made_can_be_shown(both):
    with pytest.raises(ValueError, match="base_url") as caught:
        both.client("ftp://x")
    assert traceback.TracebackException.from_exception(caught.value, capture_locals=True)


@pytest.mark.parametrize(
    "way", [repr, str, lambda client: repr(client._core), lambda client: repr(client._session)]
)
def test_a_client_is_shown_without(both, way):
    client = client_of(both, "http://127.0.0.1:1")
    assert shown(way(client)) == []
    assert shown(way(client.predictions)) == []
    assert shown(repr(vars(client))) == []


def made(both, wire):
    """What a client makes that may be printed or stored."""
    client = client_of(both, wire.base_url)
    made = both(lambda: client.predictions.get("p1"))
    page = both(lambda: client.predictions.list())
    file = replicate.FileOutput(f"{wire.origin}/file", client)
    return client, made, page, file


def test_what_a_client_makes_is_shown_stored_and_copied_without(both):
    with Wire(
        lambda seen: reply(
            {"results": [prediction()]} if seen.path.endswith("predictions") else prediction()
        )
    ) as wire:
        client, one, page, file = made(both, wire)
        for each in (client, one, page, file, client.predictions):
            assert shown(repr(each)) == []
        for each in (one, file, client):
            assert shown(pickle.dumps(each).decode("latin-1")) == [], each
        for each in (copy.copy(one), copy.deepcopy(one), copy.copy(file), one.copy()):
            assert shown(repr(each)) == []
        assert shown(f"{one.dict()} {one.json()}") == []


def test_a_client_that_was_stored_asks_its_surroundings_for_the_token_if_it_did_before(
    both, monkeypatch
):
    with Wire(lambda _: reply(prediction())) as wire:
        again = pickle.loads(pickle.dumps(client_of(both, wire.base_url, api_token=None)))
        monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_other")
        assert both(lambda: again.predictions.get("p1")).id == "p1"
    assert wire.seen[0].headers["authorization"] == "Bearer r8_other"


@pytest.mark.parametrize(
    "name", ["authorization", "Proxy-Authorization", "X-Api-Key", "Cookie", "X-Gateway-Key"]
)
def test_no_default_header_s_value_is_stored(name):
    client = replicate.Replicate(base_url="http://127.0.0.1:1", headers={name: "gateway-secret"})
    assert shown(pickle.dumps(client).decode("latin-1")) == []


@pytest.mark.parametrize("name", ["X-Key", "X Key"])
def test_a_header_s_value_is_not_shown_with_what_is_wrong_with_it(both, name):
    with pytest.raises(ValueError, match="X.Key") as caught:
        client_of(both, "http://127.0.0.1:1", headers={name: "gateway-secret\r\nX: y"})
    assert shown(str(caught.value)) == []
    with Wire(lambda _: reply(prediction())) as wire:
        client = client_of(both, wire.base_url)
        with pytest.raises(ValueError, match="X.Key") as caught:
            both(
                lambda: client.predictions.get("x", extra_headers={name: "gateway-secret\r\nX: y"})
            )
        assert shown(str(caught.value)) == []
        assert wire.opened == 0


@pytest.mark.parametrize(
    "wrong",
    [
        "https://me:hunter2@example.com",
        "ftp://me:hunter2@example.com",
        "https://me:hunter2@example.com:99999",
        "https://me:hunter2@",
        "https://me:hunter2@[::1",
        "https://me:hunter2@example.com/?a=1",
        "me:hunter2@example.com",
    ],
)
def test_a_wrong_base_url_is_refused_without_its_password(both, wrong):
    with pytest.raises(ValueError, match="base_url") as caught:
        both.client(wrong)
    assert shown(str(caught.value)) == []


@pytest.mark.parametrize(
    "rest", ["127.0.0.1:1/file", "127.0.0.1:99999/file", "[::1/file", "127.0.0.1:1/file?a=1#b"]
)
def test_a_password_in_a_file_s_address_is_in_no_error(both, rest):
    client = client_of(both, "http://127.0.0.1:1")
    file = replicate.FileOutput(f"http://me:hunter2@{rest}", client)
    with pytest.raises((replicate.ReplicateError, ValueError)) as caught:
        both(file.aread if both.is_async else file.read)
    assert shown(str(caught.value)) == []
    assert shown(repr(vars(caught.value))) == []


def test_a_password_in_a_file_s_address_is_in_its_address_only(both):
    file = replicate.FileOutput(
        "https://me:hunter2@example.com/file", client_of(both, "http://127.0.0.1:1")
    )
    assert shown(repr(file)) == []
    assert (file.url, str(file)) == ("https://me:hunter2@example.com/file",) * 2


@pytest.mark.parametrize(
    "route",
    [
        "http://me:hunter2@127.0.0.1:1/x",
        "http://me:hunter2@127.0.0.1:99999/x",
        "ftp://me:hunter2@x/",
    ],
)
def test_a_password_in_a_request_s_address_is_in_no_error(both, route):
    client = client_of(both, "http://127.0.0.1:1")
    with pytest.raises((replicate.ReplicateError, ValueError)) as caught:
        both(lambda: client.request(route))
    assert shown(str(caught.value)) == []
    assert shown(repr(vars(caught.value))) == []


def test_a_password_in_the_address_of_a_redirect_is_in_no_error(both):
    with Wire(
        lambda _: reply(status=302, headers="Location: http://me:hunter2@127.0.0.1:1/x\r\n")
    ) as wire:
        with pytest.raises(exceptions.APIConnectionError) as caught:
            both(lambda: client_of(both, wire.base_url).predictions.get("x"))
        check(caught.value)


def test_a_password_in_a_webhook_s_address_is_in_no_error(both):
    client = client_of(both, "http://127.0.0.1:1")
    for wrong in ("ftp://me:hunter2@example.com", "https://me:hunter2@example.com/\n"):
        with pytest.raises(ValueError, match="webhook must be an https URL") as caught:
            both(lambda wrong=wrong: client.predictions.create("v", {}, webhook=wrong))
        assert shown(str(caught.value)) == []


def test_a_webhook_s_secret_is_not_shown_by_what_has_it(both):
    headers = {"webhook-id": "m", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
    verifier = WebhookVerifier(KEY)
    with Wire(lambda _: reply({"key": KEY})) as wire:
        fetched = both(lambda: client_of(both, wire.base_url).webhooks.default.secret())
    for each in (verifier, fetched):
        assert shown(f"{each!r} {each}") == []
    for call in (lambda: verifier.verify(headers, b"{}"), lambda: WebhookVerifier(f"{KEY[:-3]}!")):
        with pytest.raises(ValueError, match=r".") as caught:
            call()
        check(caught.value)


def failures(both, tmp_path):
    """One error of each class that an exchange gives."""
    controller = replicate.AbortController()
    controller.abort("why")
    with Wire(
        lambda _: reply(
            {"detail": "no", "title": "t"}, 429, headers="X-Request-Id: r1\r\nRetry-After: 99\r\n"
        )
    ) as wire:
        client = client_of(both, wire.base_url)
        yield lambda: client.predictions.get("x")
        yield lambda: client.predictions.get("x", signal=controller.signal)
        wire.script = lambda _: reply(b"<html>")
        yield lambda: client.predictions.get("x")
        wire.script = lambda _: None
        yield lambda: client.predictions.get("x")
        wire.script = lambda _: hang
        yield lambda: client.predictions.get("x", timeout=0.05)
        wire.script = lambda _: reply(prediction("failed", error="OOM"))
        yield lambda: client.run("acme/x", {})
        wire.script = lambda _: reply(prediction("canceled"))
        yield lambda: client.run("acme/x", {})
        wire.script = lambda _: reply(prediction("processing"))
        yield lambda: client.run("acme/x", {}, timeout=0.1)
        yield lambda: client.stream("acme/x", {})
        wire.script = lambda _: reply(b"file")
        file = replicate.FileOutput(f"{wire.origin}/file", client)
        yield lambda: (file.asave if both.is_async else file.save)(tmp_path / "no folder" / "a")
    yield lambda: both.client("https://127.0.0.1.invalid", api_token="").predictions.get("x")


def test_errors_keep_their_fields_when_they_are_stored_and_copied(both, tmp_path):
    kinds = set()
    for call in failures(both, tmp_path):
        with pytest.raises(replicate.ReplicateError) as caught:
            both(call)
        error = caught.value
        kinds.add(type(error).__name__)
        for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert type(again) is type(error)
            assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))
    assert len(kinds) >= 9
