"""A model as a function: what a call sends, what it gives, and what may be put into it."""

import _thread
import asyncio
import json
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import replicate_rs as replicate
from replicate_rs import FileOutput, exceptions, get_path_url
from replicate_rs.local import LocalReplicate
from replicate_rs.use import AsyncOutputIterator, OutputIterator
from support.wire import Wire, hang, prediction, reply

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
POEM = "POST /v1/models/acme/poem/predictions"
SHOUT = "POST /v1/models/acme/shout/predictions"
ABOUT_POEM = "GET /v1/models/acme/poem"


@pytest.fixture(scope="module")
def server() -> Iterator[LocalReplicate]:
    server = LocalReplicate(token="r8_secret")

    @server.model("acme/poem", stream=True)
    def poem(about: str = "") -> Iterator[str]:
        print("counting syllables")
        for word in about.split():
            yield f"{word} "

    @server.model("acme/words")
    def words(about: str = "") -> Iterator[str]:
        yield from about.split()

    @server.model("acme/numbers")
    def numbers(to: int) -> Iterator[int]:
        yield from range(to)

    @server.model("acme/shout")
    def shout(text: Any) -> Any:
        return text.upper() if isinstance(text, str) else text

    @server.model("acme/picture")
    def picture(prompt: bytes = b"") -> bytes:
        return b"picture " + prompt

    @server.model("acme/pictures")
    def pictures(count: int = 2) -> Iterator[bytes]:
        for number in range(count):
            yield b"%d" % number

    @server.model("acme/fail", stream=True)
    def fail() -> Iterator[str]:
        yield "so far "
        raise RuntimeError("OOM")

    with server:
        yield server


@pytest.fixture
def client(both, server):
    return both.client(server.base_url, poll_interval=0.005)


@pytest.fixture
def asked(server):
    """What was asked of the server since the test began."""
    before = len(server.requests)
    return lambda: [f"{each.method} {each.path}" for each in server.requests[before:]]


def parts(both, iterator):
    return both(lambda: aiter(iterator) if both.is_async else iter(iterator))


def scripted(*streams, urls="stream", poll=(), **answers):
    """A server with one prediction, whose stream is opened once for each of `streams`."""
    opened = iter(streams)
    polls = iter(poll)

    def script(seen):
        if seen.path == "/stream":
            answer = next(opened)
            return (
                answer if callable(answer) else lambda connection: connection.sendall(HEAD + answer)
            )
        if seen.path in answers:
            return answers[seen.path]
        if seen.path.endswith("/cancel"):
            return reply(prediction("canceled"))
        if seen.method == "POST":
            return reply(prediction("starting", urls={urls: f"{wire.origin}/stream"}), 201)
        if seen.path == "/v1/predictions/p1":
            return reply(next(polls))
        return reply({"detail": "not found"}, 404)

    wire = Wire(script)
    return wire


def output(*texts):
    return b"".join(b"event: output\ndata: %s\n\n" % each.encode() for each in texts)


DONE = b"event: done\ndata: {}\n\n"


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


def test_runs_and_iterators_are_inputs(both, client):
    shout, poem = client.use("acme/shout"), client.use("acme/poem")
    streaming = client.use("acme/poem", streaming=True)

    values = [
        both(lambda: poem.create(about="a b")),
        both(lambda: streaming.create(about="c d")),
        both(lambda: streaming(about="e f")),
        both(lambda: client.use("acme/numbers", streaming=True)(to=2)),
        both(lambda: client.use("acme/numbers").create(to=2)),
    ]
    whole = ["a b ", "c d ", "e f ", [0, 1], [0, 1]]
    assert both(lambda: shout(text={"deep": [tuple(values)], "plain": None})) == {
        "deep": [whole],
        "plain": None,
    }
    assert both(lambda: shout(text=values)) == whole
    run = both(lambda: shout.create(text=values[0]))
    assert both(run.output) == "A B "


def test_files_of_one_model_go_into_another(both, client):
    picture = client.use("acme/picture")
    first = both(picture)
    assert both(both(lambda: picture(prompt=first)).read) == b"picture picture "
    run = both(lambda: picture.create(prompt=b"1"))
    assert both(both(lambda: picture(prompt=run)).read) == b"picture picture 1"
    streamed = both(lambda: client.use("acme/picture", streaming=True)(prompt=b"2"))
    assert both(both(lambda: picture(prompt=streamed)).read) == b"picture picture 2"

    class Path2:
        __url__ = first.url

    assert both(both(lambda: picture(prompt=Path2())).read) == b"picture picture "


def test_a_run_of_one_kind_goes_into_a_function_of_the_other(server):
    blocking = replicate.Replicate(
        base_url=server.base_url, api_token="r8_secret", poll_interval=0.005
    )
    awaiting = replicate.AsyncReplicate(
        base_url=server.base_url, api_token="r8_secret", poll_interval=0.005
    )
    run = blocking.use("acme/poem").create(about="a")
    streamed = blocking.use("acme/poem", streaming=True)(about="b")

    async def main():
        shout = awaiting.use("acme/shout")
        assert await asyncio.gather(shout(text=run), shout(text=streamed)) == ["A ", "B "]
        poem = awaiting.use("acme/poem", streaming=True)
        return await poem.create(about="c"), await poem(about="d")

    assert blocking.use("acme/shout")(text=list(asyncio.run(main()))) == ["c ", "d "]


def test_a_run_that_is_an_input_twice_is_waited_for_once(both):
    with scripted(poll=[prediction(output="out")]) as wire:
        use = both.client(wire.base_url, poll_interval=0.001).use
        run = both(use("acme/x").create)
        both(lambda: use("acme/y").create(a=run, b=[run, {"c": run}]))
    assert json.loads(wire.seen[-1].body)["input"] == {"a": "out", "b": ["out", {"c": "out"}]}


def test_what_json_cannot_carry_is_refused_with_and_without_a_run_beside_it(both):
    cycle: list[Any] = []
    cycle.append(cycle)
    with scripted(poll=[prediction(output="out")]) as wire:
        use = both.client(wire.base_url, poll_interval=0.001).use
        run = both(use("acme/x").create)
        for inputs in ({"a": cycle}, {"a": cycle, "b": run}):
            with pytest.raises(ValueError, match=r"input\.a\[0\] is input\.a again"):
                both(lambda: use("acme/x")(**inputs))


def test_an_input_that_failed_fails_the_call_before_it_is_sent(both, client, asked):
    failing = both(lambda: client.use("acme/fail").create())
    with pytest.raises(replicate.ModelError, match="OOM"):
        both(lambda: client.use("acme/shout")(text=[failing]))
    assert SHOUT not in asked()


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


def test_the_schema_is_given_as_2_gives_it(both, client, server, asked):
    poem = client.use("acme/poem")
    schema = both(poem.openapi_schema)
    assert schema["components"]["schemas"]["Input"]["properties"]["about"]["type"] == "string"
    # Paths are the model server's, and what is referred to is where it is referred to.
    assert schema["paths"] == {}
    assert set(schema["components"]["schemas"]) <= {"Input", "Output"}
    assert "$ref" not in json.dumps(schema)
    assert both(lambda: poem(about="a")) == "a "
    assert asked() == [ABOUT_POEM, POEM]
    with pytest.raises(replicate.ReplicateError, match="name its model"):
        both(client.use(server.version("acme/poem")).openapi_schema)
    with pytest.raises(exceptions.NotFoundError):
        both(client.use("acme/nobody").openapi_schema)
    with pytest.raises(NotImplementedError, match="models.get"):
        poem.default_example


def schemas_of(both, schemas, **version):
    """What a function gives as the schemas of a model that has these."""
    whole = {
        "info": {"title": "Cog"},
        "paths": {"/": {"$ref": "#/components/schemas/Health"}},
        "components": {"schemas": schemas},
    }
    model = {"latest_version": {"openapi_schema": whole, **version}}
    with Wire(lambda _: reply(model)) as wire:
        given = both(both.client(wire.base_url).use("acme/x").openapi_schema)
    assert (given["info"], given["paths"]) == ({"title": "Cog"}, {})
    return given["components"]["schemas"]


def test_schemas_that_were_referred_to_are_left_out(both):
    enum = {"enum": ["a", "b"]}
    given = schemas_of(
        both,
        {
            "Input": {"properties": {"kind": {"allOf": [{"$ref": "#/components/schemas/kind"}]}}},
            "Output": {"type": "array"},
            "TrainingInput": {"$ref": "#/components/schemas/Training"},
            "Training": {"type": "object"},
            "kind": enum,
            "Health": {"type": "string"},
            "Unused": {"type": "null"},
        },
        cog_version="0.3.8",
    )
    assert given == {
        "Input": {"properties": {"kind": {"allOf": [enum]}}},
        # Before 0.3.9 schemas did not say which arrays grow.
        "Output": {"type": "array", "x-cog-array-type": "iterator"},
        "TrainingInput": {"type": "object"},
        "Unused": {"type": "null"},
    }


def test_a_schema_that_contains_itself_or_nothing(both):
    many = {f"S{n}": {"items": [{"$ref": f"#/components/schemas/S{n + 1}"}] * 2} for n in range(64)}
    tree = {
        "Input": {"tree": {"$ref": "#/components/schemas/Tree"}},
        "Tree": {"left": {"$ref": "#/components/schemas/Tree"}},
        "Odd": {"$ref": "#/nowhere/x"},
        **many,
    }
    schemas = schemas_of(both, tree)
    assert schemas["Tree"]["left"]["left"] == {"$ref": "#/components/schemas/Tree"}
    assert schemas["Odd"] == {"$ref": "#/nowhere/x"}
    assert "S0" in schemas
    assert "S1" not in schemas
    with Wire(
        lambda _: reply({"latest_version": {"openapi_schema": {"openapi": "3.0.2"}}})
    ) as wire:
        assert both(both.client(wire.base_url).use("acme/x").openapi_schema) == {
            "openapi": "3.0.2",
            "paths": {},
        }


ABOUT_X, CREATE_X = "GET /v1/models/acme/x", "POST /v1/models/acme/x/predictions"


def community(*, newest="v9", **done):
    """A server with a model that is run by its version only."""

    def script(seen):
        if seen.path == "/v1/files":
            return reply({"id": "f1", "urls": {"get": "https://files.test/1"}}, 201)
        if seen.path == "/v1/models/acme/x" and newest != "unseen":
            return reply(
                {
                    "owner": "acme",
                    "name": "x",
                    "latest_version": newest and {"id": newest, "openapi_schema": {}},
                }
            )
        if f"{seen.method} {seen.path}" == "POST /v1/predictions":
            return reply(prediction(output="done", **done), 201)
        if seen.method == "GET" and seen.path.startswith("/v1/predictions/"):
            return reply(prediction(output="done"))
        return reply({"detail": "The requested resource could not be found.", "status": 404}, 404)

    return Wire(script)


def test_a_model_that_has_no_create_of_its_own_runs_with_its_newest_version(both):
    with community() as wire:
        use = both.client(wire.base_url).use
        function = use("acme/x")
        assert [both(lambda: function(text="hi")) for _ in range(2)] == ["done", "done"]
        assert wire.routes == [CREATE_X, ABOUT_X, "POST /v1/predictions", "POST /v1/predictions"]
        assert json.loads(wire.seen[2].body) == {"version": "v9", "input": {"text": "hi"}}
        assert [each.headers.get("prefer") for each in wire.seen] == [
            "wait=3",
            None,
            "wait=3",
            "wait=3",
        ]
        # `create` and streaming functions too.
        run = both(lambda: use("acme/x").create(text="hi"))
        assert both(run.output) == "done"
        assert both(lambda: use("acme/x", streaming=True)(text="hi")) is not None
        assert wire.routes[4:] == [CREATE_X, ABOUT_X, "POST /v1/predictions"] * 2


def test_a_file_is_uploaded_once_though_its_prediction_is_created_twice(both):
    class Pipe:
        """What can be read once."""

        content: bytes | None = b"abc"

        def read(self):
            content, self.content = self.content, b""
            return content

    with community() as wire:
        function = both.client(wire.base_url).use("acme/x")
        assert both(lambda: function(image=Pipe(), bytes=b"x")) == "done"
        assert wire.routes == [*["POST /v1/files"] * 2, CREATE_X, ABOUT_X, "POST /v1/predictions"]
        assert wire.seen[2].body.partition(b'"input"')[2] in wire.seen[4].body
        inline = both.client(wire.base_url, file_encoding_strategy="base64").use("acme/x")
        assert both(lambda: inline(image=Pipe())) == "done"
        assert json.loads(wire.seen[-1].body)["input"] == {
            "image": "data:application/octet-stream;base64,YWJj"
        }


@pytest.mark.parametrize("newest", [None, "unseen"])
def test_a_model_that_nobody_can_see_is_told_as_it_was(both, newest):
    with community(newest=newest) as wire:
        function = both.client(wire.base_url).use("acme/x")
        for _ in range(2):
            with pytest.raises(exceptions.NotFoundError) as caught:
                both(lambda: function(text="hi"))
            assert (caught.value.method, caught.value.url) == (
                "POST",
                f"{wire.base_url}/models/acme/x/predictions",
            )
        assert wire.routes == [CREATE_X, ABOUT_X] * 2


def test_only_the_create_s_own_404_has_it_tried_again(both):
    def script(seen):
        if seen.method == "POST" and seen.path.endswith("predictions"):
            return reply(prediction("processing"), 201)
        return reply({"detail": "gone"}, 404)

    with Wire(script) as wire:
        with pytest.raises(exceptions.NotFoundError):
            both(lambda: both.client(wire.base_url, poll_interval=0.001).use("acme/x")(text="hi"))
        assert [each for each in wire.routes if each.startswith("POST")] == [CREATE_X]
    with community() as wire:
        with pytest.raises(exceptions.NotFoundError):
            both(lambda: both.client(f"{wire.origin}/other").use("acme/x:v1")(text="hi"))
        assert wire.routes == ["POST /other/v1/predictions"]


def test_a_stream_gives_parts_as_they_come(both):
    gate = threading.Event()

    def stream(connection):
        connection.sendall(HEAD + output("a"))
        gate.wait(10)
        connection.sendall(output("b") + DONE)

    with scripted(stream) as wire:
        iterator = both(lambda: both.client(wire.base_url).use("acme/x", streaming=True)(text="t"))
        assert "prefer" not in wire.seen[0].headers
        assert wire.routes == ["POST /v1/models/acme/x/predictions"]
        each = aiter(iterator) if both.is_async else iter(iterator)
        following = (lambda: anext(each)) if both.is_async else (lambda: next(each))
        assert both(following) == "a"
        gate.set()
        assert both(following) == "b"
        with pytest.raises(StopAsyncIteration if both.is_async else StopIteration):
            both(following)


def test_a_stream_is_kept(both, client, asked):
    iterator = both(lambda: client.use("acme/poem", streaming=True)(about="a b c"))
    assert isinstance(iterator, AsyncOutputIterator if both.is_async else OutputIterator)
    assert iterator.prediction.id in repr(iterator)
    assert parts(both, iterator) == ["a ", "b ", "c "]
    assert parts(both, iterator) == ["a ", "b ", "c "]
    assert [each.split("/")[2] for each in asked()] == ["models", "streams"]
    if not both.is_async:
        assert str(iterator) == f"{iterator}" == "a b c "


def test_an_awaited_iterator_is_what_the_function_gives_without_streaming(server):
    client = replicate.AsyncReplicate(
        base_url=server.base_url, api_token="r8_secret", poll_interval=0.005
    )

    async def whole(name, **inputs):
        return await (await client.use(name, streaming=True)(**inputs))

    async def main():
        assert await whole("acme/poem", about="a b") == "a b "
        assert await whole("acme/words", about="a b") == ["a", "b"]
        assert await whole("acme/numbers", to=2) == [0, 1]
        assert await whole("acme/shout", text="hi") == "HI"
        assert await (await whole("acme/picture")).aread() == b"picture "
        iterator = await client.use("acme/poem", streaming=True)(about="a b")
        assert await iterator == await iterator == "a b "

    asyncio.run(main())


def test_files_of_a_stream_are_files(both, client, server):
    for name in ("acme/pictures", "acme/picture"):
        files = parts(both, both(lambda: client.use(name, streaming=True)()))
        assert {type(each) for each in files} == {FileOutput}
    client = both.client(server.base_url, use_file_output=False)
    assert {
        type(each)
        for each in parts(both, both(lambda: client.use("acme/pictures", streaming=True)()))
    } == {str}


def test_leaving_early_closes_the_stream_and_cancels_nothing(both):
    def stream(connection):
        connection.sendall(HEAD + output("a", "b"))
        hang(connection)

    with scripted(stream, output("a", "b", "c") + DONE) as wire:
        iterator = both(lambda: both.client(wire.base_url).use("acme/x", streaming=True)())

        async def first():
            each = aiter(iterator)
            assert await anext(each) == "a"
            await each.aclose()

        if both.is_async:
            both(first)
        else:
            for each in iterator:
                assert each == "a"
                break
        wire.until(lambda: wire.closed == 1)
        assert parts(both, iterator) == ["a", "b", "c"]
    assert wire.routes == ["POST /v1/models/acme/x/predictions", "GET /stream", "GET /stream"]


def test_a_stream_that_was_cut_is_gone_on_with(both):
    with scripted(output("a", "b"), output("a", "b", "c") + DONE) as wire:
        iterator = both(lambda: both.client(wire.base_url).use("acme/x", streaming=True)())
        assert parts(both, iterator) == ["a", "b", "c"]
        assert parts(both, iterator) == ["a", "b", "c"]


def test_iterations_at_the_same_time_do_not_disturb_each_other(server):
    client = replicate.AsyncReplicate(base_url=server.base_url, api_token="r8_secret")
    words = [f"{n} " for n in range(200)]

    async def main():
        iterator = await client.use("acme/poem", streaming=True)(about="".join(words))

        async def listed():
            return [each async for each in iterator]

        assert await asyncio.gather(*[listed() for _ in range(5)]) == [words] * 5
        assert await listed() == words

    asyncio.run(main())
    blocking = replicate.Replicate(base_url=server.base_url, api_token="r8_secret").use(
        "acme/poem", streaming=True
    )
    iterator = blocking(about="a b")
    assert [(one, other) for one in iterator for other in iterator] == [
        (x, y) for x in ("a ", "b ") for y in ("a ", "b ")
    ]


def test_a_failure_in_a_stream_is_the_model_s(both, client):
    iterator = both(lambda: client.use("acme/fail", streaming=True)())
    for _ in range(2):
        with pytest.raises(replicate.ModelError, match="OOM") as caught:
            parts(both, iterator)
        assert caught.value.prediction.status == "failed"
    assert iterator._parts == ["so far "]
    with pytest.raises(replicate.ModelError, match="OOM"):
        both(lambda: client.use("acme/shout")(text=iterator))


def test_an_error_of_the_stream_alone_stays_one(both):
    with scripted(
        output("a") + b"event: error\ndata: too slow\n\n", poll=[prediction(output=["a", "b"])]
    ) as wire:
        iterator = both(lambda: both.client(wire.base_url).use("acme/x", streaming=True)())
        with pytest.raises(exceptions.StreamError, match="too slow"):
            parts(both, iterator)


def test_a_canceled_stream_raises(both):
    canceled = b'event: done\ndata: {"reason":"canceled"}\n\n'
    with scripted(
        output("a") + canceled, poll=[prediction("processing"), prediction("canceled")]
    ) as wire:
        iterator = both(
            lambda: both.client(wire.base_url, poll_interval=0.001).use("acme/x", streaming=True)()
        )
        with pytest.raises(exceptions.PredictionCanceled):
            parts(both, iterator)


@pytest.mark.parametrize("owned", [True, False])
def test_a_cancelled_task_cancels_the_prediction_that_is_its_own(owned):
    def stream(connection):
        connection.sendall(HEAD + output("a"))
        hang(connection)

    async def main(wire):
        poem = replicate.AsyncReplicate(base_url=wire.base_url).use("acme/x", streaming=True)
        iterator = await poem() if owned else await (await poem.create()).output()

        async def consume():
            async for _ in iterator:
                came.set()

        came = asyncio.Event()
        task = asyncio.create_task(consume())
        await came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wire.until, lambda: wire.closed >= 1)
        if owned:
            await asyncio.to_thread(
                wire.until, lambda: "POST /v1/predictions/p1/cancel" in wire.routes
            )

    with scripted(stream) as wire:
        asyncio.run(main(wire))
        assert ("POST /v1/predictions/p1/cancel" in wire.routes) == owned


def test_ctrl_c_cancels_the_prediction():
    def stream(connection):
        _thread.interrupt_main()
        hang(connection)

    with scripted(stream) as wire:
        iterator = replicate.Replicate(base_url=wire.base_url).use("acme/x", streaming=True)()
        with pytest.raises(KeyboardInterrupt):
            str(iterator)
        wire.until(lambda: "POST /v1/predictions/p1/cancel" in wire.routes)


def test_a_model_that_cannot_stream_is_polled(both):
    polls = [
        prediction("processing", output=["a"]),
        prediction("processing", output=["a", "b"]),
        prediction(output=["a", "b", "c"]),
    ]
    with scripted(urls="get", poll=polls) as wire:
        iterator = both(
            lambda: both.client(wire.base_url, poll_interval=0.001).use("acme/x", streaming=True)()
        )
        assert parts(both, iterator) == ["a", "b", "c"]
        assert parts(both, iterator) == ["a", "b", "c"]
    assert len(wire.seen) == 4


def test_what_a_poll_finds_there_already_is_given_too(both):
    done = prediction(output=["a", "https://replicate.delivery/b.png"])
    with scripted(urls="get", poll=[done]) as wire:
        run = both(lambda: both.client(wire.base_url).use("acme/x", streaming=True).create())
        both(run.logs)
        iterator = both(run.output)
        assert parts(both, iterator) == [
            "a",
            FileOutput("https://replicate.delivery/b.png", iterator.prediction._session),
        ]


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
