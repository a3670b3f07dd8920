"""Check the installed package: runs, streams, files and webhooks, sync and async, and TLS.

    python tools/smoke.py [--local]

It needs no account, and nothing but the package. Requests go to the local server, or, if the
libraries of the extra `local` are missing, to the small server below; `--local` forbids that.
"""

from __future__ import annotations

import asyncio
import base64
import importlib.metadata
import json
import platform
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import replicate_rs as replicate

CONTENT = bytes(range(256)) * 4096  # 1 MiB does not arrive in one read
STREAMED = "0 1 2 3 4 "
SECRET = "whsec_" + base64.b64encode(bytes(24)).decode()


def shout(text: str) -> str:
    """Return the text in upper case."""
    return text.upper()


def count(to: int) -> Iterator[str]:
    """Yield the numbers from 0."""
    for number in range(to):
        yield f"{number} "


def echo(file: bytes) -> bytes:
    """Return the file."""
    return file


class Handler(BaseHTTPRequestHandler):
    """Reads and writes whole bodies."""

    protocol_version = "HTTP/1.1"

    def read(self) -> bytes:
        """Return the body of the request."""
        return self.rfile.read(int(self.headers["Content-Length"]))

    def reply(self, body: bytes, type: str) -> None:
        """Send a response."""
        self.send_response(200)
        self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Do not log requests."""


class Receiver(Handler):
    """Receives one webhook."""

    arrived = threading.Event()
    headers_and_body: tuple[dict[str, str], bytes] = ({}, b"")

    def do_POST(self) -> None:
        """Store the webhook."""
        Receiver.headers_and_body = dict(self.headers), self.read()
        self.reply(b"", "text/plain")
        self.arrived.set()


class SmallServer(Handler):
    """The part of the API that this program uses."""

    file = b""

    def do_POST(self) -> None:
        """Store a file, or create a prediction that has ended."""
        base, body = f"http://{self.headers['Host']}", self.read()
        if self.path == "/v1/files":
            start = body.index(CONTENT[:256])
            SmallServer.file = body[start : start + len(CONTENT)]
            return self.reply_json({"id": "f", "urls": {"get": f"{base}/v1/files/f"}})
        request = json.loads(body)
        prediction = {
            "id": "p",
            "model": "acme/x",
            "version": "v",
            "status": "succeeded",
            "input": request["input"],
            "output": f"{base}/file"
            if "/echo/" in self.path
            else request["input"].get("text", "").upper(),
            "created_at": "2026-01-01T00:00:00Z",
            "urls": {"get": f"{base}/v1/predictions/p", "stream": f"{base}/stream"},
        }
        if "webhook" in request:
            self.send_webhook(request["webhook"], json.dumps(prediction).encode())
        return self.reply_json(prediction)

    def do_GET(self) -> None:
        """Send a stream or a file."""
        if self.path == "/stream":
            events = [f"event: output\nid: {each}\ndata: {each} \n\n" for each in range(5)]
            events.append("event: done\nid: 5\ndata: {}\n\n")
            return self.reply("".join(events).encode(), "text/event-stream")
        return self.reply(self.file, "application/octet-stream")

    def reply_json(self, body: object) -> None:
        """Send a JSON response."""
        self.reply(json.dumps(body).encode(), "application/json")

    def send_webhook(self, url: str, body: bytes) -> None:
        """Send a signed webhook."""
        now = str(int(time.time()))
        headers = {
            "webhook-id": "m",
            "webhook-timestamp": now,
            "webhook-signature": replicate.sign_webhook(SECRET, "m", now, body),
        }
        urllib.request.urlopen(urllib.request.Request(url, body, headers)).close()


@contextmanager
def serving(handler: type[Handler]) -> Generator[str, None, None]:
    """Run a server on a thread; return its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def replicate_server(is_local: bool) -> Generator[tuple[str, str], None, None]:
    """Run the local server, or the small one; return its address and the secret of webhooks."""
    try:
        from replicate_rs.local import LocalReplicate
    except ImportError as error:
        if is_local or not isinstance(error.__cause__, ModuleNotFoundError):
            raise
        print(f"  the small server, because: {error}")
        with serving(SmallServer) as url:
            yield url, SECRET
        return
    server = LocalReplicate(token="r8_smoke")
    server.model("acme/shout")(shout)
    server.model("acme/count", stream=True)(count)
    server.model("acme/echo")(echo)
    with server:
        yield server.base_url, server.webhook_secret


def check_sync(client: replicate.Replicate, folder: Path, receiver: str, secret: str) -> None:
    """Run, stream, upload, download, and verify a webhook."""
    output = client.run("acme/shout", input={"text": "hi"}, webhook=f"{receiver}/hook")
    require("run", output, "HI")
    require("stream", "".join(client.text_stream("acme/count", {"to": 5})), STREAMED)
    (folder / "sent").write_bytes(CONTENT)
    output = client.run("acme/echo", {"file": folder / "sent"})
    require("file", output.save(folder / "saved").read_bytes() == CONTENT, True)
    require("webhook's arrival", Receiver.arrived.wait(20), True)
    headers, body = Receiver.headers_and_body
    webhook = replicate.WebhookVerifier(secret).unwrap(headers, body)
    require("webhook", webhook.output, "HI")
    is_genuine = replicate.validate_webhook(headers=headers, body=body + b" ", secret=secret)
    require("changed webhook", is_genuine, False)


async def check_async(client: replicate.AsyncReplicate) -> None:
    """Run several at once, stream, and read a file."""
    runs = (client.run("acme/shout", input={"text": each}) for each in "abc")
    require("async run", await asyncio.gather(*runs), ["A", "B", "C"])
    pieces = [each async for each in client.text_stream("acme/count", {"to": 5})]
    require("async stream", "".join(pieces), STREAMED)
    output = await client.run("acme/echo", {"file": CONTENT})
    require("async file", await output.read() == CONTENT, True)
    await client.aclose()


def check_tls() -> None:
    """Begin a TLS handshake, which loads the cryptography and the machine's certificates."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        first = []

        def accept() -> None:
            connection, _ = listener.accept()
            with connection:
                first.append(connection.recv(1))

        thread = threading.Thread(target=accept)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with suppress(replicate.APIConnectionError):
            replicate.Replicate("r8_smoke", base_url=url, max_retries=0).account.get()
        thread.join(20)
    require("first byte of the TLS handshake", first, [b"\x16"])


def require(what: str, found: object, expected: object) -> None:
    """End the program if a value is not the expected one."""
    if found != expected:
        sys.exit(f"{what}: {found!r} instead of {expected!r}")


def describe() -> str:
    """Return the package, the interpreter and the system that are checked."""
    from replicate_rs import _core

    require("installed version", importlib.metadata.version("replicate-rs"), replicate.__version__)
    is_gil_enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    if "free-threading" in sys.version:
        require("GIL after the import", is_gil_enabled, False)
    return (
        f"replicate_rs {replicate.__version__}, {_core.__file__}\n"
        f"  {platform.python_implementation()} {platform.python_version()}, {platform.platform()},"
        f" GIL {'on' if is_gil_enabled else 'off'}"
    )


def main() -> None:
    """Run all checks."""
    print(describe())
    with ExitStack() as stack:
        url, secret = stack.enter_context(replicate_server("--local" in sys.argv[1:]))
        receiver = stack.enter_context(serving(Receiver))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        options = {"api_token": "r8_smoke", "base_url": url, "max_retries": 0}
        with replicate.Replicate(**options) as client:
            check_sync(client, folder, receiver, secret)
        asyncio.run(check_async(replicate.AsyncReplicate(**options)))
    check_tls()
    print("  runs, streams, files, webhooks (sync and async) and TLS work")


if __name__ == "__main__":
    main()
