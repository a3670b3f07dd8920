"""Recording from an upstream, and replaying what was recorded."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from replicate_rs.local import LocalReplicate, Settings, progress, sleep

# As long as Replicate's own tokens.
TOKEN = "r8_" + "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2"


def shout(text: str) -> str:
    """Upper case."""
    return text.upper()


def tokens(text: str) -> Iterator[str]:
    for word in text.split(" "):
        sleep(0.15)
        yield f"{word} "


def slow(seconds: float = 0.5, steps: int = 2) -> str:
    for step in range(1, steps + 1):
        progress(step, steps)
        sleep(seconds / steps)
    return "done"


def reverse(file: bytes) -> bytes:
    return file[::-1]


def pieces(file: bytes) -> Iterator[bytes]:
    for byte in file:
        yield bytes([byte])


def fail() -> str:
    raise RuntimeError("OOM")


def create_upstream(**settings: Any) -> LocalReplicate:
    """Return a server to record from."""
    server = LocalReplicate(token=TOKEN, settings=Settings(**({"held": "succeeded"} | settings)))
    server.model("acme/shout")(shout)
    server.model("acme/tokens", stream=True)(tokens)
    for model in (slow, reverse, pieces, fail):
        server.model(f"acme/{model.__name__}")(model)
    return server


@contextlib.contextmanager
def recording(
    folder: Path, upstream: str | None = None, **options: Any
) -> Iterator[LocalReplicate]:
    """Run a server that records from an upstream; None: from one with the models above."""
    with contextlib.ExitStack() as stack:
        if upstream is None:
            upstream = stack.enter_context(create_upstream()).base_url
        yield stack.enter_context(LocalReplicate(record=folder, upstream=upstream, **options))


def read_exchanges(folder: Path) -> list[dict[str, Any]]:
    """Return the exchanges in a cassette, in the order of their files."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("[0-9]*.json"))]


def read_bytes(folder: Path) -> bytes:
    """Return the names and the contents of all files in a folder."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return b"\n".join(path.name.encode() + b"\n" + path.read_bytes() for path in paths)
