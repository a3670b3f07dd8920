"""A local server whose models do what a test tells them, and requests for its web page."""

import json
import queue
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from PIL import Image

import replicate_rs as replicate
from replicate_rs.local import LocalReplicate, progress


class Conductor:
    """Tells the models of a test what to do next: `print`, `progress`, `yield`, `raise`, or end."""

    def __init__(self):
        self.orders = queue.Queue()

    def play(self):
        """Yield the items that a model returns."""
        orders = self.orders
        while (order := orders.get(timeout=20)) is not None:
            action, value = order
            if action == "print":
                print(value)
            elif action == "progress":
                progress(*value)
            elif action == "raise":
                raise RuntimeError(value)
            else:
                yield value

    def __call__(self, action=None, value=None):
        self.orders.put(action and (action, value))

    def reset(self):
        """End the running model, and drop its orders."""
        self()
        self.orders = queue.Queue()


def add_models(server, conductor, folder):
    """Add models of every kind to a server."""

    @server.model("acme/shout")
    def shout(text: str) -> str:
        return text.upper()

    @server.model("acme/mirror")
    def mirror(image: Path) -> Image.Image:
        """Swap left and right."""
        return Image.open(image).transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    @server.model("acme/tone")
    def tone(rate: int = 8000) -> Path:
        with wave.open(str(folder / "tone.wav"), "wb") as sound:
            sound.setparams((1, 2, rate, 0, "NONE", ""))
            sound.writeframes(bytes(rate))
        return folder / "tone.wav"

    @server.model("acme/words")
    def words(text: list[str]) -> Iterator[str]:
        yield from text

    @server.model("acme/echo")
    def echo(value: Any) -> Any:
        return value

    @server.model("acme/text")
    def text() -> Iterator[str]:
        yield from conductor.play()

    @server.model("acme/pictures")
    def pictures() -> Iterator[Image.Image]:
        yield from conductor.play()


@contextmanager
def running(conductor, folder):
    server = LocalReplicate()
    add_models(server, conductor, folder)
    with server:
        yield server


@contextmanager
def client_of(server):
    with replicate.Replicate(
        api_token=server.token, base_url=server.base_url, poll_interval=0.01
    ) as client:
        yield client


def start(client, name, input=None, **options):
    return client.predictions.create(model=f"acme/{name}", input=input or {}, **options)


def run(client, name, input=None, **options):
    prediction = start(client, name, input, **options)
    prediction.wait()
    return prediction


def web(prediction):
    return prediction.urls["web"]


def get(url, body=None, **headers):
    try:
        with urlopen(Request(url, body, headers)) as response:
            return response.status, response.headers, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def post(server, path, body, type="application/json"):
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": type, "Prefer": "wait"}
    with urlopen(Request(f"{server.base_url}/{path}", body.encode(), headers)) as response:
        return json.load(response)


@contextmanager
def receiver(*answers):
    """Receive webhooks, and answer with these statuses in order; the last one repeats."""
    remaining = list(answers)

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(remaining.pop(0) if len(remaining) > 1 else remaining[0])
            self.end_headers()

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()
