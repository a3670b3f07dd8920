"""Services that are told to stop while readers are in: what runs for these is cancelled before the process has gone."""

import threading

import pytest

from creates import Creates
from serving import LONGEST, Connection, started

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

# As docs/streaming.md has it.
CONFIG = """
import signal
import threading


def post_worker_init(worker):
    from app import client

    stop = signal.getsignal(signal.SIGTERM)

    def stop_in_time(number, frame):
        stop(number, frame)
        # What is not over two seconds before the worker is killed is cancelled.
        closing = threading.Timer(max(worker.cfg.graceful_timeout - 2, 0), client.close)
        closing.daemon = True
        closing.start()

    signal.signal(signal.SIGTERM, stop_in_time)
"""


def get(socket, path):
    """Begin to read; the connection, when the first part is there, or the request has been sent."""
    connection = Connection(socket)
    connection.request("GET", path)
    if path != "/run":
        response = connection.getresponse()
        assert response.status == 200
        assert response.fp.readline()
    return connection


def is_up(socket):
    try:
        get(socket, "/up").close()
    except OSError:
        return False
    return True


def readers(socket, path, count, wire):
    """So many who read, or wait for an answer."""
    found = []

    def read():
        found.append(get(socket, path))

    threads = [threading.Thread(target=read) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONGEST)
    wire.until(lambda: len(wire.made) == count, LONGEST)
    assert len(found) == count
    return found


@pytest.mark.parametrize("path", ["/relay", "/stream", "/run"])
def test_uvicorn_that_stops_with_two_hundred_readers(path, tmp_path):
    (tmp_path / "app.py").write_text(ASGI)
    socket = tmp_path / "socket"
    command = ["uvicorn", "--uds", str(socket), "--timeout-graceful-shutdown", "3", "--log-level", "warning", "app:app"]
    with Creates(pause=0) as wire, started(command, tmp_path, wire.base_url) as server:
        server.until(lambda: is_up(socket))
        kept = readers(socket, path, 200, wire)
        code, log = server.end()
        assert "left: 0" in log, log
        assert sorted(wire.cancelled) == sorted(wire.made)
        for each in kept:
            each.close()


def test_uvicorn_that_stops_during_the_creates(tmp_path):
    (tmp_path / "app.py").write_text(ASGI)
    socket = tmp_path / "socket"
    command = ["uvicorn", "--uds", str(socket), "--timeout-graceful-shutdown", "1", "--log-level", "warning", "app:app"]
    with Creates(pause=2) as wire, started(command, tmp_path, wire.base_url) as server:
        server.until(lambda: is_up(socket))
        kept = readers(socket, "/run", 50, wire)
        code, log = server.end()
        assert "left: 0" in log, log
        assert sorted(wire.cancelled) == sorted(wire.made)
        for each in kept:
            each.close()


WORKERS = {"sync": (["-w", "4"], 4), "gthread": (["-w", "2", "--threads", "20"], 40)}


@pytest.mark.parametrize("path", ["/relay", "/run"])
@pytest.mark.parametrize("kind", WORKERS)
def test_gunicorn_that_stops_with_readers(kind, path, tmp_path):
    (tmp_path / "app.py").write_text(WSGI)
    (tmp_path / "gunicorn.conf.py").write_text(CONFIG)
    socket, (options, count) = tmp_path / "socket", WORKERS[kind]
    command = ["gunicorn", "-k", kind, *options, "--graceful-timeout", "3", "-b", f"unix:{socket}", "app:app"]
    with Creates(pause=0) as wire, started(command, tmp_path, wire.base_url) as server:
        server.until(lambda: is_up(socket))
        kept = readers(socket, path, count, wire)
        server.end()
        assert sorted(wire.cancelled) == sorted(wire.made)
        for each in kept:
            each.close()
