"""The pydantic methods of records, compared with the pydantic models of 1.0.7."""

import importlib
import json
import typing

import pytest

import replicate_rs as replicate
from replicate_rs import ModelVersionIdentifier, Prediction, types
from replicate_rs.exceptions import ModelError, PredictionCanceled

official = pytest.importorskip("replicate")

KINDS = [
    "Account",
    "Collection",
    "Deployment",
    "File",
    "Hardware",
    "Model",
    "Prediction",
    "Training",
    "Version",
]
ABOUT = {
    "id": "p",
    "model": "a/b",
    "version": "v",
    "status": "succeeded",
    "input": {"text": "hi", "none": None, "deep": {"a": [1, 2]}},
    "output": ["x", "y", {"z": 1}],
    "logs": "é",
    "error": None,
    "metrics": None,
    "created_at": "c",
    "started_at": None,
    "completed_at": None,
    "urls": {"get": "u"},
}
VERSION = {
    "id": "v",
    "created_at": "2024-01-01T00:00:00Z",
    "cog_version": "1",
    "openapi_schema": {"a": None},
}


@pytest.fixture(params=["ours", "1.0.7's"])
def record(request):
    kind = Prediction if request.param == "ours" else official.prediction.Prediction
    return kind(**json.loads(json.dumps(ABOUT)))


CHOICES = [
    {},
    {"include": {"id", "status"}},
    {"exclude": {"logs", "input"}},
    {"include": {"input": {"text"}, "output": {0, -1}}},
    {"include": {"output": {"__all__": {"z"}}, "input": ...}, "exclude": {"output": {0, 1}}},
    {"exclude": {"input": {"deep": {"a": {0}}}, "output": {-1}}},
    {"exclude": {"output": {"__all__"}}},
    {"include": {"output": {2: {"z"}}}},
    {"include": set()},
    {"exclude_none": True},
    {"exclude_defaults": True},
    {"exclude_unset": True},
    {"by_alias": True},
    {"include": {"id": True, "logs": True, "error": True}, "exclude_none": True},
    {"include": {"nothing"}},
]


@pytest.mark.parametrize("choice", CHOICES, ids=map(str, range(len(CHOICES))))
def test_the_same_is_chosen(choice):
    ours, theirs = Prediction(**ABOUT), official.prediction.Prediction(**ABOUT)
    assert ours.dict(**choice) == theirs.dict(**choice)
    assert json.loads(ours.json(**choice)) == json.loads(theirs.json(**choice))
    assert list(ours.dict(**choice)) == list(theirs.dict(**choice))
    assert ours.model_dump(**choice) == ours.to_dict(**choice) == theirs.dict(**choice)
    assert ours.dict(skip_defaults=True, **choice) == ours.dict(**choice)


def test_json_is_written_as_it_is_asked_for(record):
    assert record.json(indent=2).startswith('{\n  "id": "p",\n  "model"')
    assert json.loads(record.json(sort_keys=True, separators=(",", ":"))) == ABOUT
    assert (
        record.json(sort_keys=True, include={"status", "id"}, separators=(",", ":"))
        == '{"id":"p","status":"succeeded"}'
    )
    assert '"\\u00e9"' in record.json(ensure_ascii=True)
    record.output = {1, 2}
    assert json.loads(record.json(encoder=sorted, models_as_dict=True))["output"] == [1, 2]


@pytest.mark.parametrize("wrong", [{"include": ["id"]}, {"exclude": "id"}, {"include": 5}])
def test_a_choice_has_to_be_one(record, wrong):
    with pytest.raises((TypeError, AttributeError)):
        record.dict(**wrong)
    with pytest.raises((TypeError, AttributeError)):
        record.json(**wrong)


def test_a_keyword_that_pydantic_has_not_is_refused(record):
    for call in (record.dict, record.json, record.copy):
        with pytest.raises(TypeError, match="excluded"):
            call(excluded={"id"})
    for call in (Prediction(**ABOUT).model_dump, Prediction.parse_raw):
        with pytest.raises(TypeError, match="excluded"):
            call(*(("{}",) if call == Prediction.parse_raw else ()), excluded={"id"})


def test_copies(record):
    deep, shallow = record.copy(deep=True), record.copy(deep=False)
    assert deep == shallow == record
    assert deep.input is not record.input
    assert deep.input["deep"] is not record.input["deep"]
    assert shallow.input is record.input
    assert record.copy(update={"status": "failed"}).status == "failed" != record.status
    assert record.copy(include={"id"}).dict() == {"id": "p"}
    assert "logs" not in record.copy(exclude={"logs"}).dict()
    assert record.copy(exclude={"input": {"text"}}).input == {"none": None, "deep": {"a": [1, 2]}}


def test_vars_are_the_fields(record):
    assert vars(record) == record.__dict__ == ABOUT
    vars(record)["status"] = "failed"
    assert record.status == "failed" == record.dict()["status"]
    record.status = "canceled"
    assert vars(record)["status"] == "canceled"
    record.__dict__.update(status="starting", logs="l")
    assert (record.status, record.logs) == ("starting", "l")


def test_every_way_from_data_and_back(record, tmp_path):
    kind = type(record)
    (tmp_path / "p.json").write_text(json.dumps(ABOUT))
    for created in (
        kind.parse_obj(ABOUT),
        kind.parse_raw(json.dumps(ABOUT)),
        kind.parse_raw(
            json.dumps(ABOUT).encode("utf-16"), encoding="utf-16", content_type="application/json"
        ),
        kind.parse_file(tmp_path / "p.json"),
        kind.parse_file(str(tmp_path / "p.json")),
        kind.construct(**ABOUT),
        kind.construct({"id"}, **ABOUT),
        kind.validate(ABOUT),
        kind.validate(record),
    ):
        assert created == record
        assert type(created) is kind
    assert record == ABOUT
    assert record != {**ABOUT, "id": "q"}
    assert record != 5
    for wrong in ("{", "[1]", "5", b"\xff"):
        with pytest.raises(ValueError, match=r"JSON|Expecting|expect|codec|dict"):
            kind.parse_raw(wrong)
    with pytest.raises(FileNotFoundError):
        kind.parse_file(tmp_path / "none.json")
    assert kind.construct(id="q").__fields_set__ == {"id"}
    assert record.__fields_set__ == ABOUT.keys()


def test_the_names_of_pydantic_2():
    record = Prediction(**ABOUT, new="field")
    assert record.model_dump(mode="json", exclude_none=True, warnings=False) == {
        **record.dict(exclude_none=True)
    }
    assert json.loads(record.model_dump_json(indent=1, include={"id"})) == {"id": "p"}
    assert record.to_json(indent=1, exclude={"input"}) == record.model_dump_json(
        indent=1, exclude={"input"}
    )
    assert json.loads(record.to_json(use_api_names=True, exclude_unset=True)) == record.dict()
    assert record.model_copy(update={"id": "q"}).id == "q"
    assert record.model_copy().input is record.input
    assert record.model_copy(deep=True).input is not record.input
    assert (
        Prediction.model_validate(ABOUT, strict=True)
        == Prediction.model_validate_json(json.dumps(ABOUT))
        == ABOUT
    )
    assert Prediction.model_construct(id="q").dict() == {"id": "q"}
    assert record.model_fields_set == {*ABOUT, "new"}
    assert record.model_extra == {"new": "field"}
    assert Prediction.model_fields["id"].is_required()
    assert not Prediction.model_fields["logs"].is_required()
    assert Prediction.model_json_schema()["properties"]["id"] == {"title": "Id", "type": "string"}


@pytest.mark.parametrize("name", KINDS)
def test_fields_are_described(name):
    ours = getattr(importlib.import_module(f"replicate_rs.{name.lower()}"), name)
    theirs = getattr(importlib.import_module(f"replicate.{name.lower()}"), name)
    # Newer fields of the API are here too; `destination` is a property here.
    assert ours.__fields__.keys() >= theirs.__fields__.keys() - {"destination"}
    for field in theirs.__fields__.keys() & ours.__fields__.keys():
        described = ours.__fields__[field]
        assert (described.name, described.alias, described.default) == (field, field, None)
        assert described.outer_type_ is not None
    schema, their_schema = ours.schema(), theirs.schema()
    assert schema["title"] == their_schema["title"] == name
    assert schema["type"] == their_schema["type"] == "object"
    for field in theirs.__fields__.keys() & ours.__fields__.keys():
        about = their_schema["properties"][field]
        mine = schema["properties"][field]
        assert mine.get("title", about.get("title")) == about.get("title", mine.get("title")), field
        if "$ref" in about:
            assert mine["$ref"] == about["$ref"]
        elif (name, field) not in {("File", "checksums"), ("Version", "created_at")}:
            assert mine.get("type", about.get("type")) == about.get("type", mine.get("type")), field
    assert json.loads(ours.schema_json(indent=1)) == json.loads(json.dumps(schema))


def test_types_of_fields():
    fields = Prediction.__fields__
    assert (fields["id"].type_, fields["status"].type_, fields["input"].outer_type_) == (
        str,
        types.Status,
        dict[str, typing.Any],
    )
    assert (fields["id"].required, fields["logs"].required, fields["output"].required) == (
        True,
        False,
        False,
    )
    schema = Prediction.schema()
    assert schema["required"][:2] == ["id", "model"]
    assert schema["properties"]["urls"] == {
        "title": "Urls",
        "type": "object",
        "additionalProperties": {"type": "string"},
    }
    assert "succeeded" in schema["properties"]["status"]["enum"]
    model = replicate.Model.schema()
    assert model["properties"]["latest_version"] == {
        "title": "Latest Version",
        "$ref": "#/definitions/Version",
    }
    assert model["definitions"].keys() == {"Version", "Prediction"}
    assert replicate.Model.model_json_schema()["$defs"].keys() == {"Version", "Prediction"}
    collection = replicate.Collection.schema()["properties"]["models"]
    assert collection["items"] == {"$ref": "#/definitions/Model"}


def test_records_within_records(record):
    about = {
        "url": "u",
        "owner": "a",
        "name": "b",
        "visibility": "public",
        "run_count": 1,
        "latest_version": VERSION,
    }
    whole = {**about, "description": None, "default_example": {**ABOUT}}
    ours, theirs = replicate.Model(**whole), official.model.Model(**whole)
    for choice in (
        {"exclude_none": True},
        {"include": {"latest_version": {"id"}, "owner": ...}},
        {
            "exclude": {
                "latest_version": {"created_at", "openapi_schema"},
                "default_example": {"output": {0}},
            },
            "exclude_none": True,
        },
    ):
        mine, other = ours.dict(**choice), theirs.dict(**choice)
        for each in (mine, other):
            # It is a `datetime` in 1.0.7.
            each.get("latest_version", {}).pop("created_at", None)
        assert mine == other
    assert type(vars(ours)["latest_version"]) is replicate.Version
    assert type(vars(ours)["default_example"]) is Prediction
    assert vars(ours)["owner"] == "a"
    assert ours.copy().latest_version == ours.latest_version
    collection = replicate.Collection(slug="s", models=[about, {**about, "name": None}])
    assert collection.dict(include={"models": {"__all__": {"name"}}}, exclude_none=True) == {
        "models": [{"name": "b"}, {}]
    }


def test_what_a_record_of_an_async_client_gives_is_awaited_too(both):
    client = both.client("http://127.0.0.1:9")
    record = Prediction._of({**ABOUT}, client._session)
    for twin in (
        record.copy(),
        record.copy(deep=False),
        record.model_copy(),
        record.copy(include={"id"}),
    ):
        assert twin._mode is record._mode
        assert twin._session is record._session


def test_a_reference_is_a_named_tuple():
    ours = ModelVersionIdentifier("a", "b")
    theirs = official.identifier.ModelVersionIdentifier("a", "b")
    for each in (ours, theirs):
        assert each._asdict() == {"owner": "a", "name": "b", "version": None}
        assert each._fields == ("owner", "name", "version")
        assert each._field_defaults == {"version": None}
        assert each._replace(version="v") == ("a", "b", "v")
        assert type(each._replace(version="v")) is type(each)
        assert type(each)._make(["c", "d", None]) == ("c", "d", None)
        assert type(each)(**each._asdict()) == each
        with pytest.raises((ValueError, TypeError)):
            each._replace(nothing="x")
        match each:
            case (owner, name, None):
                assert (owner, name) == ("a", "b")
    with pytest.raises(ValueError, match="no part 'nothing': owner, name or version"):
        ours._replace(nothing="x")
    with pytest.raises(TypeError, match="owner must be a str"):
        ours._replace(owner=5)
    match ours:
        case ModelVersionIdentifier(owner, name, None):
            assert (owner, name) == ("a", "b")
        case _:
            raise AssertionError


def test_errors_of_models_have_what_they_were_made_of():
    import copy
    import pickle

    assert ModelError("boom").args == ("boom",)
    assert str(ModelError("boom")) == "boom"
    assert ModelError("boom").prediction is None
    failed = Prediction(**{**ABOUT, "status": "failed", "error": "boom"})
    assert (
        ModelError(failed).args
        == official.exceptions.ModelError(official.prediction.Prediction(**failed.dict())).args
    )
    assert ModelError(failed).args == ("boom",)
    assert ModelError(failed).prediction is failed
    assert PredictionCanceled("gone").args == ("gone",)
    for error in (ModelError("boom"), ModelError(failed), PredictionCanceled("gone")):
        for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert (type(twin), twin.args, twin.prediction) == (
                type(error),
                error.args,
                error.prediction,
            )
    with pytest.raises(TypeError, match="prediction must be"):
        ModelError(5)
