"""Programs in a new process that has imported both `replicate` and `replicate_rs`."""

import subprocess
import sys
import textwrap

import pytest

from conftest import without_slowness

PRELUDE = """
import asyncio, pickle, sys, types, warnings
import replicate_rs, replicate_rs.drop_in
replicate_rs.drop_in.install()
import replicate
from replicate.exceptions import ModelError, ReplicateError
from replicate.client import Client
ours = replicate_rs.Replicate()

def raised(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")
"""


@pytest.fixture
def run(local, monkeypatch):
    """Return a function that runs a program, with warnings as errors, and returns its output."""
    monkeypatch.setenv("REPLICATE_BASE_URL", local.base_url)
    monkeypatch.setenv("REPLICATE_API_TOKEN", local.token)

    def run(code, *arguments, before=""):
        command = [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error",
            "-c",
            before + PRELUDE + textwrap.dedent(code),
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
        assert (done.returncode, without_slowness(done.stderr)) == (0, ""), done.stderr
        return done.stdout

    return run
