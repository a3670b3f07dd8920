"""`client.files`: the arguments of `create`, and the other operations."""

import hashlib
import io
import math
from typing import Any

import pytest

from replicate_rs import exceptions
from replicate_rs.file import File, FilePage
from support.uploads import DATA, OCTETS, TEXT
from support.wire import Wire, reply

pytest_plugins = ["support.file_fixtures"]


def test_a_file_is_given_in_each_spelling(both, client, maker):
    path = maker.text
    content = TEXT.encode()
    handle = maker.open(path.open, "rb")
    buffer = io.BytesIO(content)
    spellings: list[tuple[tuple[Any, ...], dict[str, Any], str, str]] = [
        ((str(path),), {}, "grüße.txt", "text/plain"),
        ((path,), {}, "grüße.txt", "text/plain"),
        ((handle,), {}, "grüße.txt", "text/plain"),
        ((content,), {}, "file", OCTETS),
        ((buffer,), {}, "file", OCTETS),
        ((("a.png", content),), {}, "a.png", "image/png"),
        (((None, path),), {}, "grüße.txt", "text/plain"),
        ((("a.png", path, "image/x"),), {}, "a.png", "image/x"),
        ((("a.png", path, None),), {}, "a.png", "image/png"),
        ((("a.png", path, "image/x", {}),), {}, "a.png", "image/x"),
        ((), {"file": path}, "grüße.txt", "text/plain"),
        ((), {"content": content}, "file", OCTETS),
        ((), {"content": content, "filename": "b.gif"}, "b.gif", "image/gif"),
        ((), {"content": content, "filename": "b.gif", "type": "image/y"}, "b.gif", "image/y"),
        ((path,), {"content_type": "image/z"}, "grüße.txt", "image/z"),
        ((("a.png", path, "image/x"),), {"filename": "c.txt"}, "c.txt", "text/plain"),
    ]
    for args, options, name, kind in spellings:
        for each in (handle, buffer):
            each.seek(0)
        file = both(lambda args=args, options=options: client.files.create(*args, **options))
        assert (file.name, file.content_type, file.size) == (name, kind, len(content))
        assert file.checksums["sha256"] == hashlib.sha256(content).hexdigest()
    assert not handle.closed


def test_metadata_is_given_by_position_and_by_keyword(both, client):
    metadata = {"a": [1, None, {"ü": TEXT}], "b": 1.5}
    assert both(lambda: client.files.create(b"x", metadata)).metadata == metadata
    assert both(lambda: client.files.create(b"x", metadata=metadata)).metadata == metadata
    assert both(lambda: client.files.create(b"x")).metadata == {}


def test_metadata_that_json_cannot_carry_is_refused(both, server):
    for metadata in ({"a": object()}, {"a": math.nan}):
        with pytest.raises((TypeError, ValueError)):
            both(
                lambda metadata=metadata: both.client(server.base_url).files.create(
                    b"x", metadata=metadata
                )
            )
    assert server.seen == []


def test_what_is_no_file_is_a_type_error(both, server):
    create = both.client(server.base_url).files.create
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'file'"):
        both(create)
    with pytest.raises(TypeError, match="give file= or content=, once"):
        both(lambda: create(b"x", content=b"y"))
    tuples = [
        (),
        ("a",),
        (b"x", "a"),
        ("a", ("b", b"x")),
        ("a", b"x", "t", {}, 5),
        ("a", b"x", "t", {"X-Header": "1"}),
    ]
    for file in (None, 5, [b"x"], object(), *tuples, ("a", b"x", 5), ("a", None), ("a", 5)):
        with pytest.raises(TypeError):
            both(lambda file=file: create(file))
    assert server.seen == []


def test_a_name_that_is_none_is_refused(both, server):
    create = both.client(server.base_url).files.create
    for name in ("a/b", "/", "a\0b", "", "x" * 256, "ü" * 128):
        with pytest.raises(ValueError, match="name must not be"):
            both(lambda name=name: create(b"x", filename=name))
        with pytest.raises(ValueError, match="name must not be"):
            both(lambda name=name: create((name, b"x")))
    assert server.seen == []


def test_any_other_name_arrives(both, server):
    client = both.client(server.base_url)
    names = [
        "x" * 255,
        "ü" * 127,
        ".",
        "..",
        "a\\b",
        "\\\\x",
        "x\\",
        " ",
        "%2F",
        "a;b=c",
        "\N{SNOWMAN}",
    ]
    for name in names:
        both(lambda name=name: client.files.create(b"x", filename=name))
    assert [each.name for each in server.forms] == names


def test_what_would_end_a_header_is_escaped_in_a_name(both, server):
    both(lambda: both.client(server.base_url).files.create(b"x", filename='a"\r\nX: y"b'))
    assert server.forms[0].name == "a%22%0D%0AX: y%22b"


def test_a_type_with_a_line_break_is_refused(both, server):
    create = both.client(server.base_url).files.create
    for kind in ("image/png\r\nX: y", "image/png\n", "a\rb", "a\0b"):
        for args, options in (
            ((b"x",), {"content_type": kind}),
            ((b"x",), {"type": kind}),
            ((("a", b"x", kind),), {}),
        ):
            with pytest.raises(ValueError, match="must not hold a line break"):
                both(lambda args=args, options=options: create(*args, **options))
    assert server.seen == []


def make_records(*ids):
    return [
        {
            "id": each,
            "name": f"{each}.txt",
            "size": 1,
            "urls": {"get": f"https://files.test/{each}"},
        }
        for each in ids
    ]


def test_a_page_of_files_is_a_list_too(both):
    pages = {
        "/v1/files": (make_records("a", "b"), "?cursor=2"),
        "/v1/files?cursor=2": (make_records("c"), None),
    }

    def script(seen):
        results, following = pages[seen.path]
        return reply(
            {
                "results": results,
                "next": following and f"{wire.base_url}/files{following}",
                "previous": None,
            }
        )

    with Wire(script) as wire:
        page = both(both.client(wire.base_url).files.list)
        assert isinstance(page, FilePage)
        a, b = page
        assert isinstance(a, File)
        assert ([a.id, b.name], len(page), page[0], page[-1], page[:1]) == (
            ["a", "b.txt"],
            2,
            a,
            b,
            [a],
        )
        assert a in page
        assert page == [a, b]
        assert [a, b] == page
        assert page != [b, a]
        assert page != [a]
        assert page
        assert list(reversed(page)) == [b, a]
        again = both(both.client(wire.base_url).files.list)
        assert page == again
        assert [each.id for each in both(lambda: list_all(both, page))] == ["a", "b", "c"]
        last = both(lambda: both.client(wire.base_url).files.list(page.next))
        assert page != last
        assert get_only(last) not in page


def get_only(page):
    (only,) = page
    return only


def list_all(both, page):
    if not both.is_async:
        return list(page.auto())

    async def collect():
        return [each async for each in page.auto()]

    return collect()


def test_an_empty_page_of_files_is_false(both):
    with Wire(lambda _: reply({"results": [], "next": None, "previous": None})) as wire:
        page = both(both.client(wire.base_url).files.list)
    assert not page
    assert page == []
    assert (len(page), list(page)) == (0, [])
    with pytest.raises(IndexError):
        page[0]


def test_files_are_listed_fetched_and_deleted(both, client):
    created = both(lambda: client.files.create(b"x", filename="listed.txt"))
    assert created in both(client.files.list)
    assert both(lambda: client.files.get(created.id)) == created
    assert both(lambda: client.files.delete(created.id)) is True
    assert created not in both(client.files.list)
    with pytest.raises(exceptions.NotFoundError):
        both(lambda: client.files.delete(created.id))


def test_a_file_is_downloaded_with_a_signature(both, client, local):
    created = both(lambda: client.files.create(DATA))
    signed: dict[str, Any] = local.signed_download(created.id)
    assert both(lambda: client.files.download(created.id, **signed)) == DATA
    with pytest.raises(exceptions.NotFoundError):
        both(lambda: client.files.download(created.id, **signed | {"signature": "AAAA"}))


def test_a_signature_is_sent_as_it_was_given(both):
    with Wire(lambda _: reply(b"content", kind=OCTETS)) as wire:
        client = both.client(wire.base_url)
        download = client.files.download
        assert (
            both(lambda: download("a/b", owner="ü&x", expiry=1757800000, signature="a+b/c=="))
            == b"content"
        )
    assert wire.routes == [
        "GET /v1/files/a%2Fb/download?owner=%C3%BC%26x&expiry=1757800000&signature=a%2Bb%2Fc%3D%3D"
    ]
