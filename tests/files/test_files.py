"""Files as inputs and outputs, end to end with the local server."""

import copy
import io
import pickle

import pytest

import replicate_rs as replicate
from replicate_rs import FileOutput, exceptions
from replicate_rs._files.urls import is_file_url
from support.wire import Wire, prediction, reply


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "hello.txt"
    path.write_bytes(b"hello")
    return path


def test_a_file_is_created_described_and_deleted(both, client, path):
    for file in (
        path,
        str(path),
        path.open("rb"),
        path.open(),
        b"hello",
        bytearray(b"hello"),
        io.BytesIO(b"hello"),
    ):
        created = both(lambda file=file: client.files.create(file, metadata={"a": 1}))
        assert (created.size, created.metadata) == (5, {"a": 1})
        assert created.checksums["md5"] == "5d41402abc4b2a76b9719d911017c592"
        if hasattr(file, "close"):
            assert not file.closed
            file.close()
    assert both(lambda: client.files.get(created.id)) == created
    assert both(lambda: client.files.delete(created.id)) is True
    with pytest.raises(exceptions.NotFoundError, match="File not found"):
        both(lambda: client.files.get(created.id))


def test_name_and_type_are_the_file_s_or_the_caller_s(both, client, path):
    own = both(lambda: client.files.create(path))
    assert (own.name, own.content_type) == ("hello.txt", "text/plain")
    given = both(
        lambda: client.files.create(path, filename='a "b"\r\n.png', content_type="image/x")
    )
    assert given.content_type == "image/x"
    assert "\n" not in given.name


def test_a_missing_file_is_named(both, client, tmp_path):
    with pytest.raises(exceptions.FileError, match=r"nothing\.txt") as caught:
        both(lambda: client.files.create(tmp_path / "nothing.txt"))
    assert isinstance(caught.value, OSError)
    with pytest.raises(exceptions.FileError, match="is not a file"):
        both(lambda: client.files.create(tmp_path))
    with pytest.raises(TypeError, match="not int"):
        both(lambda: client.files.create(5))


def test_a_large_file_is_streamed_from_disk(both, client, tmp_path):
    big = tmp_path / "big.bin"
    big.write_bytes(bytes(range(256)) * 4096 * 5)
    assert both(lambda: client.files.create(big)).size == 5 << 20


def test_inputs_are_uploaded_at_any_depth_and_once(both, client, local, path):
    handle = io.BytesIO(b"abc")
    before = len(local.requests)
    output = both(
        lambda: client.run(
            "acme/copies", {"files": [path, {"deep": path}, handle, handle], "one": b"xyz"}
        )
    )
    uploads = [each for each in local.requests[before:] if each.path == "/v1/files"]
    assert len(uploads) == 3
    first, deep, *rest = output["files"]
    assert str(first) == str(deep["deep"])
    assert str(rest[0]) == str(rest[1])
    assert both(output["one"].read if not both.is_async else output["one"].aread) == b"xyz"


def test_the_data_uri_strategies_upload_nothing(both, client, local):
    """The file is in the input of the prediction's request."""
    for strategy in ("data-uri", "base64"):
        before = len(local.requests)
        output = both(
            lambda strategy=strategy: client.run(
                "acme/reverse", {"file": b"abc"}, file_encoding_strategy=strategy
            )
        )
        assert both(output.read if not both.is_async else output.aread) == b"cba"
        assert local.requests[before].path == "/v1/models/acme/reverse/predictions"


@pytest.mark.parametrize(
    ("status", "strategy", "falls_back"),
    [
        (503, "default", True),
        (503, "upload", False),
        (401, "default", False),
        (None, "default", True),
    ],
)
def test_an_upload_that_fails_on_the_server_s_side_falls_back(both, status, strategy, falls_back):
    def script(seen):
        if seen.path == "/v1/files":
            return None if status is None else reply({}, status)
        return reply(prediction(output="x"), 201)

    with Wire(script) as wire:
        client = both.client(wire.base_url, file_encoding_strategy=strategy)
        if falls_back:
            assert both(lambda: client.run("acme/x", {"file": b"hello"})) == "x"
            assert b"data:application/octet-stream;base64,aGVsbG8=" in wire.seen[-1].body
        else:
            with pytest.raises(exceptions.APIStatusError):
                both(lambda: client.run("acme/x", {"file": b"hello"}))
            assert wire.routes == ["POST /v1/files"]


def test_an_unknown_strategy_is_refused(both, client):
    with pytest.raises(ValueError, match="file_encoding_strategy must be one of"):
        both(lambda: client.run("acme/reverse", {"file": b""}, file_encoding_strategy="zip"))


def test_an_output_file_is_lazy_and_read_again(both, client, local):
    before = len(local.requests)
    output = both(lambda: client.run("acme/reverse", {"file": b"abc"}))
    assert isinstance(output, FileOutput)
    assert not [each for each in local.requests[before:] if each.path.startswith("/pbxt/")]
    for _ in range(2):
        assert both(output.read if not both.is_async else output.aread) == b"cba"
        assert b"".join(both(output.chunks if not both.is_async else output.achunks)) == b"cba"
    fetches = [each for each in local.requests[before:] if each.path.startswith("/pbxt/")]
    assert len(fetches) == 4
    assert all(each.headers["accept-encoding"] == "identity" for each in fetches)


def test_an_output_file_is_saved_whole_or_not_at_all(both, tmp_path):
    content = bytes(range(256)) * 5000

    def script(seen):
        if seen.path == "/whole":
            return reply(content, kind="image/png")
        return lambda connection: connection.sendall(reply(content, length=len(content) + 1))

    with Wire(script) as wire:
        session = both.client(wire.base_url, max_retries=1)._session
        whole, cut = (
            FileOutput(f"{wire.origin}/whole", session),
            FileOutput(f"{wire.origin}/cut", session),
        )
        target = tmp_path / "out.png"
        assert both(lambda: (whole.asave if both.is_async else whole.save)(target)) == target
        assert target.read_bytes() == content
        target.write_bytes(b"before")
        with pytest.raises(exceptions.APIConnectionError):
            both(lambda: (cut.asave if both.is_async else cut.save)(target))
        assert target.read_bytes() == b"before"
        assert [each.name for each in tmp_path.iterdir()] == ["out.png"]


def test_a_target_that_cannot_be_written_is_an_error(both, tmp_path):
    with Wire(lambda _: reply(b"x")) as wire:
        output = FileOutput(f"{wire.origin}/x", both.client(wire.base_url)._session)
        with pytest.raises(exceptions.FileError, match="nowhere"):
            both(
                lambda: (output.asave if both.is_async else output.save)(tmp_path / "nowhere" / "x")
            )
        inline = FileOutput("data:,x", both.client(wire.base_url)._session)
        with pytest.raises(exceptions.FileError, match="nowhere"):
            both(
                lambda: (inline.asave if both.is_async else inline.save)(tmp_path / "nowhere" / "x")
            )


def test_a_host_that_refuses_the_file_is_an_error_of_our_tree(both):
    with Wire(lambda _: reply(b"gone", 404, kind="text/plain")) as wire:
        output = FileOutput(f"{wire.origin}/x", both.client(wire.base_url)._session)
        with pytest.raises(exceptions.NotFoundError, match="gone"):
            both(output.read if not both.is_async else output.aread)


@pytest.mark.parametrize(
    ("uri", "content"),
    [("data:text/plain;base64,aGk=", b"hi"), ("data:text/plain,a%20b", b"a b"), ("data:,x", b"x")],
)
def test_data_uris_are_read_in_both_encodings(both, uri, content, tmp_path):
    output = FileOutput(uri, both.client("http://127.0.0.1:1")._session)
    assert both(output.read if not both.is_async else output.aread) == content
    both(lambda: (output.asave if both.is_async else output.save)(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == content


def test_a_file_output_is_a_value():
    session = replicate.Replicate()._session
    output = FileOutput("https://replicate.delivery/a.png", session)
    assert str(output) == output.url == "https://replicate.delivery/a.png"
    assert repr(output) == "FileOutput('https://replicate.delivery/a.png')"
    assert output == FileOutput(output.url, session)
    assert len({output, pickle.loads(pickle.dumps(output)), copy.deepcopy(output)}) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://replicate.delivery/a.png", True),
        ("data:image/png;base64,AAAA", True),
        ("http://127.0.0.1:5000/output/x", True),
        ("http://example.com/a.png", False),
        ("https: is a scheme", False),
        ("https://", False),
        ("https://a b", False),
        ("data: hi, there", False),
        ("data:", False),
        ("database,", False),
        ("", False),
    ],
)
def test_only_a_whole_address_is_a_file(text, expected):
    assert is_file_url(text) is expected


def test_use_file_output_is_honoured(both, local):
    for options, call in (({"use_file_output": False}, {}), ({}, {"use_file_output": False})):
        client = both.client(local.base_url, **options)
        assert (
            type(
                both(
                    lambda client=client, call=call: client.run(
                        "acme/reverse", {"file": b"a"}, **call
                    )
                )
            )
            is str
        )


def test_an_output_is_an_input_by_its_url(both, client, local):
    first = both(lambda: client.run("acme/reverse", {"file": b"abc"}))
    before = len(local.requests)
    both(
        lambda: client.predictions.create(
            model="acme/copies", input={"files": [first], "one": "data:,x"}
        )
    )
    assert [each.path for each in local.requests[before:]] == ["/v1/models/acme/copies/predictions"]
