"""What may be in a model's input, what it becomes on the wire, and what is refused, by its path."""

import array
import asyncio
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import io
import itertools
import json
import math
import random
import re
import sqlite3
import sys
import types
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import numpy as np
import pydantic
import pydantic.v1
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate_rs import FileOutput, Prediction, Replicate, exceptions
from replicate_rs._base.encoding import to_json
from replicate_rs._core import is_plain, write_json
from replicate_rs._files.upload import Written, encoded
from support.wire import Wire, prediction, reply

# Of the files that tests send, by the numbers of the URLs that they get.
CONTENTS = [b"handle", b"path", b"numpy"]


class Sender:
    """Creates predictions with an input, and gives what of it arrived."""

    def __init__(self, both: Any, wire: Wire) -> None:
        self.both = both
        self.wire = wire
        self.client = both.client(wire.base_url)

    def __call__(self, value: object, **options: Any) -> Any:
        self.both(lambda: self.client.predictions.create("v", {"value": value}, **options))
        return json.loads(self.wire.seen[-1].body)["input"]["value"]

    def refused(self, kind: type[Exception], message: str, value: object) -> None:
        with pytest.raises(kind, match=f"^{re.escape(message)}") as caught:
            self.both(
                lambda: self.client.predictions.create("v", {"image": b"content", "value": value})
            )
        assert type(caught.value) is kind
        assert self.wire.seen == []


@pytest.fixture
def send(both):
    def script(seen):
        if seen.path == "/v1/files":
            # They come in any order.
            content = seen.body.partition(b"\r\n\r\n")[2].partition(b"\r\n--")[0]
            number = CONTENTS.index(content) + 1 if content in CONTENTS else 1
            return reply({"id": "f", "urls": {"get": f"https://files.test/{number}"}}, 201)
        return reply(prediction(), 201)

    with Wire(script) as wire:
        yield Sender(both, wire)


class Loud(str):
    def __str__(self):
        return "LOUD"


class Count(int):
    def __repr__(self):
        return "many"


class Ratio(float):
    def __repr__(self):
        return "much"


class Mode(enum.Enum):
    FAST = "fast"
    SIZES = (1, 2)


class Level(enum.IntEnum):
    HIGH = 3


class Style(enum.StrEnum):
    BOLD = "bold"


class Old(str, enum.Enum):  # noqa: UP042 - most were written before StrEnum
    A = "a"


class Flags(enum.Flag):
    X = 1
    Y = 2


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Box:
    size: Any
    label: str = "b"
    kind: Any = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(slots=True)
class Slotted:
    a: int
    b: int = dataclasses.field(init=False)


@attrs.define
class Plate:
    width: Any
    depth: int = 2


class Config(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    name: str
    scale: float = 1.0
    mode: Mode = Mode.FAST
    extra: Any = None


class Names(pydantic.RootModel[list[Any]]):
    pass


class Chain(pydantic.BaseModel):
    then: "Chain | None" = None


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


class Secret(pydantic.BaseModel):
    token: pydantic.SecretStr


class OldConfig(pydantic.v1.BaseModel):
    name: str
    inner: Any = None


class Asset:
    url = "https://x.test/asset"


class Bag:
    """An iterable that is nothing else."""

    def __iter__(self):
        return iter((1, "a"))


def letters():
    yield "a"
    yield ["b"]


def row():
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    try:
        return connection.execute("select 1 as a, 'x' as b").fetchone()
    finally:
        connection.close()


UTC = datetime.UTC
ENCODED = [
    # JSON's own.
    ("text", "text"),
    ("ü 😀 \x00 \u2028", "ü 😀 \x00 \u2028"),
    ([0, -1, 1.5, -0.0, True, False, None, ""], [0, -1, 1.5, -0.0, True, False, None, ""]),
    (10**400, 10**400),
    (sys.float_info.max, sys.float_info.max),
    ({"a": {"b": [{}, []]}}, {"a": {"b": [{}, []]}}),
    # Subclasses of them: what the base type holds.
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
    # Records of several makers.
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
    # Other objects at a URL.
    (Asset(), "https://x.test/asset"),
    (pydantic.HttpUrl("https://x.test/"), "https://x.test/"),
]


@pytest.mark.parametrize(("value", "expected"), ENCODED, ids=lambda value: type(value).__name__)
def test_what_has_one_sensible_encoding_gets_it(send, value, expected):
    # Text tells True from 1 and 1.0 from 1.
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


def test_a_training_s_input_goes_the_same_way(both, send):
    def train(value):
        both(
            lambda: send.client.trainings.create(
                model="a/b", version="c", input={"rate": value}, destination="a/d"
            )
        )

    with pytest.raises(ValueError, match=r"^input\.rate is NaN"):
        train(math.nan)
    assert send.wire.seen == []
    train(decimal.Decimal("0.5"))
    assert json.loads(send.wire.seen[0].body)["input"] == {"rate": 0.5}


class AsyncFile:
    async def read(self):
        return b""


class Answer:
    """As the `Response` of requests."""

    url = "https://x.test/private"

    def __iter__(self):
        yield b"piece"


class Tensor:
    """As torch has it."""

    def __array__(self):
        raise AssertionError("it may be on another device")

    def __iter__(self):
        raise AssertionError("it may be on another device")


class Opaque:
    pass


class SomeUrl:
    pass


class NotATime(datetime.datetime):
    """As pandas has it."""

    def __ne__(self, other):
        return True


class Pairs(collections.UserDict):
    """As multidict has it."""

    def keys(self):
        return ["a", "a"]


def closed():
    file = io.BytesIO()
    file.close()
    return file


def incomplete():
    return Slotted(1)


VALUE, TYPE = ValueError, TypeError
REFUSED = [
    (VALUE, " is NaN, which JSON cannot carry", math.nan),
    (VALUE, " is infinite, which JSON cannot carry", -math.inf),
    (VALUE, " is NaN", Ratio("nan")),
    (VALUE, " is NaN", np.float32("nan")),
    (VALUE, " is infinite", np.longdouble("inf")),
    (VALUE, "[1][0] is NaN", np.array([[1.0], [math.nan]])),
    (VALUE, " is the Decimal NaN", decimal.Decimal("NaN")),
    (VALUE, " is the Decimal sNaN", decimal.Decimal("sNaN")),
    (VALUE, " is the Decimal -Infinity", decimal.Decimal("-Infinity")),
    (VALUE, " is a Decimal of more than 4300 digits", decimal.Decimal("1E+999999")),
    (VALUE, " is an integer that Python does not write: Exceeds the limit", 10**5000),
    (VALUE, r" has the lone surrogate '\ud800' at 1, which UTF-8 cannot carry", "a\ud800"),
    (VALUE, r" has the lone surrogate '\udcff' at 0", Loud("\udcff")),
    (VALUE, r" has a key that has the lone surrogate '\ud800' at 0", {"\ud800": 1}),
    (VALUE, " has a key that is an integer that Python does not write", {10**5000: 1}),
    (VALUE, " has two keys that are '1' in JSON", {1: "a", "1": "b"}),
    (VALUE, " has two keys that are '1' in JSON", {"1": "a", 1: "b"}),
    (VALUE, " has a key twice", Pairs(a=1)),
    (VALUE, " has NaT", np.datetime64("NaT")),
    (VALUE, " has NaT", np.array(["NaT"], dtype="datetime64[s]")),
    (VALUE, " is NaT", NotATime(2026, 1, 1)),
    (VALUE, " is a closed file", closed()),
    (VALUE, " is a test_input.Slotted that is not complete", incomplete()),
    (TYPE, " has the key 1.5, a float: keys must be text or integers", {1.5: 1}),
    (TYPE, " has the key True, a bool", {True: 1}),
    (TYPE, " has the key None, a NoneType", {None: 1}),
    (TYPE, " has the key (1, 2), a tuple", {(1, 2): 1}),
    (TYPE, " has the key b'a', a bytes", {b"a": 1}),
    (TYPE, " is a timedelta: pass a number, such as its total_seconds()", datetime.timedelta(1)),
    (TYPE, " has the dtype timedelta64: pass numbers", np.timedelta64(1, "s")),
    (TYPE, " has the dtype complex128", np.array([1j])),
    (TYPE, " has the dtype [('a', '<i8')]", np.zeros(1, dtype=[("a", "<i8")])),
    (
        TYPE,
        (
            " is a complex, which has no JSON of its own: pass text, a number, a bool, None, a"
            " list, a dict, or a file"
        ),
        1j,
    ),
    (TYPE, " is a fractions.Fraction, which has no JSON of its own", fractions.Fraction(1, 3)),
    (TYPE, " is a test_input.Opaque, which has no JSON of its own", Opaque()),
    (TYPE, " is a test_input.SomeUrl, which has no JSON of its own", SomeUrl()),
    (TYPE, " is a function, which", letters),
    (TYPE, " is a module, which", json),
    (TYPE, " is a ellipsis, which", ...),
    (TYPE, " is a object, which", object()),
    (TYPE, " is the class Path and not an instance", Path),
    (TYPE, " is the class Box and not an instance", Box),
    (TYPE, " is the class Mode and not an instance", Mode),
    (
        TYPE,
        " is a test_input.AsyncFile, which is read by await: pass the bytes that it gives",
        AsyncFile(),
    ),
    (TYPE, " is a test_input.Answer: pass its url, or its content as bytes", Answer()),
    (TYPE, " is a test_input.Tensor: pass lists (such as its tolist()), or a file of it", Tensor()),
    (TYPE, ".token is a pydantic.types.SecretStr: pass its get_secret_value()", Secret(token="s")),
]


@pytest.mark.parametrize(
    ("kind", "message", "value"), REFUSED, ids=[each[1].strip()[:40] for each in REFUSED]
)
def test_what_has_none_is_refused_by_its_path_before_anything_is_sent(send, kind, message, value):
    send.refused(kind, f"input.value.options[2]{message}", {"options": [1, 2, value]})
    send.refused(kind, f"input.value{message}", value)


def test_what_must_be_awaited_is_refused(both, send):
    coroutine = AsyncFile().read()
    send.refused(
        TypeError, "input.value is a coroutine: await it, and pass what it gives", coroutine
    )
    coroutine.close()

    async def future():
        return asyncio.get_running_loop().create_future()

    if both.is_async:
        # A future can be iterated over too.
        send.refused(TypeError, "input.value is a _asyncio.Future: await it", both(future))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": {"b": [0, {"c": math.nan}]}}, "input.value.a.b[1].c"),
        ({"a b": [math.nan]}, "input.value['a b'][0]"),
        ({"": math.nan}, "input.value['']"),
        ({"0": math.nan}, "input.value['0']"),
        ({7: math.nan}, "input.value[7]"),
        ({"it's": math.nan}, 'input.value["it\'s"]'),
        ({"a\n\ud800"[:2]: math.nan}, r"input.value['a\n']"),
        ({"größe": math.nan}, "input.value.größe"),
        ({Old.A: math.nan}, "input.value.a"),
        (Box(1, kind=Plate([math.nan])), "input.value.kind.width[0]"),
        (Config(name="n", scale=math.nan), "input.value.scale"),
        (OldConfig(name="n", inner=[math.nan]), "input.value.inner[0]"),
        (collections.UserDict(a=(math.nan,)), "input.value.a[0]"),
        ({"k" * 1000: {"l" * 1000: math.nan}}, f"input.value.{'k' * 138}…{'l' * 150}"),
        ({"k k" * 1000: math.nan}, f"input.value['{('k k' * 33)}…]"),
    ],
)
def test_a_path_is_what_python_would_write(send, value, path):
    send.refused(ValueError, f"{path} is NaN", value)


def test_what_a_generator_gave_has_a_path_too(send):
    send.refused(ValueError, "input.value[1].a is NaN", (each for each in (1, {"a": math.nan})))


def test_a_cycle_is_refused_with_both_its_places(send):
    cycle: dict[str, Any] = {"a": {"b": []}}
    cycle["a"]["b"].append(cycle["a"])
    send.refused(
        ValueError, "input.value.a.b[0] is input.value.a again: JSON cannot carry a cycle", cycle
    )
    alone: list[Any] = []
    alone.append(alone)
    send.refused(ValueError, "input.value[0] is input.value again", alone)
    box = Box(1)
    box.kind = [box]
    send.refused(ValueError, "input.value.kind[0] is input.value again", box)
    config = Config(name="n")
    config.extra = config
    send.refused(ValueError, "input.value.extra.extra is input.value again", config)
    link = Chain()
    link.then = link
    send.refused(
        ValueError,
        "input.value is a test_input.Chain that cannot be dumped: Circular reference",
        link,
    )
    array = np.array([None], dtype=object)
    array[0] = array
    send.refused(ValueError, "input.value[0] is input.value again", array)
    whole: dict[str, Any] = {}
    whole["self"] = whole
    with pytest.raises(ValueError, match=r"^input\.self is input again"):
        send.both(lambda: send.client.predictions.create("v", whole))


def test_the_same_object_beside_itself_is_no_cycle(send):
    same = [1]
    assert send({"a": same, "b": [same, same]}) == {"a": [1], "b": [[1], [1]]}


def nested(depth: int) -> Any:
    value: Any = 1
    for n in range(depth):
        value = [value] if n % 2 else {"a": value}
    return value


def test_an_input_may_be_nested_deeply_but_not_without_end(both, send):
    deep = nested(499)
    assert send(deep) == deep
    with pytest.raises(ValueError, match=r"^input\.value.*…\S* is nested more than 500 deep$"):
        send(nested(500))

    class Matryoshka:
        def __iter__(self):
            yield Matryoshka()

    with pytest.raises(ValueError, match="is nested more than 500 deep"):
        send(Matryoshka())
    assert len(send.wire.seen) == 1


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
    """P16: without a copy, and without Python's encoder; what text cannot be UTF-8 is Python's to
    refuse.
    """
    try:
        expected = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        assert not is_plain(value)
        assert write_json(value) is None
    else:
        assert is_plain(value)
        written = write_json(value)
        assert json.loads(written) == json.loads(expected) == value
        # Floats may have their exponent written in another way.
        assert written == expected or "e" in str(value)


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


def test_a_caller_that_is_deep_itself_gets_a_value_error(both, send):
    def descend(levels: int) -> None:
        if levels:
            descend(levels - 1)
        else:
            # The tuple is what Python has to look at.
            send([nested(490), ()])

    with pytest.raises(
        ValueError, match="^input is nested too deeply for the calls that Python has left"
    ):
        descend(600)
    assert send.wire.seen == []


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
    # They come in any order.
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
    send.refused(
        TypeError, "input.value.other is what Pydantic made of an open file or a generator", config
    )


def test_an_output_file_of_any_client_is_its_url(send):
    import replicate
    from replicate.helpers import FileOutput as Official

    class URLPath:
        """As 2.0 has it."""

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


def test_a_request_of_one_s_own_has_the_same_rules_but_no_files_within_json(both, send):
    def request(data):
        both(lambda: send.client.request("/x", method="POST", data=data))

    request({"when": datetime.date(2026, 1, 2), "ids": {2, 1}})
    assert send.wire.seen[0].body == b'{"when":"2026-01-02","ids":[1,2]}'
    with pytest.raises(ValueError, match=r"^data\.a\[0\] is NaN"):
        request({"a": [math.nan]})
    for data, path in (
        ({"a": {"b": io.BytesIO()}}, r"data\.a\.b"),
        ({"a": b"x", "b": [1, b"y"]}, r"data\.b\[1\]"),
        ([b"x"], r"data\[0\]"),
        (io.BytesIO(), "data"),
    ):
        with pytest.raises(TypeError, match=rf"^{path} is a file: upload it with files\.create"):
            request(data)
    assert len(send.wire.seen) == 1


def test_a_dict_with_files_is_sent_as_a_form(both, local, tmp_path):
    (tmp_path / "note.txt").write_bytes(b"from the disk")
    client, before = both.client(local.base_url), len(local.requests)
    for data in (
        {"content": io.BytesIO(b"abc"), "metadata": {"a": 1}, "type": "text/x"},
        [("content", b"abc"), ("metadata", {"a": 1}), ("type", "text/x")],
        {"content": ("x.bin", b"abc", "text/x"), "metadata": '{"a": 1}'},
        {"content": (None, b"abc", "text/x"), "metadata": {"a": 1}},
    ):
        made = both(lambda data=data: client.request("/files", method="POST", data=data)).json()
        assert (made["size"], made["content_type"], made["metadata"]) == (3, "text/x", {"a": 1})
    assert (
        both(
            lambda: client.request("/files", method="POST", data={"content": tmp_path / "note.txt"})
        ).json()["size"]
        == 13
    )
    kinds = {each.headers["content-type"].partition(";")[0] for each in local.requests[before:]}
    assert kinds == {"multipart/form-data"}
    # An output's file is at its URL already, which is text.
    output = FileOutput("https://example.com/a.png", client)
    form = {"content": b"abc", "metadata": {"image": output}}
    assert both(lambda: client.request("/files", method="POST", data=form)).json()["metadata"] == {
        "image": output.url
    }
    before = len(local.requests)
    for headers in ({"Content-Type": "application/json"}, {"content-type": "text/plain"}):
        with pytest.raises(
            TypeError, match=r"sent as multipart/form-data, not as .*: leave out the header"
        ):
            both(
                lambda headers=headers: client.request(
                    "/files", method="POST", data=form, headers=headers
                )
            )
    with pytest.raises(ValueError, match="a file's name must not be empty"):
        both(lambda: client.request("/files", method="POST", data={"content": ("", b"x")}))
    with pytest.raises(exceptions.FileError, match="missing"):
        both(
            lambda: client.request("/files", method="POST", data={"content": tmp_path / "missing"})
        )
    assert len(local.requests) == before


def test_several_files_of_one_name_are_several_fields(both):
    with Wire(lambda seen: reply({})) as wire:
        both(
            lambda: both.client(wire.base_url).request(
                "/x", method="POST", data={"files": [b"one", b"two"], 'a"b': [1, None]}
            )
        )
        body = wire.seen[0].body
    assert body.count(b'name="files"; filename="file"') == 2
    assert b'name="a%22b"\r\n\r\n[1,null]\r\n' in body


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(JSON_VALUES)
def test_json_comes_through_unchanged(send, value):
    assert json.dumps(send(value)) == json.dumps(value)


ANYTHING = st.recursive(
    JSON_VALUES
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.decimals()
    | st.fractions()
    | st.complex_numbers()
    | st.datetimes()
    | st.timedeltas()
    | st.uuids()
    | st.sampled_from(
        [Mode.FAST, Mode.SIZES, Level.HIGH, Opaque(), Asset(), np.float32("inf"), np.arange(3), int]
    ),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(
            st.one_of(
                st.text(st.characters(exclude_categories=())),
                st.integers(),
                st.floats(),
                st.booleans(),
            ),
            inner,
        )
        | st.builds(Box, inner)
        | st.builds(Plate, inner)
        | st.builds(iter, st.lists(inner))
        | st.sets(st.one_of(st.integers(), st.text(), st.floats()))
    ),
    max_leaves=20,
)


@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=500,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(ANYTHING)
def test_anything_at_all_is_json_or_refused_by_its_path(value):
    call = encoded(Replicate("r8_x").predictions, {"value": value}, Written(), strategy="data-uri")
    result, message = None, ""
    try:
        call.send(None)
    except StopIteration as stop:
        result = stop.value
    except (TypeError, ValueError) as error:
        message = str(error)
    assert message.startswith("input.value") if message else json.loads(to_json(result)) == result


def test_a_large_input_comes_through(send):
    numbers = [random.Random(1).random() for _ in range(100_000)]
    assert send(np.array(numbers)) == numbers
