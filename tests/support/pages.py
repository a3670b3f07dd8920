"""The programs on the pages of the site, and a local server with the models that they name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import replicate_rs as replicate
from replicate_rs.local import LocalReplicate
from support.readmes import PNG

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TOKEN = "r8_readme"
PLUGIN = "replicate_rs.pytest_plugin"

Check = Callable[..., None]


def blocks(page: str | Path, language: str = "python") -> list[str]:
    """Return the programs of a page in `docs`."""
    text = (DOCS / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def run(programs: list[str], page: str, **given: Any) -> SimpleNamespace:
    """Run programs, one after the other, with the same variables; some are those of the reader."""
    names = {"__name__": "page", **given}
    for number, program in enumerate(programs, start=1):
        exec(compile(program, f"{page}, block {number}", "exec"), names)
    return SimpleNamespace(**names)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalReplicate]:
    server = LocalReplicate(token=TOKEN)

    @server.model("black-forest-labs/flux-schnell")
    @server.model("acme/painter")
    def paint(prompt: str, num_outputs: int = 1) -> list[bytes]:
        return [PNG] * num_outputs

    @server.model("nightmareai/real-esrgan")
    def upscale(image: bytes) -> bytes:
        return image * 2

    @server.model("acme/caption")
    def caption(image: bytes) -> str:
        return f"{len(image)} bytes"

    @server.model("acme/remix")
    def remix(song: bytes, cover: bytes) -> str:
        return f"{len(song)} and {len(cover)} bytes"

    @server.model("acme/train")
    def train(weights: bytes) -> str:
        return f"{len(weights)} bytes"

    @server.model("meta/meta-llama-3-8b-instruct", stream=True)
    def llama(prompt: str) -> Iterator[str]:
        yield from ("Llamas ", "in ", "fog.")

    @server.model("acme/novel", stream=True)
    def novel(about: str) -> Iterator[str]:
        yield from ("A novel ", f"about {about}.")

    with server:
        monkeypatch.setenv("REPLICATE_API_TOKEN", TOKEN)
        monkeypatch.setenv("REPLICATE_BASE_URL", server.base_url)
        monkeypatch.setenv("REPLICATE_API_BASE_URL", server.base_url)
        monkeypatch.setenv("REPLICATE_POLL_INTERVAL", "0.02")
        monkeypatch.chdir(tmp_path)
        # Creates the default client anew, in the environment of this test.
        replicate.bearer_token = None
        yield server
        replicate.bearer_token = None


@pytest.fixture
def pytester_like(tmp_path: Path) -> Check:
    """Run a program as tests, in a process of their own."""

    def check(program: str, *options: str, passed: int = 1) -> None:
        path = tmp_path / "test_page.py"
        path.write_text(program)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", PLUGIN, *options, path],
            cwd=tmp_path,
            # The other plugins here take seconds to import.
            env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert f"{passed} passed" in done.stdout

    return check
