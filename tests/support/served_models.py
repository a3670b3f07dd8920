"""A local server whose models stream, wait, fail and return files."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import replicate_rs as replicate
from replicate_rs.local import LocalReplicate, sleep


@pytest.fixture
def server():
    server = LocalReplicate()

    @server.model("acme/shout")
    def shout(text: str = "hi") -> str:
        return text.upper()

    @server.model("acme/words", stream=True)
    def words(text: str = "a b c d") -> Iterator[str]:
        print("begun")
        yield from text.split()

    @server.model("acme/gated", stream=True)
    def gated() -> Iterator[str]:
        yield "first"
        gate.wait(30)
        yield "second"

    @server.model("acme/slow")
    def slow() -> str:
        sleep(60)
        return ""

    @server.model("acme/file")
    def file() -> bytes:
        return b"0123456789"

    @server.model("acme/files")
    def files() -> Iterator[Path]:
        yield Path(__file__)

    @server.model("acme/fail", stream=True)
    def fail() -> Iterator[str]:
        raise RuntimeError("OOM")

    gate = server.gate = threading.Event()
    with server:
        yield server
    gate.set()


@pytest.fixture
def client(server):
    return replicate.Replicate(
        api_token=server.token, base_url=server.base_url, poll_interval=0.01, max_retries=0
    )
