"""URLs in the local server's answers begin with the address of the request."""

import http.client
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import pytest

import replicate_rs as replicate
from replicate_rs.local import LocalReplicate
from support.webhooks import Receiver


class Pair(TypedDict):
    picture: Path
    score: float


def offer(server):
    @server.model("acme/file", examples=[{"input": {}, "output": "x"}])
    def file(content: bytes = b"abc") -> bytes:
        return content

    @server.model("acme/files")
    def files(content: bytes = b"abc") -> Iterator[bytes]:
        yield content
        yield content[::-1]

    @server.model("acme/pairs")
    def pairs() -> Iterator[Pair]:
        yield {"picture": Path(__file__), "score": 0.5}

    @server.model("acme/shout", stream=True)
    def shout(text: str = "hi") -> Iterator[str]:
        yield text

    @server.model("acme/echo")
    def echo(value: Any) -> Any:
        return value

    server.collection("all", ["acme/file"])
    return server


@pytest.fixture
def server():
    with offer(LocalReplicate(host="0.0.0.0")) as server:
        yield server


def ask(port, method, path, body=None, host=None, address="127.0.0.1", **headers):
    connection = http.client.HTTPConnection(address, port, timeout=20)
    try:
        fields = {"Authorization": "Bearer r8_local"} | ({"Host": host} if host else {}) | headers
        connection.request(method, path, None if body is None else json.dumps(body), fields)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def origins(text):
    return set(re.findall(r"http://[^/\"\s?#]+", text)) - {"http://x"}


def run(server, model, host, input=None):
    body = {"input": input or {}}
    return json.loads(
        ask(server.port, "POST", f"/v1/models/{model}/predictions", body, host, Prefer="wait")
    )


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost"])
def test_a_client_gets_urls_that_it_can_use(server, host):
    """They have the address of the request, because a client cannot connect to 0.0.0.0."""
    client = replicate.Replicate(
        api_token=server.token, base_url=f"http://{host}:{server.port}", poll_interval=0.01
    )
    assert client.run("acme/shout", {"text": "hi"}) == ["hi"]
    prediction = client.predictions.create(model="acme/files", input={"content": b"xyz"}, wait=True)
    prediction.wait()
    assert all(
        url.startswith(f"http://{host}:{server.output_port}/pbxt/") for url in prediction.output
    )
    assert [replicate.FileOutput(url, client).read() for url in prediction.output] == [
        b"xyz",
        b"zyx",
    ]
    assert prediction.urls["get"] == f"http://{host}:{server.port}/v1/predictions/{prediction.id}"
    assert prediction.urls["web"] == f"http://{host}:{server.port}/p/{prediction.id}"
    events = list(client.stream("acme/files", {"content": b"xyz"}))
    assert [each.event for each in events] == ["output", "output", "done"]
    assert origins(events[0].data if isinstance(events[0].data, str) else events[0].data.url) == {
        f"http://{host}:{server.output_port}"
    }
    upload = client.files.create(b"uploaded", filename="a.bin")
    assert upload.urls["get"].startswith(f"http://{host}:{server.port}/v1/files/")
    # The server finds its own file, by whichever host name.
    assert client.run("acme/file", {"content": upload.urls["get"]}).read() == b"uploaded"


def own_address():
    """Return an address of this machine other than the loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a UDP socket sends nothing.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


def test_another_machine_can_fetch_files_and_streams(both, server):
    """They are fetched over plain HTTP from the host of an API that uses plain HTTP."""
    address = own_address()
    if address is None or address.startswith("127."):
        pytest.skip("this machine has no address but its loopback")
    client = both.client(
        f"http://{address}:{server.port}", api_token=server.token, poll_interval=0.01
    )
    url = both(lambda: client.run("acme/file", {"content": b"xyz"}))
    assert str(url).startswith(f"http://{address}:{server.output_port}/pbxt/")
    output = replicate.FileOutput(str(url), client)
    assert both(lambda: output.aread() if both.is_async else output.read()) == b"xyz"
    events = both(lambda: client.stream("acme/shout", {"text": "hi"}))
    assert [each.data for each in events if each.event == "output"] == ["hi"]
    # A client that reaches its API over HTTPS does not fetch it.
    output = replicate.FileOutput(str(url), both.client("https://x.test"))
    with pytest.raises(replicate.APIConnectionError, match="is not fetched"):
        both(lambda: output.aread() if both.is_async else output.read())


@pytest.mark.parametrize(
    "host", ["replicate:8787", "replicate", "[fd00::1]:8787", "my-service.local:80"]
)
def test_every_url_begins_with_the_host_that_was_asked_for(server, host):
    name = host.rpartition(":")[0] if host[-1].isdigit() else host
    api, output = f"http://{host}", f"http://{name}:{server.output_port}"
    port = server.port
    made = run(server, "acme/files", host)
    assert origins(json.dumps(made)) == {api, output}
    upload_id = (
        replicate.Replicate("r8_local", base_url=server.base_url)
        .files.create(b"x", filename="x")
        .id
    )
    for path in (
        f"/v1/predictions/{made['id']}",
        "/v1/predictions",
        "/v1/models",
        "/v1/models/acme/file",
        "/v1/models/acme/file/examples",
        "/v1/collections/all",
        "/v1/search?query=acme",
        "/v1/files",
        f"/v1/files/{upload_id}",
    ):
        found = origins(ask(port, "GET", path, host=host))
        assert found <= {api, output}, path
        assert api in found, path
    # Streams are on the output port.
    stream = made["urls"]["stream"].removeprefix(output)
    assert origins(ask(server.output_port, "GET", stream, host=f"{name}:{server.output_port}")) == {
        output
    }
    pairs = run(server, "acme/pairs", host)
    assert origins(pairs["output"][0]["picture"]) == {output}
    frames = ask(
        server.output_port, "GET", pairs["urls"]["stream"].removeprefix(output), host=f"{name}:1234"
    )
    assert origins(frames) == {f"http://{name}:1234"}
    # Each request has its own address.
    assert origins(ask(port, "GET", f"/v1/predictions/{made['id']}", host="other:1")) == {
        "http://other:1",
        f"http://other:{server.output_port}",
    }


def test_links_to_further_pages_begin_with_it_too(server):
    for _ in range(101):
        run(server, "acme/shout", "replicate:8787")
    page = json.loads(ask(server.port, "GET", "/v1/predictions", host="replicate:8787"))
    assert page["next"].startswith("http://replicate:8787/v1/predictions?cursor=")


def test_text_that_looks_like_a_file_s_address_is_left_alone(server):
    made = run(
        server, "acme/echo", "replicate:8787", {"value": f"{server.output_origin}/pbxt/1/a.png"}
    )
    assert made["output"] == f"{server.output_origin}/pbxt/1/a.png"


@pytest.mark.parametrize("host", ["a b", "x/y", 'evil"><b>', "a:b", "[", "a@b", "http://x"])
def test_a_host_that_is_none_is_not_repeated(server, host):
    made = run(server, "acme/file", host)
    assert origins(json.dumps(made)) == {server.origin, server.output_origin}


def test_the_web_page_of_whoever_looks(server):
    made = run(server, "acme/file", "replicate:8787")
    page = ask(server.port, "GET", f"/p/{made['id']}", host="here:1")
    assert f"http://here:{server.output_port}/pbxt/" in page
    assert "http://replicate" not in page


def test_a_webhook_has_the_urls_of_who_created_the_prediction(server):
    with Receiver() as receiver:
        body = {
            "input": {},
            "webhook": receiver.url,
            "webhook_events_filter": ["start", "output", "completed"],
        }
        ask(server.port, "POST", "/v1/models/acme/files/predictions", body, "replicate:8787")
        bodies = [receiver.received.get(timeout=10)[2].decode()]
        while '"succeeded"' not in bodies[-1]:
            bodies.append(receiver.received.get(timeout=10)[2].decode())
    wanted = {"http://replicate:8787", f"http://replicate:{server.output_port}"}
    assert all(
        origins(each) - {f"http://127.0.0.1:{receiver.server_port}"} == wanted for each in bodies
    )


def test_where_nobody_has_asked_it_is_an_address_that_works(server):
    assert server.origin == f"http://127.0.0.1:{server.port}"
    assert server.output_origin == f"http://127.0.0.1:{server.output_port}"
    assert replicate.Replicate("r8_local", base_url=server.base_url).models.list()


def test_an_address_of_ipv6():
    server = offer(LocalReplicate(host="::1"))
    try:
        server.start()
    except OSError:
        pytest.skip("there is no IPv6 here")
    try:
        assert server.origin == f"http://[::1]:{server.port}"
        client = replicate.Replicate("r8_local", base_url=server.base_url)
        assert client.run("acme/file", {"content": b"xyz"}).read() == b"xyz"
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("options", "api", "output"),
    [
        (
            {"public_url": "https://gw.example/replicate/v1/"},
            "https://gw.example/replicate",
            "https://gw.example:{port}",
        ),
        ({"public_url": "http://gw:9000"}, "http://gw:9000", "http://gw:{port}"),
        (
            {"public_url": "http://gw:9000", "public_output_url": "http://files:9001"},
            "http://gw:9000",
            "http://files:9001",
        ),
        ({"public_output_url": "http://files:9001"}, "http://some:1", "http://files:9001"),
    ],
)
def test_behind_something_else_the_public_addresses_count(options, api, output):
    with offer(LocalReplicate(**options)) as server:
        made = run(server, "acme/files", "some:1", {"content": "data:;base64,QUJD"})
        output = output.format(port=server.output_port)
        text = json.dumps(made)
        assert f'"{api}/v1/predictions/{made["id"]}"' in text
        assert all(each.startswith(f"{output}/pbxt/") for each in made["output"])
        assert made["urls"]["stream"].startswith(output)
        # An output file is accepted as an input.
        again = run(server, "acme/file", "some:1", {"content": made["output"][0]})
        assert ask(server.output_port, "GET", again["output"].removeprefix(output)) == "ABC"


@pytest.mark.parametrize(
    "url", ["", "gw", "gw:9000", "ftp://x", "http://", "http://a:b", "http://x?y", "http://u:p@x"]
)
@pytest.mark.parametrize("name", ["public_url", "public_output_url"])
def test_a_public_address_that_is_none_is_refused(name, url):
    with pytest.raises(ValueError, match=f"{name} must be a URL like http://replicate:8787, not"):
        LocalReplicate(**{name: url})


def test_a_reset_finds_its_connection_behind_a_proxy(server):
    server.fault("GET /hardware", reset=True)
    with pytest.raises(ConnectionError):
        ask(
            server.port,
            "GET",
            "/v1/hardware",
            **{"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https"},
        )
