"""A local server with models for `map`, and ways to iterate over its results with both clients."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import Both
from replicate_rs.local import LocalReplicate, sleep
from support.conditions import until

PNG = bytes.fromhex("89504e470d0a1a0a")


class MapServer(LocalReplicate):
    """A local server that counts what is created."""

    def __init__(self) -> None:
        super().__init__(token="r8_secret")
        self.gate = threading.Event()
        self.calls: collections.Counter[str] = collections.Counter()
        self.lock = threading.Lock()

    @property
    def creates(self) -> int:
        """Predictions that were created, whether the answer arrived or not."""
        return len(self.predictions())

    def predictions(self) -> list[Any]:
        """Return all predictions, as the API lists them."""
        from replicate_rs import Replicate

        with Replicate(api_token=self.token, base_url=self.base_url) as client:
            return list(client.predictions.list().auto())

    def count(self, method: str, ending: str) -> int:
        """Return how many requests were received of a method, to paths with an ending."""
        return sum(
            each.method == method and each.path.endswith(ending) for each in [*self.requests]
        )


def create_server() -> MapServer:  # noqa: C901 - a function for each model
    server = MapServer()

    def count(text: str) -> int:
        with server.lock:
            server.calls[text] += 1
            return server.calls[text]

    @server.model("acme/shout")
    def shout(text: str = "", loud: bool = True, seed: int = 0) -> str:
        count(text)
        return text.upper() if loud else text

    @server.model("acme/gated")
    def gated(text: str = "") -> str:
        count(text)
        while not server.gate.wait(0.02):
            sleep(0.001)  # notices a cancel
        return text.upper()

    @server.model("acme/some")
    def some(text: str = "") -> str:
        """Wait for the gate with a text that begins with "wait"."""
        count(text)
        while text.startswith("wait") and not server.gate.wait(0.02):
            sleep(0.001)
        return text.upper()

    @server.model("acme/picky")
    def picky(text: str = "") -> str:
        count(text)
        if "bad" in text:
            raise RuntimeError("OOM")
        return text.upper()

    @server.model("acme/flaky")
    def flaky(text: str = "", failures: int = 1) -> str:
        if count(text) <= failures:
            raise RuntimeError("try again")
        return text.upper()

    @server.model("acme/size")
    def size(file: bytes) -> int:
        return len(file)

    @server.model("acme/paint")
    def paint(text: str = "") -> bytes:
        count(text)
        return PNG + text.encode()

    @server.model("acme/frames")
    def frames(text: str = "", count: int = 2) -> list[Path]:
        from tempfile import mkdtemp

        folder = Path(mkdtemp())
        paths = [folder / f"frame{number}.png" for number in range(count)]
        for number, path in enumerate(paths):
            path.write_bytes(PNG + f"{text} {number}".encode())
        return paths

    return server


def collect(both: Both, results: Any) -> list[Any]:
    """Return all results as a list."""
    if not both.is_async:
        return list(results)

    async def iterate() -> list[Any]:
        return [each async for each in results]

    return both(iterate)


def fill(both: Both, items: list[Any], results: Any) -> None:
    """Append all results to a list, so that those before an error remain."""
    both.fill(items, lambda: iter(results) if not both.is_async else aiter(results))


def take(both: Both, results: Any, count: int, then: Callable[[], object] = lambda: None) -> Any:
    """Take a number of results, call a function, and leave the loop."""
    taken: list[Any] = []
    if both.is_async:

        async def iterate() -> None:
            iterator = aiter(results)
            async for each in iterator:
                taken.append(each)
                if len(taken) == count:
                    then()
                    break
            await iterator.aclose()

        both(iterate)
        return taken
    for each in results:
        taken.append(each)
        if len(taken) == count:
            then()
            break
    return taken


def by_index(results: list[Any]) -> list[Any]:
    return sorted(results, key=lambda each: each.index)


def outputs(results: list[Any]) -> list[Any]:
    """Return the outputs in the order of the inputs."""
    return [each.output for each in by_index(results)]


def texts(count: int, prefix: str = "t") -> list[dict[str, str]]:
    return [{"text": f"{prefix}{number}"} for number in range(count)]


def no_threads() -> None:
    """Wait until no thread of `map` runs."""
    until(
        lambda: (
            not [
                each.name for each in threading.enumerate() if each.name.startswith("replicate-map")
            ]
        ),
        10,
    )
