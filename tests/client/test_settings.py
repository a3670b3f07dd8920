"""Options of a client and of the module: read when a request is made, assigned while a client
lives, taken back by tests.
"""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import threading
from unittest import mock

import pydantic
import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from replicate_rs._client.attributes import OPTIONS
from support.wire import Wire, hang, prediction, reply

TOKEN = "r8_secret"


@pytest.fixture
def wire():
    with Wire(lambda _: reply(prediction(output="x"))) as wire:
        yield wire


def authorization(wire):
    return wire.seen[-1].headers.get("authorization")


@pytest.fixture(autouse=True)
def module():
    """The module as it was."""
    yield
    for name in [*vars(replicate)]:
        if name in replicate._OPTIONS:
            delattr(replicate, name)


# What a program has before it reads its environment.
EARLY = {
    "a function by name": "from replicate_rs import run\ncall = lambda: run('acme/x', {})",
    "a namespace by name": (
        "from replicate_rs import predictions\ncall = lambda: predictions.get('x')"
    ),
    "a client": (
        "import replicate_rs\nclient = replicate_rs.Replicate()\ncall = lambda:"
        " client.predictions.get('x')"
    ),
    "a method": (
        "import replicate_rs\nget = replicate_rs.Replicate().predictions.get\ncall = lambda:"
        " get('x')"
    ),
    "an async client": (
        "import replicate_rs, asyncio\nclient = replicate_rs.AsyncReplicate()\n"
        "call = lambda: asyncio.run(client.predictions.get('x'))"
    ),
    "one that was shown": (
        "import replicate_rs\nclient = replicate_rs.Replicate()\nprint(client, client.base_url)\n"
        "call = lambda: client.predictions.get('x')"
    ),
    "a copy": (
        "import replicate_rs\nclient = replicate_rs.Replicate().with_options(timeout=5)\n"
        "call = lambda: client.predictions.get('x')"
    ),
    "a function of use": (
        "import replicate_rs\nmodel = replicate_rs.use('acme/x')\ncall = lambda: model()"
    ),
    "a setting": (
        "import replicate_rs\nreplicate_rs.max_retries = 1\ncall = lambda:"
        " replicate_rs.predictions.get('x')"
    ),
}


@pytest.mark.parametrize("early", EARLY)
def test_the_environment_is_read_at_the_first_request(early, wire):
    code = f"""
import os
{EARLY[early]}
os.environ.update(REPLICATE_BASE_URL={wire.base_url!r}, REPLICATE_API_TOKEN=" r8_late\\n", REPLICATE_POLL_INTERVAL="0.5")
call()
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert authorization(wire) == "Bearer r8_late"


def test_an_address_of_the_environment_follows_it(both, wire, monkeypatch):
    client = both.kind(TOKEN)
    with Wire(lambda _: reply(prediction())) as other:
        for each in (wire, other, wire):
            monkeypatch.setenv("REPLICATE_BASE_URL", each.base_url)
            before = len(each.seen)
            both(lambda: client.predictions.get("x"))
            assert len(each.seen) == before + 1
            assert client.base_url == each.base_url
    monkeypatch.delenv("REPLICATE_BASE_URL")
    assert client.base_url == "https://api.replicate.com/v1"


@pytest.mark.parametrize("wrong", ["ftp://x", "nonsense", "https://me:hunter2@x"])
def test_a_wrong_address_of_the_environment_is_named(both, monkeypatch, wrong):
    monkeypatch.setenv("REPLICATE_BASE_URL", wrong)
    client = both.kind(TOKEN)
    for _ in range(2):
        with pytest.raises(ValueError, match="^REPLICATE_BASE_URL") as caught:
            both(lambda: client.predictions.get("x"))
        assert "hunter2" not in str(caught.value)


def test_a_wrong_interval_of_the_environment_sends_nothing(both, wire, monkeypatch):
    client = both.kind(TOKEN, base_url=wire.base_url)
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", "often")
    with pytest.raises(ValueError, match="REPLICATE_POLL_INTERVAL"):
        both(lambda: client.run("acme/x", {}))
    assert wire.seen == []
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", " 0.01 ")
    assert client.poll_interval == 0.01
    both(lambda: client.run("acme/x", {}))


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_blank_is_missing(both, wire, monkeypatch, blank):
    for name in (
        "REPLICATE_BASE_URL",
        "REPLICATE_API_TOKEN",
        "REPLICATE_POLL_INTERVAL",
        "HTTP_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
    ):
        monkeypatch.setenv(name, blank)
    client = both.kind(blank, base_url=wire.base_url, proxy=blank)
    both(lambda: client.predictions.get("x"))
    assert authorization(wire) is None
    assert both.kind(TOKEN, base_url=blank).base_url == "https://api.replicate.com/v1"
    with pytest.raises(exceptions.MissingTokenError):
        both(
            lambda: both.kind(blank, base_url="https://api.replicate.invalid").predictions.get("x")
        )
    with pytest.raises(exceptions.MissingTokenError):
        both(
            lambda: both.kind(
                lambda: blank, base_url="https://api.replicate.invalid"
            ).predictions.get("x")
        )
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_environment")
    both(lambda: client.predictions.get("x"))
    assert authorization(wire) == "Bearer r8_environment"


@pytest.mark.parametrize("spaced", [f"{TOKEN}\n", f" {TOKEN}", f"\t{TOKEN}\r\n", f"{TOKEN}\u00a0"])
def test_white_space_around_a_token_is_none_of_it(both, wire, monkeypatch, spaced):
    monkeypatch.setenv("REPLICATE_API_TOKEN", spaced)
    for token in (spaced, lambda: spaced, pydantic.SecretStr(spaced), None):
        both(lambda token=token: both.kind(token, base_url=wire.base_url).predictions.get("x"))
        assert authorization(wire) == f"Bearer {TOKEN}"


LIKELY = {
    "\u2026": "ellipsis",
    "\u2019": "typographic quote",
    "\u201c": "typographic quote",
    "\u2013": "typographic dash",
    "\u2022": "bullet",
    "\u200b": "invisible",
    "\ufeff": "byte order mark",
    "\u00e9": "not printable ASCII",
    "\u0442": "not printable ASCII",
    "\U0001f600": "not printable ASCII",
    "\n": "line break",
    "\x00": "control character",
    "\x7f": "control character",
    "\u00a0": "space",
    "\ud800": "not printable ASCII",
}


@pytest.mark.parametrize(
    ("character", "cause"), LIKELY.items(), ids=[ascii(each) for each in LIKELY]
)
def test_a_token_that_is_none_is_refused_with_its_likely_cause(
    both, wire, monkeypatch, character, cause
):
    wrong = f"r8_abc{character}defg"
    for call in (
        lambda: both.kind(wrong),
        lambda: both.kind(pydantic.SecretStr(wrong)),
        lambda: setattr(replicate, "api_token", wrong),
        lambda: both(lambda: both.kind(lambda: wrong, base_url=wire.base_url).predictions.get("x")),
        lambda: both(
            lambda: both.kind(
                lambda: pydantic.SecretStr(wrong), base_url=wire.base_url
            ).predictions.get("x")
        ),
    ):
        with pytest.raises(ValueError, match=f"token.*{cause}") as caught:
            call()
        assert "abc" not in str(caught.value)
        assert "defg" not in str(caught.value)
    if character not in "\x00\ud800":
        monkeypatch.setenv("REPLICATE_API_TOKEN", wrong)
        with pytest.raises(ValueError, match=f"REPLICATE_API_TOKEN.*{cause}"):
            both(lambda: both.kind(base_url=wire.base_url).predictions.get("x"))
    assert wire.seen == []


class OwnSecret:
    """As of another library than pydantic."""

    def get_secret_value(self):
        return TOKEN


def test_tokens_that_do_not_show_themselves(both, wire):
    for token in (pydantic.SecretStr(TOKEN), OwnSecret(), lambda: OwnSecret()):
        client = both.kind(token, base_url=wire.base_url)
        both(lambda client=client: client.predictions.get("x"))
        assert authorization(wire) == f"Bearer {TOKEN}"
    with pytest.raises(TypeError, match="token must be a str"):
        both.kind(pydantic.SecretBytes(TOKEN.encode()))


class Vault:
    def __init__(self):
        self.asked = 0

    async def __call__(self):
        await asyncio.sleep(0)
        self.asked += 1
        return f" r8_{self.asked}\n"

    async def method(self):
        return pydantic.SecretStr(await self())


@pytest.mark.parametrize("with_fetch", [False, True])
def test_async_functions_that_give_tokens(wire, with_fetch):
    vault = Vault()

    async def fetch(request, send):
        assert "authorization" not in map(str.lower, request.headers)
        return await send(request)

    async def main():
        for function in (vault, vault.method):
            client = replicate.AsyncReplicate(
                function, base_url=wire.base_url, **({"fetch": fetch} if with_fetch else {})
            )
            vault.asked = 0
            await client.predictions.get("x")
            assert authorization(wire) == "Bearer r8_1"
            assert await client.run("acme/x", {}) == "x"
            assert authorization(wire) == "Bearer r8_2"
            await asyncio.gather(*(client.predictions.get("x") for _ in range(20)))
            assert len({each.headers["authorization"] for each in wire.seen[-20:]}) == 20
            assert await client.use("acme/x")() == "x"
            async for page in client.paginate(client.predictions.list):
                assert page.results
            await client.aclose()

    def answer(seen):
        listed = seen.method == "GET" and seen.path.endswith("predictions")
        return reply(
            {"results": [prediction()], "next": None} if listed else prediction(output="x")
        )

    wire.script = answer
    asyncio.run(main())


def test_an_async_token_is_asked_for_where_it_is_sent_and_nowhere_else(wire):
    vault = Vault()

    async def main():
        client = replicate.AsyncReplicate(vault, base_url=wire.base_url)
        with Wire(lambda _: reply(b"file")) as elsewhere:
            assert await replicate.FileOutput(f"{elsewhere.origin}/x", client).read() == b"file"
            assert (await client.request(f"{elsewhere.origin}/x")).body == b"file"
            assert [each.headers.get("authorization") for each in elsewhere.seen] == [None, None]
        assert vault.asked == 0

        async def broken():
            raise LookupError("no vault")

        async def wrong():
            return "r8_\u2026"

        for function, error in ((broken, LookupError), (wrong, ValueError)):
            before = len(wire.seen)
            with pytest.raises(error):
                await client.with_options(api_token=function).predictions.get("x")
            assert len(wire.seen) == before
        # A prediction of a caller that leaves is cancelled with a token, too.
        wire.script = lambda seen: reply(
            prediction("canceled" if "cancel" in seen.path else "processing")
        )
        with pytest.raises(replicate.PredictionTimeout):
            await client.run("acme/x", {}, timeout=0.2)
        await client.aclose()

    asyncio.run(main())
    wire.until(lambda: wire.seen[-1].path.endswith("/cancel"))
    assert authorization(wire).startswith("Bearer r8_")


def test_an_async_token_is_refused_where_nobody_awaits_it(wire):
    async def token():
        return TOKEN

    with pytest.raises(TypeError, match="an async one needs an AsyncReplicate"):
        replicate.Replicate(token)
    with pytest.raises(TypeError, match="an async one needs an AsyncReplicate"):
        replicate.api_token = token
    client = replicate.Replicate(base_url=wire.base_url)
    with pytest.raises(TypeError, match="an async one needs an AsyncReplicate"):
        client.api_token = Vault()
    # What cannot be seen beforehand.
    client.api_token = lambda: token()
    with pytest.raises(TypeError, match="returned something to be awaited"):
        client.predictions.get("x")
    assert wire.seen == []


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
        assert authorization(wire) == "Bearer r8_second"
    assert [getattr(client, each) for each in NAMES] == ["r8_second"] * 4
    assert "r8_second" not in f"{client!r} {vars(client)}"
    delattr(client, name)
    both(lambda: get("x"))
    assert authorization(wire) == "Bearer r8_first"


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
            assert authorization(wire) == f"Bearer {token}"
    assert replicate.default_client is client
    replicate.default_client._api_token = "r8_of_the_client"
    run("acme/x", {})
    assert authorization(wire) == "Bearer r8_of_the_client"


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("name", ["api_token", "bearer_token"])
def test_a_token_that_a_test_patches_is_gone_with_the_test(wire, monkeypatch, name, early):
    monkeypatch.setenv("REPLICATE_BASE_URL", wire.base_url)
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_environment")

    def token():
        replicate.predictions.get("x")
        return authorization(wire)

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
            assert authorization(wire) == "Bearer r8_inner"
            assert (client.poll_interval, client.timeout) == (9, 1)
        both(lambda: client.predictions.get("x"))
        assert authorization(wire) == "Bearer r8_own"
        assert (client.poll_interval, client.timeout) == (4, 7)


def test_the_default_client_that_a_test_replaces_comes_back(wire, monkeypatch):
    monkeypatch.setenv("REPLICATE_BASE_URL", wire.base_url)
    own = replicate.default_client
    other = replicate.Replicate("r8_other", base_url=wire.base_url)
    with mock.patch("replicate_rs.default_client", other):
        replicate.predictions.get("x")
        assert authorization(wire) == "Bearer r8_other"
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


# Mocks.


def answers(both, value):
    return mock.AsyncMock(return_value=value) if both.is_async else mock.Mock(return_value=value)


NESTED = [
    "models.versions",
    "models.predictions",
    "models.examples",
    "models.readme",
    "deployments.predictions",
]
NESTED += ["webhooks.default", "webhooks.default.secret", "predictions", "models"]


@pytest.mark.parametrize("path", NESTED)
def test_a_mock_on_a_namespace_stays(both, path):
    client = both.client("http://127.0.0.1:1")

    def namespace():
        found = client
        for name in path.split("."):
            found = getattr(found, name)
        return found

    namespace().get = mock.Mock(return_value="mocked")
    assert namespace().get("x") == "mocked"
    assert namespace() is namespace()
    with mock.patch.object(namespace(), "get", return_value="patched"):
        assert namespace().get("x") == "patched"
    assert namespace().get("x") == "mocked"


def test_a_mock_on_a_record_s_namespace_stays(both, wire):
    client = both.client(wire.base_url)
    wire.script = lambda _: reply({"owner": "acme", "name": "x"})
    for record, method in (
        (both(lambda: client.models.get("acme/x")), lambda record: record.versions),
        (both(lambda: client.deployments.get("acme/x")), lambda record: record.predictions),
    ):
        method(record).get = mock.Mock(return_value="mocked")
        assert method(record).get("x") == "mocked"
        record.name = "y"
        assert not isinstance(getattr(method(record), "get", None), mock.Mock)


@pytest.mark.parametrize(
    "stand_in", ["a Prediction", "a dict", "an object", "a Mock", "a bare Mock"]
)
def test_run_sees_a_mocked_create(both, stand_in):
    fields = {"id": "p1", "status": "succeeded", "output": "mocked"}
    made = {
        "a Prediction": replicate.Prediction(**fields),
        "a dict": fields,
        "an object": type("Made", (), fields)(),
        "a Mock": mock.Mock(**fields),
        "a bare Mock": mock.Mock(output="mocked"),
    }[stand_in]
    client = both.client("http://127.0.0.1:1")
    client.predictions.create = answers(both, made)
    for ref, target in (
        ("acme/x", {"model": "acme/x"}),
        (f"acme/x:{'a' * 64}", {"version": "a" * 64}),
    ):
        assert (
            both(lambda ref=ref: client.run(ref, {"a": 1}, webhook="https://x/y", wait=False))
            == "mocked"
        )
        called = client.predictions.create.call_args
        assert (
            called.kwargs.items() >= {"input": {"a": 1}, "webhook": "https://x/y", **target}.items()
        )
    assert both(lambda: client.use("acme/x")(a=1)) == "mocked"
    client.models.predictions.create = answers(both, {**fields, "output": "of models"})
    assert both(lambda: client.run("acme/x", {"a": 1})) == "of models"
    if not both.is_async:
        client.predictions.async_create = mock.AsyncMock(return_value=fields)
        assert asyncio.run(client.async_run("acme/x", {})) == "mocked"


def test_run_sees_a_namespace_that_is_mocked_and_a_class_that_is_patched(both):
    client = both.client("http://127.0.0.1:1")
    done = replicate.Prediction(id="p1", status="succeeded", output="mocked")
    with mock.patch.object(client, "predictions") as predictions:
        predictions.create = answers(both, done)
        assert both(lambda: client.run("acme/x", {})) == "mocked"
        assert client.predictions is predictions
    assert client.predictions is not predictions
    for options in ({}, {"autospec": True}):
        with mock.patch.object(
            replicate.prediction.Predictions, "create", return_value=done, **options
        ) as create:
            assert both(lambda: client.run("acme/x", {})) == "mocked"
            create.assert_called_once()


def test_run_and_wait_see_a_mocked_get(both, wire):
    wire.script = lambda _: reply(prediction("processing"), 201)
    client = both.client(wire.base_url, poll_interval=0.001)
    client.predictions.get = answers(
        both, replicate.Prediction(id="p1", status="succeeded", output="mocked")
    )
    assert both(lambda: client.run("acme/x", {}, wait=False)) == "mocked"
    assert (
        both(lambda: client.wait(replicate.Prediction(id="p1", status="starting"))).output
        == "mocked"
    )


@pytest.mark.parametrize("kind", [replicate.Client, replicate.AsyncClient])
@pytest.mark.parametrize("instance", [True, False])
def test_specs_of_clients_take_right_calls_and_no_others(kind, instance):
    spec = (
        mock.create_autospec(kind, instance=True)
        if instance
        else mock.create_autospec(kind("r8_x"))
    )
    calls = [
        (spec.run, ("a/b",), {"input": {}}),
        (spec.run, ("a/b", {}), {"wait": False, "timeout": 5}),
        (spec.stream, ("a/b",), {"input": {}}),
        (spec.async_run, ("a/b",), {}),
        (spec.async_stream, ("a/b",), {}),
        (spec.use, ("a/b",), {}),
        (spec.wait, (replicate.Prediction(),), {"timeout": 5}),
        (spec.with_options, (), {"timeout": 5}),
        (spec.close, (), {}),
    ]
    for method, args, kwargs in calls:
        answer = method(*args, **kwargs)
        if asyncio.iscoroutine(answer):
            answer.close()
    for wrong in (
        lambda: spec.run(),
        lambda: spec.wait(),
        lambda: spec.use(),
        lambda: spec.run("a/b", {}, None, 5),
    ):
        with pytest.raises(TypeError):
            wrong()
    predictions = mock.create_autospec(replicate.prediction.Predictions, instance=True)
    answer = predictions.get("x")
    if asyncio.iscoroutine(answer):
        answer.close()
    with pytest.raises(TypeError):
        predictions.get("x", "y", "z")


def test_nothing_of_this_is_logged(wire, caplog):
    caplog.set_level(logging.DEBUG)
    client = replicate.Replicate("r8_do_not_log_me", base_url=wire.base_url)
    client.api_token = "r8_do_not_log_me_either"
    client.predictions.get("x")
    assert "do_not_log_me" not in caplog.text
    assert os.environ.get("REPLICATE_API_TOKEN") is None
