"""The published official clients with the local server."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import replicate
from replicate.exceptions import ModelError, ReplicateError
from replicate.helpers import FileOutput
from replicate.webhook import InvalidSignatureError, Webhooks

from replicate_rs.local import LocalReplicate, Settings, progress, sleep

NODE = Path(__file__).parents[1] / "node"
# More than a page of the API.
MANY_PREDICTIONS, MANY_MODELS = 101, 26


def shout(text: str) -> str:
    """Upper case."""
    return text.upper()


def tokens(text: str) -> Iterator[str]:
    for word in text.split(" "):
        yield f"{word} "


def slow(seconds: float = 60.0, steps: int = 10) -> str:
    for step in range(1, steps + 1):
        progress(step, steps)
        sleep(seconds / steps)
    return "done"


def fail() -> Iterator[str]:
    yield "some"
    raise RuntimeError("OOM")


def reverse(file: bytes) -> bytes:
    return file[::-1]


def pieces(file: bytes) -> Iterator[bytes]:
    for byte in file:
        yield bytes([byte])


def name(file: Path) -> str:
    return f"{file.name.split('_')[0]} {len(file.read_bytes())}"


def tuned(prompt: str, replicate_weights: bytes | None = None) -> str:
    return f"{prompt} {(replicate_weights or b'nothing').decode()}"


def train(words: str) -> bytes:
    return words.upper().encode()


def train_slowly(seconds: float) -> bytes:
    return slow(seconds).encode()


def serve(settings: Settings | None = None) -> LocalReplicate:
    server = LocalReplicate(settings=settings)
    server.model("acme/shout", examples=[{"input": {"text": "hi"}, "output": "HI"}])(shout)
    server.model("acme/tokens", stream=True)(tokens)
    for model in (slow, fail, reverse, pieces, name, tuned):
        server.model(f"acme/{model.__name__}")(model)
    for number in range(MANY_MODELS):
        server.model(f"many/model-{number}")(shout)
    server.training("acme/tuned")(train)
    server.training("acme/slow")(train_slowly)
    server.collection("loud", ["acme/shout"], description="Models that shout")
    return server


@pytest.fixture(scope="module")
def server() -> Iterator[LocalReplicate]:
    with serve() as server:
        yield server


@pytest.fixture(scope="module")
def inline() -> Iterator[LocalReplicate]:
    with serve(Settings(files="data")) as server:
        yield server


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, queue.Queue[tuple[dict[str, str], bytes]]]]:
    received: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            received.put((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,)).start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/hook", received
        finally:
            http.shutdown()


# Python, 1.0.7


class Official:
    """A client of 1.0.7, whose async methods have the prefix `async_`."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.runner = asyncio.Runner() if mode == "async" else None
        self.clients: list[replicate.Client] = []

    def client(self, server: LocalReplicate, **options: Any) -> replicate.Client:
        client = replicate.Client(
            **({"api_token": server.token, "base_url": server.origin} | options)
        )
        client.poll_interval = 0.01
        self.clients.append(client)
        return client

    def method(self, namespace: Any, name: str) -> Any:
        return getattr(namespace, f"async_{name}" if self.runner else name)

    def __call__(self, namespace: Any, name: str, /, *args: Any, **options: Any) -> Any:
        """Return the result of a method; an iterator becomes a tuple."""
        return self.finish(lambda: self.method(namespace, name)(*args, **options))

    def read(self, file: FileOutput) -> bytes:
        return self.finish(file.aread if self.runner else file.read)

    def chunks(self, file: FileOutput) -> bytes:
        return b"".join(self.finish(file.__aiter__ if self.runner else file.__iter__))

    def finish(self, call: Any) -> Any:
        if self.runner is None:
            result = call()
            return tuple(result) if inspect.isgenerator(result) else result

        async def main() -> Any:
            result = call()
            result = await result if inspect.isawaitable(result) else result
            return tuple([each async for each in result]) if inspect.isasyncgen(result) else result

        return self.runner.run(main())

    def close(self) -> None:
        # Clients of 1.0.7 have no `close`; this library, with which the tests run too, has it.
        for client in self.clients:
            if hasattr(client, "close"):
                client.close()
            elif self.runner is None:
                client._client.close()
            else:
                self.runner.run(client._async_client.aclose())
        if self.runner is not None:
            self.runner.close()


# For a module, because each client of 1.0.7 reads the system's certificates.
@pytest.fixture(scope="module", params=["sync", "async"])
def official(request: pytest.FixtureRequest) -> Iterator[Official]:
    official = Official(request.param)
    yield official
    official.close()


@pytest.fixture(scope="module")
def client(official: Official, server: LocalReplicate) -> replicate.Client:
    return official.client(server)


def test_run_gives_the_output(official, client, server):
    version = server.version("acme/shout")
    model = official(client.models, "get", "acme/shout")
    for reference in ("acme/shout", f"acme/shout:{version}", model, model.latest_version):
        assert official(client, "run", reference, {"text": "hi"}) == "HI"
    assert official(client, "run", "acme/shout", {"text": "hi"}, wait=False) == "HI"
    assert official(client, "run", "acme/slow", {"seconds": 1.1, "steps": 2}, wait=1) == "done"


def test_run_iterates_over_the_output_of_a_version(official, client, server):
    reference = f"acme/tokens:{server.version('acme/tokens')}"
    assert official(client, "run", "acme/tokens", {"text": "a b"}) == ["a ", "b "]
    assert official(client, "run", reference, {"text": "a b"}) == ("a ", "b ")
    assert official(client, "run", reference, {"text": "a b"}, wait=False) == ("a ", "b ")


@pytest.mark.parametrize("wait", [True, False])
def test_run_raises_what_the_model_raised(official, client, wait):
    with pytest.raises(ModelError, match="^OOM$") as caught:
        official(client, "run", "acme/fail", {}, wait=wait)
    assert caught.value.prediction.status == "failed"
    assert caught.value.prediction.output == ["some"]
    assert "RuntimeError: OOM" in caught.value.prediction.logs


def test_run_takes_files_as_paths_and_handles(official, client, tmp_path):
    path = tmp_path / "input.txt"
    path.write_bytes(b"12345")
    with path.open("rb") as handle:
        for file in (path, handle):
            assert official(client, "run", "acme/name", {"file": file}) == "input.txt 5"
    handle = io.BytesIO(b"123")
    assert official(client, "run", "acme/name", {"file": handle}) == "file 3"
    assert (
        official(client, "run", "acme/name", {"file": handle}, file_encoding_strategy="base64")
        == "input 3"
    )


def test_files_that_a_model_made_can_be_read(official, client):
    # 1.0.7 makes a FileOutput only of `https:` and `data:`.
    url = official(client, "run", "acme/reverse", {"file": io.BytesIO(b"abc")})
    assert (
        official.read(FileOutput(url, client)) == official.chunks(FileOutput(url, client)) == b"cba"
    )


def test_files_that_are_inline_are_file_outputs(official, inline):
    client = official.client(inline)
    file = official(client, "run", "acme/reverse", {"file": io.BytesIO(b"abc")})
    assert isinstance(file, FileOutput)
    assert file.url.startswith("data:application/octet-stream;base64,")
    assert official.read(file) == official.chunks(file) == b"cba"
    files = official(
        client, "run", f"acme/pieces:{inline.version('acme/pieces')}", {"file": io.BytesIO(b"ab")}
    )
    assert [official.read(each) for each in files] == [b"a", b"b"]


def test_stream_gives_the_events(official, client):
    events = official(client, "stream", "acme/tokens", input={"text": "a b\nc"})
    assert [(each.event.value, str(each)) for each in events] == [
        ("output", "a "),
        ("output", "b\nc "),
        ("done", ""),
    ]
    assert [each.data for each in events][-1] == "{}"
    prediction = official(client.models.predictions, "create", "acme/tokens", {"text": "a"})
    assert "".join(map(str, official(prediction, "stream"))) == "a "


def test_a_stream_raises_what_the_model_raised(official, client):
    with pytest.raises(RuntimeError, match=r'^{"detail": "OOM"}$'):
        official(client, "stream", "acme/fail", input={})


def test_a_stream_of_files_gives_files(official, client, inline):
    *events, done = official(client, "stream", "acme/pieces", input={"file": io.BytesIO(b"ab")})
    assert [official.read(FileOutput(each.data, client)) for each in events] == [b"a", b"b"]
    *events, done = official(
        official.client(inline), "stream", "acme/pieces", input={"file": io.BytesIO(b"ab")}
    )
    assert [official.read(each.data) for each in events] == [b"a", b"b"]
    assert done.event.value == "done"


def test_predictions_live_their_life(official, client, server):
    version = server.version("acme/slow")
    prediction = official(client.predictions, "create", version, {"seconds": 0.05, "steps": 5})
    assert (prediction.status, prediction.output) == ("starting", None)
    official(prediction, "wait")
    assert (prediction.status, prediction.output, prediction.progress.percentage) == (
        "succeeded",
        "done",
        1.0,
    )
    assert prediction.metrics["predict_time"] > 0.04
    assert official(client.predictions, "get", prediction.id) == prediction
    assert official(client.predictions, "list")[0] == prediction
    assert official(client.predictions, "create", model="acme/slow", input={}).status == "starting"


def test_predictions_can_be_canceled(official, client):
    for cancel in (
        lambda each: official(each, "cancel"),
        lambda each: official(client.predictions, "cancel", each.id),
    ):
        prediction = official(client.models.predictions, "create", ("acme", "slow"), {})
        cancel(prediction)
        official(prediction, "reload")
        assert (prediction.status, prediction.output) == ("canceled", None)


@pytest.mark.parametrize("shape", ["documented", "edge", "web"])
@pytest.mark.parametrize("held", ["processing", "succeeded"])
@pytest.mark.parametrize("created", [201, 202])
def test_every_shape_of_a_prediction_is_understood(
    official, client, server, monkeypatch, shape, held, created
):
    for name, value in {"shape": shape, "held": held, "created": created}.items():
        monkeypatch.setattr(server.settings, name, value)
    assert official(client, "run", "acme/shout", {"text": "hi"}) == "HI"
    prediction = official(client.models.predictions, "create", "acme/slow", {})
    official(prediction, "cancel")
    assert official(client.predictions, "list")[0].status == "canceled"


def test_errors_are_the_apis(official, client, server):
    with pytest.raises(ReplicateError, match="could not be found") as caught:
        official(client.predictions, "get", "none")
    assert caught.value.status == 404
    with pytest.raises(ReplicateError) as caught:
        official(client, "run", "acme/shout", {"text": 1})
    assert (caught.value.status, caught.value.title) == (422, "Input validation failed")
    assert caught.value.detail == "- input.text: Invalid type. Expected: string, given: integer\n"
    with pytest.raises(ReplicateError, match="valid authentication token") as caught:
        official(official.client(server, api_token="r8_other").accounts, "current")
    assert caught.value.status == 401


def test_requests_that_meet_a_fault_are_tried_again(official, client, server):
    server.fault("GET /account", status=503, times=2)
    assert official(client.accounts, "current").username == "local"


def test_pages_are_followed_to_the_end(official, client):
    made = [
        official(client.models.predictions, "create", "acme/shout", {"text": "x"})
        for _ in range(MANY_PREDICTIONS)
    ]
    pages = official(replicate, "paginate", official.method(client.predictions, "list"))
    assert {len(page) for page in pages[:-1]} == {100}
    assert pages[0].previous is pages[-1].next is None
    ids = [each.id for page in pages for each in page]
    assert ids[:MANY_PREDICTIONS] == [each.id for each in reversed(made)]
    assert len(set(ids)) == len(ids)

    pages = official(replicate, "paginate", official.method(client.models, "list"))
    assert [len(page) for page in pages[:-1]] == [25] * (len(pages) - 1)
    assert {each.id for page in pages for each in page} >= {
        "acme/shout",
        *(f"many/model-{n}" for n in range(MANY_MODELS)),
    }
    back = official(client.models, "list", pages[1].previous)
    assert [each.id for each in back] == [each.id for each in pages[0]]


def test_files_are_uploaded_listed_and_deleted(official, client, tmp_path):
    path = tmp_path / "hello.txt"
    path.write_bytes(b"hello")
    file = official(client.files, "create", path, metadata={"of": {"n": 1}})
    assert (file.name, file.content_type, file.size, file.metadata) == (
        "hello.txt",
        "text/plain",
        5,
        {"of": {"n": 1}},
    )
    assert file.etag == file.checksums["md5"] == "5d41402abc4b2a76b9719d911017c592"
    assert official(client.files, "get", file.id) == file
    assert file in official(client.files, "list")
    assert official(client.files, "delete", file.id) is True
    with pytest.raises(ReplicateError, match="File not found"):
        official(client.files, "get", file.id)
    named = official(
        client.files,
        "create",
        io.BytesIO(b"{}"),
        filename="a.json",
        content_type="application/x-own",
    )
    assert (named.name, named.content_type, named.metadata) == ("a.json", "application/x-own", {})


def test_models_are_made_found_and_deleted(official, client, server):
    name = f"made-{official.mode}"
    links = {"github_url": "https://github.com/a/b", "description": "Fresh"}
    made = official(
        client.models, "create", "local", name, visibility="private", hardware="cpu", **links
    )
    assert (made.id, made.visibility, made.latest_version) == (f"local/{name}", "private", None)
    assert {key: getattr(made, key) for key in links} == links
    assert (
        official(client.models, "get", f"local/{name}")
        == official(client.models, "get", "local", name)
        == made
    )
    assert official(client.models, "delete", f"local/{name}") is True
    with pytest.raises(ReplicateError, match="could not be found"):
        official(client.models, "get", made.id)
    shout = official(client.models, "get", "acme/shout")
    assert (shout.description, shout.default_example.output) == ("Upper case.", "HI")
    assert shout.latest_version.openapi_schema["components"]["schemas"]["Input"]["required"] == [
        "text"
    ]
    assert "acme/shout" in [each.id for each in official(client.models, "search", "upper shout")]


def test_versions_are_listed_and_deleted(official):
    with LocalReplicate() as own:
        own.model("acme/mine", visibility="private")(shout)
        own.model("acme/mine", visibility="private")(tokens)
        client = official.client(own)
        versions = official(client.models, "get", "acme/mine").versions
        newest, oldest = official(versions, "list")
        assert official(versions, "get", newest.id) == newest
        assert official(client, "run", f"acme/mine:{oldest.id}", {"text": "hi"}) == "HI"
        # The API answers 202, but 1.0.7 accepts only 204.
        assert official(versions, "delete", oldest.id) is False
        assert [each.id for each in official(versions, "list")] == [newest.id]


def test_deployments_are_made_used_and_deleted(official, client, server):
    name, version = f"shop-{official.mode}", server.version("acme/shout")
    configuration = {"hardware": "cpu", "min_instances": 0, "max_instances": 1}
    made = official(
        client.deployments,
        "create",
        name=f"local/{name}",
        model="acme/shout",
        version=version,
        **configuration,
    )
    assert (made.id, made.current_release.version) == (f"local/{name}", version)
    changed = official(client.deployments, "update", "local", name, max_instances=2)
    assert (
        changed.current_release.number,
        changed.current_release.configuration.max_instances,
    ) == (2, 2)
    assert official(client.deployments, "get", f"local/{name}") == changed
    assert changed in official(client.deployments, "list").results
    for prediction in (
        official(client.deployments.predictions, "create", f"local/{name}", {"text": "hi"}),
        official(changed.predictions, "create", {"text": "hi"}, wait=True),
        official(client.predictions, "create", deployment=("local", name), input={"text": "hi"}),
    ):
        official(prediction, "wait")
        assert prediction.output == "HI"
    with pytest.raises(ReplicateError, match="have not been used for 15 minutes"):
        official(client.deployments, "delete", "local", name)
    server.advance(minutes=16)
    assert official(client.deployments, "delete", "local", name) is True


def test_a_training_gives_its_destination_a_version(official, client, server):
    name = f"trained-{official.mode}"
    destination = official(
        client.models, "create", "local", name, visibility="private", hardware="cpu"
    )
    base = {"model": "acme/tuned", "version": server.version("acme/tuned")}
    training = official(
        client.trainings, "create", **base, input={"words": "a b"}, destination=destination
    )
    while training.status not in ("succeeded", "failed"):
        official(training, "reload")
    assert (training.status, training.destination) == ("succeeded", f"local/{name}")
    assert official(client.trainings, "get", training.id) == training
    assert training in official(client.trainings, "list").results
    assert official(client, "run", training.output["version"], {"prompt": "hi"}) == "hi A B"
    assert training.output["version"].endswith(
        official(client.models, "get", destination.id).latest_version.id
    )


def test_a_training_can_be_started_in_short_and_canceled(server):
    with contextlib.closing(Official("sync")) as official:
        client = official.client(server)
        client.models.create("local", "short", visibility="private", hardware="cpu")
        training = client.trainings.create(
            f"acme/slow:{server.version('acme/slow')}", {"seconds": 60}, "local/short"
        )
        training.cancel()
        assert client.trainings.get(training.id).status == training.status == "canceled"


def test_the_catalogue_is_read(official, client):
    account = official(client.accounts, "current")
    assert (account.type, account.username) == ("user", "local")
    assert official(client.hardware, "list")[0].sku == "cpu"
    (collection,) = official(client.collections, "list")
    assert (collection.slug, collection.name, collection.description) == (
        "loud",
        "Loud",
        "Models that shout",
    )
    assert [each.id for each in official(client.collections, "get", "loud")] == ["acme/shout"]


def test_what_is_delivered_is_valid(official, client):
    with receiver() as (url, received):
        events = ["start", "output", "completed"]
        official(
            client, "run", "acme/shout", {"text": "hi"}, webhook=url, webhook_events_filter=events
        )
        deliveries = [received.get(timeout=10) for _ in ("start", "completed")]
        official(client, "run", "acme/shout", {"text": "hi"}, webhook_completed=url)
        deliveries.append(received.get(timeout=10))
    secret = official(client.webhooks.default, "secret")
    for headers, body in deliveries:
        Webhooks.validate(headers=headers, body=body.decode(), secret=secret, tolerance=60)
        with pytest.raises(InvalidSignatureError):
            Webhooks.validate(headers=headers, body=body.decode() + " ", secret=secret)
    bodies = [json.loads(body) for _, body in deliveries]
    assert sorted(each["status"] for each in bodies) == ["processing", "succeeded", "succeeded"]
    assert {each.get("output") for each in bodies} >= {"HI"}


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_a_base_url_is_right_with_and_without_v1(official, server, monkeypatch, path):
    monkeypatch.setenv("REPLICATE_BASE_URL", server.origin + path)
    monkeypatch.setenv("REPLICATE_API_TOKEN", server.token)
    client = official.client(server, api_token=None, base_url=None)
    assert official(client, "run", "acme/name", {"file": io.BytesIO(b"123")}) == "file 3"
    assert len(official(replicate, "paginate", official.method(client.models, "list"))) > 1
    assert (
        "".join(map(str, official(client, "stream", "acme/tokens", input={"text": "a b"})))
        == "a b "
    )


# Node


if shutil.which("node") is None:
    missing = "there is no node"
elif not (NODE / "node_modules" / "replicate").is_dir():
    missing = "Node's client is not installed: make tests/node/node_modules/.installed"
else:
    missing = ""
node_client = pytest.mark.skipif(bool(missing), reason=missing)


def node(server: LocalReplicate, job: str, **given: Any) -> Any:
    """Return the output of a job of `client.mjs`."""
    given = {"baseUrl": server.base_url, "token": server.token} | given
    done = subprocess.run(
        ["node", NODE / "client.mjs", job],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@node_client
def test_node_runs_models(server):
    seen = node(server, "run", version=server.version("acme/shout"))
    url = seen.pop("url")
    assert url.startswith(f"{server.output_origin}/pbxt/")
    assert seen == {
        "text": "HI",
        "ofVersion": "HI",
        "items": ["a ", "b "],
        "blob": "blob 5",
        "buffer": "buffer 3",
        "polled": "done",
        "seen": ["starting", "succeeded"],
        "failure": "Error: Prediction failed: OOM",
        "invalid": seen["invalid"],
    }
    assert "failed with status 422" in seen["invalid"]
    assert '"field":"input.text"' in seen["invalid"]


@node_client
def test_node_reads_files_that_are_inline(inline):
    seen = node(inline, "files")
    assert (seen["one"]["type"], seen["one"]["text"]) == ("application/octet-stream", "cba")
    assert [each["text"] for each in seen["many"]] == ["a", "b"]


@node_client
def test_node_streams_text_and_files(server):
    seen = node(server, "stream")
    assert seen["acme/tokens"] == [["output", "a "], ["output", "b\nc "], ["done", "{}"]]
    *files, done = seen["acme/pieces"]
    assert [(event, file["text"]) for event, file in files] == [("output", "a"), ("output", "b")]
    assert all(file["url"].startswith(server.output_origin) for _, file in files)
    assert done == ["done", "{}"]
    assert seen["acme/fail"][-1] == ["thrown", '{"detail": "OOM"}']


@node_client
def test_node_makes_waits_for_and_cancels_predictions(server):
    assert node(server, "predictions", version=server.version("acme/shout")) == {
        "first": "starting",
        "ended": ["succeeded", "done", {"percentage": 1, "current": 2, "total": 2}],
        "held": "X",
        "canceled": ["canceled", "canceled", True],
    }


@node_client
def test_node_follows_pages_to_the_end(server):
    seen = node(server, "paginate")
    assert {len(page) for page in seen["predictions"][:-1]} == {100}
    ids = [each for page in seen["predictions"] for each in page]
    assert set(ids[:MANY_PREDICTIONS]) == set(seen["made"])
    assert [len(page) for page in seen["models"][:-1]] == [25] * (len(seen["models"]) - 1)
    assert {each for page in seen["models"] for each in page} >= {
        f"many/model-{n}" for n in range(MANY_MODELS)
    }


@node_client
def test_node_uploads_lists_and_deletes_files(server):
    seen = node(server, "uploads")
    assert (seen["got"]["content_type"], seen["got"]["size"], seen["got"]["metadata"]) == (
        "text/plain",
        5,
        {"of": {"n": 1}},
    )
    assert (seen["listed"], seen["deleted"]) == (True, True)
    assert "File not found" in seen["gone"]


@node_client
def test_node_takes_what_is_delivered_for_valid(server):
    seen = node(server, "webhook")
    assert seen["secret"] == server.webhook_secret
    assert (seen["prediction"]["status"], seen["prediction"]["output"]) == ("succeeded", "HI")
    assert (seen["byHeaders"], seen["byParts"], seen["forged"]) == (True, True, False)


@node_client
def test_node_reads_the_catalogue(server):
    version = server.version("acme/shout")
    seen = node(server, "models", name="of-node", version=version)
    assert (seen["made"]["owner"], seen["made"]["latest_version"]) == ("local", None)
    assert seen["got"]["latest_version"]["id"] == version
    assert seen["versions"] == [version]
    assert seen["version"] == ["text"]
    assert "shout" in seen["found"]
    assert (seen["collections"], seen["collection"]) == (["loud"], ["shout"])
    assert seen["hardware"][0] == "cpu"
    assert seen["account"]["username"] == "local"


@node_client
def test_node_makes_uses_and_deletes_deployments(server):
    seen = node(server, "deployments", name="by-node", version=server.version("acme/shout"))
    assert (seen["made"]["owner"], seen["made"]["current_release"]["number"]) == ("local", 1)
    assert seen["got"] == seen["changed"]
    assert seen["changed"]["current_release"]["configuration"]["max_instances"] == 2
    assert ("by-node" in seen["listed"], seen["deleted"], seen["output"]) == (True, True, "HI")
    assert "failed with status 400" in seen["used"]


@node_client
def test_node_trains(server):
    seen = node(server, "trainings", name="trained-by-node", version=server.version("acme/tuned"))
    assert seen == {"ended": "succeeded", "after": "succeeded", "listed": True, "output": "hi A B"}


@node_client
def test_node_tries_again_after_a_fault(server):
    server.fault("GET /account", status=503, times=2)
    server.fault("GET /account", retry_after=7)
    assert node(server, "account")["username"] == "local"


@node_client
@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_node_may_have_a_base_url_with_and_without_v1(server, path):
    seen = node(server, "run", version=server.version("acme/shout"), baseUrl=server.origin + path)
    assert (seen["text"], seen["blob"], seen["polled"]) == ("HI", "blob 5", "done")
