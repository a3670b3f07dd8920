"""Options that are assigned to a client or to the module, or patched by a test."""

import contextlib
import threading
from unittest import mock

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from replicate_rs._client.attributes import OPTIONS
from support import option_fixtures
from support.engine import forget_simultaneous_calls
from support.wire import get_authorization, hang, prediction, reply

TOKEN = "r8_secret"


wire, module = option_fixtures.wire, option_fixtures.module


NAMES = ["api_token", "_api_token", "auth", "bearer_token"]


@pytest.mark.parametrize("name", NAMES)
def test_a_token_that_is_assigned_counts_at_the_next_request(both, wire, name):
    client = both.client(wire.base_url, api_token="r8_first")
    record = both(lambda: client.predictions.get("x"))
    get = client.predictions.get
    setattr(client, name, "r8_second")
    for call in (
        lambda: get("x"),
        lambda: client.predictions.get("x"),
        record.reload,
        lambda: client.run("acme/x", {}),
    ):
        both(call)
        assert get_authorization(wire) == "Bearer r8_second"
    assert [getattr(client, each) for each in NAMES] == ["r8_second"] * 4
    assert "r8_second" not in f"{client!r} {vars(client)}"
    delattr(client, name)
    both(lambda: get("x"))
    assert get_authorization(wire) == "Bearer r8_first"


@pytest.mark.parametrize("name", ["base_url", "_base_url"])
def test_an_address_that_is_assigned_counts_at_the_next_request(both, wire, name):
    client = both.client("http://127.0.0.1:1")
    setattr(client, name, wire.base_url.removesuffix("/v1"))
    both(lambda: client.predictions.get("x"))
    assert client.base_url == wire.base_url
    assert getattr(client, name) == wire.base_url


def test_options_that_are_assigned_do_what_they_say(both, wire):
    client = both.client(wire.base_url)
    client.user_agent = "mine"
    client.default_headers = {"X-Mine": "1"}
    both(lambda: client.predictions.get("x"))
    assert (wire.seen[-1].headers["user-agent"], wire.seen[-1].headers["x-mine"]) == ("mine", "1")
    client.poll_interval = 5
    assert client.with_options(timeout=3).poll_interval == 5
    wire.script = lambda _: hang
    client.max_retries = 0
    client.timeout = 0.05
    with pytest.raises(exceptions.APITimeoutError):
        both(lambda: client.predictions.get("x"))
    client.timeout = 30
    wire.script = lambda _: reply({"detail": "no"}, 500)
    before = len(wire.seen)
    with pytest.raises(exceptions.InternalServerError):
        both(lambda: client.predictions.get("x"))
    assert len(wire.seen) == before + 1
    client.proxy = "http://127.0.0.1:1"
    with pytest.raises(exceptions.APIConnectionError):
        both(lambda: client.predictions.get("x"))


def test_every_option_can_be_read_and_assigned(both):
    client = both.client("http://127.0.0.1:1")
    for name in OPTIONS:
        value = getattr(client, name)
        if name != "cert":
            setattr(client, name, value)
            assert getattr(client, name) == value


def test_anything_else_that_is_assigned_is_an_error(both):
    client = both.client("http://127.0.0.1:1")
    for name, near in (
        ("api_tokn", "api_token"),
        ("poll_intervall", "poll_interval"),
        ("api_key", "api_token"),
        ("_client", "options"),
    ):
        with pytest.raises(AttributeError, match=f"{name}.*{near}"):
            setattr(client, name, "x")
        assert not hasattr(client, name)
    for name in ("is_closed", "stats_", "accounts_"):
        with pytest.raises(AttributeError):
            setattr(client, name, True)
    with pytest.raises(AttributeError, match="api_key.*api_token"):
        replicate.api_key = "x"
    assert not hasattr(replicate, "api_key")


def test_what_is_assigned_to_a_closed_client_does_not_open_it(both, wire):
    client = both.client(wire.base_url)
    client.close()
    client.api_token = "r8_x"
    assert client.is_closed
    with pytest.raises(exceptions.ClientClosedError):
        both(lambda: client.predictions.get("x"))


def test_closing_cancels_what_was_begun_before_an_option_was_assigned(wire):
    wire.script = lambda seen: reply(
        prediction("canceled" if "cancel" in seen.path else "processing")
    )
    client = replicate.Replicate(TOKEN, base_url=wire.base_url, poll_interval=0.01)

    def run():
        with contextlib.suppress(replicate.ReplicateError):
            client.run("acme/x", {})

    thread = threading.Thread(target=run)
    thread.start()
    wire.until(lambda: len(wire.seen) > 2)
    client.timeout = 5
    assert client.stats().predictions == 1
    client.close()
    thread.join(10)
    assert not thread.is_alive()
    assert sum(each.path.endswith("/cancel") for each in wire.seen) == 1


def test_connections_are_kept_when_an_option_is_assigned(both, wire):
    forget_simultaneous_calls()
    client = both.client(wire.base_url)
    for token in ("r8_a", "r8_b", "r8_c"):
        client.api_token = token
        both(lambda: client.predictions.get("x"))
    assert client.stats().connections == 1


# The module.


@pytest.mark.parametrize("name", ["api_token", "bearer_token"])
def test_the_module_s_token_counts_at_the_next_request(wire, monkeypatch, name):
    monkeypatch.setenv("REPLICATE_BASE_URL", wire.base_url)
    from replicate_rs import predictions, run

    client = replicate.default_client
    for token in ("r8_a", "r8_b"):
        setattr(replicate, name, token)
        assert getattr(replicate, name) == token
        for call in (
            lambda: run("acme/x", {}),
            lambda: predictions.get("x"),
            lambda: replicate.predictions.get("x"),
        ):
            call()
            assert get_authorization(wire) == f"Bearer {token}"
    assert replicate.default_client is client
    replicate.default_client._api_token = "r8_of_the_client"
    run("acme/x", {})
    assert get_authorization(wire) == "Bearer r8_of_the_client"


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("name", ["api_token", "bearer_token"])
def test_a_token_that_a_test_patches_is_gone_with_the_test(wire, monkeypatch, name, early):
    monkeypatch.setenv("REPLICATE_BASE_URL", wire.base_url)
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_environment")

    def token():
        replicate.predictions.get("x")
        return get_authorization(wire)

    if early:
        assert token() == "Bearer r8_environment"
    with mock.patch(f"replicate_rs.{name}", "r8_patched"):
        assert token() == "Bearer r8_patched"
        with mock.patch.object(replicate, name, "r8_inner"):
            assert token() == "Bearer r8_inner"
        assert token() == "Bearer r8_patched"
    assert token() == "Bearer r8_environment"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replicate, name, "r8_patched")
        assert token() == "Bearer r8_patched"
    assert token() == "Bearer r8_environment"
    setattr(replicate, name, "r8_set")
    with mock.patch(f"replicate_rs.{name}", "r8_patched"):
        assert token() == "Bearer r8_patched"
    assert token() == "Bearer r8_set"
    delattr(replicate, name)
    assert token() == "Bearer r8_environment"


@pytest.mark.parametrize("how", ["mock", "monkeypatch"])
def test_options_of_a_client_that_a_test_patches_come_back(both, wire, how):
    client = both.client(wire.base_url, api_token="r8_own", timeout=7)
    client.poll_interval = 4

    def patched(stack, name, value):
        if how == "mock":
            stack.enter_context(mock.patch.object(client, name, value))
        else:
            stack.enter_context(pytest.MonkeyPatch.context()).setattr(client, name, value)

    for _ in range(2):
        with contextlib.ExitStack() as stack:
            patched(stack, "api_token", "r8_patched")
            patched(stack, "_api_token", "r8_inner")
            patched(stack, "poll_interval", 9)
            patched(stack, "timeout", 1)
            both(lambda: client.predictions.get("x"))
            assert get_authorization(wire) == "Bearer r8_inner"
            assert (client.poll_interval, client.timeout) == (9, 1)
        both(lambda: client.predictions.get("x"))
        assert get_authorization(wire) == "Bearer r8_own"
        assert (client.poll_interval, client.timeout) == (4, 7)


def test_the_default_client_that_a_test_replaces_comes_back(wire, monkeypatch):
    monkeypatch.setenv("REPLICATE_BASE_URL", wire.base_url)
    own = replicate.default_client
    other = replicate.Replicate("r8_other", base_url=wire.base_url)
    with mock.patch("replicate_rs.default_client", other):
        replicate.predictions.get("x")
        assert get_authorization(wire) == "Bearer r8_other"
    assert replicate.default_client is own
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replicate, "default_client", other)
        assert replicate.run.__self__ is other
    assert replicate.default_client is own
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replicate, "run", lambda *_: "patched")
        assert replicate.run("a/b") == "patched"
    assert "run" not in vars(replicate)
    with mock.patch("replicate_rs.run", return_value="patched"):
        assert replicate.run("a/b") == "patched"
    assert replicate.run.__self__ is own
