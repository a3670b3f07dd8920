"""What a client gives has the client's mode: records, pages, files and streams of an
`AsyncReplicate` are awaited.
"""

import asyncio
import copy
import inspect
import pickle

import pytest

import replicate_rs as replicate
from replicate_rs import (
    Async,
    AsyncReplicate,
    Collection,
    Deployment,
    File,
    FileOutput,
    Model,
    Page,
    Prediction,
    Replicate,
    ServerSentEvent,
    Sync,
    Training,
    Version,
)
from replicate_rs._base.operation import operation
from replicate_rs._base.streaming import AsyncStream, Stream
from replicate_rs._client.search import SearchResult
from support.asgi import send_request
from support.wire import Wire, prediction, reply

INLINE = "data:text/plain;base64,aGVsbG8="

MODEL = {
    "owner": "acme",
    "name": "x",
    "latest_version": {"id": "v"},
    "default_example": prediction(),
}
DEPLOYMENT = {
    "owner": "acme",
    "name": "d",
    "current_release": {
        "number": 1,
        "configuration": {"hardware": "cpu"},
        "created_by": {"username": "u"},
    },
}


def anything(seen):
    """Answer any request with records of the right kind, with records in them."""
    path = seen.path.removeprefix("/v1").partition("?")[0]
    if seen.method == "GET" and path == "/hardware":
        return reply([{"name": "CPU", "sku": "cpu"}])
    kinds = {
        "predictions": prediction(urls={"stream": "https://127.0.0.1:1/x"}),
        "examples": prediction(),
        "trainings": prediction(id="t1"),
        "models": MODEL,
        "versions": {"id": "v"},
        "deployments": DEPLOYMENT,
        "collections": {"slug": "s", "name": "S", "models": [MODEL]},
        "files": {"id": "f", "urls": {"get": "https://x/f"}},
    }
    parts = [part for part in path.split("/") if part]
    if parts == ["account"]:
        return reply({"type": "user", "username": "u"})
    if parts == ["search"]:
        return reply(
            {
                "query": "q",
                "pages": [],
                "models": [{"model": MODEL}],
                "collections": [{"slug": "s", "name": "S"}],
            }
        )
    if parts == ["webhooks", "default", "secret"]:
        return reply({"key": "whsec_"})
    is_list = parts[-1] in kinds and (
        seen.method == "QUERY" or (seen.method == "GET" and len(parts) in (1, 4))
    )
    if is_list:
        return reply({"results": [kinds[parts[-1]]] * 2, "next": None, "previous": None})
    named = next(part for part in reversed(parts) if part in kinds)
    return reply(kinds[named], 201 if seen.method == "POST" else 200)


# Every operation that gives a record or a page of them, as each client spells it.
GIVES = {
    "accounts.current": lambda c: c.accounts.current(),
    "collections.list": lambda c: c.collections.list(),
    "collections.get": lambda c: c.collections.get("s"),
    "deployments.list": lambda c: c.deployments.list(),
    "deployments.get": lambda c: c.deployments.get("acme/d"),
    "deployments.create": lambda c: c.deployments.create("d", "acme/x", "v", "cpu", 0, 1),
    "deployments.update": lambda c: c.deployments.update("acme/d", max_instances=2),
    "deployments.predictions.create": lambda c: c.deployments.predictions.create("acme/d", {}),
    "files.create": lambda c: c.files.create(b"x"),
    "files.get": lambda c: c.files.get("f"),
    "files.list": lambda c: c.files.list(),
    "hardware.list": lambda c: c.hardware.list(),
    "models.list": lambda c: c.models.list(),
    "models.search": lambda c: c.models.search("q"),
    "models.get": lambda c: c.models.get("acme/x"),
    "models.create": lambda c: c.models.create("acme", "x", visibility="private", hardware="cpu"),
    "models.update": lambda c: c.models.update("acme/x", readme=""),
    "models.examples.list": lambda c: c.models.examples.list("acme/x"),
    "models.predictions.create": lambda c: c.models.predictions.create("acme/x", {}),
    "models.versions.list": lambda c: c.models.versions.list("acme/x"),
    "models.versions.get": lambda c: c.models.versions.get("acme/x", version_id="v"),
    "predictions.create": lambda c: c.predictions.create("v", {}),
    "predictions.get": lambda c: c.predictions.get("p1"),
    "predictions.cancel": lambda c: c.predictions.cancel("p1"),
    "predictions.wait": lambda c: c.predictions.wait("p1"),
    "predictions.list": lambda c: c.predictions.list(),
    "search": lambda c: c.search("q"),
    "trainings.create": lambda c: c.trainings.create("acme/x:v", {}, "acme/y"),
    "trainings.get": lambda c: c.trainings.get("t1"),
    "trainings.cancel": lambda c: c.trainings.cancel("t1"),
    "trainings.list": lambda c: c.trainings.list(),
}


def records_in(value, seen=None):
    """Every record in a value, through pages, lists and properties."""
    seen = [] if seen is None else seen
    if isinstance(value, (Page, list)):
        for each in list(value):
            records_in(each, seen)
    elif isinstance(value, replicate._base.record.Record):
        seen.append(value)
        for name in dir(type(value)):
            if (
                isinstance(getattr(type(value), name), property)
                and name not in type(value).fields
                and not name.startswith("_")
            ):
                records_in(getattr(value, name), seen)
    return seen


def methods_of(record):
    """The public operations of a record, and of the namespaces that it has, bound."""
    for owner in (record, *(getattr(record, name, None) for name in ("versions", "predictions"))):
        for name in dir(type(owner)):
            if isinstance(
                inspect.getattr_static(type(owner), name), operation
            ) and not name.startswith("_"):
                yield getattr(owner, name)


@pytest.mark.parametrize("name", GIVES)
def test_every_record_and_each_one_in_it_has_its_client_s_mode(name, both):
    with Wire(anything) as wire:
        given = both(lambda: GIVES[name](both.client(wire.base_url)))
        found = records_in(given)
        assert found
        for record in found:
            for method in methods_of(record):
                assert inspect.iscoroutinefunction(method) == both.is_async, (type(record), method)


def test_a_record_s_methods_are_awaited_or_block(both, local):
    client = both.client(local.base_url, poll_interval=0.01)
    made = both(lambda: client.predictions.create(model="acme/shout", input={"text": "hi"}))
    assert both(made.wait) is None
    assert (made.status, made.output) == ("succeeded", "HI")
    assert both(made.reload) is None
    slow = both(lambda: client.predictions.create(model="acme/slow", input={}))
    assert both(slow.cancel) is None
    both(slow.wait)
    assert slow.status == "canceled"
    tokens = both(lambda: client.predictions.create(model="acme/tokens", input={"text": "a b"}))
    assert "".join(map(str, both(tokens.stream))) == "a b "
    assert isinstance(made, Prediction)


def test_the_models_of_an_async_client_are_awaited(both, local):
    client = both.client(local.base_url)
    model = both(lambda: client.models.get("acme/shout"))
    both(model.reload)
    versions = both(model.versions.list)
    assert both(lambda: model.versions.get(versions[0].id)) == versions[0]
    assert isinstance(model, Model)


def test_trainings_and_growing_outputs_are_awaited(both):
    states = iter(["starting", "processing", "succeeded"])
    grown = iter([["a"], ["a", "b"], ["a", "b", "c"]])

    def script(seen):
        if "trainings" in seen.path:
            return reply(prediction(next(states), id="t1"), 201 if seen.method == "POST" else 200)
        output = next(grown)
        return reply(prediction("succeeded" if len(output) == 3 else "processing", output=output))

    with Wire(script) as wire:
        client = both.client(wire.base_url, poll_interval=0.001)
        training = both(lambda: client.trainings.create("acme/x:v", {}, "acme/y"))
        both(training.wait)
        assert training.status == "succeeded"
        one = both(lambda: client.predictions.get("p1"))
        assert both(one.output_iterator) == ["b", "c"]


def test_a_deployment_starts_its_predictions_in_the_client_s_mode(both):
    with Wire(anything) as wire:
        deployment = both(lambda: both.client(wire.base_url).deployments.get("acme/d"))
        made = both(lambda: deployment.predictions.create({}))
        assert made.id == "p1"
        assert inspect.iscoroutinefunction(made.reload) == both.is_async


def test_the_loop_goes_on_while_a_record_waits(local):
    async def main():
        client = AsyncReplicate("r8_secret", base_url=local.base_url, poll_interval=0.01)
        made = await client.predictions.create(model="acme/slow", input={"seconds": 0.3})
        waiting = asyncio.ensure_future(made.wait())
        turns = 0
        while not waiting.done():
            await asyncio.sleep(0.01)
            turns += 1
        await waiting
        return made.status, turns

    status, turns = asyncio.run(main())
    assert status == "succeeded"
    assert turns > 3


def test_what_the_twins_of_a_blocking_client_give_blocks(local):
    """As in 1.0.7: the mode is the client's, and not that of the call."""

    async def main():
        client = Replicate("r8_secret", base_url=local.base_url, poll_interval=0.01)
        made = await client.predictions.async_create(model="acme/shout", input={"text": "hi"})
        await made.async_wait()
        page = await client.predictions.async_list()
        model = await client.models.async_get("acme/shout")
        listed = await model.versions.async_list()
        output = await client.async_run("acme/reverse", {"file": b"abc"})
        return made, page, model, listed, output, await output.aread()

    made, page, model, listed, output, content = asyncio.run(main())
    assert made.reload() is None
    assert page[0].reload() is None
    assert model.reload() is None
    assert listed[0].id == model.latest_version.id
    assert output.read() == content == b"cba"


def test_the_async_names_are_there_with_both_clients(both, local):
    client = both.client(local.base_url, poll_interval=0.01)
    made = both(lambda: client.predictions.create(model="acme/reverse", input={"file": b"abc"}))

    async def main():
        await made.async_wait()
        await made.async_reload()
        output = FileOutput(made.output, client)
        assert await output.aread() == b"cba"
        assert b"".join([chunk async for chunk in output]) == b"cba"
        assert b"".join([chunk async for chunk in output.achunks()]) == b"cba"
        with await output.aopen() as opened:
            assert opened.read() == b"cba"

    asyncio.run(main())


def test_files_are_read_saved_and_opened_in_the_client_s_mode(both, local, tmp_path):
    client = both.client(local.base_url, poll_interval=0.01)
    output = both(lambda: client.run("acme/reverse", {"file": b"abc"}))
    assert isinstance(output, FileOutput)
    assert both(output.read) == b"cba"
    assert both(lambda: output.read(2)) == b"cb"
    assert both(lambda: output.save(tmp_path / "x")).read_bytes() == b"cba"
    assert b"".join(both(output.chunks)) == b"cba"
    with both(output.open) as opened:
        assert opened.read() == b"cba"


@pytest.mark.parametrize("url", [INLINE, INLINE.replace("aGVsbG8=", "aGVsbG8g" + "ICAg" * 100_000)])
def test_files_in_their_address_have_the_mode_too(both, url):
    output = FileOutput(url, both.client("http://127.0.0.1:1"))
    content = both(output.read)
    assert content.startswith(b"hello")
    assert output.size == len(content)
    with both(output.open) as opened:
        assert opened.read() == content


def test_a_blocking_loop_over_an_awaited_file_is_refused():
    output = FileOutput(INLINE, AsyncReplicate("r8_secret"))
    with pytest.raises(TypeError, match="async for"):
        list(output)


def test_a_path_of_an_awaited_file_is_there_for_what_takes_paths(both, local):
    client = both.client(local.base_url, poll_interval=0.01)
    output = both(lambda: client.run("acme/reverse", {"file": b"abc"}))
    with open(output, "rb") as copied:
        assert copied.read() == b"cba"


def test_files_anywhere_in_an_output_and_in_streams_have_the_mode(both):
    url = "https://127.0.0.1:1/x.png"

    def script(seen):
        if seen.path.startswith("/v1/files/"):
            events = f"event: output\nid: 1\ndata: {url}\n\nevent: done\nid: 2\ndata: {{}}\n\n"
            return reply(events.encode(), kind="text/event-stream")
        stream = {"stream": f"{wire.origin}/v1/files/p1"}
        return reply(
            prediction(output={"deep": [url]}, urls=stream), 201 if seen.method == "POST" else 200
        )

    with Wire(script) as wire:
        client = both.client(wire.base_url)
        deep = both(lambda: client.run("acme/x", {}))["deep"][0]
        events = both(lambda: client.stream("acme/x", {}))
        made = both(lambda: client.predictions.get("p1"))
        again = both(made.stream)
        by_id = both(lambda: client.predictions.stream("p1"))
        for output in (deep, events[0].data, again[0].data, by_id[0].data):
            assert inspect.iscoroutinefunction(output.read) == both.is_async


def test_streams_of_records_are_the_client_s(both):
    with Wire(anything) as wire:
        made = both(lambda: both.client(wire.base_url).predictions.get("p1"))
    kind = AsyncStream if both.is_async else Stream
    assert isinstance(made.stream(), kind)
    assert isinstance(made.output_iterator(), kind)
    assert isinstance(made.async_stream(), AsyncStream)
    assert isinstance(FileOutput(INLINE, made).chunks(), kind)


def test_runs_of_functions_have_predictions_in_their_mode(both, client):
    shout = client.use("acme/shout")
    run = both(lambda: shout.create(text="hi"))
    assert both(run.output) == "HI"
    assert both(run.prediction.reload) is None
    streaming = both(lambda: client.use("acme/tokens", streaming=True)(text="a b"))
    assert both(streaming.prediction.reload) is None
    reverse = both(lambda: client.use("acme/reverse")(file=b"abc"))
    assert both(reverse.read) == b"cba"


def test_an_awaited_function_of_the_default_client_gives_what_is_awaited(local, monkeypatch):
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_secret")
    monkeypatch.setenv("REPLICATE_BASE_URL", local.base_url)
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", "0.01")

    async def main():
        reverse = replicate.use("acme/reverse", use_async=True)
        run = await reverse.create(file=b"abc")
        output = await run.output()
        await run.prediction.reload()
        return await output.read(), await (await reverse(file=b"abc")).read()

    one, other = asyncio.run(main())
    assert one == other == b"cba"
    assert replicate.use("acme/reverse")(file=b"abc").read() == one
    assert replicate.predictions.list()[0].reload() is None


def test_the_prediction_of_an_error_has_the_client_s_mode(both, local):
    client = both.client(local.base_url, poll_interval=0.01)
    with pytest.raises(replicate.ModelError) as failed:
        both(lambda: client.run("acme/fail", {}))
    assert both(failed.value.prediction.reload) is None
    made = both(lambda: client.predictions.create(model="acme/slow", input={}))
    with pytest.raises(replicate.PredictionTimeout) as late:
        both(lambda: made.wait(timeout=0.05))
    assert both(late.value.prediction.cancel) is None


def test_an_error_of_a_twin_has_a_prediction_in_the_client_s_mode(local):
    async def main():
        client = Replicate("r8_secret", base_url=local.base_url, poll_interval=0.01)
        made = await client.predictions.async_create(model="acme/fail", input={})
        errors = []
        for call in (
            lambda: made.async_wait(timeout=1e-6),
            made.async_stream().collect,
            made.async_output_iterator().__anext__,
        ):
            try:
                await call()
            except replicate.ReplicateError as error:
                errors.append(error)
        return errors

    errors = asyncio.run(main())
    assert errors
    for error in errors:
        assert error.prediction.reload() is None


def test_what_came_by_webhook_or_was_made_by_hand_blocks():
    verifier = replicate.WebhookVerifier(secret := "whsec_aGVsbG8=")
    from time import time

    body, now = b'{"id": "p1", "status": "succeeded"}', str(int(time()))
    headers = {
        "webhook-id": "m",
        "webhook-timestamp": now,
        "webhook-signature": replicate.sign_webhook(secret, "m", now, body),
    }
    for record in (
        verifier.unwrap(headers, body),
        Prediction(id="p1"),
        Prediction.parse_obj({"id": "p1"}),
    ):
        assert not inspect.iscoroutinefunction(record.reload)


def test_copies_keep_the_mode_and_pickles_belong_to_the_default_client(both):
    with Wire(anything) as wire:
        client = both.client(wire.base_url)
        made = both(lambda: client.predictions.get("p1"))
        output = FileOutput(INLINE, client)
        for twin in (made.copy(), copy.copy(made), copy.deepcopy(made), copy.deepcopy([made])[0]):
            assert twin == made
            assert twin is not made
            assert both(twin.reload) is None
        for twin in (copy.copy(output), copy.deepcopy(output)):
            assert twin == output
            assert both(twin.read) == b"hello"
        assert len({made.id for made in both(client.predictions.list)}) == 1
    for thing in (made, output):
        unpickled = pickle.loads(pickle.dumps(thing))
        assert unpickled == thing
        assert type(unpickled) is type(thing)
        assert not inspect.iscoroutinefunction(
            unpickled.reload if isinstance(thing, Prediction) else unpickled.read
        )


def test_clients_with_other_options_keep_their_mode(both):
    with Wire(anything) as wire:
        client = both.client(wire.base_url).with_options(timeout=5)
        made = both(lambda: client.predictions.get("p1"))
        assert both(made.reload) is None
        assert both(lambda: client.wait(made)).id == "p1"


def test_waiting_gives_a_record_of_the_client_that_waited(both):
    with Wire(anything) as wire:
        other = (
            Replicate("r8_secret", base_url=wire.base_url)
            if both.is_async
            else both.client(wire.base_url)
        )
        done = both(lambda: both.client(wire.base_url).wait(other.predictions.get("p1")))
        assert both(done.reload) is None


def test_records_of_either_client_are_equal_and_of_one_class(both):
    with Wire(anything) as wire:
        made = both(lambda: both.client(wire.base_url).predictions.get("p1"))
        assert made == Replicate("r8_secret", base_url=wire.base_url).predictions.get("p1")
    assert type(made) is Prediction


@pytest.mark.parametrize(
    "kind",
    [
        Prediction,
        Training,
        Model,
        Version,
        Deployment,
        Collection,
        File,
        FileOutput,
        ServerSentEvent,
        Page,
    ],
)
def test_annotations_may_name_the_mode(kind):
    assert kind[Async] is kind
    assert kind[Sync] is kind


def test_a_fastapi_response_model_may_name_the_mode():
    import fastapi

    app = fastapi.FastAPI()

    with Wire(anything) as wire:

        @app.get("/one")
        async def one() -> Prediction[Async]:
            return await AsyncReplicate("r8_secret", base_url=wire.base_url).predictions.get("p1")

        assert send_request(app, "GET", "/one") == (
            200,
            prediction(urls={"stream": "https://127.0.0.1:1/x"}),
        )


def test_an_async_search_finds_records_that_are_awaited(both):
    with Wire(anything) as wire:
        found = both(lambda: both.client(wire.base_url).search("q"))
        assert isinstance(found, SearchResult)
        both(found.models[0].model.reload)


def test_a_file_that_a_model_made_is_uploaded_without_blocking_the_loop(local):
    async def main():
        client = AsyncReplicate("r8_secret", base_url=local.base_url, poll_interval=0.01)
        output = await client.run("acme/reverse", {"file": b"abc"})
        made = await client.files.create(output)
        return made.size

    assert asyncio.run(main()) == 3
