"""Libraries that take an open file get the exact bytes of an output file."""

import asyncio
import codecs
import csv
import gzip
import io
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import tarfile
import tomllib
import wave
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import aiohttp
import httpx
import numpy as np
import PIL.Image
import pytest
import requests
import tqdm
import yaml
from django.core.files import File
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from django.http import FileResponse, StreamingHttpResponse
from flask import Flask, send_file
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

import replicate_rs
from replicate_rs import AsyncReplicate, FileOutput, Replicate
from support.hosts import Host
from support.webhooks import example
from support.wire import Wire, reply

# Django needs settings, once per process.
example("webhook_django")

SIZES = [0, 1, 204_800, 5_000_000]
# Where a file may be, and what its host supports.
KINDS = ["https", "without parts", "data:", "fetch="]


CASES = pytest.mark.parametrize(
    ("made", "size"),
    [
        *(("https", size) for size in SIZES),
        *((kind, size) for kind in KINDS[1:] for size in (0, 204_800)),
    ],
    indirect=["made"],
)


def content_of(size):
    return random.Random(size).randbytes(size)


@pytest.fixture(params=KINDS)
def made(request):
    """A function that makes an output file with the given content."""
    hosts = []
    options = {"fetch": lambda request, send: send(request)} if request.param == "fetch=" else {}
    client = Replicate("r8_secret", base_url="https://x.test", **options)

    def give(content, name="out.bin", kind="application/octet-stream"):
        if request.param == "data:":
            import base64

            return FileOutput(f"data:{kind};base64,{base64.b64encode(content).decode()}", client)
        hosts.append(Host(content, parts=request.param != "without parts", kind=kind))
        return hosts[-1].file(client, f"/{name}")

    yield give
    for host in hosts:
        host._listener.close()
    client.close()


@pytest.fixture
def sink():
    """A server that keeps the bodies that it receives."""
    with Wire(lambda _: reply({})) as wire:
        yield wire


def chunks_of(read, size=65_536):
    """Read in a loop, which must end."""
    parts = []
    while part := read(size):
        parts.append(part)
        assert sum(map(len, parts)) <= 6_000_000
    return b"".join(parts)


def copied(output, folder):
    with open(folder / "copy", "wb") as file:
        shutil.copyfileobj(output, file)
    return (folder / "copy").read_bytes()


def filled(output, folder):
    parts, buffer = [], bytearray(70_001)
    while count := output.readinto(buffer):
        parts.append(bytes(buffer[:count]))
    return b"".join(parts)


def stored(output, folder):
    storage = FileSystemStorage(folder)
    return (folder / storage.save("stored.bin", File(output))).read_bytes()


def kept_in_memory(output, folder):
    storage = InMemoryStorage()
    with storage.open(storage.save("x", output)) as file:
        return file.read()


def wrapped(output, folder):
    with tqdm.tqdm.wrapattr(output, "read", total=None, file=io.StringIO()) as file:
        return chunks_of(file.read)


def through_a_pipe(output, folder):
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"],
        stdin=-1,
        stdout=-1,
    ) as cat:
        import threading

        def feed():
            shutil.copyfileobj(output, cat.stdin)
            cat.stdin.close()

        thread = threading.Thread(target=feed)
        thread.start()
        given = cat.stdout.read()
        thread.join()
    return given


CONSUMERS = {
    "read": lambda output, _: output.read(),
    "read, again": lambda output, _: (output.read(), output.read())[1],
    "read in parts": lambda output, _: chunks_of(output.read),
    "read byte after byte": lambda output, _: output.read(1) + chunks_of(output.read),
    "shutil.copyfileobj": copied,
    "shutil.copy": lambda output, folder: Path(shutil.copy(output, folder / "copy")).read_bytes(),
    "readinto": filled,
    "readlines": lambda output, _: b"".join(output.readlines()),
    "lines": lambda output, _: b"".join(iter(output.readline, b"")),
    "io.BufferedReader": lambda output, _: chunks_of(io.BufferedReader(output).read),
    "io.TextIOWrapper": lambda output, _: (
        io.TextIOWrapper(output, "latin-1", newline="").read().encode("latin-1")
    ),
    "io.TextIOWrapper, in parts": lambda output, _: chunks_of(
        io.TextIOWrapper(output, "latin-1", newline="").read
    ).encode("latin-1"),
    "codecs": lambda output, _: "".join(codecs.getreader("latin-1")(output)).encode("latin-1"),
    "open()": lambda output, _: output.open().read(),
    "for": lambda output, _: b"".join(output),
    "writelines": lambda output, folder: (
        (folder / "x").open("wb").writelines(output),
        (folder / "x").read_bytes(),
    )[1],
    "Django's File": lambda output, _: b"".join(File(output).chunks()),
    "Django's File, twice": lambda output, _: [
        b"".join(each.chunks()) for each in [File(output)] * 2
    ][1],
    "Django's storage": stored,
    "Django's storage in memory": kept_in_memory,
    "Django's FileResponse": lambda output, _: b"".join(FileResponse(output).streaming_content),
    "Django's StreamingHttpResponse": lambda output, _: b"".join(
        StreamingHttpResponse(output).streaming_content
    ),
    "tqdm.wrapattr": wrapped,
    "a pipe": through_a_pipe,
}


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@CASES
@pytest.mark.parametrize("consumer", CONSUMERS)
def test_it_gets_the_bytes(made, consumer, size, tmp_path):
    if consumer == "io.TextIOWrapper, in parts":
        # The end of text is "".
        wrapper = io.TextIOWrapper(made(content_of(size)), "latin-1", newline="")
        assert "".join(iter(lambda: wrapper.read(50_000), "")).encode("latin-1") == content_of(size)
        return
    assert CONSUMERS[consumer](made(content_of(size)), tmp_path) == content_of(size)


# Over the network


def multipart(wire):
    """Return the content of the only file of a form."""
    return unchunked(wire.seen[-1]).partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]


def unchunked(seen):
    if seen.headers.get("transfer-encoding") != "chunked":
        return seen.body
    rest, parts = seen.body, []
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if not int(size, 16):
            return b"".join(parts)
        parts.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]


def over_aiohttp(wire, output, **more):
    async def send():
        async with aiohttp.ClientSession() as session, session.post(wire.origin, **more):
            pass

    asyncio.run(send())


SENDERS = {
    "requests, data=": lambda wire, output: requests.post(wire.origin, data=output, timeout=20),
    "requests, files=": lambda wire, output: requests.post(
        wire.origin, files={"f": output}, timeout=20
    ),
    "requests, files= with a name": lambda wire, output: requests.post(
        wire.origin, files={"f": ("n", output)}, timeout=20
    ),
    "httpx, content=": lambda wire, output: httpx.post(wire.origin, content=output),
    "httpx, files=": lambda wire, output: httpx.post(wire.origin, files={"f": output}),
    "aiohttp, data=": lambda wire, output: over_aiohttp(wire, output, data=output),
    "aiohttp, data= in a form": lambda wire, output: over_aiohttp(wire, output, data={"f": output}),
}


@CASES
@pytest.mark.parametrize("sender", SENDERS)
def test_it_sends_the_bytes(made, sink, sender, size):
    output = made(content_of(size))
    SENDERS[sender](sink, output)
    is_form = sink.seen[-1].headers.get("content-type", "").startswith("multipart/")
    assert (multipart(sink) if is_form else unchunked(sink.seen[-1])) == content_of(size)
    if is_form and "with a name" not in sender and not output.url.startswith("data:"):
        assert b'filename="out.bin"' in unchunked(sink.seen[-1])


def test_a_length_is_sent_where_it_is_known(made, sink):
    output = made(b"x" * 1000)
    requests.post(sink.origin, data=output, timeout=20)
    assert sink.seen[-1].headers["content-length"] == "1000"
    output = made(b"x" * 1000)
    httpx.post(sink.origin, content=output)
    assert sink.seen[-1].headers["content-length"] == "1000"


def test_an_async_client_s_file_goes_over_aiohttp(sink):
    with Host(content_of(204_800)) as host:
        output = host.file(AsyncReplicate("r8_secret", base_url="https://x.test"))
        over_aiohttp(sink, output, data=output)
        assert unchunked(sink.seen[-1]) == host.content


def test_a_redirected_upload_is_sent_once_more(made):
    def script(seen):
        return reply(status=307, headers="Location: /there\r\n") if seen.path == "/" else reply({})

    with Wire(script) as wire:
        requests.post(wire.origin, data=made(content_of(204_800)), timeout=20)
        assert [each.body for each in wire.seen] == [content_of(204_800)] * 2


def test_flask_sends_it(made):
    app = Flask(__name__)
    output = made(content_of(204_800), kind="image/png", name="x.png")
    app.add_url_rule("/", view_func=lambda: send_file(output, mimetype="image/png"))
    with app.test_client().get("/") as answer:
        assert (answer.data, answer.mimetype) == (content_of(204_800), "image/png")


def test_a_response_has_its_type_and_length(made):
    async def respond(output):
        async def give(_):
            return StreamingResponse(output, headers=output.headers)

        app = Starlette(routes=[Route("/", give)])
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://app"
        ) as web:
            return await web.get("/")

    output = made(content_of(204_800), kind="image/webp", name="x.webp")
    answer = asyncio.run(respond(output))
    assert (answer.content, answer.headers["content-type"]) == (content_of(204_800), "image/webp")
    output.read()
    assert output.headers == {"content-type": "image/webp", "content-length": "204800"}
    assert asyncio.run(respond(output)).headers["content-length"] == "204800"
    response = FileResponse(output)
    assert response.headers["Content-Length"] == "204800"
    response.close()


# Contents


@pytest.mark.parametrize("rows", [0, 1, 20_000])
def test_text_in_it_is_read(made, rows):
    table = [["a", "ü"], *([str(row), "x" * (row % 50)] for row in range(rows))]
    text = io.StringIO()
    csv.writer(text).writerows(table)
    content = text.getvalue().encode()
    with io.TextIOWrapper(made(content), "utf-8", newline="") as file:
        assert list(csv.reader(file)) == table
    with io.TextIOWrapper(made(content), "utf-8", newline="") as file:
        head = file.readline()
        assert head + file.read() == content.decode()
        assert file.read() == ""


@pytest.mark.parametrize("items", [0, 1, 50_000])
def test_values_in_it_are_read(made, items):
    value = {"items": [f"item {n}" for n in range(items)]}
    assert json.load(made(json.dumps(value).encode())) == value
    assert pickle.load(made(pickle.dumps(value))) == value
    assert tomllib.load(made(f"items = {json.dumps(value['items'])}".encode())) == value
    if items < 1000:
        assert yaml.safe_load(made(yaml.safe_dump(value).encode())) == value
    root = ET.Element("items")
    for item in value["items"]:
        ET.SubElement(root, "item").text = item
    assert [each.text for each in ET.parse(made(ET.tostring(root))).getroot()] == value["items"]
    assert [
        each.text for _, each in ET.iterparse(made(ET.tostring(root))) if each.tag == "item"
    ] == value["items"]


def archives():
    parts = {f"{n}.bin": content_of(n * 30_000) for n in range(8)}
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
        archive.comment = b"a comment"
    with tarfile.open(fileobj=tarred, mode="w:gz") as archive:
        for name, content in parts.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return parts, zipped.getvalue(), tarred.getvalue()


def test_archives_are_read(made):
    parts, zipped, tarred = archives()
    for file in (made(zipped), File(made(zipped)), made(zipped).open()):
        with zipfile.ZipFile(file) as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == parts
    for mode in ("r", "r:gz", "r|gz"):
        with tarfile.open(fileobj=made(tarred), mode=mode) as archive:
            assert {each.name: archive.extractfile(each).read() for each in archive} == parts
    with gzip.open(made(gzip.compress(content_of(204_800)))) as file:
        assert file.read() == content_of(204_800)


def test_sound_pictures_and_arrays_are_read(made):
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(content_of(204_800))
    with wave.open(made(sound.getvalue()), "rb") as file:
        assert file.readframes(file.getnframes()) == content_of(204_800)
    picture = PIL.Image.frombytes("RGB", (320, 213), content_of(204_480))
    for kind in ("PNG", "TIFF", "BMP", "GIF"):
        expected = io.BytesIO()
        picture.save(expected, kind)
        for file in (made(expected.getvalue()), File(made(expected.getvalue()))):
            with (
                PIL.Image.open(file) as read,
                PIL.Image.open(io.BytesIO(expected.getvalue())) as wanted,
            ):
                assert read.convert("RGB").tobytes() == wanted.convert("RGB").tobytes()
    array = io.BytesIO()
    np.save(array, np.arange(50_000))
    assert (np.load(made(array.getvalue())) == np.arange(50_000)).all()


def test_what_is_saved_twice_is_there_twice(made, tmp_path):
    output = made(content_of(204_800))
    for name in ("a", "b"):
        output.seek(0)
        with open(tmp_path / name, "wb") as file:
            shutil.copyfileobj(output, file)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == content_of(204_800)
    assert os.path.getsize(output) == 204_800
    assert replicate_rs.save_all([output], tmp_path / "all")[0].read_bytes() == content_of(204_800)
