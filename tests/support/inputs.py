"""Values of many types for a model's input, and a client that sends them."""

import dataclasses
import enum
import json
import re
from typing import Any

import attrs
import pydantic
import pydantic.v1
import pytest
from hypothesis import strategies as st

from support.wire import Seen, Wire, prediction, reply

# Contents of the files that tests send; the index of each is in its URL.
CONTENTS = [b"handle", b"path", b"numpy"]

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def respond(seen: Seen) -> bytes:
    """Answer an upload or the creation of a prediction."""
    if seen.path != "/v1/files":
        return reply(prediction(), 201)
    content = seen.body.partition(b"\r\n\r\n")[2].partition(b"\r\n--")[0]
    number = CONTENTS.index(content) + 1 if content in CONTENTS else 1
    return reply({"id": "f", "urls": {"get": f"https://files.test/{number}"}}, 201)


class InputSender:
    """Creates predictions with a value in their input, and returns the value that arrives."""

    def __init__(self, both: Any, wire: Wire) -> None:
        self.both = both
        self.wire = wire
        self.client = both.client(wire.base_url)

    def __call__(self, value: object, **options: Any) -> Any:
        self.both(lambda: self.client.predictions.create("v", {"value": value}, **options))
        return json.loads(self.wire.seen[-1].body)["input"]["value"]

    def assert_refused(self, kind: type[Exception], message: str, value: object) -> None:
        """Assert that a value is an error, and that nothing is sent."""
        with pytest.raises(kind, match=f"^{re.escape(message)}") as caught:
            self.both(
                lambda: self.client.predictions.create("v", {"image": b"content", "value": value})
            )
        assert type(caught.value) is kind
        assert self.wire.seen == []


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


@dataclasses.dataclass
class Box:
    size: Any
    label: str = "b"
    kind: Any = dataclasses.field(default=None, repr=False)


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


class OldConfig(pydantic.v1.BaseModel):
    name: str
    inner: Any = None


class Asset:
    url = "https://x.test/asset"


def letters():
    yield "a"
    yield ["b"]
