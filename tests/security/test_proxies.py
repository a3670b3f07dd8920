"""Proxies: by option and by environment, of every kind, broken ones, and what they get to see."""

import pickle
import traceback

import pytest

import replicate_rs as replicate
from conftest import script
from replicate_rs import exceptions
from support.certificates import Certificates, SecureWire
from support.proxies import HttpProxy, ResettingProxy, SocksProxy, stalling_proxy
from support.wire import Wire, closed_port, prediction, reply

PASSWORD = "hunter2"
OPEN = {"max_retries": 0, "headers": {"X-Gateway-Key": "gateway-secret"}}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def origin(certificates):
    with SecureWire(lambda _: reply(prediction()), certificates.server()) as wire:
        yield wire


def answering(_):
    return reply(prediction())


def address(proxy, scheme="http", user=""):
    return f"{scheme}://{user}{proxy.origin.partition('://')[2]}"


def get(both, base_url, **options):
    client = both.client(base_url, **(OPEN | options))
    return both(lambda: client.predictions.get("x"))


def hears_only_its_own(proxy):
    """Whether neither the token nor a header of ours came to a proxy that was to make tunnels."""
    requests = str(proxy.seen)
    return not any(
        each in requests or each.encode() in proxy.passed
        for each in ("r8_secret", "gateway-secret", "X-Gateway")
    )


@pytest.mark.parametrize("credentials", [None, f"me:{PASSWORD}"])
def test_https_goes_through_a_tunnel_whose_proxy_sees_nothing_of_ours(
    both, origin, certificates, credentials
):
    with HttpProxy(credentials=credentials, to=origin) as proxy:
        where = address(proxy, user=f"{credentials}@" if credentials else "")
        assert (
            get(both, "https://api.invalid", proxy=where, ssl_cert_file=certificates.authority).id
            == "p1"
        )
    assert proxy.tunnels == ["api.invalid:443"]
    assert hears_only_its_own(proxy)
    assert origin.seen[0].headers["authorization"] == "Bearer r8_secret"
    assert "proxy-authorization" not in origin.seen[0].headers
    assert PASSWORD not in str(origin.seen)


def test_http_goes_to_the_proxy_in_absolute_form(both):
    with HttpProxy(answering, credentials=f"me:{PASSWORD}") as proxy:
        assert (
            get(both, "http://api.invalid:8080", proxy=address(proxy, user=f"me:{PASSWORD}@")).id
            == "p1"
        )
    assert proxy.routes == ["GET http://api.invalid:8080/v1/predictions/x"]


def test_a_proxy_on_a_loopback_address_is_used_for_loopback_addresses_too(both):
    with HttpProxy(answering) as proxy:
        get(both, "http://127.0.0.1:1", proxy=address(proxy))
    assert proxy.routes == ["GET http://127.0.0.1:1/v1/predictions/x"]


def test_credentials_with_escaped_characters_are_sent_unescaped(both):
    with HttpProxy(answering, credentials="me@work:p:ä/?") as proxy:
        assert (
            get(
                both, "http://api.invalid", proxy=address(proxy, user="me%40work:p%3A%C3%A4%2F%3F@")
            ).id
            == "p1"
        )


def test_a_proxy_may_be_spoken_to_over_tls(both, origin, certificates):
    with HttpProxy(
        answering, credentials=f"me:{PASSWORD}", to=origin, context=certificates.server()
    ) as proxy:
        where = address(proxy, "https", f"me:{PASSWORD}@")
        assert (
            get(both, "https://api.invalid", proxy=where, ssl_cert_file=certificates.authority).id
            == "p1"
        )
        assert hears_only_its_own(proxy)
        assert (
            get(both, "http://api.invalid", proxy=where, ssl_cert_file=certificates.authority).id
            == "p1"
        )
    assert proxy.routes == ["CONNECT api.invalid:443", "GET http://api.invalid/v1/predictions/x"]


def test_a_proxy_whose_certificate_is_not_trusted_gets_no_credentials(both, origin, certificates):
    with HttpProxy(to=origin, context=certificates.server("unknown authority")) as proxy:
        with pytest.raises(exceptions.APIConnectionError, match="no authority that is trusted"):
            get(
                both,
                origin.base_url,
                proxy=address(proxy, "https", f"me:{PASSWORD}@"),
                ssl_cert_file=certificates.authority,
            )
        assert proxy.seen == []


@pytest.mark.parametrize("credentials", [None, f"me:{PASSWORD}"])
@pytest.mark.parametrize(("scheme", "asked"), [("socks5", "address"), ("socks5h", "name")])
def test_socks_proxies_with_and_without_names(
    both, origin, certificates, scheme, asked, credentials
):
    with SocksProxy(credentials=credentials, to=origin) as proxy:
        where = address(proxy, scheme, f"{credentials}@" if credentials else "")
        assert (
            get(both, "https://localhost", proxy=where, ssl_cert_file=certificates.authority).id
            == "p1"
        )
    assert [kind for kind, _ in proxy.targets] == [asked]
    assert b"r8_secret" not in proxy.passed
    assert PASSWORD not in str(origin.seen)


def test_a_socks_proxy_knows_names_that_this_machine_does_not(both, certificates):
    with SecureWire(answering, None) as origin, SocksProxy(to=origin) as proxy:
        assert get(both, "http://api.invalid", proxy=address(proxy, "socks5h")).id == "p1"
    assert proxy.targets == [("name", "api.invalid:80")]


def test_a_socks_proxy_that_wants_a_password_is_an_error_without(both, origin, certificates):
    with SocksProxy(credentials=f"me:{PASSWORD}", to=origin) as proxy:
        for user in ("", "me:wrong-secret@"):
            with pytest.raises(exceptions.APIConnectionError) as caught:
                get(
                    both,
                    origin.base_url,
                    proxy=address(proxy, "socks5", user),
                    ssl_cert_file=certificates.authority,
                )
            assert "wrong-secret" not in "".join(traceback.format_exception(caught.value))
    assert proxy.targets == []


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_tunnel_that_is_refused_is_an_error_that_names_the_proxy_s_part_in_it(
    both, origin, certificates, status
):
    with HttpProxy(refuse=status, to=origin) as proxy:
        with pytest.raises(exceptions.APIConnectionError, match="proxy|tunnel") as caught:
            get(
                both,
                origin.base_url,
                proxy=address(proxy, user=f"me:{PASSWORD}@"),
                ssl_cert_file=certificates.authority,
            )
    assert len(proxy.tunnels) == 1
    assert origin.opened == 0
    assert not isinstance(caught.value, TimeoutError)
    assert shows_no(PASSWORD, caught.value)


def test_a_proxy_that_wants_a_password_is_an_error_without(both, origin, certificates):
    with HttpProxy(credentials=f"me:{PASSWORD}", to=origin) as proxy:
        with pytest.raises(exceptions.APIConnectionError, match="proxy|tunnel"):
            get(both, origin.base_url, proxy=address(proxy), ssl_cert_file=certificates.authority)
        with pytest.raises(exceptions.APIStatusError, match="who are you") as caught:
            get(both, "http://api.invalid", proxy=address(proxy))
    assert caught.value.status == 407


def test_a_create_that_met_a_refused_tunnel_was_not_taken(both, origin, certificates):
    """Nothing was sent, so it may be repeated, and the error does not tell to look for what it
    made.
    """
    with HttpProxy(refuse=502) as proxy:
        client = both.client(
            origin.base_url,
            proxy=address(proxy),
            ssl_cert_file=certificates.authority,
            max_retries=0,
        )
        with pytest.raises(exceptions.APIConnectionError) as caught:
            both(lambda: client.predictions.create("v", {}))
    assert "may have taken" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_is_down_or_hangs_up_is_a_connection_error(both, certificates, scheme):
    port = closed_port()
    with ResettingProxy() as proxy:
        for where in (f"127.0.0.1:{port}", proxy.origin.partition("://")[2]):
            with pytest.raises(exceptions.APIConnectionError) as caught:
                get(
                    both,
                    "https://localhost",
                    proxy=f"{scheme}://me:{PASSWORD}@{where}",
                    ssl_cert_file=certificates.authority,
                )
            assert f"by way of proxy {scheme}://{where}" in str(caught.value)
            assert shows_no(PASSWORD, caught.value)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_stalls_ends_at_the_connect_timeout(both, certificates, scheme):
    limits = replicate.Timeout(connect=0.2)
    with stalling_proxy() as proxy:
        where = address(proxy, scheme, f"me:{PASSWORD}@")
        with pytest.raises(exceptions.APITimeoutError, match="connecting") as caught:
            get(
                both,
                "https://localhost",
                proxy=where,
                ssl_cert_file=certificates.authority,
                timeout=limits,
            )
    assert shows_no(PASSWORD, caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        f"ftp://me:{PASSWORD}@127.0.0.1:1",
        f"socks4://me:{PASSWORD}@127.0.0.1:1",
        f"http://me:{PASSWORD}@127.0.0.1:99999",
        f"http://me:{PASSWORD}@[::1",
        f"http://me:{PASSWORD}@",
        f"me:{PASSWORD}@127.0.0.1:1",
        "://",
        f"http://me:{PASSWORD}\r\nX: y@127.0.0.1:1/\x00",
    ],
)
def test_a_wrong_proxy_is_refused_without_its_password(both, wrong):
    with pytest.raises(ValueError, match="proxy") as caught:
        both.client("http://127.0.0.1:1", proxy=wrong)
    assert PASSWORD not in str(caught.value)


def test_a_proxy_that_is_not_text_is_refused(both):
    with pytest.raises(TypeError):
        both.client("http://127.0.0.1:1", proxy=8080)


def shows_no(secret, error):
    """Whether an error keeps a secret, however it is printed or stored."""
    lines = "".join(traceback.format_exception(error))
    shown = [
        str(error),
        repr(error),
        repr(error.args),
        repr(vars(error)),
        lines,
        repr(pickle.dumps(error)),
    ]
    return not any(secret in each for each in shown)


def test_credentials_of_a_proxy_are_shown_nowhere(both):
    with HttpProxy(lambda _: reply({"detail": "no"}, 500), credentials=f"me:{PASSWORD}") as proxy:
        client = both.client(
            "http://api.invalid", proxy=address(proxy, user=f"me:{PASSWORD}@"), max_retries=0
        )
        with pytest.raises(exceptions.InternalServerError) as caught:
            both(lambda: client.predictions.get("x"))
    assert shows_no(PASSWORD, caught.value)
    shown = [
        repr(client),
        str(client),
        repr(client._core),
        repr(pickle.dumps(client)),
        repr(client.predictions),
    ]
    assert [each for each in shown if PASSWORD in each] == []


def test_files_elsewhere_come_through_the_proxy_without_the_token(both):
    def answer(seen):
        if seen.path.endswith("/file.bin"):
            return reply(b"file")
        return reply(prediction(output="http://localhost:1/file.bin"), 201)

    with HttpProxy(answer) as proxy:
        client = both.client("http://api.invalid", proxy=address(proxy), **OPEN)
        output = both(lambda: client.run("acme/x", {}))
        assert both(output.aread if both.is_async else output.read) == b"file"
    [request] = [each for each in proxy.seen if each.path == "http://localhost:1/file.bin"]
    assert "r8_secret" not in str(request)
    assert "x-gateway-key" not in request.headers


def test_another_proxy_by_with_options(both):
    with HttpProxy(answering) as first, HttpProxy(answering) as second:
        client = both.client("http://api.invalid", proxy=address(first))
        other = client.with_options(proxy=address(second))
        for each in (client, other, client):
            both(lambda each=each: each.predictions.get("x"))
        assert (len(first.seen), len(second.seen)) == (2, 1)


CALLS = """
    import sys
    import replicate_rs as replicate
    options = eval(sys.argv[1])
    for base_url in sys.argv[2:]:
        client = replicate.Replicate("r8_secret", base_url=base_url, max_retries=0, **options)
        try:
            assert client.predictions.get("x").id == "p1"
        except (replicate.exceptions.APIConnectionError, ValueError) as error:
            print(error)
"""


def calls(*base_urls, **options):
    """Return the errors of fetches, each in a process of its own that reads its environment."""
    done = script(CALLS, repr(options), *base_urls)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_the_environment_s_proxy_for_http(monkeypatch, name):
    with HttpProxy(answering, credentials=f"me:{PASSWORD}") as proxy:
        monkeypatch.setenv(name, address(proxy, user=f"me:{PASSWORD}@"))
        assert calls("http://api.invalid") == ""
    assert proxy.routes == ["GET http://api.invalid/v1/predictions/x"]


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_the_environment_s_proxy_for_https(monkeypatch, origin, certificates, name):
    monkeypatch.setenv("SSL_CERT_FILE", certificates.authority)
    with HttpProxy(credentials=f"me:{PASSWORD}", to=origin) as proxy:
        monkeypatch.setenv(name, address(proxy, user=f"me:{PASSWORD}@"))
        assert calls("https://api.invalid") == ""
    assert proxy.tunnels == ["api.invalid:443"]
    assert hears_only_its_own(proxy)


def test_the_environment_s_socks_proxy(monkeypatch, origin, certificates):
    monkeypatch.setenv("SSL_CERT_FILE", certificates.authority)
    with SocksProxy(credentials=f"me:{PASSWORD}", to=origin) as proxy:
        monkeypatch.setenv("ALL_PROXY", address(proxy, "socks5h", f"me:{PASSWORD}@"))
        assert calls("https://api.invalid") == ""
    assert proxy.targets == [("name", "api.invalid:443")]


def test_a_proxy_for_one_scheme_is_none_for_the_other(monkeypatch):
    with HttpProxy(answering) as proxy, Wire(answering) as origin:
        monkeypatch.setenv("HTTPS_PROXY", address(proxy))
        assert calls(origin.base_url) == ""
    assert (proxy.opened, len(origin.seen)) == (0, 1)


@pytest.mark.parametrize(
    ("exceptions_", "direct", "through"),
    [
        ("127.0.0.1", ["127.0.0.1"], ["localhost", "127.0.0.2"]),
        ("127.0.0.0/8", ["127.0.0.1", "127.1.2.3"], ["localhost"]),
        ("localhost", ["localhost"], ["127.0.0.1", "localhost.invalid"]),
        ("x.invalid, localhost", ["localhost", "x.invalid", "api.x.invalid"], ["notx.invalid"]),
        (".x.invalid", ["api.x.invalid"], ["notx.invalid"]),
        ("*", ["127.0.0.1", "localhost", "api.invalid"], []),
        ("localhost:1", ["localhost"], ["127.0.0.1"]),
        ("localhost:2", [], ["localhost"]),
        ("http://localhost", ["localhost"], ["127.0.0.1"]),
        ("https://127.0.0.1:1/x,", ["127.0.0.1"], ["localhost"]),
        ("*.x.invalid  localhost", ["api.x.invalid", "localhost"], ["notx.invalid"]),
        ("", [], ["127.0.0.1", "localhost"]),
    ],
)
def test_no_proxy_names_hosts_domains_addresses_and_all(monkeypatch, exceptions_, direct, through):
    """Where nobody listens, or no name exists, going there directly is an error, and the proxy has
    not heard of it.
    """
    with HttpProxy(answering) as proxy:
        monkeypatch.setenv("HTTP_PROXY", address(proxy))
        monkeypatch.setenv("NO_PROXY", exceptions_)
        failed = calls(*(f"http://{each}:1" for each in [*direct, *through]))
    assert proxy.routes == [f"GET http://{each}:1/v1/predictions/x" for each in through]
    assert len(failed.splitlines()) == len(direct)


def test_the_option_overrides_the_environment(monkeypatch):
    with HttpProxy(answering) as wrong, HttpProxy(answering) as proxy:
        monkeypatch.setenv("HTTP_PROXY", address(wrong))
        monkeypatch.setenv("ALL_PROXY", address(wrong))
        monkeypatch.setenv("NO_PROXY", "*")
        assert calls("http://api.invalid", proxy=address(proxy)) == ""
    assert (wrong.opened, len(proxy.seen)) == (0, 1)


def test_an_environment_s_proxy_that_fails_is_told_without_its_password(monkeypatch):
    with ResettingProxy() as proxy:
        monkeypatch.setenv("ALL_PROXY", address(proxy, user=f"me:{PASSWORD}@"))
        told = calls("https://api.invalid")
    assert f"(by way of proxy {proxy.origin}, which ALL_PROXY names)" in told
    assert PASSWORD not in told


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY", "NO_PROXY"])
def test_an_empty_variable_hides_none_of_the_other_case(monkeypatch, name):
    """Shells and compose files set what they do not know to nothing."""
    with HttpProxy(answering) as proxy, Wire(answering) as origin:
        monkeypatch.setenv("http_proxy", address(proxy))
        monkeypatch.setenv(name.lower(), "127.0.0.1" if name == "NO_PROXY" else address(proxy))
        monkeypatch.setenv(name, "")
        assert calls(origin.base_url) == ""
    assert (len(proxy.seen), len(origin.seen)) == ((0, 1) if name == "NO_PROXY" else (1, 0))


def test_an_error_names_no_proxy_that_was_not_in_the_way(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "localhost:2")
    assert "proxy" not in calls("http://localhost:2")
    assert "(by way of proxy http://127.0.0.1:1, which HTTP_PROXY names)" in calls(
        "http://localhost:3"
    )


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "wrong", [f"http://me:{PASSWORD}@[::1", f"me:{PASSWORD}@", f"ftp://me:{PASSWORD}@127.0.0.1:1"]
)
def test_a_wrong_proxy_of_the_environment_is_not_gone_without(monkeypatch, name, wrong):
    monkeypatch.setenv(name, wrong)
    with Wire(answering) as wire:
        assert calls(wire.base_url).startswith(name)
    assert not wire.seen


def test_a_wrong_proxy_does_not_matter_where_none_is_wanted(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "://")
    monkeypatch.setenv("no_proxy", "localhost, *")
    with Wire(answering) as wire:
        assert calls(wire.base_url) == ""


def test_what_a_cgi_program_is_asked_with_names_no_proxy(monkeypatch):
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Wire(answering) as wire:
        assert calls(wire.base_url) == ""
