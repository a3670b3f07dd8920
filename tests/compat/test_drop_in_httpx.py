"""Under the name `replicate`, errors, transports and responses of httpx work as in 1.0.7."""

from support import programs

# A fixture.
run = programs.run

NETWORK = """
    import socket, threading
    listening = socket.create_server(("127.0.0.1", 0))
    # A bound port without a listener, which no other program can take meanwhile.
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    nowhere = "http://127.0.0.1:%d" % closed.getsockname()[1]
    silent = "http://127.0.0.1:%d" % listening.getsockname()[1]
    theirs = Client("r8_x", base_url=nowhere, max_retries=0)
    slow = Client("r8_x", base_url=silent, max_retries=0, timeout=0.2)
"""


def test_failures_of_the_network_are_errors_of_httpx_where_it_is_loaded(run):
    code = (
        NETWORK
        + """
    import httpx

    prediction = replicate.prediction.Prediction._of(
        {"id": "x", "status": "starting"}, theirs._session
    )
    file = replicate.helpers.FileOutput(nowhere + "/file.png", theirs)
    refused = {
        "get": lambda: theirs.predictions.get("x"),
        "list": lambda: theirs.models.list(),
        "run": lambda: theirs.run("a/b", {}),
        "async_run": lambda: asyncio.run(theirs.async_run("a/b", {})),
        "stream": lambda: next(theirs.stream("a/b", input={})),
        "reload": prediction.reload,
        "wait": prediction.wait,
        "output_iterator": lambda: next(prediction.output_iterator()),
        "read": file.read,
        "chunks": lambda: [*file],
        "aread": lambda: asyncio.run(file.aread()),
        "paginate": lambda: next(theirs.paginate(theirs.predictions.list)),
    }
    for name, call in refused.items():
        error = raised(call)
        assert isinstance(error, httpx.ConnectError) and isinstance(error, httpx.HTTPError), (
            name,
            type(error).__mro__,
        )
        assert isinstance(error, replicate_rs.APIConnectionError) and isinstance(
            error, ConnectionError
        ), name
        assert (
            isinstance(error, ReplicateError) and error.errno == 111 and "refused" in str(error)
        ), name
        assert type(error).__name__ == "APIConnectionError"
        assert error.request.method == error.method, name
        copy = pickle.loads(pickle.dumps(error))
        assert (
            type(copy) is replicate_rs.APIConnectionError
            and str(copy) == str(error)
            and copy.url == error.url
        )
    late = {
        "get": lambda: slow.predictions.get("x"),
        "async": lambda: asyncio.run(slow.predictions.async_get("x")),
    }
    for name, call in late.items():
        error = raised(call)
        assert isinstance(error, httpx.ReadTimeout) and isinstance(error, httpx.TimeoutException), (
            name
        )
        assert isinstance(error, replicate_rs.APITimeoutError) and isinstance(
            error, TimeoutError
        ), name
        assert isinstance(pickle.loads(pickle.dumps(error)), replicate_rs.APITimeoutError)


    def later(page):
        page.next = nowhere + "/v1/predictions?cursor=x"
        return page


    first = replicate.predictions.list()
    first._source.resource = theirs.predictions
    assert isinstance(raised(lambda: [*theirs.paginate(lambda: later(first))]), httpx.ConnectError)
    assert isinstance(raised(lambda: [*later(first).auto()]), httpx.ConnectError)
    gone = replicate.helpers.FileOutput(
        replicate.default_client.base_url + "/none.png", replicate.default_client
    )
    for call in (gone.read, lambda: [*gone], lambda: asyncio.run(gone.aread())):
        error = raised(call)
        assert isinstance(error, httpx.HTTPStatusError) and isinstance(
            error, replicate_rs.NotFoundError
        )
        assert error.response.status_code == error.status == 404 and error.request.url == gone.url
        assert type(pickle.loads(pickle.dumps(error))) is replicate_rs.NotFoundError
    assert type(raised(replicate_rs.FileOutput(gone.url, ours).read)) is replicate_rs.NotFoundError
    # Statuses of the API are no httpx errors, and neither are errors of `replicate_rs`.
    assert not isinstance(raised(lambda: replicate.predictions.get("none")), httpx.HTTPError)
    other = replicate_rs.Replicate("r8_x", base_url=nowhere, max_retries=0)
    for call in (
        lambda: other.predictions.get("x"),
        lambda: next(iter(other.stream("a/b", {}))),
        lambda: other.run("a/b", {}),
    ):
        assert type(raised(call)) is replicate_rs.APIConnectionError
    listening.close()
    closed.close()
    """
    )
    assert run(code) == ""


def test_without_httpx_they_are_this_library_s_alone(run):
    code = (
        NETWORK
        + """
    import sys

    error = raised(lambda: theirs.predictions.get("x"))
    assert (
        type(error) is replicate_rs.APIConnectionError
        and isinstance(error, ConnectionError)
        and "httpx" not in sys.modules
    )
    assert type(raised(lambda: slow.predictions.get("x"))) is replicate_rs.APITimeoutError
    listening.close()
    closed.close()
    """
    )
    assert run(code) == ""


def test_a_transport_of_httpx_carries_requests_out(run):
    code = """
    import httpx

    seen = []


    def handle(request):
        seen.append(request)
        if request.url.path == "/v1/predictions/late" and len(seen) < 3:
            return httpx.Response(503, headers={"Retry-After": "0"})
        if request.url.host == "files.test":
            return httpx.Response(200, content=b"file")
        if request.method == "POST":
            body = {
                "id": "p1",
                "status": "succeeded",
                "output": "https://files.test/x.png",
                "input": {},
            }
            return httpx.Response(201, json=body)
        return (
            httpx.Response(404, json={"detail": "nothing here"})
            if "none" in request.url.path
            else httpx.Response(
                200,
                json={"id": "late", "status": "starting"},
                headers={"content-type": "application/json"},
            )
        )


    client = Client("r8_mine", base_url="https://api.test", transport=httpx.MockTransport(handle))
    for output in (
        client.run("a/b", {"text": "x"}),
        asyncio.run(client.async_run("a/b", {"text": "x"})),
    ):
        assert output.read() == b"file"
    assert [request.headers.get("Authorization") for request in seen] == ["Bearer r8_mine"] * 2 + [
        None
    ] * 2
    assert (
        seen[0].url == "https://api.test/v1/models/a/b/predictions"
        and b'"text":"x"' in seen[0].content
    )
    assert raised(lambda: client.predictions.get("none")).detail == "nothing here"
    seen.clear()
    assert client.predictions.get("late").status == "starting" and len(seen) == 3


    def broken(request):
        raise httpx.ConnectError("no way")


    assert (
        type(raised(lambda: Client("r8_x", transport=httpx.MockTransport(broken)).models.list()))
        is httpx.ConnectError
    )
    """
    assert run(code) == ""


def test_a_transport_of_httpx_gets_whole_requests(run, tmp_path):
    """Requests with files too, and the headers that the client adds."""
    (tmp_path / "large.bin").write_bytes(bytes(range(256)) * 8000)
    code = """
    import base64, httpx, io, json, os

    seen = []


    def handle(request):
        seen.append(request)
        if request.url.path == "/v1/files":
            return httpx.Response(
                201, json={"id": "f1", "urls": {"get": "https://api.test/v1/files/f1"}}
            )
        done = {
            "id": "p1",
            "status": "succeeded",
            "output": "https://files.test/x.png",
            "input": {},
        }
        return httpx.Response(201, json=done)


    transport = httpx.MockTransport(handle)
    client = Client(
        "r8_mine",
        base_url="https://api.test",
        transport=transport,
        headers={"X-Team": "a"},
        user_agent="mine/1",
    )
    with open(sys.argv[1], "rb") as file:
        large = file.read()

    client.files.create(sys.argv[1], filename="large.bin")
    asyncio.run(client.files.async_create(io.BytesIO(large), filename="large.bin"))
    for request in seen:
        assert request.headers["Content-Type"].startswith("multipart/form-data; boundary=")
        assert b'filename="large.bin"' in request.content and large in request.content
        assert request.headers["Content-Length"] == str(len(request.content))

    seen.clear()
    client.run("a/b", {"x": io.BytesIO(large)})
    assert [request.url.path for request in seen] == [
        "/v1/files",
        "/v1/models/a/b/predictions",
    ] and large in seen[0].content
    with open(sys.argv[1], "rb") as file:
        client.run("a/b", {"x": file}, file_encoding_strategy="base64")
    assert base64.b64decode(json.loads(seen[-1].content)["input"]["x"].partition(",")[2]) == large


    def headers(client):
        seen.clear()
        output = client.run("a/b")
        output.read()
        assert "Authorization" not in seen[1].headers and "X-Team" not in seen[1].headers
        assert seen[1].headers["User-Agent"] in (
            "mine/1",
            f"replicate-rs/{replicate_rs.__version__}",
        )
        return [seen[0].headers.get(name) for name in ("Authorization", "User-Agent", "X-Team")]


    assert headers(client) == ["Bearer r8_mine", "mine/1", "a"]
    other = client.with_options(api_token="r8_other", headers={"x-team": "b"})
    assert headers(other) == ["Bearer r8_other", "mine/1", "b"]
    assert (
        headers(Client(bearer_token="r8_2", base_url="https://api.test", transport=transport))[0]
        == "Bearer r8_2"
    )
    own = Client(
        "r8_1",
        base_url="https://api.test",
        transport=transport,
        headers={"user-agent": "u/2", "authorization": "Mine"},
    )
    assert headers(own)[:2] == ["Mine", "u/2"]
    client.api_token = "r8_assigned"
    assert headers(client)[0] == "Bearer r8_assigned"
    client.run("a/b", api_token="r8_of_a_call")
    assert seen[-1].headers["Authorization"] == "Bearer r8_of_a_call"
    """
    assert run(code, str(tmp_path / "large.bin")) == ""


def test_private_functions_that_programs_call_are_there(run):
    code = """
    import httpx, os

    client = Client(headers={"X-Team": "a"})
    more = {"headers": {"X": "1"}, "timeout": httpx.Timeout(9)}
    for response in (
        client._request("GET", "/v1/models/acme/shout"),
        asyncio.run(client._async_request("GET", "/v1/models/acme/shout", **more)),
    ):
        assert (
            type(response) is httpx.Response and response.status_code == 200 and response.is_success
        )
        assert response.json()["name"] == "shout" and response.request.method == "GET"
    created = client._request(
        "POST", "/v1/models/acme/shout/predictions", json={"input": {"text": "x"}}
    )
    assert created.json()["status"] in ("starting", "processing", "succeeded")
    assert (
        client._request(
            "GET", "/v1/predictions", params={"created_after": "2030-01-01T00:00:00Z"}
        ).json()["results"]
        == []
    )
    assert replicate.default_client._request("GET", "/v1/account").json()["username"]
    missing = raised(lambda: client._request("GET", "/v1/none"))
    assert isinstance(missing, ReplicateError) and missing.status == 404

    from replicate.client import _get_api_token_from_environment as token

    os.environ["REPLICATE_API_TOKEN"] = "of the environment"
    assert token() == "of the environment"
    scopes = (
        ({"Replicate_Api_Token": "of cog"}, "of cog"),
        ({"REPLICATE_API_TOKEN": ""}, ""),
        ({}, "of the environment"),
    )
    for context, found in scopes:
        sys.modules["cog"] = types.SimpleNamespace(
            current_scope=lambda: types.SimpleNamespace(context=context)
        )
        assert token() == found
    """
    assert run(code) == ""
