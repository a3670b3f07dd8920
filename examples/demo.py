"""A tour of the library that needs no account: its models run on a local server.

Start it with ``make demo``, or ``make demo PHOTO=path``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from shutil import rmtree
from subprocess import PIPE, Popen, run
from threading import Thread
from time import perf_counter

import replicate_rs as replicate
from models import server

EXAMPLES = Path(__file__).parent
PHOTO = Path(os.environ.get("PHOTO") or EXAMPLES / "photo" / "astronaut.jpg")
OUTPUT = EXAMPLES.parent / "output"
COUNT_AT_KILL = 60


@contextmanager
def step(title: str) -> Generator[None, None, None]:
    """Print the title of a step, and how long it took."""
    print(f"\n{title}")
    start = perf_counter()
    yield
    print(f"  done in {perf_counter() - start:.2f} s")


def print_progress(prediction: replicate.Prediction) -> None:
    """Print the model's progress, over the previous line."""
    if (progress := prediction.progress) is not None:
        text = f"{prediction.status:<11} {progress.percentage:4.0%} of {progress.total} steps"
        print(f"\r  {text}", end="", flush=True)


def run_model(client: replicate.Replicate) -> None:
    """Run a model on a photograph, and save its output."""
    with step(f"acme/sketch on {PHOTO.name}"):
        output = client.run(
            "acme/sketch",
            input={"image": PHOTO},
            wait={"mode": "poll", "interval": 0.05},
            progress=print_progress,
        )
        print(f"\n  saved {output.save(OUTPUT / 'sketch.png')}")


async def run_several(client: replicate.AsyncReplicate) -> None:
    """Run a model on several inputs at once."""
    with step("three runs of acme/sketch at once, asynchronously"):
        strengths = (1.0, 3.0, 6.0)
        inputs = [{"image": PHOTO, "strength": strength} for strength in strengths]
        outputs = await asyncio.gather(
            *(client.run("acme/sketch", input=input) for input in inputs)
        )
        for strength, output in zip(strengths, outputs, strict=True):
            print(f"  saved {await output.asave(OUTPUT / f'sketch-{strength:.0f}.png')}")


def stream_tokens(client: replicate.Replicate) -> None:
    """Stream a language model's output, token by token."""
    with step("acme/storyteller, token by token"):
        print("  ", end="")
        for event in client.stream("acme/storyteller", input={"prompt": "a very small crab"}):
            print(event, end="", flush=True)
        print()


class Receiver(BaseHTTPRequestHandler):
    """Stores one webhook."""

    received: tuple[dict[str, str], bytes] | None = None

    def do_POST(self) -> None:
        """Store the webhook, and acknowledge it."""
        Receiver.received = dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Do not log requests."""


def receive_webhook(client: replicate.Replicate) -> None:
    """Receive a signed webhook, and verify its signature."""
    with step("a signed webhook"), HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        thread = Thread(target=receiver.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{receiver.server_port}/replicate"
        client.run(
            "acme/shout", input={"text": "hello"}, webhook=url, webhook_events_filter=["completed"]
        )
        thread.join(10)
        if Receiver.received is None:
            sys.exit("no webhook arrived")
        headers, body = Receiver.received
        secret = client.webhooks.default.secret.get()
        for title, content in (("as received", body), ("with one byte added", body + b" ")):
            is_genuine = replicate.validate_webhook(headers=headers, body=content, secret=secret)
            print(f"  {len(content)} bytes, {title}: {'genuine' if is_genuine else 'refused'}")


def run_many(client: replicate.Replicate) -> None:
    """Run a model on 200 inputs, in a program that is killed in the middle and started again."""
    folder = OUTPUT / "many"
    rmtree(folder, ignore_errors=True)
    environment = {
        **os.environ,
        "REPLICATE_BASE_URL": server.base_url,
        "REPLICATE_API_TOKEN": server.token or "",
    }
    command = [sys.executable, str(EXAMPLES / "many.py"), str(folder)]
    counts: Counter[str] = Counter()
    with step("200 inputs, with a journal"):
        with Popen(command, env=environment, stdout=PIPE, text=True) as program:  # noqa: S603 - the example
            for line in program.stdout or ():
                counts[line.split()[0]] += 1
                if counts.total() == COUNT_AT_KILL:
                    program.kill()
                    break
        print(f"  killed after {counts['run']} results")
        again = run(command, env=environment, stdout=PIPE, text=True, check=True).stdout  # noqa: S603 - as above
        counts = Counter(line.split()[0] for line in again.splitlines())
        print(f"  started again: {counts['journal']} from the journal, {counts['run']} run")
        tiles = [
            prediction
            for prediction in client.predictions.list().auto()
            if prediction.model == "acme/tile"
        ]
        print(f"  {len(tiles)} predictions for {counts.total()} inputs")


def main() -> None:
    """Run all steps."""
    if not PHOTO.is_file():
        sys.exit(f"{PHOTO} is not a file: use make demo PHOTO=path/to/a/picture")
    OUTPUT.mkdir(exist_ok=True)
    with server:
        print(f"the local server listens on {server.base_url}")
        with replicate.Replicate(api_token=server.token, base_url=server.base_url) as client:
            run_model(client)
            stream_tokens(client)
            receive_webhook(client)
        asyncio.run(
            run_several(replicate.AsyncReplicate(api_token=server.token, base_url=server.base_url))
        )
        with replicate.Replicate(api_token=server.token, base_url=server.base_url) as client:
            run_many(client)


if __name__ == "__main__":
    main()
