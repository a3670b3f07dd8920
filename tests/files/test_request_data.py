"""The data of `client.request`: encoded as a model's input, or as a form if there are files."""

import datetime
import io
import math

import pytest

from replicate_rs import FileOutput, exceptions
from support.wire import Wire, reply

pytest_plugins = ["support.file_fixtures"]


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
    # An output file is sent as its URL, which is text.
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
