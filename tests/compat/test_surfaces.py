"""Every public name of the official clients is here, or docs/migration.md says what replaces it."""

import asyncio
import enum
import importlib.util
import inspect
import io
import pkgutil
import re
import sys
from pathlib import Path

import pytest

import replicate_rs

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import migration
import same_names
import surfaces

from support.signatures import parameters

V1 = [*surfaces.V1, *same_names.V1]
V2 = [*surfaces.V2, *same_names.V2]
NODE = [*surfaces.NODE, *same_names.NODE]

official = pytest.importorskip("replicate")

CLIENTS = {
    "client": replicate_rs.Replicate("r8_x"),
    "async_client": replicate_rs.AsyncReplicate("r8_x"),
}
# Parameters of 1.0.7 that its signatures do not show.
HIDDEN = {
    name: ["key", "owner", "name"]
    for name in ("Models.get", "Models.async_get", "Models.delete", "Models.async_delete")
}


def find(place):
    """Return the object at a place, and the parameters that the place names."""
    path, _, parameters = place.partition("(")
    kind, _, path = path.rpartition(" ")
    names = re.findall(r"(\w+)=", parameters)
    parts = path.split(".")
    if kind == "import":
        return importlib.import_module(path), names
    if parts[0] in CLIENTS:
        found, parts = CLIENTS[parts[0]], parts[1:]
    else:
        length = max(n for n in range(1, len(parts)) if is_module(".".join(parts[:n])))
        found, parts = importlib.import_module(".".join(parts[:length])), parts[length:]
    for part in parts:
        found = getattr(found, part)
    return found, names


def is_module(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def taken(function):
    """Return the keywords that a callable of this package takes, or None for any."""
    found = parameters(function)
    return None if found is None else set(found)


def walk():
    """Return every public name of the installed 1.0.7, with its value."""
    for name, value in vars(official).items():
        if not name.startswith("_") and not inspect.ismodule(value):
            yield f"replicate.{name}", value
    for _, path, _ in pkgutil.iter_modules(official.__path__, "replicate."):
        module = importlib.import_module(path)
        yield f"import {path}", module
        for name, value in vars(module).items():
            if f"{path}.{name}" == "replicate.file.FileEncodingStrategy":
                yield f"{path}.{name}", value
            elif (
                not name.startswith("_")
                and getattr(value, "__module__", None) == path
                and (inspect.isclass(value) or inspect.isfunction(value))
            ):
                yield f"{path}.{name}", value
                if inspect.isclass(value):
                    yield from members(f"{path}.{name}", value)


def members(path, kind):
    if issubclass(kind, enum.Enum):
        yield from ((f"{path}.{member.name}", member) for member in kind)
        return
    for name in getattr(kind, "__fields__", ()):
        yield f"{path}.{name}", None
    for name, value in vars(kind).items():
        if name.startswith("_") or name in getattr(kind, "__fields__", ()):
            continue
        yield f"{path}.{name}", value
        if inspect.isclass(value) and value.__qualname__ == f"{kind.__qualname__}.{name}":
            yield from members(f"{path}.{name}", value)


OFFICIAL = dict(walk())
TYPED_DICTS = {
    path.rpartition(".")[2]: list(value.__annotations__)
    for path, value in OFFICIAL.items()
    if inspect.isclass(value) and issubclass(value, dict)
} | {
    name: list(value.__annotations__)
    for path, kind in OFFICIAL.items()
    if inspect.isclass(kind)
    for name, value in vars(kind).items()
    if name.endswith("Params")
}


def asked(path, value):
    """Return the names of the parameters of a callable of 1.0.7."""
    function = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            options = re.search(r"(\w+Params)\b", str(parameter.annotation))
            yield from TYPED_DICTS[options[1]] if options else ()
        elif parameter.kind is not parameter.VAR_POSITIONAL and parameter.name not in (
            "self",
            "cls",
        ):
            yield parameter.name
    yield from HIDDEN.get(".".join(path.split(".")[-2:]), ())


# Functions that pass their keywords on to another function.
PASSED_ON = {
    f"replicate_rs.{module}.{name}": getattr(replicate_rs.Client, name)
    for module in ("run", "stream")
    for name in (module, f"async_{module}")
}


def keywords_of(found, here):
    """Return the keywords that a callable of this package takes itself or passes on.

    A callable that takes any keyword and passes none on has no keywords.
    """
    keywords = taken(found)
    if keywords is None:
        passed_on = PASSED_ON.get(here.partition("(")[0])
        keywords = set() if passed_on is None else {"client"} | taken(passed_on)
    return keywords


@pytest.mark.parametrize("name", [*V1, *V2, *NODE], ids=lambda name: name.there)
def test_what_the_tables_name_is_here(name):
    assert name.here or name.note, "a missing name needs a reason"
    if name.here:
        found, parameters = find(name.here)
        if parameters:
            assert set(parameters) <= keywords_of(found, name.here)


def test_the_tables_name_all_of_1_0_7_and_nothing_else():
    listed = [name.there for name in V1]
    assert len(listed) == len(set(listed))
    # `walk` leaves out constants.
    assert set(listed) == {*OFFICIAL, "replicate.__about__.__version__"}


@pytest.mark.parametrize("table", [V2, NODE], ids=["2.0", "Node"])
def test_no_name_is_listed_twice(table):
    assert len({name.there for name in table}) == len(table)


def function_of(value):
    """Return the function at a name of 1.0.7, or None."""
    value = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
    return value if inspect.isfunction(value) or inspect.ismethod(value) else None


FUNCTIONS = [name for name in V1 if name.here and function_of(OFFICIAL.get(name.there))]
# Parameters with another name here; a single one takes `owner/name` too.
BY_POSITION = {
    ("Deployments", "name"): "owner",
    ("Deployments", "deployment_owner"): "owner",
    ("Deployments", "deployment_name"): "name",
}


def test_every_function_of_1_0_7_is_compared():
    functions = {path for path, value in OFFICIAL.items() if function_of(value)}
    without = {name.there for name in V1 if not name.here}
    assert {name.there for name in FUNCTIONS} == functions - without
    assert len(FUNCTIONS) > 100


# Kinds of parameters that can be given by name.
BY_NAME = ("POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY")


def positions(theirs):
    """Return the names of the parameters that a function of 1.0.7 takes by position."""
    for parameter in inspect.signature(function_of(theirs)).parameters.values():
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name not in (
            "self",
            "cls",
        ):
            yield parameter.name


@pytest.mark.parametrize("name", FUNCTIONS, ids=lambda name: name.there)
def test_what_1_0_7_takes_is_taken_here(name):
    theirs = OFFICIAL[name.there]
    asks = list(asked(name.there, theirs))
    found, _ = find(name.here)
    if isinstance(found, property):
        # The call goes to the value of the property.
        assert asks == []
        return
    assert set(asks) <= keywords_of(found, name.here)
    # Some methods of a client are functions whose first parameter is the client.
    itself = ("client", "self") if ".Client." in name.here else ("self",)
    parameters_here = [
        each for each in inspect.signature(found).parameters.values() if each.name not in itself
    ]
    required = {
        each.name
        for each in parameters_here
        if each.default is each.empty and each.kind.name in BY_NAME
    }
    assert required <= set(asks), "1.0.7 does not require these"
    if not any(each.kind is each.VAR_POSITIONAL for each in parameters_here):
        kind = name.there.split(".")[-2]
        theirs_by_position = [BY_POSITION.get((kind, each), each) for each in positions(theirs)]
        ours_by_position = [
            each.name for each in parameters_here if each.kind is each.POSITIONAL_OR_KEYWORD
        ]
        assert ours_by_position[: len(theirs_by_position)] == theirs_by_position


def test_the_constructors_take_what_1_0_7_s_take():
    assert {"api_token", "base_url", "timeout", "headers"} <= taken(replicate_rs.Client)
    assert {*inspect.signature(official.exceptions.ReplicateError).parameters} <= taken(
        replicate_rs.ReplicateError
    )
    assert [*inspect.signature(official.exceptions.ModelError).parameters] == ["prediction"]
    assert taken(replicate_rs.ModelError) == {"prediction"}
    for name in (
        "Account",
        "Collection",
        "Hardware",
        "Model",
        "Prediction",
        "Training",
        "Version",
        "File",
    ):
        kind = getattr(importlib.import_module(f"replicate.{name.lower()}"), name)
        fields = dict.fromkeys(kind.__fields__, "x")
        assert getattr(replicate_rs, name)(**fields).dict() == fields
    event = replicate_rs.ServerSentEvent(event="output", data="x", id="1", retry=None)
    assert event.event is event.EventType.OUTPUT is event.EventType("output")
    assert (event.event == "output", event.event.value, event.event.name) == (
        True,
        "output",
        "OUTPUT",
    )


def test_the_page_is_what_the_script_writes():
    assert migration.PAGE.read_text() == migration.page(), "run `make migration`"


def test_versions_of_cog_are_read_as_1_0_7_reads_them():
    from replicate.schema import version_has_no_array_type as theirs

    from replicate_rs.schema import make_schema_backwards_compatible, version_has_no_array_type

    for version in (
        *(
            "0.3.8",
            "0.3.9",
            "0.3.10",
            "0.3",
            "0.4",
            "1",
            "0.3.9.0",
            "0.3.8.9",
            "v0.3.8",
            "0.10.0-alpha5",
            "0.3.9rc1",
            "0.3.9-beta.2",
        ),
        *(
            "0.3.9.dev3",
            "0.3.9.post1",
            "0.3.9+local",
            "0.3.9-1",
            "0.3.8+g12.dirty",
            "",
            "dev",
            "0.3.9-wrong",
            "latest",
            "0..3",
        ),
        *(
            "0.8.0-rc1",
            " 0.3.8 ",
            "0.3.9a1.dev2",
            "0.3.9rc1.post2",
            "0.3.9.preview",
            "0.3.9c",
            "0.3.9.r4",
        ),
    ):
        assert version_has_no_array_type(version) == theirs(version), version
    schema = {"components": {"schemas": {"Output": {"type": "array"}}}}
    old = make_schema_backwards_compatible(schema, "0.3.8")
    assert old["components"]["schemas"]["Output"] == {
        "type": "array",
        "x-cog-array-type": "iterator",
    }
    assert (
        make_schema_backwards_compatible(schema, "0.3.9")
        == schema
        == {"components": {"schemas": {"Output": {"type": "array"}}}}
    )
    assert replicate_rs.Version(cog_version="0.3.8", openapi_schema=schema).is_iterator
    assert not replicate_rs.Version(cog_version="0.9", openapi_schema=schema).is_iterator
    assert not replicate_rs.Version(cog_version=None, openapi_schema=None).is_iterator


def test_helpers_give_what_1_0_7_s_give(tmp_path):
    from replicate import helpers as theirs

    from replicate_rs import helpers as ours

    (tmp_path / "a.json").write_text("{}")
    for make in (
        lambda: io.BytesIO(b"abc"),
        lambda: io.StringIO("abc"),
        lambda: (tmp_path / "a.json").open("rb"),
    ):
        with make() as one, make() as other:
            one.read(1)
            assert ours.base64_encode_file(one) == theirs.base64_encode_file(other)
    client = CLIENTS["client"]
    value = {
        "a": [1, 2.5, None, True, "text"],
        "b": ("x",),
        "file": io.BytesIO(b"abc"),
        "path": tmp_path / "a.json",
    }
    expected = theirs.encode_json(value, official.Client("x"), "base64")
    value["file"].seek(0)
    assert ours.encode_json(value, client, "base64") == expected
    value["file"].seek(0)
    assert asyncio.run(ours.async_encode_json(value, client, "base64")) == expected
    # The result is a copy: the caller may change it.
    plain = {"a": [1]}
    assert ours.encode_json(plain, client)["a"] is not plain["a"]
    assert asyncio.run(ours.async_encode_json(plain, client))["a"] is not plain["a"]
    output = {
        "url": "https://example.com/x.png",
        "texts": ["https:", "data:image/png;base64,AAAA", "a text", 3, None],
    }
    mine = ours.transform_output(output, client)
    assert isinstance(mine["url"], ours.FileOutput)
    assert [type(each).__name__ for each in mine["texts"]] == [
        "str",
        "FileOutput",
        "str",
        "int",
        "NoneType",
    ]
    assert (
        ours.FileOutput("data:image/png;base64,AAAA", client).read()
        == theirs.transform_output(output, None)["texts"][1].read()
    )


def test_trainings_are_named_once():
    create = CLIENTS["client"].trainings.create
    with pytest.raises(TypeError, match="input is given twice"):
        create("o/n:v", {}, "me/mine", input={})
    with pytest.raises(TypeError, match="at most 6 positional"):
        create("o/n:v", {}, "me/mine", None, None, None, None)
    with pytest.raises(ValueError, match="A destination must be provided"):
        create("o/n:v", {})
