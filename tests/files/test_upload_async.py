"""Async files and async iterables."""

import asyncio
import io

import aiofiles
import anyio
import pytest

from replicate_rs import Replicate, exceptions
from support.uploads import (
    DATA,
    LARGE,
    OCTETS,
    TEXT,
    Form,
    Pieces,
    Reader,
    Uploads,
    data_uri,
    get_contents,
    starlette_upload,
    url_of,
)

pytest_plugins = ["support.file_fixtures"]


async def generator():
    for each in (b"ab", b"", bytearray(b"cd"), memoryview(b"ef")):
        yield each


ASYNC = {
    "pieces": (lambda: Pieces(DATA, TEXT.encode()), Form("file", OCTETS, DATA + TEXT.encode())),
    "no pieces": (lambda: Pieces(), Form("file", OCTETS, b"")),
    # Too large for the buffer in memory.
    "large pieces": (lambda: Pieces(LARGE, LARGE), Form("file", OCTETS, LARGE * 2)),
    "generator": (generator, Form("file", OCTETS, b"abcdef")),
    "reader": (lambda: Reader(LARGE), Form("a.png", "image/png", LARGE)),
    "upload": (lambda: starlette_upload(DATA), Form("photo.jpg", "image/jpeg", DATA)),
    "large upload": (
        lambda: starlette_upload(LARGE * 2, **{"content-type": "image/x"}),
        Form("photo.jpg", "image/x", LARGE * 2),
    ),
}


@pytest.mark.parametrize("kind", ASYNC)
def test_what_must_be_awaited_arrives_or_is_refused_by_its_path(both, create, kind):
    make, expected = ASYNC[kind]
    for strategy, arrived in (
        ("upload", url_of(expected.content)),
        ("data-uri", data_uri(expected.content, expected.kind)),
    ):
        file = make()
        with Uploads() as server:
            if both.is_async:
                create(server, [file], file_encoding_strategy=strategy)
                assert server.forms == ([expected] if strategy == "upload" else [])
                assert server.body["input"]["value"] == [arrived]
                assert not getattr(getattr(file, "file", None), "closed", False)
            else:
                with pytest.raises(
                    TypeError,
                    match=r"^input\.value\[1\]: .*AsyncReplicate.* or pass its content as bytes",
                ):
                    create(server, [b"first", file], file_encoding_strategy=strategy)
                assert server.seen == []


def test_files_create_takes_what_must_be_awaited(both, client):
    if both.is_async:
        file = both(lambda: client.files.create(starlette_upload(DATA)))
        assert (file.name, file.content_type, file.size) == ("photo.jpg", "image/jpeg", len(DATA))
        assert (
            both(lambda: client.files.create(("a.gif", Pieces(b"ab", b"c")))).content_type
            == "image/gif"
        )
    else:
        with pytest.raises(TypeError, match="AsyncReplicate"):
            client.files.create(starlette_upload(DATA))


def test_the_async_methods_of_a_blocking_client_take_what_must_be_awaited(server):
    async def main():
        with Replicate("x", base_url=server.base_url) as client:
            await client.predictions.async_create("v", {"value": Pieces(b"a", b"b")})
            await client.files.async_create(Pieces(b"c"))

    asyncio.run(main())
    assert [each.content for each in server.forms] == [b"ab", b"c"]


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_an_async_file_that_fails_sends_nothing(create, server):
    with pytest.raises(
        TypeError, match=r"^input\.value\.a: an async iterable for a file must give bytes, not str"
    ):
        create(server, {"b": b"first", "a": Pieces(b"x", "y")})
    with pytest.raises(
        exceptions.FileError,
        match=r"^input\.value\[1\]: the file cannot be read: RuntimeError: broken$",
    ) as caught:
        create(server, [b"first", Pieces(b"x", RuntimeError("broken"))])
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert server.seen == []


async def opened_by_aiofiles(path):
    return await aiofiles.open(path, "rb")


async def opened_by_anyio(path):
    return await anyio.open_file(path, "rb")


async def uploaded(path):
    return starlette_upload(path.read_bytes())


@pytest.mark.parametrize("both", ["async"], indirect=True)
@pytest.mark.parametrize("opener", [opened_by_aiofiles, opened_by_anyio, uploaded])
def test_an_async_file_is_sent_whole_by_any_number_of_tasks(both, server, maker, opener):
    async def main():
        client = both.client(server.base_url)
        file = await opener(maker.path("a.jpg", LARGE))
        await file.read(1000)
        await client.files.create(file)
        await asyncio.gather(*(client.predictions.create("v", {"image": file}) for _ in range(5)))
        rest = await file.read(-1)
        await client.files.create(file)
        await file.seek(0)
        await (file.aclose if hasattr(file, "aclose") else file.close)()
        return rest

    assert both(main) == LARGE[1000:]
    assert get_contents(server) == [LARGE] * 7


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_an_async_file_that_fails_stands_where_it_was(both, send_image, server, maker):
    async def main():
        client = both.client(server.base_url)
        async with aiofiles.open(maker.path("a.txt", b"text")) as text:
            await text.read(2)
            with pytest.raises(TypeError, match=r"^input\.image: .* must give bytes, not str"):
                await client.predictions.create("v", {"image": text})
            return await text.tell()

    assert both(main) == 2
    assert server.seen == []


class Lingering:
    """An async file whose second read never ends."""

    def __init__(self, content):
        self.file = io.BytesIO(content)
        self.reads = 0
        self.half = asyncio.Event()

    async def read(self, size):
        self.reads += 1
        if self.reads == 2:
            self.half.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return self.file.read(min(size, 200_000))

    async def seek(self, position):
        await asyncio.sleep(0)
        self.file.seek(position)

    async def tell(self):
        await asyncio.sleep(0)
        return self.file.tell()


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_a_task_that_is_cancelled_puts_the_file_back_before_the_next_one_reads(both, server):
    async def main():
        client = both.client(server.base_url)
        file = Lingering(LARGE)
        await file.seek(10)
        first = asyncio.create_task(client.files.create(file))
        await file.half.wait()
        others = [asyncio.create_task(client.files.create(file)) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await asyncio.gather(*others)
        return await file.tell()

    assert both(main) == 10
    assert get_contents(server) == [LARGE] * 3


@pytest.mark.parametrize("both", ["async"], indirect=True)
def test_what_is_awaited_once_is_refused_the_second_time(both, server):
    async def generate():
        yield DATA

    async def main():
        client = both.client(server.base_url)
        generator = generate()
        spent = generate()
        assert [each async for each in spent] == [DATA]
        stream = asyncio.StreamReader()
        stream.feed_data(DATA)
        stream.feed_eof()
        for file in (generator, stream):
            await client.files.create(file)
        for file in (generator, spent, stream):
            for value in ({"image": file}, {"image": [b"x", file]}):
                with pytest.raises(
                    ValueError,
                    match=(
                        r"^input\.image(\[1\])?: this \w+ was read before.* pass its content as"
                        r" bytes"
                    ),
                ):
                    await client.predictions.create("v", value)
            with pytest.raises(ValueError, match="was read before"):
                await client.files.create(file)

    both(main)
    assert get_contents(server) == [DATA] * 2
