"""Services that are told to stop while readers are in: what runs for these is cancelled before the
process has gone.
"""

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.creates import Creates
from support.pages import blocks
from support.serving import MAX_WAIT, started

ASGI = """
import contextlib
import replicate_rs
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

client = replicate_rs.AsyncReplicate()

@contextlib.asynccontextmanager
async def lifespan(app):
    yield
    print("left:", await client.aclose(), flush=True)

async def relay(request):
    relay = await client.relay("acme/x", {})
    return StreamingResponse(relay, headers=relay.headers)

async def stream(request):
    async def body():
        async for event in client.stream("acme/x", {}):
            yield event.encode()
    return StreamingResponse(body(), media_type="text/event-stream")

async def run(request):
    return PlainTextResponse(str(await client.run("acme/x", {})))

async def up(request):
    return PlainTextResponse("up")

routes = [Route(f"/{each.__name__}", each) for each in (relay, stream, run, up)]
app = Starlette(routes=routes, lifespan=lifespan)
"""

WSGI = """
import replicate_rs

client = replicate_rs.Replicate()

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/up":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"up"]
    if path == "/run":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(client.run("acme/x", {})).encode()]
    relay = client.relay("acme/x", {})
    start_response("200 OK", list(relay.headers.items()))
    return relay
"""

(CONFIG,) = (each for each in blocks("streaming.md") if "post_worker_init" in each)


def get(path, route):
    """Ask for something; the connection, when the first part of an answer is there, or the request
    has been sent.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(MAX_WAIT)
        connection.connect(str(path))
        connection.sendall(f"GET {route} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        told = b""
        while route != "/run" and not told.partition(b"\r\n\r\n")[2]:
            part = connection.recv(4096)
            assert part, told
            told += part
    except BaseException:
        connection.close()
        raise
    return connection


def is_up(path):
    try:
        get(path, "/up").close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def readers(path, route, count, wire):
    """So many who read, or wait for an answer."""
    with ThreadPoolExecutor(count) as pool, contextlib.ExitStack() as stack:
        for connection in pool.map(lambda _: get(path, route), range(count)):
            stack.enter_context(connection)
        wire.until(lambda: len(wire.made) == count, MAX_WAIT)
        yield


def check(server, wire):
    """Tell it to stop; whatever it ran is cancelled when it has gone."""
    _, log = server.end()
    assert sorted(wire.cancelled) == sorted(wire.made), log
    return log


def uvicorn(path, seconds):
    return [
        "uvicorn",
        "--uds",
        str(path),
        "--timeout-graceful-shutdown",
        str(seconds),
        "--log-level",
        "warning",
        "app:app",
    ]


@pytest.mark.parametrize("route", ["/relay", "/stream", "/run"])
def test_uvicorn_that_stops_with_two_hundred_readers(route, tmp_path):
    (tmp_path / "app.py").write_text(ASGI)
    path = tmp_path / "socket"
    with Creates(pause=0) as wire, started(uvicorn(path, 3), tmp_path, wire.base_url) as server:
        server.until(lambda: is_up(path))
        with readers(path, route, 200, wire):
            assert "left: 0" in check(server, wire)


def test_uvicorn_that_stops_during_the_creates(tmp_path):
    (tmp_path / "app.py").write_text(ASGI)
    path = tmp_path / "socket"
    with Creates(pause=3) as wire, started(uvicorn(path, 1), tmp_path, wire.base_url) as server:
        server.until(lambda: is_up(path))
        with readers(path, "/run", 50, wire):
            assert "left: 0" in check(server, wire)


# Which of the workers gets a connection is left to chance, so that the threads of one are enough
# for all. A sync worker has one.
WORKERS = {"sync": (["-w", "4"], 4), "gthread": (["-w", "2", "--threads", "50"], 40)}


@pytest.mark.parametrize("route", ["/relay", "/run"])
@pytest.mark.parametrize("kind", WORKERS)
def test_gunicorn_that_stops_with_readers(kind, route, tmp_path):
    (tmp_path / "app.py").write_text(WSGI)
    (tmp_path / "gunicorn.conf.py").write_text(CONFIG)
    path, (options, count) = tmp_path / "socket", WORKERS[kind]
    command = [
        "gunicorn",
        "-k",
        kind,
        *options,
        "--graceful-timeout",
        "4",
        "-b",
        f"unix:{path}",
        "app:app",
    ]
    with Creates(pause=0) as wire, started(command, tmp_path, wire.base_url) as server:
        server.until(lambda: is_up(path))
        with readers(path, route, count, wire):
            check(server, wire)
