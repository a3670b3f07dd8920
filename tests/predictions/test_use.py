"""Models as functions: what a call sends, and what it returns."""

import asyncio
import json
import pickle
import threading

import pytest

import replicate_rs as replicate
from replicate_rs import FileOutput, exceptions, get_path_url
from support.functions import (  # noqa: F401 - fixtures are found by their names
    ABOUT_POEM,
    POEM,
    SHOUT,
    create_client,
    record_requests,
    scripted,
    serve_functions,
)
from support.wire import Wire, prediction, reply


def test_a_call_is_one_request(both, client, server, asked):
    assert both(lambda: client.use("acme/shout")(text="hi")) == "HI"
    assert asked() == [SHOUT]
    assert server.requests[-1].headers["prefer"] == "wait=3"


def test_text_is_joined_and_the_schema_is_fetched_once_in_a_function_s_life(both, client, asked):
    poem = client.use("acme/poem")
    assert both(lambda: poem(about="a b")) == "a b "
    assert both(lambda: poem(about="c d")) == "c d "
    assert both(poem) == ""
    assert asked() == [POEM, ABOUT_POEM, POEM, POEM]


def test_a_list_of_texts_that_are_not_one_text_stays_a_list(both, client, asked):
    words = client.use("acme/words")
    assert both(lambda: words(about="a b")) == ["a", "b"]
    assert both(lambda: words(about="c")) == ["c"]
    assert asked().count("GET /v1/models/acme/words") == 1


def test_other_outputs_ask_for_no_schema(both, client, asked):
    assert both(lambda: client.use("acme/numbers")(to=3)) == [0, 1, 2]
    files = both(lambda: client.use("acme/pictures")())
    assert [type(each) for each in files] == [FileOutput] * 2
    assert isinstance(both(lambda: client.use("acme/picture")()), FileOutput)
    assert both(lambda: client.use("acme/shout")(text=["a", 1])) == ["a", 1]
    assert [each.split()[0] for each in asked()] == ["POST"] * 4


def test_files_are_text_for_a_client_that_wants_them_so(both, server, asked):
    client = both.client(server.base_url, use_file_output=False)
    assert all(type(each) is str for each in both(lambda: client.use("acme/pictures")()))
    assert len(asked()) == 1


def test_a_version_is_asked_for_its_own_schema(both, client, server, asked):
    id = server.version("acme/poem")
    schema = f"GET /v1/models/acme/poem/versions/{id}"
    for ref in (f"acme/poem:{id}", id):
        poem = client.use(ref)
        assert [both(lambda: poem(about="a b")) for _ in range(2)] == ["a b "] * 2
    assert asked() == ["POST /v1/predictions", schema, "POST /v1/predictions"] * 2


def test_objects_that_name_a_model_are_references(both, client, server, asked):
    class Named:
        name = "acme/poem"

    model = both(lambda: client.models.get("acme/poem"))
    version = both(lambda: client.models.versions.get("acme", "poem", server.version("acme/poem")))
    before = len(asked())
    assert [both(lambda: client.use(ref)(about="a b")) for ref in (model, version, Named())] == [
        "a b "
    ] * 3
    # The first two have their schema with them.
    assert asked()[before:] == [POEM, "POST /v1/predictions", POEM, ABOUT_POEM]
    assert repr(client.use(Named())).endswith("Function('acme/poem')")


@pytest.mark.parametrize(
    ("about", "calls"),
    [
        (reply({"detail": "no"}, 404), 2),
        (reply({"detail": "no"}, 403), 2),
        (reply({"latest_version": None}), 2),
    ],
)
def test_what_cannot_be_seen_stays_a_list(both, about, calls):
    done = prediction(version="hidden", output=["a", "b"])
    with Wire(lambda seen: about if seen.method == "GET" else reply(done, 201)) as wire:
        poem = both.client(wire.base_url).use("acme/x")
        assert [both(poem) for _ in range(calls)] == [["a", "b"]] * calls
    post = "POST /v1/models/acme/x/predictions"
    assert wire.routes == [post, "GET /v1/models/acme/x", post]


def test_an_official_model_s_text_is_joined_though_its_version_is_hidden(both):
    shape = {"type": "array", "x-cog-array-type": "iterator", "x-cog-array-display": "concatenate"}
    model = {
        "owner": "a",
        "name": "x",
        "latest_version": {"openapi_schema": {"components": {"schemas": {"Output": shape}}}},
    }
    done = prediction(version="hidden", output=["a", "b"])
    with Wire(lambda seen: reply(model) if seen.method == "GET" else reply(done, 201)) as wire:
        assert both(both.client(wire.base_url).use("acme/x")) == "ab"


def test_a_schema_that_does_not_come_is_raised_with_the_prediction_and_asked_for_again(both):
    abouts = iter([reply(status=503), reply({"latest_version": None})])
    done = prediction(output=["a"])
    with Wire(lambda seen: next(abouts) if seen.method == "GET" else reply(done, 201)) as wire:
        poem = both.client(wire.base_url, max_retries=0).use("acme/x")
        with pytest.raises(exceptions.InternalServerError) as caught:
            both(poem)
        assert caught.value.prediction.output == ["a"]
        assert both(poem) == ["a"]


def test_a_failed_model_raises(both, client):
    with pytest.raises(replicate.ModelError, match="OOM") as caught:
        both(lambda: client.use("acme/fail")())
    assert caught.value.prediction.status == "failed"
    run = both(lambda: client.use("acme/fail").create())
    with pytest.raises(replicate.ModelError, match="OOM"):
        both(run.output)


def test_inputs_have_names(both, client, asked):
    shout = client.use("acme/shout")
    with pytest.raises(TypeError, match="acme/shout takes its inputs by name: use name=value$"):
        both(lambda: shout("hi"))
    with pytest.raises(TypeError, match=r"name=value, or \*\* before the dict"):
        both(lambda: shout({"text": "hi"}))
    with pytest.raises(TypeError, match="by name"):
        both(lambda: shout.create("hi"))
    assert asked() == []


def test_any_name_may_be_an_input_s(both):
    inputs = {
        "self": 1,
        "args": 2,
        "inputs": 3,
        "ref": 4,
        "client": 5,
        "streaming": 6,
        "hint": 7,
        "input": {"input": 8},
    }
    with Wire(lambda _: reply(prediction(output=1), 201)) as wire:
        both(lambda: both.client(wire.base_url).use("acme/x")(**inputs))
    assert json.loads(wire.seen[0].body) == {"input": inputs}


def test_create_does_not_hold_and_its_run_waits(both, client, server, asked):
    poem = client.use("acme/poem")
    run = both(lambda: poem.create(about="a b"))
    assert "prefer" not in server.requests[-1].headers
    assert run.prediction.status == "starting"
    assert run.prediction.id in repr(run)
    assert both(run.output) == "a b "
    assert run.prediction.status == "succeeded"
    before = len(asked())
    assert both(run.output) == "a b "
    assert "counting syllables" in both(run.logs)
    assert len(asked()) == before


def test_logs_are_fetched_while_the_model_runs(both):
    with scripted(poll=[prediction("processing", logs="1"), prediction(logs="12")]) as wire:
        run = both(lambda: both.client(wire.base_url).use("acme/x").create())
        assert [both(run.logs) for _ in range(3)] == ["1", "12", "12"]


def test_nothing_is_sent_and_no_token_needed_before_the_call(both):
    client = both.kind(base_url="https://api.replicate.invalid")
    poem = client.use("acme/poem")
    with pytest.raises(exceptions.MissingTokenError):
        both(lambda: poem(about="a"))


@pytest.mark.parametrize("ref", ["poem", "a/b/c", "", 5, None])
def test_a_malformed_reference_is_refused_where_it_is_written(both, ref):
    with pytest.raises((ValueError, TypeError), match="ref"):
        both.kind().use(ref)


def test_functions_are_pickled_by_their_client(both, client):
    poem = client.use("acme/poem")
    assert both(lambda: poem(about="a b")) == "a b "
    again = pickle.loads(
        pickle.dumps(both.client(client.base_url, api_token=token).use("acme/poem"))
    )
    assert both(lambda: again(about="a b")) == "a b "


def token():
    return "r8_secret"


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_module_s_function_goes_through_the_default_client_of_the_moment(
    server, monkeypatch, mode
):
    monkeypatch.delitem(vars(replicate), "default_client", raising=False)
    poem = replicate.use("acme/poem", use_async=mode == "async")
    streaming = replicate.use("acme/poem", streaming=True, use_async=mode == "async")
    assert "default_client" not in vars(replicate)
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_secret")
    monkeypatch.setenv("REPLICATE_BASE_URL", server.base_url)
    try:
        if mode == "sync":
            assert poem(about="a b") == "a b "
            assert str(streaming(about="a b")) == "a b "
        else:
            assert asyncio.run(poem(about="a b")) == "a b "

            async def main():
                return [each async for each in await streaming(about="a b")]

            assert asyncio.run(main()) == ["a ", "b "]
    finally:
        vars(replicate).pop("default_client")


def test_use_stays_a_function_after_its_submodule_is_imported():
    import replicate_rs.use

    assert callable(replicate_rs.use)
    assert replicate.use is replicate_rs.use


def test_functions_work_in_classes_and_threads(server):
    class Writer:
        poem = replicate.Replicate(base_url=server.base_url, api_token="r8_secret").use("acme/poem")

        def write(self, about):
            written.append(self.poem(about=about))

    written: list[str] = []
    threads = [threading.Thread(target=Writer().write, args=(str(n),)) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(written) == [f"{n} " for n in range(8)]


def test_get_path_url(client):
    from pathlib import Path

    file = FileOutput("https://replicate.delivery/a.png", client._session)
    assert get_path_url(file) == file.__url__ == "https://replicate.delivery/a.png"
    assert [
        get_path_url(each) for each in (Path("a"), object(), "https://x", None, FileOutput)
    ] == [None] * 5


@pytest.mark.parametrize("owned", [True, False])
def test_a_cancelled_task_cancels_the_prediction_of_its_own_call_whose_output_is_whole(owned):
    async def main(wire):
        function = replicate.AsyncReplicate(base_url=wire.base_url, poll_interval=60).use("acme/x")
        waits_for = function() if owned else (await function.create()).output()
        task = asyncio.ensure_future(waits_for)
        # The answer comes, and the interval passes.
        await asyncio.to_thread(wire.until, lambda: len(wire.seen) >= 1)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if owned:
            await asyncio.to_thread(
                wire.until, lambda: "POST /v1/predictions/p1/cancel" in wire.routes
            )

    with scripted() as wire:
        asyncio.run(main(wire))
        assert ("POST /v1/predictions/p1/cancel" in wire.routes) == owned
