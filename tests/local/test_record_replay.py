"""Cassettes: what this library records, all clients replay."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import replicate as official
from replicate.exceptions import ReplicateError as OfficialError
from test_official_clients import node, node_client

import replicate_rs
from replicate_rs import AsyncReplicate, Replicate
from replicate_rs.exceptions import BadRequestError, ModelError
from replicate_rs.local import LocalReplicate, Settings
from support.cassettes import TOKEN, create_upstream, read_exchanges, recording, shout
from support.wire import Wire, prediction, reply

TEXT = "a b c d"


@contextlib.contextmanager
def official_client(server: LocalReplicate, token: str = "r8_any") -> Iterator[official.Client]:
    client = official.Client(api_token=token, base_url=server.origin)
    yield client
    # 1.0.7 has no `close`.
    client._client.close()


def use_everything(client: Replicate, folder: Path) -> dict[str, object]:
    """Return what a client gets from every kind of endpoint."""
    upload = client.files.create(b"hello", filename="hello.txt", metadata={"n": 1})
    output = client.run("acme/reverse", input={"file": b"abc"})
    output.save(folder / "saved.bin")
    polled = client.predictions.create(model="acme/slow", input={})
    statuses = [polled.status]
    while polled.status not in ("succeeded", "failed"):
        time.sleep(0.05)
        polled.reload()
        statuses.append(polled.status)
    with pytest.raises(ModelError) as failure:
        client.run("acme/fail", input={})
    return {
        "text": client.run("acme/shout", input={"text": "hi"}),
        "stream": [str(each) for each in client.stream("acme/tokens", input={"text": TEXT})],
        "file": output.read(),
        "saved": (folder / "saved.bin").read_bytes(),
        "files": [each.read() for each in client.run("acme/pieces", input={"file": b"xyz"})],
        "upload": (upload.name, upload.size, upload.metadata),
        # The URL of an upload is that of the server, as an input too.
        "of upload": client.run("acme/reverse", input={"file": upload.urls["get"]}).read(),
        "statuses": statuses,
        "polled": polled.output,
        "failure": str(failure.value),
        "models": [each.name for each in client.models.list()],
        "found": [each.name for each in client.models.search("Upper case")],
        "pages": len([each for page in client.paginate(client.predictions.list) for each in page]),
    }


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The folder of a cassette, and what was seen when it was recorded."""
    folder = tmp_path_factory.mktemp("everything")
    with recording(folder / "cassette") as server:
        client = Replicate(TOKEN, base_url=server.base_url, poll_interval=0.05)
        return folder / "cassette", use_everything(client, folder)


def test_a_replay_answers_as_the_upstream_did(everything, tmp_path):
    folder, seen = everything
    with LocalReplicate(replay=folder) as server:
        client = Replicate(server.token, base_url=server.base_url, poll_interval=0.05)
        assert use_everything(client, tmp_path) == seen
        assert server.unrecorded == []
    assert seen["text"] == "HI"
    assert seen["stream"] == ["a ", "b ", "c ", "d ", ""]
    assert (seen["file"], seen["saved"], seen["of upload"]) == (b"cba", b"cba", b"olleh")
    assert seen["statuses"][-1] == "succeeded"
    assert len(seen["statuses"]) > 3


def test_it_is_replayed_without_the_upstream_and_any_number_of_times(everything, tmp_path):
    folder, seen = everything
    server = LocalReplicate(replay=folder, at_once=True)
    for _ in range(2):
        with server:
            client = Replicate(server.token, base_url=server.origin, poll_interval=0.05)
            assert use_everything(client, tmp_path) == seen
            record = dict(client.predictions.list().results[0])
            # `web` is a page for people, which stays where it is.
            record["urls"] = {name: url for name, url in record["urls"].items() if name != "web"}
            urls = json.dumps(record, default=str)
            assert set(re.findall(r"http://127\.0\.0\.1:\d+", urls)) <= {
                server.origin,
                server.output_origin,
            }


def test_an_async_client_replays_what_a_blocking_one_recorded(everything):
    folder, seen = everything

    async def use(server: LocalReplicate) -> dict[str, object]:
        client = AsyncReplicate(server.token, base_url=server.base_url)
        output = await client.run("acme/reverse", input={"file": b"abc"})
        stream = await client.stream("acme/tokens", input={"text": TEXT})
        return {
            "text": await client.run("acme/shout", input={"text": "hi"}),
            "stream": [str(each) async for each in stream],
            "file": await output.read(),
            "models": [each.name async for each in await client.models.list()],
        }

    with LocalReplicate(replay=folder, at_once=True) as server:
        # Files that are given as inputs are uploaded first, each once.
        replayed = asyncio.run(use(server))
    assert replayed == {name: seen[name] for name in replayed}


@pytest.mark.parametrize("mode", ["blocking", "async"])
def test_the_official_client_replays_it(everything, mode):
    folder, seen = everything
    inputs = {"text": {"text": "hi"}, "stream": {"text": TEXT}}
    with (
        LocalReplicate(replay=folder, at_once=True) as server,
        official_client(server) as client,
    ):
        if mode == "blocking":
            text = client.run("acme/shout", input=inputs["text"])
            stream = [str(each) for each in client.stream("acme/tokens", input=inputs["stream"])]
            models = [each.name for each in client.models.list()]
        else:

            async def use():
                text = await client.async_run("acme/shout", input=inputs["text"])
                stream = await client.async_stream("acme/tokens", input=inputs["stream"])
                pieces = [str(each) async for each in stream]
                models = [each.name for each in await client.models.async_list()]
                await client._async_client.aclose()
                return text, pieces, models

            text, stream, models = asyncio.run(use())
        assert server.unrecorded == []
    assert text == seen["text"]
    assert stream == seen["stream"]
    assert models == seen["models"]


def test_the_official_client_gets_files_within_responses(tmp_path):
    upstream = create_upstream()
    with upstream, recording(tmp_path, upstream.origin) as server:
        client = Replicate(TOKEN, base_url=server.base_url)
        url = client.files.create(b"abc", filename="a.bin").urls["get"]
        recorded = client.run("acme/reverse", input={"file": url})
        assert recorded.read() == b"cba"
        id = url.rpartition("/")[2]
    with (
        LocalReplicate(replay=tmp_path, settings=Settings(files="data")) as server,
        official_client(server) as client,
    ):
        output = client.run("acme/reverse", input={"file": f"{server.base_url}/files/{id}"})
        assert output.read() == b"cba"


def test_the_official_client_records_and_replays_files(tmp_path):
    def use(server: LocalReplicate, token: str) -> list[bytes]:
        with official_client(server, token) as client, (tmp_path / "hello.txt").open("rb") as file:
            upload = client.files.create(tmp_path / "hello.txt")
            one = client.run("acme/reverse", input={"file": upload.urls["get"]})
            many = client.run("acme/pieces", input={"file": file})
            return [one.read(), *(each.read() for each in many)]

    (tmp_path / "hello.txt").write_text("hello")
    settings = Settings(files="data")
    with recording(tmp_path / "cassette", settings=settings) as server:
        recorded = use(server, TOKEN)
    with LocalReplicate(replay=tmp_path / "cassette", settings=settings) as server:
        assert use(server, "r8_any") == recorded == [b"olleh", b"h", b"e", b"l", b"l", b"o"]


def test_the_official_client_raises_for_what_was_not_recorded(everything):
    with LocalReplicate(replay=everything[0]) as server, official_client(server) as client:
        with pytest.raises(OfficialError, match=r'body.input.text: recorded "hi", requested "ho"'):
            client.run("acme/shout", input={"text": "ho"})


@node_client
@pytest.mark.parametrize("job", ["run", "files", "stream", "uploads"])
def test_the_node_client_records_and_replays(tmp_path, job):
    from test_official_clients import serve

    settings = Settings(files="data")
    upstream = serve()
    with upstream, recording(tmp_path, upstream.origin, settings=settings) as server:
        server.tokens = upstream.tokens
        version = upstream.version("acme/shout")
        recorded = node(server, job, version=version)
    with LocalReplicate(replay=tmp_path, settings=settings) as server:
        replayed = node(server, job, version=version)
        assert server.unrecorded == []
    strip = re.compile(r"127\.0\.0\.1:\d+")
    assert strip.sub("", json.dumps(replayed)) == strip.sub("", json.dumps(recorded))


@node_client
def test_the_node_client_replays_what_this_library_recorded(tmp_path):
    with recording(tmp_path) as server:
        client = Replicate(TOKEN, base_url=server.base_url)
        account = client.accounts.current()
    with LocalReplicate(replay=tmp_path) as server:
        assert node(server, "account")["username"] == account.username == "local"


def test_streams_keep_their_pauses_unless_they_are_played_at_once(everything):
    (exchange,) = [
        each for each in read_exchanges(everything[0]) if "/streams/" in each["request"]["url"]
    ]
    events = exchange["response"]["events"]
    times = [seconds for seconds, _ in events]
    assert times == sorted(times)
    assert times[-1] > 0.2
    taken = {}
    for at_once in (False, True):
        with LocalReplicate(replay=everything[0], at_once=at_once) as server:
            client = Replicate("r8_any", base_url=server.base_url)
            # Not the create request, which was held.
            made = client.predictions.create(model="acme/tokens", input={"text": TEXT}, wait=True)
            started = time.monotonic()
            assert len(list(made.stream())) == 5
            taken[at_once] = time.monotonic() - started
    assert taken[False] >= times[-1] - 0.01
    assert taken[True] < taken[False]


def test_equal_requests_are_answered_in_their_order_and_only_reads_are_repeated(tmp_path):
    polls = iter(["starting", "processing", "succeeded"])

    def script(seen):
        if seen.method == "POST":
            return reply(prediction("starting", id=f"p{len(wire.seen)}"), 201)
        return reply(prediction(next(polls), output="HI"))

    with Wire(script) as wire, recording(tmp_path, wire.origin) as server:
        client = Replicate(TOKEN, base_url=server.base_url)
        for _ in range(2):
            client.predictions.create(model="acme/x", input={"n": 1})
        for _ in range(3):
            client.predictions.get("p1")
    with LocalReplicate(replay=tmp_path) as server:
        client = Replicate("r8_any", base_url=server.base_url)
        create = lambda n: client.predictions.create(model="acme/x", input={"n": n})  # noqa: E731
        # A number is the same in each way of writing it.
        assert [create(1).id, create(1.0).id] == ["p1", "p2"]
        statuses = [client.predictions.get("p1").status for _ in range(5)]
        assert statuses == ["starting", "processing", *["succeeded"] * 3]
        with pytest.raises(BadRequestError, match="recorded 2 times, and is requested once more"):
            create(1)
        assert len(server.unrecorded) == 1
    # A file says whether its response is repeated.
    path = next(tmp_path.glob("0002-*.json"))
    path.write_text(path.read_text().replace('"repeat": false', '"repeat": true'))
    with LocalReplicate(replay=tmp_path) as server:
        client = Replicate("r8_any", base_url=server.base_url)
        assert [client.predictions.create(model="acme/x", input={"n": 1}).id for _ in range(4)] == [
            "p1",
            "p2",
            "p2",
            "p2",
        ]


def test_a_running_prediction_at_the_end_of_a_recording_is_not_repeated(tmp_path):
    with Wire(lambda _: reply(prediction("processing"))) as wire:
        with recording(tmp_path, wire.origin) as server:
            Replicate(TOKEN, base_url=server.base_url).predictions.get("p1")
    with LocalReplicate(replay=tmp_path) as server:
        client = Replicate("r8_any", base_url=server.base_url)
        assert client.predictions.get("p1").status == "processing"
        # It would be polled for ever.
        with pytest.raises(BadRequestError, match='set "repeat": true in 0001-get-predictions-p1'):
            client.predictions.get("p1")


def test_what_was_not_recorded_is_answered_with_the_nearest_and_how_it_differs(everything, both):
    with LocalReplicate(replay=everything[0]) as server:
        client = both.client(server.base_url)
        with pytest.raises(BadRequestError) as error:
            both(lambda: client.run("acme/shout", input={"text": "ho", "more": [1]}))
        body = json.loads(error.value.body)
        assert body["status"] == 400
        assert body["title"] == "Not recorded"
        assert re.fullmatch(r"\d{4}-post-models-acme-shout-predictions\.json", body["nearest"])
        assert body["differences"] == [
            'body.input.text: recorded "hi", requested "ho"',
            "body.input.more: not recorded, requested [1]",
        ]
        assert server.unrecorded == [body["detail"]]
        assert "POST" in body["detail"]
        assert body["nearest"] in body["detail"]
        with pytest.raises(BadRequestError, match=r'URL: recorded ".*/models/acme/'):
            both(lambda: client.models.get("acme/shot"))
        # It is sent once: nothing would change if it were repeated.
        assert [each.path for each in server.requests].count("/v1/models/acme/shot") == 1


def test_faults_strike_recorded_responses(everything, tmp_path):
    with LocalReplicate(replay=everything[0], at_once=True) as server:
        dropped = server.fault("GET /v1/streams/*", drop_stream=2)
        broken = server.fault("GET /pbxt/*", truncate=1)
        limited = server.fault("POST /models/*", retry_after=0.01)
        client = Replicate(server.token, base_url=server.base_url, poll_interval=0.05)
        # Broken streams and files are resumed.
        assert use_everything(client, tmp_path) == everything[1]
        assert (dropped.hits, broken.hits, limited.hits) == (1, 1, 1)


def test_a_server_with_a_cassette_has_the_page_and_no_models(everything):
    with LocalReplicate(replay=everything[0]) as server:
        with pytest.raises(ValueError, match="acme/x would never run"):
            server.model("acme/x")(shout)
        assert server.models == []
        client = Replicate(server.token, base_url=server.base_url)
        client.models.list()
        page = client.request(f"{server.origin}/-/requests")
        assert "/v1/models" in page.text


def test_its_copy_replays_too(everything):
    with LocalReplicate(replay=everything[0]).copy() as server:
        client = Replicate(server.token, base_url=server.base_url)
        assert client.run("acme/shout", input={"text": "hi"}) == "HI"


def test_tests_of_the_module_client_replay(everything, monkeypatch):
    with LocalReplicate(replay=everything[0]) as server:
        monkeypatch.setenv("REPLICATE_BASE_URL", server.origin)
        monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_any")
        assert replicate_rs.run("acme/shout", input={"text": "hi"}) == "HI"
