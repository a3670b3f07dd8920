"""Unmodified third-party programs and libraries, against the local Replicate.

The official client is not installed in the environment of these tests: `import replicate` imports
this package. Tests in this process call `install()` first; programs are started with
`python -m replicate_rs.drop_in`.
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
# With this, child processes find `replicate`. The fixture `clean_environment` removes it.
PYTHONPATH = os.environ.get("PYTHONPATH")


def pytest_configure(config: pytest.Config) -> None:
    """Ignore warnings of third parties; warnings of this package are errors, as in all tests."""
    config.addinivalue_line("filterwarnings", "default")
    config.addinivalue_line("filterwarnings", r"error:::replicate_rs(\.|$)")


class Replicate(LocalReplicate):
    """A local Replicate that lists the successful requests of each kind."""

    def _successful(self, *ends: str) -> list[LoggedRequest]:
        return [
            each
            for each in self.requests
            if each.method == "POST" and each.path.endswith(ends) and 200 <= each.status < 300
        ]

    @property
    def created(self) -> list[LoggedRequest]:
        """Requests that created predictions."""
        return self._successful("/predictions")

    @property
    def cancelled(self) -> list[LoggedRequest]:
        """Requests that cancelled predictions."""
        return self._successful("/cancel")

    @property
    def uploaded(self) -> list[LoggedRequest]:
        """Requests that uploaded files."""
        return self._successful("/files")


def shout(prompt: str) -> str:
    return prompt.upper()


def llama(
    prompt: str, temperature: float = 0.5, top_p: float = 1.0, max_length: int = 100
) -> Iterator[str]:
    """Yield the words of the prompt's last line."""
    for word in prompt.strip().splitlines()[-1].split():
        yield f"{word} "


def talker(prompt: str, temperature: float = 0.5, max_length: int = 100) -> Iterator[str]:
    """Repeat the prompt until the prediction is cancelled."""
    while True:
        yield f"{prompt} "
        sleep(0.02)


def broken(prompt: str) -> str:
    raise RuntimeError("out of memory")


def painter(prompt: str) -> Image.Image:
    """Return a small image in one colour."""
    return Image.new("RGB", (4, 3), prompt)


def album(prompt: str) -> list[Image.Image]:
    return [painter(color) for color in prompt.split()]


def look(image: bytes, question: str = "") -> str:
    """Describe a file."""
    return f"{question}{len(image)} bytes, {sum(image)} in all"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> Iterator[Replicate]:
    """A local Replicate for one test, set in the environment."""
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
    """Return a function that runs a program, or `-m` and a module, and returns its output.

    `import replicate` imports this package there.
    """

    def run(
        *arguments: Any, code: str | None = None, name: str = "program.py", **environment: str
    ) -> str:
        if code is not None:
            (tmp_path / name).write_text(textwrap.dedent(code))
            arguments = (tmp_path / name, *arguments)
        # The child must find this package through `drop_in`, not through this process's variable.
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
