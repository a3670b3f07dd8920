"""Files in a model's input: every kind that is accepted, at any depth, with every operation."""

import dataclasses
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest
import werkzeug.datastructures
from hypothesis import given, settings
from hypothesis import strategies as st

from replicate_rs import Replicate
from support.uploads import (
    DATA,
    KINDS,
    MADE_UP,
    OCTETS,
    TEXT,
    Form,
    ProgressLog,
    Uploads,
    data_uri,
    named,
    url_of,
)
from support.wire import reply

pytest_plugins = ["support.file_fixtures"]


def get_position(file):
    """Return the position of an open file, or None."""
    try:
        return file.tell()
    except (AttributeError, OSError):
        return None


@pytest.mark.parametrize(
    "kind", [each for each in KINDS if "unknown" not in each or MADE_UP.exists()]
)
def test_whatever_is_a_file_arrives(both, create, maker, kind):
    for strategy in ("upload", "data-uri"):
        case = KINDS[kind](maker)
        before = get_position(case.file)
        with Uploads() as server:
            create(server, case.file, file_encoding_strategy=strategy)
        if strategy == "upload":
            assert server.forms == [Form(case.name, case.kind, case.content)]
            assert server.body["input"] == {"value": url_of(case.content)}
        else:
            assert server.uploads == []
            assert server.body["input"] == {"value": data_uri(case.content, case.kind)}
        assert not getattr(case.file, "closed", False)
        assert get_position(case.file) == before


def test_a_buffer_keeps_its_content(create, server):
    buffer, mutable = io.BytesIO(DATA), bytearray(DATA)
    create(server, [buffer, mutable])
    assert (buffer.getvalue(), mutable) == (DATA, DATA)
    # Both can be changed: nothing refers to their memory.
    mutable.append(1)
    buffer.truncate(0)


@dataclasses.dataclass
class Box:
    file: Any
    label: str = "ü"


class Config(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    path: Path
    content: bytes
    file: io.BytesIO
    more: dict[str, list[Any]]


@pytest.mark.parametrize("strategy", ["default", "upload", "url", "data-uri", "base64"])
def test_files_are_found_at_any_depth(create, server, maker, strategy):
    def put(content, kind=OCTETS):
        return data_uri(content, kind) if strategy in ("data-uri", "base64") else url_of(content)

    path = maker.text
    config = Config(
        path=path,
        content=b"c",
        file=io.BytesIO(b"f"),
        more={"ö": [Box(path), b"m", {"n": (1, [b"n"])}]},
    )
    create(
        server,
        {"text": TEXT, "list": [[b"a", TEXT], b"b"], "config": config, "äü": TEXT},
        file_encoding_strategy=strategy,
    )
    text = put(TEXT.encode(), "text/plain")
    assert server.body["input"]["value"] == {
        "text": TEXT,
        "list": [[put(b"a"), TEXT], put(b"b")],
        "config": {
            "path": text,
            "content": put(b"c"),
            "file": put(b"f"),
            "more": {"ö": [{"file": text, "label": "ü"}, put(b"m"), {"n": [1, [put(b"n")]]}]},
        },
        "äü": TEXT,
    }


def test_text_is_no_path_and_an_array_no_image(create, server, maker):
    pixels = np.zeros((2, 2, 3), dtype=np.uint8)
    create(server, [str(maker.data), pixels])
    assert server.routes == ["POST /v1/predictions"]
    assert server.body["input"]["value"] == [str(maker.data), pixels.tolist()]


CREATORS = {
    "POST /v1/predictions": lambda client, input: client.predictions.create("v", input),
    "POST /v1/models/acme/x/predictions": lambda client, input: client.run("acme/x", input),
    "POST /v1/deployments/acme/d/predictions": lambda client, input: (
        client.deployments.predictions.create("acme/d", input)
    ),
    "POST /v1/models/acme/x/versions/v/trainings": lambda client, input: client.trainings.create(
        "acme/x", "v", input, destination="me/y"
    ),
}


@pytest.mark.parametrize("status", [None, 503])
@pytest.mark.parametrize("route", CREATORS)
def test_whatever_starts_a_model_takes_files(both, maker, route, status):
    with Uploads(lambda _: reply({}, status) if status else ...) as server:
        client = both.client(server.base_url)
        both(lambda: CREATORS[route](client, {"a": TEXT, "file": maker.data}))
    assert server.routes == ["POST /v1/files", route]
    assert server.body["input"] == {"a": TEXT, "file": data_uri(DATA) if status else url_of(DATA)}


def test_trainings_take_the_options_of_files(both, server):
    told = ProgressLog()
    create = both.client(server.base_url).trainings.create
    both(lambda: create("acme/x", "v", {"a": b"x"}, destination="me/y", upload_progress=told))
    assert told.is_complete
    both(
        lambda: create(
            "acme/x", "v", {"a": b"x"}, destination="me/y", file_encoding_strategy="base64"
        )
    )
    assert server.routes.count("POST /v1/files") == 1
    assert json.loads(server.seen[-1].body)["input"] == {"a": data_uri(b"x")}


JSON = st.recursive(
    st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


def test_any_files_in_any_json_arrive_inline(server):
    @settings(derandomize=True, database=None, max_examples=100)
    @given(st.lists(st.binary(max_size=100), max_size=4), JSON)
    def check(contents, around):
        value = {"a": around, "b": contents, "c": [around, *contents]}
        client.predictions.create("v", value, file_encoding_strategy="base64")
        uris = [data_uri(each) for each in contents]
        assert json.loads(server.seen[-1].body)["input"] == {
            "a": around,
            "b": uris,
            "c": [around, *uris],
        }

    with Replicate("x", base_url=server.base_url) as client:
        check()


def test_names_of_any_type_of_text_are_names(send_image, server, maker):
    for name in (b"in/a b.png", Path("in/a b.png"), "in/a b.png"):
        send_image(named(name))
    for name in (None, 5, "", "."):
        send_image(named(name))
    with open(os.fsencode(maker.data), "rb") as handle:
        send_image(handle)
    send_image(werkzeug.datastructures.FileStorage(io.BytesIO(DATA), "photo.jpg", "image"))
    assert [each.name for each in server.forms] == ["a b.png"] * 3 + ["file"] * 4 + [
        "data.bin",
        "photo.jpg",
    ]
