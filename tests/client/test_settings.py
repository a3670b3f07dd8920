"""Options of a client and of the module: read when a request is made, assigned while a client
lives, taken back by tests.
"""

import asyncio
import logging
import os
import subprocess
import sys

import pydantic
import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from support import option_fixtures
from support.wire import Wire, get_authorization, prediction, reply

TOKEN = "r8_secret"


wire, module = option_fixtures.wire, option_fixtures.module


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
os.environ.update(REPLICATE_BASE_URL={wire.base_url!r}, REPLICATE_API_TOKEN=" r8_late\\n",
    REPLICATE_POLL_INTERVAL="0.5")
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
    assert get_authorization(wire) == "Bearer r8_late"


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
    assert get_authorization(wire) is None
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
    assert get_authorization(wire) == "Bearer r8_environment"


@pytest.mark.parametrize("spaced", [f"{TOKEN}\n", f" {TOKEN}", f"\t{TOKEN}\r\n", f"{TOKEN}\u00a0"])
def test_white_space_around_a_token_is_none_of_it(both, wire, monkeypatch, spaced):
    monkeypatch.setenv("REPLICATE_API_TOKEN", spaced)
    for token in (spaced, lambda: spaced, pydantic.SecretStr(spaced), None):
        both(lambda token=token: both.kind(token, base_url=wire.base_url).predictions.get("x"))
        assert get_authorization(wire) == f"Bearer {TOKEN}"


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
        assert get_authorization(wire) == f"Bearer {TOKEN}"
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
            assert get_authorization(wire) == "Bearer r8_1"
            assert await client.run("acme/x", {}) == "x"
            assert get_authorization(wire) == "Bearer r8_2"
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
    assert get_authorization(wire).startswith("Bearer r8_")


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


def test_nothing_of_this_is_logged(wire, caplog):
    caplog.set_level(logging.DEBUG)
    client = replicate.Replicate("r8_do_not_log_me", base_url=wire.base_url)
    client.api_token = "r8_do_not_log_me_either"
    client.predictions.get("x")
    assert "do_not_log_me" not in caplog.text
    assert os.environ.get("REPLICATE_API_TOKEN") is None
