"""Servers for the example receivers of webhooks, and a client of these."""

import asyncio
import itertools
import json
import socket
import threading
import time
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import uvicorn

import replicate_rs as replicate
from support.webhooks import signed


def until(condition, *, meanwhile=lambda: None):
    """Wait until a condition holds, 10 seconds at most; call `meanwhile` between checks."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        meanwhile()
        time.sleep(0.002)


@contextmanager
def asgi(app, lifespan):
    """Serve an ASGI app with uvicorn; yield its origin."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan=lifespan))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started or not thread.is_alive())
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


class ThreadingServer(ThreadingMixIn, WSGIServer):
    pass


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def wsgi(app):
    """Serve a WSGI app with a thread for each request; yield its origin."""
    with make_server("127.0.0.1", 0, app, ThreadingServer, QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class ExampleReceiver:
    """An example, and the webhooks that its handler was called with."""

    def __init__(self, module, url):
        self.module, self.url = module, url
        self.handled = []
        # Functions that the next calls of the handler run; then it succeeds.
        self.actions = []

    def handle(self, webhook):
        assert isinstance(webhook, replicate.Prediction)
        self.handled.append((webhook.id, webhook.status))
        if self.actions:
            self.actions.pop(0)()

    async def ahandle(self, webhook):
        await asyncio.to_thread(self.handle, webhook)

    def post(self, headers, body, method="POST"):
        """Send a request; return the status of the response."""
        host, _, port = self.url.split("/")[2].partition(":")
        lines = [
            f"{method} /{self.url.split('/', 3)[3]} HTTP/1.1",
            f"Host: {host}:{port}",
            "Connection: close",
        ]
        lines += [
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            # In one piece: a server that closes the connection before it has read the body would
            # reset it.
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            with connection.makefile("rb") as response:
                return int(response.read().split()[1])


numbers = itertools.count()


def make_webhook(secret, *, body=None, id=None, age=0):
    """Return the headers and the body of a webhook."""
    body = (
        json.dumps({"id": f"p{next(numbers)}", "status": "succeeded"}).encode()
        if body is None
        else body
    )
    headers = signed(body, id=id or f"msg_{next(numbers)}", age=age, secret=secret)
    return {**headers, "content-type": "application/json"}, body
