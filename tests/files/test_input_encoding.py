"""Values in a model's input, and the JSON that they become."""

import array
import collections
import datetime
import decimal
import io
import itertools
import json
import random
import sqlite3
import sys
import types
import uuid
from typing import Any, NamedTuple

import numpy as np
import pydantic
import pydantic.v1
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate_rs import FileOutput, Prediction
from replicate_rs._core import is_plain, write_json
from support.inputs import (
    JSON_VALUES,
    Asset,
    Box,
    Config,
    Count,
    Flags,
    Level,
    Loud,
    Mode,
    Old,
    OldConfig,
    Plate,
    Ratio,
    Style,
    letters,
)

pytest_plugins = ["support.file_fixtures"]


class Point(NamedTuple):
    x: int
    y: int


class Names(pydantic.RootModel[list[Any]]):
    pass


class Shouting(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True, extra="allow")
    text: str
    key: str = pydantic.Field(exclude=True)
    file: io.BytesIO | None = None
    renamed: Any = None

    @pydantic.field_serializer("text")
    def shout(self, text: str) -> str:
        return text.upper()

    @pydantic.computed_field
    def size(self) -> int:
        return len(self.text)

    @pydantic.model_serializer(mode="wrap")
    def rename(self, write: Any) -> Any:
        fields = write(self)
        fields["other"] = fields.pop("renamed")
        return fields


class Link(pydantic.BaseModel):
    at: pydantic.HttpUrl


class Bag:
    """An iterable with no other method."""

    def __iter__(self):
        return iter((1, "a"))


def row():
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    try:
        return connection.execute("select 1 as a, 'x' as b").fetchone()
    finally:
        connection.close()


UTC = datetime.UTC
ENCODED = [
    # JSON types.
    ("text", "text"),
    ("ü 😀 \x00 \u2028", "ü 😀 \x00 \u2028"),
    ([0, -1, 1.5, -0.0, True, False, None, ""], [0, -1, 1.5, -0.0, True, False, None, ""]),
    (10**400, 10**400),
    (sys.float_info.max, sys.float_info.max),
    ({"a": {"b": [{}, []]}}, {"a": {"b": [{}, []]}}),
    # Subclasses of these: the value of the base type.
    ([Loud("x"), Count(5), Ratio(0.5)], ["x", 5, 0.5]),
    (
        [Mode.FAST, Level.HIGH, Style.BOLD, Old.A, Flags.X | Flags.Y, Mode.SIZES],
        ["fast", 3, "bold", "a", 3, [1, 2]],
    ),
    (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (collections.Counter("aab"), {"a": 2, "b": 1}),
    (collections.UserString("x"), "x"),
    # Mappings.
    (types.MappingProxyType({"a": 1}), {"a": 1}),
    (collections.ChainMap({"a": 1}, {"b": 2}), {"b": 2, "a": 1}),
    (collections.UserDict({"a": 1}), {"a": 1}),
    (
        {1: "a", -2: "b", Level.HIGH: "c", Style.BOLD: "d", np.int64(7): "e"},
        {"1": "a", "-2": "b", "3": "c", "bold": "d", "7": "e"},
    ),
    ({Loud("k"): 1, Old.A: 2}, {"k": 1, "a": 2}),
    # Arrays.
    ((1, (2,)), [1, [2]]),
    (Point(1, 2), [1, 2]),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset("bca"), ["a", "b", "c"]),
    (collections.deque([1, 2]), [1, 2]),
    (range(3), [0, 1, 2]),
    ({"b": 1, "a": 2}.keys(), ["b", "a"]),
    ({"a": 1}.values(), [1]),
    ({"a": 1}.items(), [["a", 1]]),
    (Bag(), [1, "a"]),
    (collections.UserList([1]), [1]),
    (array.array("d", [0.5, 1]), [0.5, 1.0]),
    # Times and identifiers.
    (datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.time(3, 4), "03:04:00"),
    (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    # Decimals.
    (decimal.Decimal("0.1"), 0.1),
    (decimal.Decimal("1.0"), 1.0),
    (decimal.Decimal(12345678901234567890123), 12345678901234567890123),
    (decimal.Decimal("12345678901234567890123.0"), 12345678901234567890123),
    (decimal.Decimal("1E+400"), 10**400),
    (decimal.Decimal("1E-999999"), 0.0),
    # Models and dataclasses.
    (
        Box([1, Point(1, 2)], kind=Box(2)),
        {"size": [1, [1, 2]], "label": "b", "kind": {"size": 2, "label": "b", "kind": None}},
    ),
    (Plate((1,)), {"width": [1], "depth": 2}),
    (
        Config(name="n", extra=[Box(1)]),
        {
            "name": "n",
            "scale": 1.0,
            "mode": "fast",
            "extra": [{"size": 1, "label": "b", "kind": None}],
        },
    ),
    (Names(["a"]), ["a"]),
    (Link(at="https://x.test/a"), {"at": "https://x.test/a"}),
    (
        OldConfig(name="n", inner=OldConfig(name="m")),
        {"name": "n", "inner": {"name": "m", "inner": None}},
    ),
    (Prediction(id="x", input={"a": (1,)}), {"id": "x", "input": {"a": [1]}}),
    # NumPy.
    (
        [np.float32(0.5), np.float64(0.5), np.int8(1), np.uint64(2**64 - 1), np.bool_(True)],
        [0.5, 0.5, 1, 2**64 - 1, True],
    ),
    ([np.str_("a"), np.longdouble(0.5), np.float16(2)], ["a", 0.5, 2.0]),
    (np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
    (np.array(1.5), 1.5),
    (np.array([], dtype="f4"), []),
    (np.array(["a", None, {"x": 1}, np.int8(3)], dtype=object), ["a", None, {"x": 1}, 3]),
    (np.array([0.5], dtype=np.longdouble), [0.5]),
    (np.ma.array([1, 2], mask=[0, 1]), [1, None]),
    (np.datetime64("2026-01-02T03:04:05.000000006"), "2026-01-02T03:04:05.000000006"),
    (np.array(["2026-01-02"], dtype="datetime64[D]"), ["2026-01-02"]),
    # Objects with a URL.
    (Asset(), "https://x.test/asset"),
    (pydantic.HttpUrl("https://x.test/"), "https://x.test/"),
]


@pytest.mark.parametrize(("value", "expected"), ENCODED, ids=lambda value: type(value).__name__)
def test_what_has_one_sensible_encoding_gets_it(send, value, expected):
    # As text, since True == 1 == 1.0.
    assert json.dumps(send(value)) == json.dumps(expected)
    assert json.dumps(send([{"deep": value}])) == json.dumps([{"deep": expected}])


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (letters, ["a", ["b"]]),
        (lambda: (each for each in (1, 2)), [1, 2]),
        (lambda: map(str, (1, 2)), ["1", "2"]),
        (lambda: zip("ab", (1, 2), strict=True), [["a", 1], ["b", 2]]),
        (lambda: itertools.islice(itertools.count(), 2), [0, 1]),
        (row, {"a": 1, "b": "x"}),
    ],
)
def test_what_can_be_read_once_is_read_once(send, make, expected):
    assert send(make()) == expected
    same = make()
    assert send({"a": same, "b": same}) == {"a": expected, "b": expected}


def test_a_set_that_cannot_be_sorted_comes_as_it_is(send):
    assert sorted(send({1, "a"}), key=str) == [1, "a"]


def test_a_whole_input_may_be_an_object_of_any_kind(both, send):
    for value in (Config(name="n"), Box(1), types.MappingProxyType({"a": 1}), OldConfig(name="n")):
        both(lambda value=value: send.client.predictions.create("v", value))
    inputs = [json.loads(each.body)["input"] for each in send.wire.seen]
    assert [list(each) for each in inputs] == [
        ["name", "scale", "mode", "extra"],
        ["size", "label", "kind"],
        ["a"],
        ["name", "inner"],
    ]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_plain_is_written_as_python_would(value):
    """Rust writes plain values; text that is not UTF-8 is left to Python, which refuses it."""
    try:
        expected = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        assert not is_plain(value)
        assert write_json(value) is None
    else:
        assert is_plain(value)
        written = write_json(value)
        assert json.loads(written) == json.loads(expected) == value
        # Exponents of floats may be written in another way.
        assert written == expected or "e" in str(value)


def reverse_keys(value):
    if isinstance(value, dict):
        return {key: reverse_keys(item) for key, item in reversed(value.items())}
    return [reverse_keys(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_with_sorted_keys_equal_values_have_equal_bytes(value):
    written = write_json(value, sort_keys=True)
    assert write_json(reverse_keys(value), sort_keys=True) == written
    if written is None:
        assert write_json(value) is None
        return
    assert json.loads(written) == value
    expected = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert written == expected.encode() or "e" in str(value)


def test_keys_are_sorted_at_every_level_as_utf_8():
    value = {"b": [{"z": 1, "a": {"é": 1, "e": 2, "\U0001f600": 3, "\uffff": 4}}], "B": 0, "": None}
    expected = '{"":null,"B":0,"b":[{"a":{"e":2,"é":1,"\uffff":4,"\U0001f600":3},"z":1}]}'
    assert write_json(value, sort_keys=True) == expected.encode()
    assert list(value) == ["b", "B", ""]
    assert write_json(value) == write_json(value, sort_keys=False)
    assert write_json({"b": 1, "a": 2}) == b'{"b":1,"a":2}'


@pytest.mark.parametrize(
    "value",
    [
        (),
        {1: 2},
        {"a": (1,)},
        [float("nan")],
        [float("inf")],
        2**63,
        "\ud800",
        {"\ud800": 1},
        b"",
        {1},
        Names([]),
        object(),
    ],
)
def test_what_is_not_plain_is_left_to_python(value):
    assert not is_plain(value)
    assert write_json(value) is None
    assert write_json(value, sort_keys=True) is None
    assert write_json([{"b": value, "a": 1}], sort_keys=True) is None


def test_files_are_found_in_whatever_holds_them_and_uploaded_once(send, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"path")
    handle = io.BytesIO(b"handle")
    value = {
        "config": Config(name="n", extra=[handle, path]),
        "box": Box(handle, kind={"again": handle}),
        "map": collections.UserDict(path=path),
        "names": Names([handle, Box(handle)]),
        "generated": (each for each in [handle]),
        "bytes": np.bytes_(b"numpy"),
    }
    one, two, three = (f"https://files.test/{n}" for n in (1, 2, 3))
    assert send(value) == {
        "config": {"name": "n", "scale": 1.0, "mode": "fast", "extra": [one, two]},
        "box": {"size": one, "label": "b", "kind": {"again": one}},
        "map": {"path": two},
        "names": [one, {"size": one, "label": "b", "kind": None}],
        "generated": [one],
        "bytes": three,
    }
    bodies = [each.body for each in send.wire.seen if each.path == "/v1/files"]
    # Uploads arrive in any order.
    assert [
        sum(content in body for body in bodies) for content in (b"handle", b"path", b"numpy")
    ] == [1] * 3
    assert not handle.closed


def test_a_pydantic_model_has_its_own_mind_and_still_holds_files(send):
    file = io.BytesIO(b"x")
    config = Shouting(text="a", key="k", file=file, more=[file, letters()])
    assert send(config) == {
        "text": "A",
        "file": "https://files.test/1",
        "more": ["https://files.test/1", ["a", ["b"]]],
        "size": 1,
        "other": None,
    }
    send.wire.seen.clear()
    config.renamed = file
    send.assert_refused(
        TypeError, "input.value.other is what Pydantic made of an open file or a generator", config
    )


def test_an_output_file_of_any_client_is_its_url(send):
    import replicate
    from replicate.helpers import FileOutput as Official

    class URLPath:
        """Like the class of replicate 2.0."""

        def __init__(self):
            self.__url__ = "https://x.test/2"

        def __fspath__(self):
            raise AssertionError("it fetches")

        __str__ = __fspath__

    ours = FileOutput("https://x.test/0", send.client._session)
    official = Official("https://x.test/1", replicate.Client(api_token="x"))
    assert send([ours, official, URLPath()]) == [
        "https://x.test/0",
        "https://x.test/1",
        "https://x.test/2",
    ]
    assert [each.path for each in send.wire.seen] == ["/v1/predictions"]


def test_a_file_that_has_a_url_elsewhere_is_still_a_file(send):
    class Stored(io.BytesIO):
        url = "https://internal.test/a"

    assert send(Stored(b"x")) == "https://files.test/1"


def test_nothing_of_the_caller_s_is_changed(send):
    inner = [1, (2, {3})]
    value = {"a": inner, "b": Box(inner), "c": b"file", "d": {"e": [b"file"]}}
    before = repr(value)
    send(value)
    assert repr(value) == before
    assert value["b"].size is inner


@settings(
    derandomize=True,
    database=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(JSON_VALUES)
def test_json_comes_through_unchanged(send, value):
    assert json.dumps(send(value)) == json.dumps(value)


def test_a_large_input_comes_through(send):
    numbers = [random.Random(1).random() for _ in range(100_000)]
    assert send(np.array(numbers)) == numbers
