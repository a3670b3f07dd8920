"""The types of a model's inputs, by its schema."""

import pytest

from replicate_rs import Replicate
from replicate_rs.batch import input_types, read_inputs
from replicate_rs.local import LocalReplicate


def schema(**properties):
    schemas = {"Input": {"properties": properties}, "mode": {"type": "string", "enum": ["a"]}}
    return {"components": {"schemas": schemas}}


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ({"type": "integer", "minimum": 1}, int),
        ({"type": "number"}, float),
        ({"type": "boolean"}, bool),
        ({"type": "string"}, str),
        ({"type": "array", "items": {"type": "string", "format": "uri"}}, list),
        ({"type": "object"}, dict),
        ({"type": ["integer", "null"]}, int),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, int),
        ({"allOf": [{"$ref": "#/components/schemas/mode"}], "default": "a"}, str),
        ({"$ref": "#/components/schemas/mode"}, str),
        ({"type": "string", "format": "uri"}, None),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, None),
        ({"$ref": "#/components/schemas/none"}, None),
        ({"anyOf": [{"type": "string", "format": "uri"}, {"type": "null"}]}, None),
        ({"type": [{}]}, None),
        ({"type": "tensor"}, None),
        ({}, None),
        (None, None),
    ],
    ids=range(18),
)
def test_types_of_inputs(declared, kind):
    assert input_types(schema(x=declared)) == ({} if kind is None else {"x": kind})


@pytest.mark.parametrize("empty", [None, {}, {"components": None}, {"components": {"schemas": []}}])
def test_schemas_without_inputs(empty):
    assert input_types(empty) == {}


def test_a_schema_that_refers_to_itself_has_no_type():
    looped = schema(x={"$ref": "#/components/schemas/loop"})
    looped["components"]["schemas"]["loop"] = {"$ref": "#/components/schemas/loop"}
    assert input_types(looped) == {}


def test_a_model_says_what_the_fields_of_a_csv_file_are(tmp_path):
    server = LocalReplicate()

    @server.model("acme/look")
    def look(prompt: str, image: bytes, seed: int = 7, loud: bool = False) -> str:
        return f"{prompt} {len(image)} {seed} {loud}"

    (tmp_path / "a.png").write_bytes(b"12345")
    path = tmp_path / "a.csv"
    path.write_text("id,prompt,image,seed\n1,2024,a.png,42\n")
    with server:
        client = Replicate(api_token=server.token, base_url=server.base_url)
        types = input_types(client.models.get("acme/look").latest_version.openapi_schema)
        assert types == {"prompt": str, "seed": int, "loud": bool}
        names = read_inputs(path, key="id").names
        assert names == ["prompt", "image", "seed"]
        known = {name: types[name] for name in names if name in types}
        ((key, input),) = read_inputs(path, key="id", types=known, files=["image"])
        assert client.run("acme/look", input=input) == "2024 5 42 False"
    assert key == "1"
