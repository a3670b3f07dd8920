"""A local server for workers of engines, and what became of their rows."""

from __future__ import annotations

import collections
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

from replicate_rs.local import LocalReplicate
from support.conditions import until
from support.journals import execute

# Rows of the tests in which a worker is killed.
ROWS = int(os.environ.get("ENGINE_ROWS", "5000"))
TOKEN = "r8_engines"


class Server(LocalReplicate):
    """A local Replicate that counts the predictions of each text."""

    def __init__(self) -> None:
        super().__init__(token=TOKEN)
        self.lock = threading.Lock()
        self.calls: collections.Counter[str] = collections.Counter()

    def count(self, text: str) -> None:
        with self.lock:
            self.calls[text] += 1

    def counts(self, prefix: str) -> dict[str, int]:
        """Return the predictions of each text that begins with a prefix."""
        with self.lock:
            return {text: count for text, count in self.calls.items() if text.startswith(prefix)}


def create_server() -> Server:
    server = Server()

    @server.model("acme/shout")
    def shout(text: str = "", loud: bool = True) -> str:
        server.count(text)
        if "bad" in text:
            raise RuntimeError("out of memory")
        return text.upper() if loud else text

    @server.model("black-forest-labs/flux-schnell")
    @server.model("acme/painter")
    def painter(prompt: str = "") -> bytes:
        server.count(prompt)
        return b"\x89PNG\r\n\x1a\n" + prompt.encode()

    return server


def variables(server: Server) -> dict[str, str]:
    return {
        "REPLICATE_API_TOKEN": TOKEN,
        "REPLICATE_BASE_URL": server.base_url,
        "REPLICATE_POLL_INTERVAL": "0.05",
        # Spark's workers run another Python otherwise.
        "PYSPARK_PYTHON": sys.executable,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    }


def find_worker(journal: Any) -> int:
    """Return the process of a worker that has inputs of a journal of either kind."""
    found: list[tuple[int]] = []

    def find() -> bool:
        # Rows also name workers that have released them, which are none any more.
        found[:] = execute(
            journal,
            "SELECT pid FROM workers WHERE id IN (SELECT worker FROM inputs"
            " WHERE status IN ('sending', 'running'))",
        )
        return bool(found)

    until(find, 30)
    (pid,) = found[0]
    assert pid != os.getpid()
    return pid


def texts(prefix: str, count: int = ROWS) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def paid_once(server: Server, prefix: str, count: int = ROWS) -> None:
    """Check that each text of `texts` had one prediction."""
    counts = server.counts(prefix)
    assert {text: times for text, times in counts.items() if times != 1} == {}
    assert len(counts) == count


DOCUMENT = Path(__file__).parents[2] / "docs" / "distributed.md"


def examples(heading: str) -> list[str]:
    """Return the programs under a heading of docs/distributed.md."""
    sections = re.split(r"^#+ (.*)\n", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]
    (text,) = (
        text for title, text in zip(sections[::2], sections[1::2], strict=True) if title == heading
    )
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def run_examples(heading: str, **names: Any) -> dict[str, Any]:
    """Run the programs under a heading in the present folder, and return their names."""
    import pandas as pd

    captions = pd.DataFrame({"id": ["l", "c", "n"], "caption": ["a llama", "a crab", None]})
    # Java's library for snappy does not load everywhere.
    captions.to_parquet("captions.parquet", compression=None)
    for code in examples(heading):
        code = code.replace("/data/", f"{Path.cwd()}/")
        exec(compile(code, str(DOCUMENT), "exec"), names)
    return names
