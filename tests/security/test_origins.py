"""The token and the caller's default headers go to the API's origin, and nowhere else."""

import os
import pickle
import threading

import pytest

import replicate_rs as replicate
from conftest import script
from replicate_rs import exceptions
from support.wire import Wire, done, output, prediction, reply

HEADERS = {"X-Gateway-Key": "gateway-secret"}
REDIRECTS = [301, 302, 303, 307, 308]


@pytest.fixture(params=["another port", "another name"])
def elsewhere(request):
    """A server that is not the API's: it differs in its port, or in its name too."""
    with Wire(lambda _: reply({"results": [], "next": None})) as wire:
        if request.param == "another name":
            wire.origin = wire.origin.replace("127.0.0.1", "localhost")
            wire.base_url = wire.base_url.replace("127.0.0.1", "localhost")
        yield wire


@pytest.fixture
def home():
    with Wire(lambda _: reply(prediction())) as wire:
        yield wire


def client_of(both, home, **options):
    return both.client(
        home.base_url, **({"headers": HEADERS, "max_retries": 0, "poll_interval": 0.001} | options)
    )


def hears_nothing(wire):
    """Whether a server that was asked something was told no secret; a user agent is none."""
    assert wire.seen
    return not any(
        secret in str(wire.seen).lower()
        for secret in ("r8_secret", "gateway-secret", "x-gateway-key", "authorization", "cookie")
    )


def all_have_the_token(wire):
    expected = ("Bearer r8_secret", "gateway-secret")
    return {
        (each.headers.get("authorization"), each.headers.get("x-gateway-key")) for each in wire.seen
    } == {expected}


def moved(target, status=302):
    return reply(status=status, headers=f"Location: {target}\r\n")


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_redirect_elsewhere_and_back_again(both, home, elsewhere, status):
    home.script = lambda seen: (
        reply(prediction())
        if seen.path.endswith("/back")
        else moved(f"{elsewhere.origin}/there", status)
    )
    elsewhere.script = lambda _: moved(f"{home.base_url}/predictions/back", status)
    assert both(lambda: client_of(both, home).predictions.get("x")).id == "p1"
    assert hears_nothing(elsewhere)
    assert home.routes == ["GET /v1/predictions/x", "GET /v1/predictions/back"]
    assert all_have_the_token(home)


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE", "QUERY"])
def test_only_fetches_are_redirected(both, home, elsewhere, status, method):
    home.script = lambda _: moved(f"{elsewhere.origin}/there", status)
    with pytest.raises(exceptions.APIConnectionError, match=f"redirects a {method}"):
        both(lambda: client_of(both, home).request("/predictions", method=method))
    assert elsewhere.opened == 0


def test_a_host_that_looks_like_the_api_s_is_another(both, home):
    """A user name, a dot at the end, or a longer name do not make an origin."""
    port = home.origin.rpartition(":")[2]
    client = client_of(both, home)
    for authority in (
        f"127.0.0.1:{port}@localhost:{port}",
        f"localhost:{port}",
        f"127.0.0.2:{port}",
        f"localhost.:{port}",
    ):
        try:
            both(lambda authority=authority: client.request(f"http://{authority}/v1/models"))
        except exceptions.APIConnectionError:
            continue
    assert "r8_secret" not in str(home.seen)
    assert "gateway-secret" not in str(home.seen)


def test_one_address_has_many_spellings(both, home):
    port = home.origin.rpartition(":")[2]
    for spelling in (
        f"http://127.1:{port}/v1/models",
        f"http://0x7f000001:{port}/v1/models",
        f"HTTP://127.0.0.1:{port}/v1/models",
    ):
        try:
            both(lambda spelling=spelling: client_of(both, home).request(spelling))
        except ValueError:
            # An address may be refused too, as long as it is not another one.
            continue
    assert all_have_the_token(home)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/predictions/p1/cancel"])
def test_a_whole_address_elsewhere_gets_no_token(both, home, elsewhere, path):
    client = client_of(both, home)
    both(lambda: client.request(f"{elsewhere.origin}{path}"))
    both(lambda: client.request(f"{elsewhere.origin}{path}", method="POST", data={"a": 1}))
    assert hears_nothing(elsewhere)
    both(lambda: client.request(f"{home.origin}{path}"))
    assert all_have_the_token(home)


@pytest.mark.parametrize("way", ["list", "paginate", "auto", "get_next_page"])
def test_a_next_link_elsewhere_is_asked_at_home(both, home, elsewhere, way):
    first = {"results": [prediction()], "next": f"{elsewhere.base_url}/predictions?cursor=2"}
    home.script = lambda seen: reply(
        {"results": [prediction(id="p2")], "next": None} if "cursor" in seen.path else first
    )
    client = client_of(both, home)
    if way == "list":
        page = both(lambda: client.predictions.list())
        assert [each.id for each in both(lambda: client.predictions.list(page.next))] == ["p2"]
    elif way == "paginate":
        assert len(both(lambda: client.paginate(client.predictions.list))) == 2
    elif way == "auto":
        page = both(lambda: client.predictions.list())
        assert [each.id for each in both(lambda: listed(both, page.auto()))] == ["p1", "p2"]
    else:
        page = both(lambda: client.predictions.list())
        assert (
            both(page.async_get_next_page if both.is_async else page.get_next_page).results[0].id
            == "p2"
        )
    assert home.routes == ["GET /v1/predictions", "GET /v1/predictions?cursor=2"]
    assert elsewhere.opened == 0
    assert all_have_the_token(home)


def listed(both, items):
    if not both.is_async:
        return list(items)

    async def collect():
        return [each async for each in items]

    return collect()


def test_a_prediction_s_urls_elsewhere_get_no_token(both, home, elsewhere):
    """What is polled and canceled is at home, whatever an answer says."""
    urls = {name: f"{elsewhere.origin}/{name}" for name in ("get", "cancel", "web")}
    home.script = lambda _: reply(prediction("processing", urls=urls))
    client = client_of(both, home)
    running = both(lambda: client.predictions.get("p1"))
    both(running.async_reload if both.is_async else running.reload)
    both(running.async_cancel if both.is_async else running.cancel)
    with pytest.raises(exceptions.PredictionTimeout):
        both(lambda: client.wait(running, timeout=0.05))
    assert elsewhere.opened == 0
    assert all_have_the_token(home)


@pytest.mark.parametrize("way", ["client", "prediction"])
def test_a_stream_elsewhere_gets_no_token(both, home, elsewhere, way):
    elsewhere.script = lambda _: reply(output("a") + done(), kind="text/event-stream")
    home.script = lambda _: reply(
        prediction("succeeded", urls={"stream": f"{elsewhere.origin}/stream"})
    )
    client = client_of(both, home)
    if way == "client":
        events = both(lambda: client.stream("acme/x", {}))
    else:
        running = both(lambda: client.predictions.get("p1"))
        events = both(running.async_stream if both.is_async else running.stream)
    assert "a" in [str(each) for each in events]
    assert hears_nothing(elsewhere)
    assert all_have_the_token(home)


def test_a_stream_that_is_redirected_elsewhere_gets_no_token(both, home, elsewhere):
    elsewhere.script = lambda _: reply(output("a") + done(), kind="text/event-stream")
    home.script = lambda seen: (
        moved(f"{elsewhere.origin}/stream")
        if seen.path == "/stream"
        else reply(prediction(urls={"stream": f"{home.origin}/stream"}))
    )
    both(lambda: client_of(both, home).stream("acme/x", {}))
    assert hears_nothing(elsewhere)
    assert all_have_the_token(home)


@pytest.mark.parametrize("way", ["read", "save", "chunks", "open", "save_all", "path"])
def test_files_elsewhere_are_fetched_without_the_token(both, home, elsewhere, tmp_path, way):
    elsewhere.script = lambda _: reply(b"file", kind="image/png")
    home.script = lambda _: reply(prediction(output=[f"{elsewhere.origin}/file.png"]))
    client = client_of(both, home)
    [file] = both(lambda: client.run("acme/x", {}))
    match way:
        case "read":
            assert both(file.aread if both.is_async else file.read) == b"file"
        case "save":
            both(lambda: (file.asave if both.is_async else file.save)(tmp_path / "a"))
        case "chunks":
            assert b"".join(both(file.achunks if both.is_async else file.chunks)) == b"file"
        case "open" if both.is_async:
            with both(file.aopen) as opened:
                assert opened.read() == b"file"
        case "open":
            with file.open() as opened:
                assert opened.read() == b"file"
        case "save_all":
            save = replicate.asave_all if both.is_async else replicate.save_all
            both(lambda: save([file], tmp_path))
        case "path":
            os.fspath(file)
    assert hears_nothing(elsewhere)
    assert all_have_the_token(home)


def test_a_file_at_home_that_moves_elsewhere_leaves_the_token_there(both, home, elsewhere):
    elsewhere.script = lambda _: reply(b"file")
    home.script = lambda seen: (
        moved(f"{elsewhere.origin}/file")
        if seen.path == "/file"
        else reply(prediction(output=f"{home.origin}/file"))
    )
    client = client_of(both, home)
    file = both(lambda: client.run("acme/x", {}))
    assert both(file.aread if both.is_async else file.read) == b"file"
    assert hears_nothing(elsewhere)
    assert all_have_the_token(home)


def test_an_upload_that_is_redirected_goes_nowhere(both, home, elsewhere):
    home.script = lambda _: moved(f"{elsewhere.origin}/files", 307)
    with pytest.raises(exceptions.APIConnectionError, match="redirects a POST"):
        both(lambda: client_of(both, home).files.create(b"content", filename="a.txt"))
    assert elsewhere.opened == 0


def test_headers_of_one_call_stay_at_home_too(both, home, elsewhere):
    """They hold a token of the caller's as easily as the client's do."""
    home.script = lambda _: moved(f"{elsewhere.origin}/there")
    client = client_of(both, home)
    extra = {
        "X-Gateway-Key": "gateway-secret",
        "Authorization": "Bearer r8_secret",
        "Cookie": "session=1",
    }
    both(lambda: client.request("/models", headers=extra))
    elsewhere.script = lambda _: reply(prediction())
    both(lambda: client.predictions.get("x", extra_headers=extra))
    assert hears_nothing(elsewhere)


def test_cookies_are_never_sent_back(both, home):
    home.script = lambda _: reply(prediction(), headers="Set-Cookie: session=1; Path=/\r\n")
    client = client_of(both, home)
    for _ in range(2):
        both(lambda: client.predictions.get("x"))
    assert all("cookie" not in each.headers for each in home.seen)


def test_no_referer_is_sent(both, home, elsewhere):
    elsewhere.script = lambda _: reply(prediction())
    home.script = lambda _: moved(f"{elsewhere.origin}/there")
    both(lambda: client_of(both, home).predictions.get("x"))
    assert all("referer" not in each.headers for each in home.seen + elsewhere.seen)


def test_a_netrc_is_not_read(monkeypatch, tmp_path, home, elsewhere):
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login me password netrc-secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    code = """
        import sys
        import replicate_rs as replicate
        client = replicate.Replicate("r8_secret", base_url=sys.argv[1])
        client.predictions.get("x")
        client.request(sys.argv[2])
        replicate.Replicate(base_url=sys.argv[1]).predictions.get("x")
    """
    done = script(code, home.base_url, f"{elsewhere.origin}/x")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert [each.headers.get("authorization") for each in home.seen] == ["Bearer r8_secret", None]
    assert hears_nothing(elsewhere)


def test_two_clients_never_share_a_token(both, home):
    """A dict of headers is read, not kept, and not written to."""
    headers = {"X-Tenant": "one"}
    first = both.client(home.base_url, api_token="r8_first", headers=headers)
    second = both.client(home.base_url, api_token="r8_second", headers=headers)
    third = first.with_options(api_token="r8_third")
    fourth = both.client(home.base_url, api_token=None, headers=headers)
    headers["X-Tenant"] = "two"
    tokens = []
    for client in (first, second, third, fourth, first):
        both(lambda client=client: client.predictions.get("x"))
        tokens.append(home.seen[-1].headers.get("authorization"))
    assert tokens == [
        "Bearer r8_first",
        "Bearer r8_second",
        "Bearer r8_third",
        None,
        "Bearer r8_first",
    ]
    assert {each.headers["x-tenant"] for each in home.seen} == {"one"}
    assert headers == {"X-Tenant": "two"}


def test_a_token_that_is_asked_for_is_each_request_s_own(both, home):
    tokens = iter(["r8_first", "r8_second", None, "r8_first"])
    client = both.client(home.base_url, api_token=lambda: next(tokens))
    for _ in range(4):
        both(lambda: client.predictions.get("x"))
    sent = [each.headers.get("authorization") for each in home.seen]
    assert sent == ["Bearer r8_first", "Bearer r8_second", None, "Bearer r8_first"]


def test_threads_of_many_tenants_send_each_their_own_token(home):
    """By clients of their own, and by one that asks which thread it is in."""
    home.script = lambda seen: reply(prediction(id=seen.headers["authorization"]))
    here = threading.local()
    shared = replicate.Replicate(lambda: here.token, base_url=home.base_url)
    wrong = []

    def work(number):
        here.token = f"r8_{number}"
        own = replicate.Replicate(here.token, base_url=home.base_url)
        for _ in range(20):
            wrong.extend(
                got
                for each in (own, shared)
                if (got := each.predictions.get("x").id) != f"Bearer {here.token}"
            )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(home.seen) == 320


def test_a_file_from_another_process_is_fetched_by_whoever_unpickled_it(
    home, elsewhere, monkeypatch
):
    elsewhere.script = lambda _: reply(b"file")
    home.script = lambda _: reply(prediction(output=f"{elsewhere.origin}/file"))
    file = replicate.Replicate("r8_secret", base_url=home.base_url, headers=HEADERS).run(
        "acme/x", {}
    )
    stored = pickle.dumps(file)
    assert b"secret" not in stored
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_secret")
    assert pickle.loads(stored).read() == b"file"
    assert hears_nothing(elsewhere)
