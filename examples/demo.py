"""The main job, without an account: a photograph, several at once, a stream of tokens, and a signed
webhook.

``make demo``, or ``make demo PHOTO=path``. Everything goes through the public API; only the server
is on this machine.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from time import perf_counter

import replicate_rs as replicate
from models import server

HERE = Path(__file__).parent
PHOTO = Path(os.environ.get("PHOTO") or HERE / "photo" / "astronaut.jpg")
OUTPUT = HERE.parent / "output"


@contextmanager
def step(title: str) -> Generator[None, None, None]:
    """Say what is done, and how long it took."""
    print(f"\n{title}")
    start = perf_counter()
    yield
    print(f"  done in {perf_counter() - start:.2f} s")


def show(prediction: replicate.Prediction) -> None:
    """Draw the model's progress."""
    if (progress := prediction.progress) is not None:
        print(
            f"\r  {prediction.status:<11} {progress.percentage:4.0%} of {progress.total} steps",
            end="",
            flush=True,
        )


def one_photograph(client: replicate.Replicate) -> None:
    """Run a model on a photograph, and save what it makes."""
    with step(f"acme/sketch on {PHOTO.name}"):
        output = client.run(
            "acme/sketch",
            input={"image": PHOTO},
            wait={"mode": "poll", "interval": 0.05},
            progress=show,
        )
        print(f"\n  saved {output.save(OUTPUT / 'sketch.png')}")


async def several_at_once(client: replicate.AsyncReplicate) -> None:
    """Run the model on several inputs at once."""
    with step("the same three times at once, asynchronously"):
        strengths = (1.0, 3.0, 6.0)
        outputs = await asyncio.gather(
            *(
                client.run("acme/sketch", input={"image": PHOTO, "strength": strength})
                for strength in strengths
            )
        )
        for strength, output in zip(strengths, outputs, strict=True):
            print(f"  saved {await output.asave(OUTPUT / f'sketch-{strength:.0f}.png')}")


def tokens(client: replicate.Replicate) -> None:
    """Stream a language model's output, token by token."""
    with step("acme/storyteller, token by token"):
        print("  ", end="")
        for event in client.stream("acme/storyteller", input={"prompt": "a very small crab"}):
            print(event, end="", flush=True)
        print()


class Receiver(BaseHTTPRequestHandler):
    """Takes one webhook."""

    received: tuple[dict[str, str], bytes] | None = None

    def do_POST(self) -> None:
        """Keep it, and say so."""
        Receiver.received = dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def webhook(client: replicate.Replicate) -> None:
    """Receive a signed webhook, and check the signature."""
    with step("a signed webhook"), HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        waiting = Thread(target=receiver.handle_request)
        waiting.start()
        url = f"http://127.0.0.1:{receiver.server_port}/replicate"
        client.run(
            "acme/shout", input={"text": "hello"}, webhook=url, webhook_events_filter=["completed"]
        )
        waiting.join(10)
        if Receiver.received is None:
            sys.exit("no webhook came")
        headers, body = Receiver.received
        secret = client.webhooks.default.secret.get()
        genuine = replicate.validate_webhook(headers=headers, body=body, secret=secret)
        forged = replicate.validate_webhook(headers=headers, body=body + b" ", secret=secret)
        print(f"  {len(body)} bytes; genuine: {genuine}; with one byte added: {forged}")


def main() -> None:
    """Do it all."""
    if not PHOTO.is_file():
        sys.exit(f"{PHOTO} is not a file: make demo PHOTO=path/to/a/picture")
    OUTPUT.mkdir(exist_ok=True)
    with server:
        print(f"a local Replicate listens on {server.base_url}")
        with replicate.Replicate(api_token=server.token, base_url=server.base_url) as client:
            one_photograph(client)
            tokens(client)
            webhook(client)
        asyncio.run(
            several_at_once(
                replicate.AsyncReplicate(api_token=server.token, base_url=server.base_url)
            )
        )


if __name__ == "__main__":
    main()
