"""llm with llm-replicate: its command, and its Python API."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import replicate_rs.drop_in


@pytest.fixture
def llm(server, program, tmp_path):
    """Return a function that runs `llm` with a model of the local server."""

    @server.model("acme/parrot")
    def parrot(prompt: str) -> Iterator[str]:
        """Repeat the user's last message."""
        message = prompt.removesuffix("\nAssistant:").rpartition("User: ")[2]
        yield from (f"{word} " for word in message.split())

    def llm(*arguments):
        return program("-m", "llm", *arguments, LLM_USER_PATH=str(tmp_path))

    # As `llm replicate add` writes it, which sends requests to the service.
    added = {
        "model": "acme/parrot",
        "model_id": "acme-parrot",
        "version": server.version("acme/parrot"),
    }
    (tmp_path / "replicate").mkdir()
    (tmp_path / "replicate" / "models.json").write_text(
        json.dumps([added | {"aliases": ["parrot"], "chat": True}])
    )
    return llm


def logged(tmp_path):
    with sqlite3.connect(tmp_path / "logs.db") as log:
        return log.execute("select prompt, response from responses order by id").fetchall()


def test_the_command(server, llm, tmp_path):
    llm(
        "replicate",
        "add",
        "acme/parrot",
        "--version",
        server.version("acme/parrot"),
        "--chat",
        "--alias",
        "pretty",
    )
    assert llm("-m", "pretty", "to be or not") == "to be or not \n"
    (create,) = server.created
    body = json.loads(create.body)
    assert body["input"] == {"prompt": "User: to be or not\nAssistant:"}
    assert body["version"] == server.version("acme/parrot")
    assert logged(tmp_path) == [("to be or not", "to be or not ")]


def test_the_command_as_it_is_installed(server, llm, tmp_path, monkeypatch):
    """It finds this package through `PYTHONPATH` only."""
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", replicate_rs.drop_in.path())
    command = [Path(sys.executable).with_name("llm"), "-m", "parrot", "to be"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "to be \n", "")
    assert len(server.created) == 1


def test_a_conversation_without_streaming(server, llm, tmp_path):
    assert llm("-m", "replicate-acme-parrot", "--no-stream", "to be") == "to be \n"
    assert llm("--continue", "--no-stream", "or not") == "or not \n"
    assert [json.loads(each.body)["input"]["prompt"] for each in server.created] == [
        "User: to be\nAssistant:",
        "User: to be\nAssistant: to be \nUser: or not\nAssistant:",
    ]


def test_the_key_in_the_settings_of_llm(server, llm, tmp_path, monkeypatch):
    monkeypatch.delenv("REPLICATE_API_TOKEN")
    (tmp_path / "keys.json").write_text(json.dumps({"replicate": "r8_third"}))
    assert llm("-m", "parrot", "to be") == "to be \n"
    assert len(server.created) == 1


def test_the_api(server, llm, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    import llm as library

    model = library.get_model("parrot")
    assert model.prompt("to be").text() == "to be "
    assert list(model.prompt("or not")) == ["or ", "not "]
    assert len(server.created) == 2
