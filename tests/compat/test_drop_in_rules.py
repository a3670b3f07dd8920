"""Under the name `replicate` calls follow the rules of 1.0.7; under `replicate_rs`, in the same
process, its own.
"""

import subprocess
import sys
import textwrap

import pytest

PRELUDE = """
import asyncio, pickle, sys, types, warnings
import replicate_rs, replicate_rs.drop_in
replicate_rs.drop_in.install()
import replicate
from replicate.exceptions import ModelError, ReplicateError
from replicate.client import Client
ours = replicate_rs.Replicate()

def raised(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")
"""


@pytest.fixture
def run(local, monkeypatch):
    """Run a program in a fresh process in which both names were imported; a warning is an error
    there.
    """
    monkeypatch.setenv("REPLICATE_BASE_URL", local.base_url)
    monkeypatch.setenv("REPLICATE_API_TOKEN", local.token)

    def run(code, *arguments, before=""):
        command = [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error",
            "-c",
            before + PRELUDE + textwrap.dedent(code),
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    return run


def test_what_1_0_7_swallows_is_ignored_with_a_warning(run):
    code = """
    from io import BytesIO
    replicate_run = sys.modules["replicate_rs.run"].run
    version = replicate.models.get("acme/shout").latest_version
    given, words = {"text": "hi"}, {"text": "a b"}

    async def first(events):
        return [event async for event in await events]

    calls = {
        "run": lambda: replicate.run("acme/shout", input=given, shout=1, louder=2) == "HI",
        "async_run": lambda: asyncio.run(replicate.async_run("acme/shout", given, shout=1, louder=2)) == "HI",
        "module run": lambda: replicate_run(replicate.default_client, "acme/shout", given, shout=1, louder=2) == "HI",
        "stream": lambda: len([*replicate.stream("acme/tokens", input=words, shout=1, louder=2)]) == 3,
        "async_stream": lambda: len(asyncio.run(first(replicate.async_stream("acme/tokens", words, shout=1, louder=2)))) == 3,
        "create": lambda: replicate.predictions.create(version=version, input=given, shout=1, louder=2).id,
        "of a model": lambda: replicate.models.predictions.create("acme/shout", given, shout=1, louder=2).id,
        "upload": lambda: replicate.files.create(BytesIO(b"x"), shout=1, louder=2).id,
        "get": lambda: replicate.models.get(key="acme/shout", shout=1, louder=2).name,
    }
    for name, call in calls.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert call(), name
        (warning,) = [each for each in caught if "ignores" in str(each.message)]
        assert "shout=, louder=" in str(warning.message), name
        if "async" not in name:
            assert warning.filename == "<string>", (name, warning.filename)
    for options in ({"follow_redirects": True}, {"http2": True, "trust_env": False}):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            client = Client(**options)
        assert all(f"{name}=" in str(caught[0].message) for name in options) and caught[0].filename == "<string>"
        assert client.run("acme/shout", given) == "HI"
    # What 1.0.7 refuses is refused, and so is all of it in the other name.
    for call in (
        lambda: replicate.predictions.get("x", shout=1),
        lambda: replicate.models.list(shout=1),
        lambda: ours.run("acme/shout", given, shout=1),
        lambda: ours.predictions.create(version=version, input=given, shout=1),
        lambda: replicate_rs.run("acme/shout", given, shout=1),
        lambda: replicate_rs.Replicate(follow_redirects=True),
        lambda: ours.models.get("acme/shout", shout=1),
    ):
        assert type(raised(call)) is TypeError
    """
    assert run(code) == ""


def test_all_that_1_0_7_is_lenient_with_is_listed():
    import importlib
    import inspect

    from test_surfaces import OFFICIAL, function_of

    from replicate_rs.drop_in import adapter

    lenient = set()
    for path, value in OFFICIAL.items():
        function = function_of(value)
        if function is not None and any(
            each.kind is each.VAR_KEYWORD
            for each in inspect.signature(function).parameters.values()
        ):
            lenient.add(".".join(path.split(".")[-2:]).replace("async_", ""))
    # These hand on what they take to functions that take no keyword they do not know, or do
    # nothing.
    strict = {"Deployments.create", "Deployments.update", "Models.create", "Model.predict"}
    of_the_client = {
        place
        for name in ("run", "stream")
        for place in (f"Client.{name}", f"{name}.{name}", f"replicate.{name}")
    }
    for module, kind, method in adapter._LENIENT:
        importlib.import_module(f"replicate_rs.{module}")
        function = adapter._function(module, kind, method)
        assert adapter._get_known(function), (kind, method)
    listed = {f"{kind}.{method}" for _, kind, method in adapter._LENIENT if kind != "BaseClient"}
    assert listed == lenient - strict - of_the_client


def test_a_token_of_one_call_is_honoured(run):
    code = """
    client = Client("r8_wrong")
    token = sys.argv[1]
    version = replicate.models.get("acme/shout").latest_version
    given = {"text": "hi"}
    assert raised(lambda: client.run("acme/shout", given)).status == 401
    assert client.run("acme/shout", given, api_token=token) == "HI"
    assert asyncio.run(client.async_run("acme/shout", given, api_token=token)) == "HI"
    assert len([*client.stream("acme/tokens", input=given, api_token=token)]) == 2
    prediction = client.predictions.create(version, given, api_token=token)
    prediction.wait()
    assert prediction.output == "HI"
    assert client.models.predictions.create("acme/shout", given, api_token=token).id
    assert asyncio.run(client.models.predictions.async_create("acme/shout", given, api_token=token)).id
    assert raised(lambda: client.predictions.get(prediction.id)).status == 401
    assert raised(lambda: replicate.run("acme/shout", given, api_token="r8_wrong")).status == 401
    assert client.run("acme/shout", given, api_token=token, wait=False) == "HI"
    secret = "".join(["r8_not", "_to_be_shown"])
    for call in (lambda: client.run("acme/shout", given, api_token=5), lambda: Client(secret, timeout="x")):
        error = raised(call)
        frame = error.__traceback__
        while frame is not None:
            if frame.tb_frame.f_code.co_filename != "<string>":
                assert secret not in repr(frame.tb_frame.f_locals), frame.tb_frame
            frame = frame.tb_next
    error = raised(lambda: ours.run("acme/shout", given, api_token="r8_secret_of_mine"))
    assert type(error) is TypeError and "with_options(api_token=" in str(error) and "of_mine" not in str(error)
    """
    assert run("import sys\n" + textwrap.dedent(code), "r8_secret") == ""


def test_a_failed_model_is_no_replicate_error_under_that_name(run):
    code = """
    import replicate.stream, replicate.prediction
    for call in (
        lambda: replicate.run("acme/fail", input={}),
        lambda: asyncio.run(replicate.async_run("acme/fail", input={})),
        lambda: [*replicate.stream("acme/fail", input={})],
    ):
        error = raised(call)
        assert isinstance(error, ModelError) and not isinstance(error, ReplicateError)
        assert isinstance(error, replicate_rs.ReplicateError) and isinstance(error, replicate_rs.ModelError)
    assert isinstance(raised(lambda: ours.run("acme/fail", input={})), replicate_rs.ReplicateError)
    missing = raised(lambda: replicate.predictions.get("none"))
    assert isinstance(missing, ReplicateError) and isinstance(missing, replicate_rs.NotFoundError) and missing.status == 404
    assert ReplicateError is replicate.ReplicateError is replicate.client.ReplicateError
    assert ReplicateError is sys.modules["replicate.stream"].ReplicateError
    assert replicate_rs.ReplicateError is replicate_rs.exceptions.ReplicateError is not ReplicateError
    assert not issubclass(ModelError, ReplicateError) and issubclass(replicate_rs.ModelError, replicate_rs.ReplicateError)
    # All but those of a model.
    for name in replicate_rs.exceptions.__all__:
        kind = getattr(replicate_rs.exceptions, name)
        assert getattr(replicate.exceptions, name) is kind or name == "ReplicateError", name
        if name not in ("ReplicateException", "ReplicateError", "ModelError", "PredictionCanceled"):
            assert issubclass(kind, ReplicateError), name
    made = ReplicateError(title="t", status=404)
    assert isinstance(made, replicate.exceptions.ReplicateException)
    assert pickle.loads(pickle.dumps(made)).to_dict() == made.to_dict()
    """
    assert run(code) == ""


NETWORK = """
    import socket, threading
    listening = socket.create_server(("127.0.0.1", 0))
    # A port that is taken, and at which nobody listens: no other program gets it meanwhile.
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
    prediction = replicate.prediction.Prediction._of({"id": "x", "status": "starting"}, theirs._session)
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
        assert isinstance(error, httpx.ConnectError) and isinstance(error, httpx.HTTPError), (name, type(error).__mro__)
        assert isinstance(error, replicate_rs.APIConnectionError) and isinstance(error, ConnectionError), name
        assert isinstance(error, ReplicateError) and error.errno == 111 and "refused" in str(error), name
        assert type(error).__name__ == "APIConnectionError"
        assert error.request.method == error.method, name
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is replicate_rs.APIConnectionError and str(copy) == str(error) and copy.url == error.url
    late = {"get": lambda: slow.predictions.get("x"), "async": lambda: asyncio.run(slow.predictions.async_get("x"))}
    for name, call in late.items():
        error = raised(call)
        assert isinstance(error, httpx.ReadTimeout) and isinstance(error, httpx.TimeoutException), name
        assert isinstance(error, replicate_rs.APITimeoutError) and isinstance(error, TimeoutError), name
        assert isinstance(pickle.loads(pickle.dumps(error)), replicate_rs.APITimeoutError)
    def later(page):
        page.next = nowhere + "/v1/predictions?cursor=x"
        return page

    first = replicate.predictions.list()
    first._source.resource = theirs.predictions
    assert isinstance(raised(lambda: [*theirs.paginate(lambda: later(first))]), httpx.ConnectError)
    assert isinstance(raised(lambda: [*later(first).auto()]), httpx.ConnectError)
    gone = replicate.helpers.FileOutput(replicate.default_client.base_url + "/none.png", replicate.default_client)
    for call in (gone.read, lambda: [*gone], lambda: asyncio.run(gone.aread())):
        error = raised(call)
        assert isinstance(error, httpx.HTTPStatusError) and isinstance(error, replicate_rs.NotFoundError)
        assert error.response.status_code == error.status == 404 and error.request.url == gone.url
        assert type(pickle.loads(pickle.dumps(error))) is replicate_rs.NotFoundError
    assert type(raised(replicate_rs.FileOutput(gone.url, ours).read)) is replicate_rs.NotFoundError
    # Statuses of the API are none, and neither is anything of the other name.
    assert not isinstance(raised(lambda: replicate.predictions.get("none")), httpx.HTTPError)
    other = replicate_rs.Replicate("r8_x", base_url=nowhere, max_retries=0)
    for call in (lambda: other.predictions.get("x"), lambda: next(iter(other.stream("a/b", {}))), lambda: other.run("a/b", {})):
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
    assert type(error) is replicate_rs.APIConnectionError and isinstance(error, ConnectionError) and "httpx" not in sys.modules
    assert type(raised(lambda: slow.predictions.get("x"))) is replicate_rs.APITimeoutError
    listening.close()
    closed.close()
    """
    )
    assert run(code) == ""


def test_what_is_a_generator_in_1_0_7_is_one(run):
    code = """
    import inspect
    from replicate.stream import stream as stream_of, async_stream as async_stream_of

    def tokens(items):
        return [str(each) for each in items]

    text = {"text": "a b"}
    for call in (
        lambda: replicate.stream("acme/tokens", input=text),
        lambda: replicate.default_client.stream("acme/tokens", input=text),
        lambda: stream_of(replicate.default_client, "acme/tokens", text),
        lambda: replicate.models.predictions.create("acme/tokens", text).stream(),
    ):
        events = call()
        assert isinstance(events, types.GeneratorType) and inspect.isgenerator(events)
        assert tokens(events) == ["a ", "b ", ""] and [*events] == []
    iterator = replicate.models.predictions.create("acme/tokens", text).output_iterator()
    assert isinstance(iterator, types.GeneratorType) and "".join(iterator) in ("a b ", "b ", "")
    assert isinstance(replicate.paginate(replicate.models.list), types.GeneratorType)

    async def main():
        prediction = await replicate.models.predictions.async_create("acme/tokens", text)
        for events in (
            await replicate.async_stream("acme/tokens", input=text),
            await replicate.default_client.async_stream("acme/tokens", input=text),
            async_stream_of(replicate.default_client, "acme/tokens", text),
            prediction.async_stream(),
        ):
            assert isinstance(events, types.AsyncGeneratorType) and inspect.isasyncgen(events)
            assert [str(event) async for event in events] == ["a ", "b ", ""]
        assert isinstance(prediction.async_output_iterator(), types.AsyncGeneratorType)
        assert isinstance(replicate.async_paginate(replicate.models.async_list), types.AsyncGeneratorType)
        # Without the `await`, which is this library's own way.
        assert [str(event) async for event in replicate.async_stream("acme/tokens", input=text)] == ["a ", "b ", ""]

    asyncio.run(main())
    with ours.stream("acme/tokens", input=text) as events:
        assert events.collect() == "a b " and events.prediction.id
    assert replicate.default_client.text_stream("acme/tokens", text).collect() == "a b "
    """
    assert run(code) == ""


def test_a_generator_that_is_closed_early_cancels_its_prediction(run):
    code = """
    import time

    def ended():
        newest = replicate.predictions.list().results[0]
        newest.wait()
        return newest.status

    text = {"text": "word " * 200, "pause": 0.05}
    events = replicate.stream("acme/tokens", input=text)
    next(events)
    events.close()
    assert ended() == "canceled"
    for event in replicate.stream("acme/tokens", input=text):
        break
    del event
    assert ended() == "canceled"

    async def leave():
        events = await replicate.async_stream("acme/tokens", input=text)
        await anext(events)
        await events.aclose()

    asyncio.run(leave())
    assert ended() == "canceled"
    assert len([*replicate.stream("acme/tokens", input={"text": "a b"})]) == 3
    assert ended() == "succeeded"
    # Nothing was started by one that was never read.
    before = replicate.predictions.list().results[0].id
    replicate.stream("acme/tokens", input={"text": "a b"}).close()
    assert replicate.predictions.list().results[0].id == before
    """
    assert run(code) == ""


def test_a_list_is_an_iterator_too(run):
    code = """
    import copy, json
    text = {"text": "a b c"}
    output = replicate.run("acme/tokens", text)
    assert isinstance(output, list) and output == ["a ", "b ", "c "] and len(output) == 3 and output[1] == "b "
    assert json.dumps(output) == '["a ", "b ", "c "]' and "".join(output) == "a b c " == "".join(output)
    assert next(output) == "a " and next(output) == "b " and [*output] == ["c "] and next(output, None) is None
    assert len(output) == 3 and type(pickle.loads(pickle.dumps(output))) is list is type(copy.copy(output))
    assert pickle.loads(pickle.dumps(output)) == ["a ", "b ", "c "] == copy.deepcopy(output)

    async def main():
        pieces = [each for each in await replicate.async_run("acme/tokens", text)]
        again = [each async for each in await replicate.async_run("acme/tokens", text)]
        assert pieces == again == ["a ", "b ", "c "]
        output = await replicate.async_run("acme/tokens", text)
        assert await anext(output) == "a " and [each async for each in output] == ["b ", "c "]

    asyncio.run(main())
    files = replicate.run("acme/copies", {"files": [b"x"], "one": b"y"})["files"]
    assert type(files) is list and len(files) == 1
    assert type(ours.run("acme/tokens", text)) is list and replicate.run("acme/shout", text) == "A B C"
    """
    assert run(code) == ""


def test_each_name_has_its_own_settings_and_client(run):
    code = """
    assert isinstance(replicate.default_client, Client) and type(replicate_rs.default_client) is replicate_rs.Replicate
    assert isinstance(replicate.default_client, replicate_rs.Replicate)
    assert replicate.default_client is not replicate_rs.default_client
    replicate.bearer_token = "r8_wrong"
    assert raised(lambda: replicate.run("acme/shout", {"text": "x"})).status == 401
    shout = replicate.use("acme/shout")
    assert raised(lambda: shout(text="x")).status == 401
    assert replicate_rs.run("acme/shout", {"text": "x"}) == "X"
    replicate.bearer_token = None
    assert replicate.run("acme/shout", {"text": "x"}) == "X" and shout(text="y") == "Y"
    assert replicate.Client is replicate.Replicate is Client and replicate_rs.Client is not Client
    client = pickle.loads(pickle.dumps(Client()))
    assert type(client) is Client and client.run("acme/tokens", {"text": "x"}).__next__() == "x "
    assert pickle.loads(pickle.dumps(shout))(text="z") == "Z"
    changed = Client("r8_wrong").with_options(api_token="r8_secret")
    assert type(changed) is Client and next(changed.run("acme/tokens", {"text": "x"})) == "x "
    """
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
            body = {"id": "p1", "status": "succeeded", "output": "https://files.test/x.png", "input": {}}
            return httpx.Response(201, json=body)
        return httpx.Response(404, json={"detail": "nothing here"}) if "none" in request.url.path else httpx.Response(
            200, json={"id": "late", "status": "starting"}, headers={"content-type": "application/json"}
        )

    client = Client("r8_mine", base_url="https://api.test", transport=httpx.MockTransport(handle))
    for output in (
        client.run("a/b", {"text": "x"}),
        asyncio.run(client.async_run("a/b", {"text": "x"})),
    ):
        assert output.read() == b"file"
    assert [request.headers.get("Authorization") for request in seen] == ["Bearer r8_mine"] * 2 + [None] * 2
    assert seen[0].url == "https://api.test/v1/models/a/b/predictions" and b'"text":"x"' in seen[0].content
    assert raised(lambda: client.predictions.get("none")).detail == "nothing here"
    seen.clear()
    assert client.predictions.get("late").status == "starting" and len(seen) == 3

    def broken(request):
        raise httpx.ConnectError("no way")

    assert type(raised(lambda: Client("r8_x", transport=httpx.MockTransport(broken)).models.list())) is httpx.ConnectError
    """
    assert run(code) == ""


def test_a_transport_of_httpx_gets_whole_requests(run, tmp_path):
    """Files too, and what the client adds to each request, whatever it was made from."""
    (tmp_path / "large.bin").write_bytes(bytes(range(256)) * 8000)
    code = """
    import base64, httpx, io, json, os
    seen = []

    def handle(request):
        seen.append(request)
        if request.url.path == "/v1/files":
            return httpx.Response(201, json={"id": "f1", "urls": {"get": "https://api.test/v1/files/f1"}})
        done = {"id": "p1", "status": "succeeded", "output": "https://files.test/x.png", "input": {}}
        return httpx.Response(201, json=done)

    transport = httpx.MockTransport(handle)
    client = Client("r8_mine", base_url="https://api.test", transport=transport, headers={"X-Team": "a"}, user_agent="mine/1")
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
    assert [request.url.path for request in seen] == ["/v1/files", "/v1/models/a/b/predictions"] and large in seen[0].content
    with open(sys.argv[1], "rb") as file:
        client.run("a/b", {"x": file}, file_encoding_strategy="base64")
    assert base64.b64decode(json.loads(seen[-1].content)["input"]["x"].partition(",")[2]) == large

    def headers(client):
        seen.clear()
        output = client.run("a/b")
        output.read()
        assert "Authorization" not in seen[1].headers and "X-Team" not in seen[1].headers
        assert seen[1].headers["User-Agent"] in ("mine/1", f"replicate-rs/{replicate_rs.__version__}")
        return [seen[0].headers.get(name) for name in ("Authorization", "User-Agent", "X-Team")]

    assert headers(client) == ["Bearer r8_mine", "mine/1", "a"]
    other = client.with_options(api_token="r8_other", headers={"x-team": "b"})
    assert headers(other) == ["Bearer r8_other", "mine/1", "b"]
    assert headers(Client(bearer_token="r8_2", base_url="https://api.test", transport=transport))[0] == "Bearer r8_2"
    own = Client("r8_1", base_url="https://api.test", transport=transport, headers={"user-agent": "u/2", "authorization": "Mine"})
    assert headers(own)[:2] == ["Mine", "u/2"]
    client.api_token = "r8_assigned"
    assert headers(client)[0] == "Bearer r8_assigned"
    client.run("a/b", api_token="r8_of_a_call")
    assert seen[-1].headers["Authorization"] == "Bearer r8_of_a_call"
    """
    assert run(code, str(tmp_path / "large.bin")) == ""


def test_a_run_is_held_for_as_long_as_the_api_allows(run):
    code = """
    import httpx, json
    seen = []

    def handle(request):
        seen.append(request)
        body = {"id": "p1", "status": "processing", "output": ["a"], "input": {}}
        return httpx.Response(201, json=body)

    replicate.default_client = Client("r8", base_url="https://api.test", transport=httpx.MockTransport(handle))
    for options, header in (({}, "wait"), ({"wait": True}, "wait"), ({"wait": 10}, "wait=10"), ({"wait": 90}, "wait=60"),
                            ({"timeout": 30}, "wait=29")):
        seen.clear()
        assert replicate.run("a/b", **options) == ["a"], options
        assert [request.headers.get("prefer") for request in seen] == [header], options
    """
    assert run(code) == ""


def test_private_functions_that_programs_call_are_there(run):
    code = """
    import httpx, os
    client = Client(headers={"X-Team": "a"})
    more = {"headers": {"X": "1"}, "timeout": httpx.Timeout(9)}
    for response in (
        client._request("GET", "/v1/models/acme/shout"),
        asyncio.run(client._async_request("GET", "/v1/models/acme/shout", **more)),
    ):
        assert type(response) is httpx.Response and response.status_code == 200 and response.is_success
        assert response.json()["name"] == "shout" and response.request.method == "GET"
    made = client._request("POST", "/v1/models/acme/shout/predictions", json={"input": {"text": "x"}})
    assert made.json()["status"] in ("starting", "processing", "succeeded")
    assert client._request("GET", "/v1/predictions", params={"created_after": "2030-01-01T00:00:00Z"}).json()["results"] == []
    assert replicate.default_client._request("GET", "/v1/account").json()["username"]
    missing = raised(lambda: client._request("GET", "/v1/none"))
    assert isinstance(missing, ReplicateError) and missing.status == 404

    from replicate.client import _get_api_token_from_environment as token
    os.environ["REPLICATE_API_TOKEN"] = "of the environment"
    assert token() == "of the environment"
    scopes = ({"Replicate_Api_Token": "of cog"}, "of cog"), ({"REPLICATE_API_TOKEN": ""}, ""), ({}, "of the environment")
    for context, found in scopes:
        sys.modules["cog"] = types.SimpleNamespace(current_scope=lambda: types.SimpleNamespace(context=context))
        assert token() == found
    """
    assert run(code) == ""


LISTED = """
import importlib, json, pkgutil, types, replicate

attributes = {name: isinstance(value, types.ModuleType) for name, value in vars(replicate).items() if name[0] != "_"}
own, all = {}, {}
for _, room, _ in pkgutil.iter_modules(replicate.__path__):
    module = importlib.import_module(f"replicate.{room}")
    homes = {name: getattr(value, "__module__", "") for name, value in vars(module).items() if name[0] != "_"}
    own[room] = [name for name, home in homes.items() if home == module.__name__]
    all[room] = [name for name, home in homes.items() if home and home.startswith("replicate")]
print(json.dumps([attributes, own, all]))
"""
COMPARED = """
import importlib, json, sys, types

attributes, own, all = json.loads(sys.argv[1])
is_alias = package.__name__ == "replicate"
# Of no use in this library, and only there for programs that mention them.
unused = {"RetryTransport", "EventSource", "CreatePredictionRequestParams", "T"}
for name, is_module in attributes.items():
    value = getattr(package, name)
    # `replicate_rs.account` is a namespace, which has what the module has.
    assert isinstance(value, types.ModuleType) == (is_module and (is_alias or name != "account")), name
    if is_module:
        for each in all[name] if is_alias else set(own[name]) - unused:
            assert getattr(value, each) is not None, (name, each)
for name in own:
    module = importlib.import_module(f"{package.__name__}.{name}")
    for each in all[name] if is_alias else set(own[name]) - unused:
        assert getattr(module, each) is not None, (name, each)
"""


@pytest.fixture(scope="module")
def official():
    """The names of the real 1.0.7, as JSON."""
    return subprocess.run(
        [sys.executable, "-c", LISTED], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("name", ["replicate", "replicate_rs"])
def test_every_submodule_is_an_attribute_after_a_bare_import(official, name):
    install = (
        "import replicate_rs.drop_in; replicate_rs.drop_in.install()" if name == "replicate" else ""
    )
    code = f"{install}\nimport {name} as package\n{COMPARED}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, official],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_the_name_that_ref_had_in_early_versions(run):
    code = """
    given, words = {"text": "hi"}, {"text": "a b"}

    async def main():
        text = await replicate.async_run(model_version="acme/shout", input=given)
        return text, [str(event) async for event in await replicate.async_stream(model_version="acme/tokens", input=words)]

    print(replicate.run(model_version="acme/shout", input=given), asyncio.run(main()))
    print([str(event) for event in replicate.stream(model_version="acme/tokens", input=words)])
    print(type(raised(lambda: ours.run(model_version="acme/shout", input=given))).__name__)
    """
    assert run(code).splitlines() == [
        "HI ('HI', ['a ', 'b ', ''])",
        "['a ', 'b ', '']",
        "TypeError",
    ]
