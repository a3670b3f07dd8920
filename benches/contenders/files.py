"""Saving, reading and uploading a file.

Where a library offers the choice, 1 MiB passes through Python at a time; no library is slower with
that than with its default.
"""

from __future__ import annotations

import json
import os
import select
import ssl
import subprocess
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from contenders import OURS, TOKEN
from contenders.file_sockets import (
    BLOCK_SIZE,
    FileFunctions,
    not_measured,
    plain_socket,
    sendfile,
)
from machine import peak_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

# Bytes. Replicate limits uploads, and so does this library; the benchmarks' server does not.
UPLOAD_LIMIT = 2_000_000_000
# Seconds between two readings of a process's memory.
POLL_INTERVAL = 0.02


def _trust(trusted: str | None) -> None:
    """Add a trusted certificate to the TLS context of a library without an option for it."""
    if trusted is not None:
        os.environ["SSL_CERT_FILE"] = trusted


def _certificate(trusted: str) -> bytes:
    return Path(trusted).read_bytes()


def _lift_limit() -> None:
    import replicate_rs._files.upload

    vars(replicate_rs._files.upload)["MAX_BYTES"] = UPLOAD_LIMIT


@contextmanager
def _ours(origin: str, trusted: str | None) -> Iterator[FileFunctions]:
    import replicate_rs

    _trust(trusted)
    _lift_limit()
    with replicate_rs.Replicate(TOKEN, base_url=origin) as client:

        def iterate(url: str, target: Path) -> None:
            with target.open("wb") as file:
                for chunk in replicate_rs.FileOutput(url, client):
                    file.write(chunk)

        yield FileFunctions(
            lambda url, target: replicate_rs.FileOutput(url, client).save(target),
            lambda url: replicate_rs.FileOutput(url, client).read(),
            client.files.create,
            iterate=iterate,
        )


@contextmanager
def _1_0_7(origin: str, trusted: str | None) -> Iterator[FileFunctions]:
    from replicate.client import Client
    from replicate.helpers import FileOutput

    _trust(trusted)
    client = Client(TOKEN, base_url=origin)

    def save(url: str, target: Path) -> None:
        with target.open("wb") as file:
            for chunk in FileOutput(url, client):
                file.write(chunk)

    yield FileFunctions(save, lambda url: FileOutput(url, client).read(), client.files.create)


@contextmanager
def _httpx(origin: str, trusted: str | None) -> Iterator[FileFunctions]:
    import httpx

    _trust(trusted)
    with httpx.Client() as client:

        def save(url: str, target: Path) -> None:
            with client.stream("GET", url) as response, target.open("wb") as file:
                for chunk in response.iter_raw():
                    file.write(chunk)

        def upload(path: Path) -> Any:
            with path.open("rb") as file:
                return client.post(f"{origin}/v1/files", files={"content": file}).json()

        yield FileFunctions(save, lambda url: client.get(url).content, upload)


@contextmanager
def _requests(origin: str, trusted: str | None) -> Iterator[FileFunctions]:
    import requests

    with requests.Session() as session:
        # The environment would override an option of the session.
        verify = trusted or True

        def save(url: str, target: Path) -> None:
            with (
                session.get(url, stream=True, verify=verify) as response,
                target.open("wb") as file,
            ):
                for chunk in response.iter_content(BLOCK_SIZE):
                    file.write(chunk)

        def upload(path: Path) -> Any:
            with path.open("rb") as file:
                return session.post(f"{origin}/v1/files", files={"content": file}).json()

        yield FileFunctions(save, lambda url: session.get(url).content, upload)


@contextmanager
def _urllib3(_: str, trusted: str | None) -> Iterator[FileFunctions]:
    import urllib3

    with urllib3.PoolManager(ca_certs=trusted) as client:

        def save(url: str, target: Path) -> None:
            response = client.request("GET", url, preload_content=False)
            with target.open("wb") as file:
                for chunk in response.stream(BLOCK_SIZE):
                    file.write(chunk)
            response.release_conn()

        yield FileFunctions(save, lambda url: client.request("GET", url).data, not_measured)


@contextmanager
def _http_client(origin: str, trusted: str | None) -> Iterator[FileFunctions]:
    from http.client import HTTPConnection, HTTPSConnection

    host = urlsplit(origin).netloc
    context = None if trusted is None else ssl.create_default_context(cafile=trusted)
    connection = HTTPConnection(host) if context is None else HTTPSConnection(host, context=context)
    buffer = memoryview(bytearray(BLOCK_SIZE))

    def save(url: str, target: Path) -> None:
        connection.request("GET", urlsplit(url).path)
        response = connection.getresponse()
        with target.open("wb") as file:
            while count := response.readinto(buffer):
                file.write(buffer[:count])

    def read(url: str) -> Any:
        connection.request("GET", urlsplit(url).path)
        return connection.getresponse().read()

    yield FileFunctions(save, read, not_measured)


@contextmanager
def _pyreqwest(origin: str, trusted: str | None) -> Iterator[FileFunctions]:
    from pyreqwest.client import SyncClientBuilder
    from pyreqwest.multipart import FormBuilder

    builder = SyncClientBuilder()
    if trusted is not None:
        builder = builder.add_root_certificate_pem(_certificate(trusted))
    with builder.build() as client:

        def save(url: str, target: Path) -> None:
            with client.get(url).build_streamed() as response, target.open("wb") as file:
                while (chunk := response.body_reader.read(BLOCK_SIZE)) is not None:
                    file.write(chunk)

        def upload(path: Path) -> Any:
            form = FormBuilder().sync_file("content", path)
            return client.post(f"{origin}/v1/files").multipart(form).build().send().json()

        yield FileFunctions(save, lambda url: client.get(url).build().send().bytes(), upload)


@contextmanager
def _wreq(_: str, __: str | None) -> Iterator[FileFunctions]:
    import wreq.blocking

    client = wreq.blocking.Client()

    def save(url: str, target: Path) -> None:
        with client.get(url).stream() as chunks, target.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)

    yield FileFunctions(save, lambda url: client.get(url).bytes(), not_measured)


@contextmanager
def _curl(origin: str, trusted: str | None) -> Iterator[FileFunctions]:
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--fail",
        *([] if trusted is None else ["--cacert", trusted]),
    ]
    peaks: list[int] = []

    def run(*arguments: str) -> bytes:
        peak = 0
        with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE) as process:
            # The peak that getrusage() reports for a child starts at its parent's memory.
            pidfd = os.pidfd_open(process.pid)
            while not select.select([pidfd], [], [], POLL_INTERVAL)[0]:
                peak = peak_bytes(process.pid) or peak
            os.close(pidfd)
            assert process.stdout is not None
            output = process.stdout.read()
        if process.returncode:
            raise OSError(f"curl exited with status {process.returncode}")
        peaks.append(peak)
        return output

    yield FileFunctions(
        lambda url, target: run("--output", str(target), url),
        not_measured,
        lambda path: json.loads(run("--form", f"content=@{path}", f"{origin}/v1/files")),
        peaks.pop,
    )


@asynccontextmanager
async def _async_ours(origin: str, trusted: str | None) -> AsyncIterator[FileFunctions]:
    import replicate_rs

    _trust(trusted)
    _lift_limit()
    async with replicate_rs.AsyncReplicate(TOKEN, base_url=origin) as client:
        yield FileFunctions(
            lambda url, target: replicate_rs.FileOutput(url, client).asave(target),
            lambda url: replicate_rs.FileOutput(url, client).aread(),
            client.files.create,
        )


@asynccontextmanager
async def _async_1_0_7(origin: str, trusted: str | None) -> AsyncIterator[FileFunctions]:
    from replicate.client import Client
    from replicate.helpers import FileOutput

    _trust(trusted)
    client = Client(TOKEN, base_url=origin)

    async def save(url: str, target: Path) -> None:
        with target.open("wb") as file:
            async for chunk in FileOutput(url, client):
                file.write(chunk)

    yield FileFunctions(
        save, lambda url: FileOutput(url, client).aread(), client.files.async_create
    )


@asynccontextmanager
async def _async_httpx(origin: str, trusted: str | None) -> AsyncIterator[FileFunctions]:
    import httpx

    _trust(trusted)
    async with httpx.AsyncClient() as client:

        async def save(url: str, target: Path) -> None:
            with target.open("wb") as file:
                async with client.stream("GET", url) as response:
                    async for chunk in response.aiter_raw():
                        file.write(chunk)

        async def read(url: str) -> Any:
            return (await client.get(url)).content

        async def upload(path: Path) -> Any:
            with path.open("rb") as file:
                return (await client.post(f"{origin}/v1/files", files={"content": file})).json()

        yield FileFunctions(save, read, upload)


@asynccontextmanager
async def _async_aiohttp(origin: str, trusted: str | None) -> AsyncIterator[FileFunctions]:
    import aiohttp

    context = True if trusted is None else ssl.create_default_context(cafile=trusted)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:

        async def save(url: str, target: Path) -> None:
            with target.open("wb") as file:
                async with session.get(url) as response:
                    async for chunk in response.content.iter_chunked(BLOCK_SIZE):
                        file.write(chunk)

        async def read(url: str) -> Any:
            async with session.get(url) as response:
                return await response.read()

        async def upload(path: Path) -> Any:
            with path.open("rb") as file:
                form = aiohttp.FormData()
                form.add_field("content", file, filename=path.name)
                async with session.post(f"{origin}/v1/files", data=form) as response:
                    return await response.json()

        yield FileFunctions(save, read, upload)


@asynccontextmanager
async def _async_pyreqwest(origin: str, trusted: str | None) -> AsyncIterator[FileFunctions]:
    from pyreqwest.client import ClientBuilder
    from pyreqwest.multipart import FormBuilder

    builder = ClientBuilder()
    if trusted is not None:
        builder = builder.add_root_certificate_pem(_certificate(trusted))
    async with builder.build() as client:

        async def save(url: str, target: Path) -> None:
            with target.open("wb") as file:
                async with client.get(url).build_streamed() as response:
                    while (chunk := await response.body_reader.read(BLOCK_SIZE)) is not None:
                        file.write(chunk)

        async def read(url: str) -> Any:
            return await (await client.get(url).build().send()).bytes()

        async def upload(path: Path) -> Any:
            form = await FormBuilder().file("content", path)
            return await (
                await client.post(f"{origin}/v1/files").multipart(form).build().send()
            ).json()

        yield FileFunctions(save, read, upload)


FILES: dict[str, Callable[[str, str | None], AbstractContextManager[FileFunctions]]] = {
    OURS: _ours,
    "1.0.7": _1_0_7,
    "httpx": _httpx,
    "requests": _requests,
    "urllib3": _urllib3,
    "http.client": _http_client,
    "pyreqwest": _pyreqwest,
    "wreq": _wreq,
    "curl": _curl,
    "bare socket": plain_socket,
    "bare sendfile": sendfile,
}
FILES_ASYNC: dict[str, Callable[[str, str | None], AbstractAsyncContextManager[FileFunctions]]] = {
    OURS: _async_ours,
    "1.0.7": _async_1_0_7,
    "httpx": _async_httpx,
    "aiohttp": _async_aiohttp,
    "pyreqwest": _async_pyreqwest,
}
