"""Schemas of functions, and models that run by version only."""

import json

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from support.functions import (  # noqa: F401 - fixtures are found by their names
    ABOUT_POEM,
    POEM,
    create_client,
    record_requests,
    serve_functions,
)
from support.wire import Wire, prediction, reply


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
    """Return the schemas that a function reads from a model with these."""
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
