"""Values in a model's input that are refused, and the paths that name them."""

import asyncio
import collections
import dataclasses
import datetime
import decimal
import fractions
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pydantic.v1
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate_rs import Replicate
from replicate_rs._base.encoding import to_json
from replicate_rs._files.inputs import encode_input
from replicate_rs._files.upload import DataURIs
from support.inputs import (
    JSON_VALUES,
    Asset,
    Box,
    Config,
    Level,
    Loud,
    Mode,
    Old,
    OldConfig,
    Plate,
    Ratio,
    letters,
)

pytest_plugins = ["support.file_fixtures"]


@dataclasses.dataclass(slots=True)
class Slotted:
    a: int
    b: int = dataclasses.field(init=False)


class Chain(pydantic.BaseModel):
    then: "Chain | None" = None


class Secret(pydantic.BaseModel):
    token: pydantic.SecretStr


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
    """Like the `Response` of requests."""

    url = "https://x.test/private"

    def __iter__(self):
        yield b"piece"


class Tensor:
    """Like a tensor of torch."""

    def __array__(self):
        raise AssertionError("it may be on another device")

    def __iter__(self):
        raise AssertionError("it may be on another device")


class Opaque:
    pass


class SomeUrl:
    pass


class NotATime(datetime.datetime):
    """Like NaT of pandas."""

    def __ne__(self, other):
        return True


class Pairs(collections.UserDict):
    """Like a multidict, with a key twice."""

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
    (VALUE, " has NaT", np.datetime64("NaT", "s")),
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
    send.assert_refused(kind, f"input.value.options[2]{message}", {"options": [1, 2, value]})
    send.assert_refused(kind, f"input.value{message}", value)


def test_what_must_be_awaited_is_refused(both, send):
    coroutine = AsyncFile().read()
    send.assert_refused(
        TypeError, "input.value is a coroutine: await it, and pass what it gives", coroutine
    )
    coroutine.close()

    async def future():
        return asyncio.get_running_loop().create_future()

    if both.is_async:
        # A future is iterable too.
        send.assert_refused(TypeError, "input.value is a _asyncio.Future: await it", both(future))


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
    send.assert_refused(ValueError, f"{path} is NaN", value)


def test_what_a_generator_gave_has_a_path_too(send):
    send.assert_refused(
        ValueError, "input.value[1].a is NaN", (each for each in (1, {"a": math.nan}))
    )


def test_a_cycle_is_refused_with_both_its_places(send):
    cycle: dict[str, Any] = {"a": {"b": []}}
    cycle["a"]["b"].append(cycle["a"])
    send.assert_refused(
        ValueError, "input.value.a.b[0] is input.value.a again: JSON cannot carry a cycle", cycle
    )
    alone: list[Any] = []
    alone.append(alone)
    send.assert_refused(ValueError, "input.value[0] is input.value again", alone)
    box = Box(1)
    box.kind = [box]
    send.assert_refused(ValueError, "input.value.kind[0] is input.value again", box)
    config = Config(name="n")
    config.extra = config
    send.assert_refused(ValueError, "input.value.extra.extra is input.value again", config)
    link = Chain()
    link.then = link
    send.assert_refused(
        ValueError,
        "input.value is a test_input.Chain that cannot be dumped: Circular reference",
        link,
    )
    array = np.array([None], dtype=object)
    array[0] = array
    send.assert_refused(ValueError, "input.value[0] is input.value again", array)
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


def test_a_caller_that_is_deep_itself_gets_a_value_error(both, send):
    def descend(levels: int) -> None:
        if levels:
            descend(levels - 1)
        else:
            # The tuple makes this an input that Rust leaves to Python.
            send([nested(490), ()])

    with pytest.raises(
        ValueError, match="^input is nested too deeply for the calls that Python has left"
    ):
        descend(600)
    assert send.wire.seen == []


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
    max_examples=500,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(ANYTHING)
def test_anything_at_all_is_json_or_refused_by_its_path(value):
    call = encode_input(
        Replicate("r8_x").predictions, {"value": value}, DataURIs(), strategy="data-uri"
    )
    result, message = None, ""
    try:
        call.send(None)
    except StopIteration as stop:
        result = stop.value
    except (TypeError, ValueError) as error:
        message = str(error)
    assert message.startswith("input.value") if message else json.loads(to_json(result)) == result
