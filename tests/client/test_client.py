"""The clients themselves: what they are made of, and what they refuse."""

import copy
import pickle

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from support.wire import Wire, prediction, reply

SECRET = "r8_do_not_print_me"


def test_every_surface_s_names_for_the_token_are_the_same(both):
    with Wire(lambda _: reply(prediction())) as wire:
        for spelling in ("api_token", "auth", "bearer_token"):
            client = both.kind(base_url=wire.base_url, **{spelling: SECRET})
            both(lambda: client.predictions.get("x"))
        both(lambda: both.kind(SECRET, base_url=wire.base_url).predictions.get("x"))
    assert [each.headers["authorization"] for each in wire.seen] == [f"Bearer {SECRET}"] * 4


def test_two_names_for_one_argument_are_refused():
    with pytest.raises(TypeError, match="auth and api_token"):
        replicate.Replicate("a", auth="b")


def test_an_unknown_keyword_is_refused():
    with pytest.raises(TypeError, match="proxies"):
        replicate.Replicate(proxies={})


@pytest.mark.parametrize("kind", [replicate.Replicate, replicate.AsyncReplicate])
def test_nothing_shows_the_token(kind):
    client = kind(SECRET, headers={"Authorization": f"Bearer {SECRET}"})
    assert repr(client) == f"{kind.__name__}(base_url='https://api.replicate.com/v1')"
    assert SECRET not in str(client)
    assert SECRET.encode() not in pickle.dumps(client)


def test_a_client_is_pickled_by_its_configuration(both):
    with Wire(lambda _: reply(prediction())) as wire:
        client = both.client(wire.base_url, api_token=None, poll_interval=0.25, user_agent="mine")
        both(lambda: client.predictions.get("x"))
        again = pickle.loads(pickle.dumps(client))
        assert (again.base_url, again.poll_interval) == (wire.base_url, 0.25)
        assert both(lambda: again.predictions.get("x")).status == "succeeded"
        assert copy.deepcopy(client).poll_interval == 0.25
    assert [each.headers.get("user-agent") for each in wire.seen] == ["mine", "mine"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://api.replicate.com", "https://api.replicate.com/v1"),
        ("https://api.replicate.com/v1/", "https://api.replicate.com/v1"),
        ("http://gateway:8080/replicate/", "http://gateway:8080/replicate/v1"),
    ],
)
def test_base_url_is_taken_with_and_without_its_version(given, expected, monkeypatch):
    assert replicate.Replicate(base_url=given).base_url == expected
    monkeypatch.setenv("REPLICATE_BASE_URL", given)
    assert replicate.Replicate().base_url == expected


@pytest.mark.parametrize(
    "wrong", ["api.replicate.com", "ftp://x", "https://user:secret@x", "https://x?y=1"]
)
def test_a_malformed_base_url_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match="base_url") as caught:
        replicate.Replicate(base_url=wrong)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", [f"{SECRET}\n{SECRET}", f"{SECRET}\r\nX: y", f"{SECRET}\0"])
def test_a_token_with_a_line_break_is_refused_without_printing_it(token):
    with pytest.raises(ValueError, match="token") as caught:
        replicate.Replicate(token)
    assert SECRET not in str(caught.value)


def test_a_token_that_is_not_text_is_refused():
    with pytest.raises(TypeError, match="token"):
        replicate.Replicate(42)  # type: ignore[arg-type]


def test_a_malformed_header_is_refused_without_printing_it():
    with pytest.raises(ValueError, match="X-Key") as caught:
        replicate.Replicate(headers={"X-Key": f"{SECRET}\n"})
    assert SECRET not in str(caught.value)


def test_without_a_token_nothing_is_sent_to_another_machine(both):
    client = both.kind(base_url="https://api.replicate.invalid")
    with pytest.raises(exceptions.MissingTokenError, match="REPLICATE_API_TOKEN"):
        both(lambda: client.predictions.get("x"))


def test_without_a_token_this_machine_may_be_asked(both):
    with Wire(lambda _: reply(prediction())) as wire:
        both(lambda: both.kind(base_url=wire.base_url).predictions.get("x"))
    assert "authorization" not in wire.seen[0].headers


def test_the_environment_is_read_when_a_request_is_made(both, monkeypatch):
    with Wire(lambda _: reply(prediction())) as wire:
        client = both.kind(base_url=wire.base_url)
        for token in ("r8_first", "r8_second"):
            monkeypatch.setenv("REPLICATE_API_TOKEN", token)
            both(lambda: client.predictions.get("x"))
    assert [each.headers["authorization"] for each in wire.seen] == [
        "Bearer r8_first",
        "Bearer r8_second",
    ]


def test_a_token_may_be_a_function(both):
    tokens = iter(["r8_a", "r8_b"])
    with Wire(lambda _: reply(prediction())) as wire:
        client = both.client(wire.base_url, api_token=lambda: next(tokens))
        both(lambda: client.predictions.get("x"))
        both(lambda: client.predictions.get("x"))
    assert [each.headers["authorization"] for each in wire.seen] == ["Bearer r8_a", "Bearer r8_b"]


def test_a_client_tells_its_token_under_2_0_s_name(both, monkeypatch):
    assert (
        both.kind(bearer_token="r8_a").bearer_token
        == both.kind(auth=lambda: "r8_a").bearer_token
        == "r8_a"
    )
    client = both.kind()
    assert client.bearer_token is None
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_environment")
    assert client.bearer_token == "r8_environment"


def test_an_error_of_the_token_function_is_the_caller_s(both):
    def broken():
        raise LookupError("no vault")

    with pytest.raises(LookupError, match="no vault"):
        both(lambda: both.client("http://127.0.0.1:1", api_token=broken).predictions.get("x"))


def test_a_cog_scope_comes_before_the_environment(both, monkeypatch):
    class Scope:
        context = {"replicate_api_token": "r8_cog"}

    monkeypatch.setitem(
        __import__("sys").modules, "cog", type("cog", (), {"current_scope": staticmethod(Scope)})
    )
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_environment")
    with Wire(lambda _: reply(prediction())) as wire:
        both(lambda: both.kind(base_url=wire.base_url).predictions.get("x"))
    assert wire.seen[0].headers["authorization"] == "Bearer r8_cog"


def test_a_closed_client_refuses_and_frees_its_sockets(both):
    with Wire(lambda _: reply(prediction())) as wire:
        client = both.client(wire.base_url)
        both(lambda: client.predictions.get("x"))
        both(client.close) if not both.is_async else both(client.aclose)
        wire.until(lambda: wire.open_now == 0)
        assert client.is_closed
        with pytest.raises(RuntimeError, match="closed"):
            both(lambda: client.predictions.get("x"))


def test_leaving_the_context_closes(local):
    with replicate.Replicate(base_url=local.base_url, api_token="r8_secret") as client:
        assert client.predictions.list().results is not None
    assert client.is_closed


@pytest.mark.parametrize(
    "options", [{"max_connections": 0}, {"timeout": 0}, {"timeout": -1}, {"timeout": float("nan")}]
)
def test_impossible_limits_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        replicate.Replicate(**options)


def test_a_bad_poll_interval_in_the_environment_is_named(monkeypatch):
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", "often")
    with pytest.raises(ValueError, match="REPLICATE_POLL_INTERVAL.*'often'"):
        replicate.Replicate()


def test_the_module_lends_its_default_client(local, monkeypatch):
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_secret")
    monkeypatch.delitem(vars(replicate), "default_client", raising=False)
    monkeypatch.setenv("REPLICATE_BASE_URL", local.base_url)
    assert replicate.run("acme/shout", input={"text": "hi"}) == "HI"
    assert [str(event) for event in replicate.stream("acme/tokens", input={"text": "a b"})] == [
        "a ",
        "b ",
        "",
    ]
    assert replicate.predictions.list().results
    vars(replicate).pop("default_client")


def test_every_public_name_exists_and_stays_callable_after_its_submodule_is_imported():
    import replicate_rs.run
    import replicate_rs.stream  # noqa: F401 - the import is what is tested

    for name in replicate.__all__:
        assert getattr(replicate, name) is not None
    assert callable(replicate.run)
    assert callable(replicate.stream)
    assert set(replicate.__all__) <= set(dir(replicate))


def test_a_copy_has_some_options_of_its_own(both):
    with Wire(lambda _: reply(prediction())) as wire:
        client = both.client(wire.base_url, user_agent="mine", headers={"X-Mine": "1"})
        other = client.with_options(
            bearer_token="r8_other", default_headers={"X-Mine": "2"}, poll_interval=3
        )
        both(lambda: client.predictions.get("x"))
        client.close()
        both(lambda: other.predictions.get("x"))
        assert (type(other), other.poll_interval, other.is_closed) == (both.kind, 3, False)
    seen = [
        (each.headers["authorization"], each.headers["x-mine"], each.headers["user-agent"])
        for each in wire.seen
    ]
    assert seen == [("Bearer r8_secret", "1", "mine"), ("Bearer r8_other", "2", "mine")]
    with pytest.raises(TypeError, match="auth and api_token are the same argument"):
        client.copy(auth="a", api_token="b")
    with pytest.raises(TypeError, match="nonsense"):
        client.copy(nonsense=1)


def test_a_method_of_a_client_or_a_namespace_can_be_replaced(both):
    client = both.client("http://127.0.0.1:9")
    client.predictions.get = lambda id: f"instead of {id}"
    client.run = lambda ref: ref
    assert (client.predictions.get("x"), client.run("o/n")) == ("instead of x", "o/n")
    assert both.client("http://127.0.0.1:9").predictions.get != client.predictions.get


def test_httpx_s_timeouts_are_taken():
    from replicate_rs._client.timeout import to_timeout

    httpx = pytest.importorskip("httpx")
    assert to_timeout(httpx.Timeout(5.0, read=None)) == replicate.Timeout(5.0, read=None)
    with pytest.raises(TypeError, match="timeout must be a number of seconds"):
        replicate.Replicate(timeout="5")
