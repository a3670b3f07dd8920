"""Recording from an upstream over TLS, and through a proxy."""

from __future__ import annotations

import pytest

from replicate_rs import Replicate
from replicate_rs.exceptions import APIStatusError
from replicate_rs.local.cassettes import upstream
from support.cassettes import TOKEN, read_bytes, read_exchanges, recording
from support.certificates import Certificates, SecureWire
from support.proxies import HttpProxy, SocksProxy
from support.wire import prediction, reply


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def trusted(certificates, monkeypatch):
    """Trust the authority, and use no proxy of the surroundings."""
    monkeypatch.setenv("SSL_CERT_FILE", certificates.authority)
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    upstream._tls.cache_clear()
    yield
    upstream._tls.cache_clear()


@pytest.fixture
def api(certificates):
    with SecureWire(lambda _: reply(prediction()), certificates.server()) as wire:
        yield wire


def get(server):
    client = Replicate(TOKEN, base_url=server.base_url, max_retries=0)
    return client.predictions.get("p1").id


def test_an_upstream_over_tls(tmp_path, api):
    with recording(tmp_path, api.origin.replace("127.0.0.1", "localhost")) as server:
        assert get(server) == "p1"
    assert api.seen[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert len(read_exchanges(tmp_path)) == 1
    assert TOKEN.encode() not in read_bytes(tmp_path)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("unknown authority", "unable to get local issuer certificate"),
        ("expired", "certificate has expired"),
        ("wrong name", "not valid for"),
        ("self-signed", "self-signed certificate"),
    ],
)
def test_a_certificate_that_is_not_trusted(tmp_path, certificates, kind, reason):
    with SecureWire(lambda _: reply(prediction()), certificates.server(kind)) as wire:
        with (
            recording(tmp_path, wire.origin) as server,
            pytest.raises(APIStatusError, match=reason) as error,
        ):
            get(server)
        assert error.value.status == 502
        assert wire.seen == []
    assert read_exchanges(tmp_path) == []


@pytest.mark.parametrize("credentials", [None, "me:pass%2Fword"])
def test_a_proxy_of_the_environment(tmp_path, api, monkeypatch, credentials):
    plain = credentials and credentials.replace("%2F", "/")
    with HttpProxy(credentials=plain, to=api) as proxy:
        user = f"{credentials}@" if credentials else ""
        monkeypatch.setenv("HTTPS_PROXY", proxy.origin.replace("://", f"://{user}"))
        with recording(tmp_path, "https://api.invalid") as server:
            assert get(server) == "p1"
        assert proxy.tunnels == ["api.invalid:443"]
        assert b"r8_" not in bytes(proxy.passed)
    assert "authorization" in api.seen[0].headers
    assert "proxy-authorization" not in api.seen[0].headers
    assert b"pass" not in read_bytes(tmp_path)


def test_a_proxy_is_not_used_for_what_the_environment_excepts(tmp_path, api, monkeypatch):
    with HttpProxy(to=api) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.origin)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with recording(tmp_path, api.origin) as server:
            assert get(server) == "p1"
        assert proxy.seen == []


@pytest.mark.parametrize(
    ("options", "reason"), [({"refuse": 403}, "403"), ({"credentials": "a:b"}, "407")]
)
def test_a_proxy_that_refuses(tmp_path, api, monkeypatch, options, reason):
    with HttpProxy(to=api, **options) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.origin)
        with (
            recording(tmp_path, "https://api.invalid") as server,
            pytest.raises(APIStatusError, match=f"the proxy 127.0.0.1 answered {reason}"),
        ):
            get(server)
    assert api.seen == []


def test_a_proxy_of_another_kind(tmp_path, monkeypatch):
    with SocksProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.origin.replace("http://", "socks5://"))
        with (
            recording(tmp_path, "https://api.invalid") as server,
            pytest.raises(APIStatusError, match="a socks5 proxy is not supported here"),
        ):
            get(server)
