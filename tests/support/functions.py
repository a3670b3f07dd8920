"""Servers, and a client, for tests of models as functions."""

from collections.abc import Iterator
from typing import Any

import pytest

from replicate_rs.local import LocalReplicate
from support.wire import HEAD, Wire, prediction, reply

POEM = "POST /v1/models/acme/poem/predictions"
SHOUT = "POST /v1/models/acme/shout/predictions"
ABOUT_POEM = "GET /v1/models/acme/poem"


@pytest.fixture(scope="module", name="server")
def serve_functions() -> Iterator[LocalReplicate]:
    server = LocalReplicate(token="r8_secret")

    @server.model("acme/poem", stream=True)
    def poem(about: str = "") -> Iterator[str]:
        print("counting syllables")
        for word in about.split():
            yield f"{word} "

    @server.model("acme/words")
    def words(about: str = "") -> Iterator[str]:
        yield from about.split()

    @server.model("acme/numbers")
    def numbers(to: int) -> Iterator[int]:
        yield from range(to)

    @server.model("acme/shout")
    def shout(text: Any) -> Any:
        return text.upper() if isinstance(text, str) else text

    @server.model("acme/picture")
    def picture(prompt: bytes = b"") -> bytes:
        return b"picture " + prompt

    @server.model("acme/pictures")
    def pictures(count: int = 2) -> Iterator[bytes]:
        for number in range(count):
            yield b"%d" % number

    @server.model("acme/fail", stream=True)
    def fail() -> Iterator[str]:
        yield "so far "
        raise RuntimeError("OOM")

    with server:
        yield server


@pytest.fixture(name="client")
def create_client(both, server):
    return both.client(server.base_url, poll_interval=0.005)


@pytest.fixture(name="asked")
def record_requests(server):
    """Return a function that lists the requests since the test began."""
    before = len(server.requests)
    return lambda: [f"{each.method} {each.path}" for each in server.requests[before:]]


def scripted(*streams, urls="stream", poll=(), **answers):
    """Return a server of one prediction, whose stream is opened once for each of `streams`."""
    opened = iter(streams)
    polls = iter(poll)

    def script(seen):
        if seen.path == "/stream":
            answer = next(opened)
            return (
                answer if callable(answer) else lambda connection: connection.sendall(HEAD + answer)
            )
        if seen.path in answers:
            return answers[seen.path]
        if seen.path.endswith("/cancel"):
            return reply(prediction("canceled"))
        if seen.method == "POST":
            return reply(prediction("starting", urls={urls: f"{wire.origin}/stream"}), 201)
        if seen.path == "/v1/predictions/p1":
            return reply(next(polls))
        return reply({"detail": "not found"}, 404)

    wire = Wire(script)
    return wire
