"""Inputs of `map` that cannot be sent, wrong arguments, and files among inputs."""

from __future__ import annotations

import io

import pytest

from replicate_rs._batch.keys import Input, read_input, target_digest
from support.mapping import by_index, collect, outputs, texts

pytest_plugins = ["support.map_fixtures"]


@pytest.fixture
def client(map_client):
    return map_client


BAD = [
    (None, "inputs[0] must be a dict of a model's inputs, or a pair"),
    ("text", "not str"),
    (["text"], "not list"),
    (("a", "b"), "not str"),
    (("a", {}, {}), "not tuple"),
    ((None, {"text": "x"}), "the key of inputs[0] must be text, not NoneType"),
    ((True, {"text": "x"}), "the key of inputs[0] must be text, not bool"),
    (("", {"text": "x"}), "must have 1 to 500 characters"),
    (("k" * 501, {"text": "x"}), "must have 1 to 500 characters"),
    (("\ud800", {"text": "x"}), "surrogate"),
    ({"text": object()}, "inputs[0].text"),
    ({"text": {"a": [1, object()]}}, "inputs[0].text.a[1]"),
    ({"text": float("nan")}, "inputs[0].text"),
    ({"text": "\ud800"}, "inputs[0].text"),
]


@pytest.mark.parametrize(("item", "message"), BAD)
def test_a_bad_input_is_a_result_and_nothing_is_sent_for_it(both, client, server, item, message):
    (result,) = collect(both, client.map("acme/shout", [item]))
    assert (result.status, result.index, result.attempts) == ("failed", 0, 0)
    assert (result.prediction, result.output, result.available_until) == (None, None, None)
    assert message in result.error.replace("['text']", ".text").replace("['a']", ".a")
    assert server.requests == []


def test_bad_inputs_among_good_ones(both, client, server, tmp_path):
    inputs = [{"text": "a"}, None, {"text": "b"}, {"text": {1, 2}}, {"text": object()}]
    for _ in range(2):
        results = collect(
            both, client.map("acme/shout", inputs, journal=tmp_path / "runs.db", ordered=True)
        )
        assert [each.index for each in results] == [*range(5)]
        assert [each.output for each in results][:3] == ["A", None, "B"]
        assert [each.succeeded for each in results][:3] == [True, False, True]
        assert "inputs[4]" in results[4].error


def test_a_value_that_contains_itself(both, client, server):
    value = {}
    value["text"] = value
    (result,) = collect(both, client.map("acme/shout", [value]))
    assert result.status == "failed"
    assert server.requests == []


WRONG = [
    ({"ref": None}, TypeError, "a model, or deployment="),
    ({"deployment": "a/b"}, TypeError, "not both"),
    ({"ref": 7}, TypeError, "ref"),
    ({"ref": ""}, ValueError, "name"),
    ({"ref": "no name"}, ValueError, "name"),
    ({"inputs": {"text": "x"}}, TypeError, r"for one input, pass \[input\]"),
    ({"inputs": "x.csv"}, TypeError, "read_inputs"),
    ({"inputs": b"x"}, TypeError, "must be an iterable of dicts, not bytes"),
    ({"inputs": 7}, TypeError, "must be an iterable of dicts, not int"),
    ({"inputs": None}, TypeError, "must be an iterable of dicts, not NoneType"),
    ({"concurrency": 0}, ValueError, "concurrency"),
    ({"concurrency": 1.5}, TypeError, "concurrency"),
    ({"concurrency": True}, TypeError, "concurrency"),
    ({"concurrency": 10_001}, ValueError, "concurrency"),
    ({"rate": 0}, ValueError, "rate"),
    ({"rate": float("inf")}, ValueError, "rate"),
    ({"rate": float("nan")}, ValueError, "rate"),
    ({"rate": "600"}, TypeError, "rate"),
    ({"rate": True}, TypeError, "rate"),
    ({"ordered": "yes"}, TypeError, "ordered"),
    ({"on_error": "ignore"}, ValueError, "on_error"),
    ({"on_error": None}, (TypeError, ValueError), "on_error"),
    ({"on_exit": "stop"}, ValueError, "on_exit"),
    ({"on_exit": "leave"}, ValueError, "needs a journal"),
    ({"retries": -1}, ValueError, "retries"),
    ({"retries": True}, TypeError, "retries"),
    ({"retry_if": True}, TypeError, "retry_if"),
    ({"retry_if": "failed"}, TypeError, "retry_if"),
    ({"retry_failed": 1}, TypeError, "retry_failed"),
    ({"max_failures": -1}, ValueError, "max_failures"),
    ({"max_failures": 1.0}, ValueError, "max_failures"),
    ({"max_failures": float("nan")}, ValueError, "max_failures"),
    ({"max_failures": "5%"}, TypeError, "max_failures"),
    ({"max_failures": True}, TypeError, "max_failures"),
    ({"timeout": -1}, ValueError, "timeout"),
    ({"timeout": "1h"}, TypeError, "timeout"),
    ({"progress": "bar"}, TypeError, "progress"),
    ({"use_file_output": "no"}, TypeError, "use_file_output"),
    ({"journal": 7}, TypeError, "journal"),
    ({"journal": ""}, ValueError, "journal"),
    ({"save_to": 7}, TypeError, "save_to"),
    ({"save_to": ""}, ValueError, "save_to"),
    ({"wait": "x"}, (TypeError, ValueError), "wait"),
    ({"wait": True, "prefer": "wait"}, TypeError, "prefer"),
    ({"webhook": 7}, TypeError, "webhook"),
    ({"inptus": []}, TypeError, "inptus"),
    ({"api_token": "r8_other"}, TypeError, "api_token"),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), WRONG, ids=[str(n[0]) for n in WRONG])
def test_wrong_arguments_are_refused_at_the_call(client, server, both, arguments, kind, message):
    given = {"ref": "acme/shout", "inputs": texts(1)} | arguments
    with pytest.raises(kind, match=message) as caught:
        client.map(given.pop("ref"), given.pop("inputs"), **given)
    assert "r8_other" not in str(caught.value)
    assert server.requests == []


# Files.


def key(value):
    item = read_input(value, 0, target_digest("acme/x"))
    assert isinstance(item, Input), item
    return item.key


def test_keys_stand_for_the_content_of_files(tmp_path):
    path, other = tmp_path / "a.png", tmp_path / "b.png"
    path.write_bytes(b"one")
    other.write_bytes(b"one")
    first = key({"file": path})
    assert key({"file": path}) == first
    with path.open("rb") as file:
        assert key({"file": file}) == first
    # The name is sent with the file, and models may depend on it.
    assert key({"file": other}) != first
    path.write_bytes(b"two")
    assert key({"file": path}) != first


def test_keys_do_not_depend_on_the_order_of_names():
    assert key({"a": 1, "b": [1, 2]}) == key({"b": [1, 2], "a": 1})
    assert key({"a": 1}) != key({"a": "1"})
    assert key({"a": [1, 2]}) != key({"a": [2, 1]})
    assert len({key({"a": value}) for value in (None, False, 0, "", [], {})}) == 6


def test_keys_depend_on_the_target():
    first = read_input({"a": 1}, 0, target_digest("acme/x"))
    assert first.key != read_input({"a": 1}, 0, target_digest("acme/y")).key
    assert first.key == read_input({"a": 1}, 5, target_digest("acme/x")).key


def test_files_are_sent_and_keep_their_position(both, client, server, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 100)
    stream = io.BytesIO(b"y" * 50)
    stream.seek(7)
    with path.open("rb") as file:
        file.seek(3)
        inputs = [{"file": path}, {"file": file}, {"file": stream}, {"file": b"z" * 9}]
        results = collect(both, client.map("acme/size", inputs))
        assert (file.tell(), stream.tell()) == (3, 7)
    # The path and the open file are equal inputs.
    assert outputs(results) == [100, 100, 50, 9]
    assert server.creates == 3


def test_a_file_that_is_missing_is_a_result(both, client, server, tmp_path):
    inputs = [{"file": tmp_path / "no.png"}, {"file": b"x"}]
    missing, other = by_index(collect(both, client.map("acme/size", inputs)))
    assert missing.status == "failed"
    assert "inputs[0]" in missing.error
    assert "no.png" in missing.error
    assert other.output == 1
    assert server.creates == 1


def test_files_with_a_journal_are_not_paid_for_twice(both, client, server, tmp_path):
    path, journal = tmp_path / "a.bin", tmp_path / "runs.db"
    path.write_bytes(b"x" * 100)
    for _ in range(2):
        (result,) = collect(both, client.map("acme/size", [{"file": path}], journal=journal))
        assert result.output == 100
    assert server.creates == 1
    path.write_bytes(b"y" * 300_000)
    (result,) = collect(both, client.map("acme/size", [{"file": path}], journal=journal))
    assert (result.output, server.creates) == (300_000, 2)


def test_a_large_file_is_uploaded_once_for_each_input(both, client, server):
    content = b"x" * 400_000
    inputs = [("a", {"file": content}), ("b", {"file": b"y" + content})]
    assert outputs(collect(both, client.map("acme/size", inputs))) == [400_000, 400_001]
    assert server.count("POST", "/files") == 2


def test_async_files_are_refused(both, client, server):
    class AsyncFile:
        async def read(self, size=-1):
            return b""

    (result,) = collect(both, client.map("acme/size", [{"file": AsyncFile()}]))
    assert result.status == "failed"
    assert "inputs[0]" in result.error
    assert server.requests == []


def test_an_iterator_among_the_values_is_read_once(both, client, server):
    (result,) = collect(both, client.map("acme/shout", [{"text": "x", "extra": iter([1, 2])}]))
    assert result.output == "X"


def test_the_input_of_a_result_is_the_callers(both, client, server):
    value = {"text": "x"}
    (result,) = collect(both, client.map("acme/shout", [value]))
    assert result.input is value
