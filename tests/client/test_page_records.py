"""Records of pages, which are decoded when they are read: they are like all others, and what is
malformed is an error at once.
"""

import asyncio
import copy
import json
import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

import replicate_rs as replicate
from replicate_rs import APIResponseValidationError, _core
from replicate_rs._core import Expect
from support.wire import Wire, prediction, reply

LONG = "a" * 2000
RECORD = {
    **prediction(logs="10%|█▏ \n"),
    "input": {"prompt": "a"},
    "output": ["https://example.com/a.png"],
    "metrics": {"predict_time": 1.5},
    "created_at": "2026-01-02T03:04:05.678Z",
    "data_removed": False,
    "long": LONG,
}


def page_of(body: bytes):
    return Expect.PAGE.of(_core.Response(body=body))


def listed(body: object, *, is_async: bool = False):
    """Return the first page of predictions from a server that answers with a body."""
    with Wire(lambda _: reply(body)) as wire:
        if not is_async:
            return replicate.Replicate("r8_x", base_url=wire.base_url).predictions.list()

        async def fetch():
            async with replicate.AsyncReplicate("r8_x", base_url=wire.base_url) as client:
                return await client.predictions.list()

        return asyncio.run(fetch())


@pytest.fixture
def record():
    [found] = listed({"results": [RECORD], "next": None, "previous": None})
    return found


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_page_has_the_records_of_its_json(is_async):
    others = {**RECORD, "id": "p2", "unknown": {"a": [1]}}
    page = listed({"results": [RECORD, others], "next": "https://x/?cursor=a"}, is_async=is_async)
    assert page.next == "https://x/?cursor=a"
    assert page.previous is None
    assert [each.id for each in page] == ["p1", "p2"]
    assert [dict(each) for each in page] == [RECORD, others]
    assert page[1].unknown == {"a": [1]}


def test_short_fields_are_read_without_the_rest(record):
    assert (record.id, record.status, record.data_removed) == ("p1", "succeeded", False)
    assert record.logs == "10%|█▏ \n"
    assert record.error is None
    assert record.started_at is None
    assert record.created_at == RECORD["created_at"]
    assert record._json is not None


@pytest.mark.parametrize("field", ["input", "output", "metrics", "long"])
def test_what_is_long_or_can_be_changed_is_decoded_once(record, field):
    value = getattr(record, field)
    assert value == RECORD[field]
    assert getattr(record, field) is value
    assert dict(record)[field] is value
    assert getattr(record, field) is value


def test_what_was_changed_is_in_the_whole(record):
    record.input["prompt"] = "b"
    record.output.append("c")
    changed = {"input": {"prompt": "b"}, "output": [*RECORD["output"], "c"]}
    assert dict(record) == RECORD | changed
    assert (record.input, record.output) == (changed["input"], changed["output"])


def test_what_a_program_changes_stays_changed(record):
    record.input["prompt"] = "b"
    record.status = "failed"
    assert (record.input, record.status) == ({"prompt": "b"}, "failed")
    assert dict(record) == {**RECORD, "input": {"prompt": "b"}, "status": "failed"}


@pytest.mark.parametrize(
    "take",
    [
        copy.copy,
        copy.deepcopy,
        lambda each: pickle.loads(pickle.dumps(each)),
        lambda each: type(each).parse_obj(each.dict()),
        lambda each: type(each)(**dict(each)),
    ],
    ids=["copy", "deepcopy", "pickle", "dict", "made again"],
)
def test_a_record_that_was_not_read_is_taken_elsewhere(record, take):
    taken = take(record)
    assert taken == record == RECORD
    assert taken.id == "p1"


def test_its_text_shows_every_field(record):
    assert "prompt" in repr(record)
    assert "█▏" in repr(record)


def test_a_field_that_is_not_there_is_none_if_documented_and_else_an_error(record):
    assert record.completed_at is None
    with pytest.raises(AttributeError, match="no field 'nothing'"):
        _ = record.nothing


def test_threads_that_read_a_record_at_once_get_the_same_objects():
    for _ in range(200):
        [found] = page_of(json.dumps({"results": [RECORD]}).encode())["results"]
        record = replicate.Prediction._in_page(found, None)
        gate = threading.Barrier(4)
        inputs = []

        def read(record=record, gate=gate, inputs=inputs):
            gate.wait()
            assert record.status == "succeeded"
            inputs.append(record.input)
            inputs.append(dict(record)["input"])

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(inputs) == 8
        assert all(each is record.input for each in inputs)


MALFORMED = {
    "a byte that is not UTF-8": b'"logs": "\xff"',
    "an escape that does not exist": rb'"logs": "\x"',
    "half of a surrogate pair": rb'"logs": "\ud800"',
    "a line feed in text": b'"logs": "a\nb"',
    "a number with a zero before it": b'"a": 01',
    "NaN": b'"a": NaN',
    "a missing value": b'"a": ',
    "a comma at the end": b'"a": 1,',
    "a number as a name": b"1: 1",
    "too many digits": b'"a": ' + b"1" * 5000,
    "too deep": b'"a": ' + b"[" * 203 + b"]" * 203,
    "text that does not end": b'"a": "b',
}


@pytest.mark.parametrize("field", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_field_of_one_record_is_an_error_at_once(field):
    body = b'{"results": [{"id": "a"}, {"id": "b", %s}], "next": null}' % field
    with pytest.raises(APIResponseValidationError, match="is not JSON"):
        listed(body)


@pytest.mark.parametrize(
    "body",
    [
        {"results": None},
        {"results": {}},
        {"results": [1]},
        {"results": [{}, None]},
        {"results": [[]]},
        {},
        [],
        "a",
    ],
)
def test_what_is_not_a_page_is_an_error(body):
    with pytest.raises(APIResponseValidationError):
        listed(body)


@pytest.mark.parametrize("depth", [197, 200, 201])
def test_deep_fields_are_decoded(depth):
    deep = b"[" * depth + b"]" * depth
    [found] = page_of(b'{"results": [{"a": %s, "b": 1}]}' % deep)["results"]
    assert found.get("b") == 1
    assert json.dumps(found.decode()["a"]).encode() == deep


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rb'{"results": [{"\u0061": 1, "b": "c"}]}', [{"a": 1, "b": "c"}]),
        (rb'{"\u0072esults": [{"a": 1}]}', [{"a": 1}]),
        (b'{"results": [{"a": 1}], "results": [{"a": 2}]}', [{"a": 2}]),
        (b'{"results": [{"a": 1, "a": "2"}]}', [{"a": "2"}]),
        (b'{"results": [{}]}', [{}]),
        (b' {\n"results"\t: [ { "a" :1 } ,{ } ] } \n', [{"a": 1}, {}]),
    ],
)
def test_unusual_json_is_read_as_json(body, expected):
    found = page_of(body)["results"]
    for each, fields in zip(found, expected, strict=True):
        # A page with escapes in names, or with two lists of results, is decoded as a whole.
        read = {name: each.get(name) for name in fields}
        assert read in (fields, dict.fromkeys(fields, NotImplemented))
        assert each.decode() == fields
        assert each.decode() is each.decode()


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.text(alphabet='▏█é\n"\\/aé', max_size=1500),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)
records = st.lists(st.dictionaries(st.text(max_size=8), values, max_size=8), max_size=4)


@given(records, values, st.booleans(), st.sampled_from([None, 1]))
def test_every_page_is_read_as_the_standard_library_reads_it(results, more, is_ascii, indent):
    expected = {"next": more, "results": results}
    body = json.dumps(expected, ensure_ascii=is_ascii, indent=indent).encode(
        "utf-8", "surrogatepass"
    )
    found = page_of(body)
    assert found["next"] == more
    for each, fields in zip(found["results"], results, strict=True):
        for name, value in fields.items():
            read = each.get(name)
            # A page with escapes in names is decoded as a whole.
            assert read is NotImplemented or (read == value and type(read) is type(value))
        assert each.decode() == fields
        assert all(each.get(name) is NotImplemented for name in fields)
        assert [*each.decode()] == [*fields]


@given(st.data())
def test_a_changed_page_is_refused_or_read_to_its_last_field(data):
    """What is not refused at once can be decoded later."""
    body = bytearray(json.dumps({"results": [RECORD, RECORD]}, ensure_ascii=False).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    body = bytes(body)
    try:
        whole = Expect.OBJECT.of(_core.Response(body=body))
    except ValueError:
        whole = None
    try:
        page = page_of(body)
    except ValueError:
        assert whole is None or not isinstance(whole.get("results"), list)
        return
    assert whole is not None
    assert whole == {**page, "results": [each.decode() for each in page["results"]]}
