"""Programs and libraries of other people, unmodified, against the local Replicate.

The official client is not installed where these run: what they import as `replicate` is this
package. For the tests in this process `install()` is called before anything else; programs are
started with `python -m replicate_rs.drop_in`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import replicate_rs.drop_in
from replicate_rs.local import LocalReplicate, LoggedRequest, sleep

replicate_rs.drop_in.install()
# What child processes find `replicate` by; the fixture `surroundings` of all tests takes it out of
# the environment.
PYTHONPATH = os.environ.get("PYTHONPATH")


def pytest_configure(config: pytest.Config) -> None:
    """Leave other people's warnings to them; what this package warns of is an error, as everywhere."""
    config.addinivalue_line("filterwarnings", "default")
    config.addinivalue_line("filterwarnings", r"error:::replicate_rs(\.|$)")


class Replicate(LocalReplicate):
    """A local Replicate that tells what was really asked of it."""

    def _answered(self, *ends: str) -> list[LoggedRequest]:
        return [
            each
            for each in self.requests
            if each.method == "POST" and each.path.endswith(ends) and 200 <= each.status < 300
        ]

    @property
    def created(self) -> list[LoggedRequest]:
        """The requests that created predictions."""
        return self._answered("/predictions")

    @property
    def cancelled(self) -> list[LoggedRequest]:
        """The requests that cancelled them."""
        return self._answered("/cancel")

    @property
    def uploaded(self) -> list[LoggedRequest]:
        """The requests that uploaded files."""
        return self._answered("/files")


def shout(prompt: str) -> str:
    return prompt.upper()


def llama(
    prompt: str, temperature: float = 0.5, top_p: float = 1.0, max_length: int = 100
) -> Iterator[str]:
    """Say the last line of the prompt again, word by word."""
    for word in prompt.strip().splitlines()[-1].split():
        yield f"{word} "


def talker(prompt: str, temperature: float = 0.5, max_length: int = 100) -> Iterator[str]:
    """Speak until somebody cancels it."""
    while True:
        yield f"{prompt} "
        sleep(0.02)


def broken(prompt: str) -> str:
    raise RuntimeError("out of memory")


def painter(prompt: str) -> Image.Image:
    """Return a small picture in one colour."""
    return Image.new("RGB", (4, 3), prompt)


def album(prompt: str) -> list[Image.Image]:
    return [painter(color) for color in prompt.split()]


def look(image: bytes, question: str = "") -> str:
    """Tell what a file is."""
    return f"{question}{len(image)} bytes, {sum(image)} in all"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, surroundings: None) -> Iterator[Replicate]:
    """A local Replicate for one test, to which the environment leads."""
    server = Replicate(token="r8_third")
    for model in (shout, llama, talker, broken, painter, album, look):
        server.model(f"acme/{model.__name__}", stream=model in {llama, talker})(model)
    with server:
        monkeypatch.setenv("REPLICATE_API_TOKEN", server.token or "")
        monkeypatch.setenv("REPLICATE_BASE_URL", server.base_url)
        monkeypatch.setenv("REPLICATE_POLL_INTERVAL", "0.02")
        if PYTHONPATH:
            monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
        vars(sys.modules["replicate"]).pop("default_client", None)
        yield server


@pytest.fixture
def program(server: Replicate, tmp_path: Path) -> Callable[..., str]:
    """Run a program, or `-m` and a module, with this package in the official client's place, and
    return what it prints.
    """

    def run(
        *arguments: Any, code: str | None = None, name: str = "program.py", **environment: str
    ) -> str:
        if code is not None:
            (tmp_path / name).write_text(textwrap.dedent(code))
            arguments = (tmp_path / name, *arguments)
        # What finds this package in the child is the alias it is started with, nothing that this
        # process left.
        environment = {
            key: value for key, value in (os.environ | environment).items() if key != "PYTHONPATH"
        }
        command = [sys.executable, "-m", "replicate_rs.drop_in", *map(str, arguments)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=50,
            cwd=tmp_path,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
