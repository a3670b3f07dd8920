"""Programs that end, or are interrupted, before a create is answered."""

import signal
import subprocess
import sys
import textwrap

import pytest

from conftest import script, without_slowness
from support import passing
from support.creates import Creates
from support.serving import environment
from support.wire import prediction, reply

START = """
import asyncio, os, signal, sys, threading
import replicate_rs as replicate
client, awaited, watcher = replicate.Replicate(), replicate.AsyncReplicate(), replicate.Replicate()
def until_made():
    while watcher.predictions.get("made").status != "succeeded":
        pass
"""

BLOCKING_CALLS = {
    "run": "client.run('acme/x', {})",
    "run that polls": "client.run('acme/x', {}, wait=False)",
    "stream": "list(client.stream('acme/x', {}))",
    "relay": "list(client.relay('acme/x', {}))",
    "create": "client.predictions.create('v', {}, wait=2)",
    "training": "client.trainings.create('acme/x:v', {}, 'acme/y')",
}
AWAITED_CALLS = {
    "run": "await awaited.run('acme/x', {})",
    "stream": "[each async for each in awaited.stream('acme/x', {})]",
    "relay": "[each async for each in await awaited.relay('acme/x', {})]",
    "create": "await awaited.predictions.create('v', {}, wait=2)",
    "training": "await awaited.trainings.create('acme/x:v', {}, 'acme/y')",
}


class SlowCreates(Creates):
    """Answers creates after 0.7 s; ``/v1/predictions/made`` succeeds when one has arrived."""

    def __init__(self):
        super().__init__(pause=0.7)

    def _answer(self, seen):
        if seen.path.endswith("/made"):
            return reply(prediction("succeeded" if self.made else "processing"))
        return super()._answer(seen)

    def assert_cancelled_once(self):
        self.until(lambda: self.open_now == 0)
        assert (len(self.made), self.cancelled) == (1, self.made)


@pytest.mark.parametrize("call", BLOCKING_CALLS.values(), ids=BLOCKING_CALLS)
def test_the_end_of_a_program_whose_thread_is_in_a_create(call):
    code = (
        f"threading.Thread(target=lambda: {call}, daemon=True).start(); until_made(); sys.exit(7)"
    )
    with SlowCreates() as wire:
        done = script(START + code, env=environment(wire.base_url))
        assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
        wire.assert_cancelled_once()


@pytest.mark.parametrize("call", AWAITED_CALLS.values(), ids=AWAITED_CALLS)
def test_the_end_of_a_loop_and_its_program_in_a_create(call):
    code = f"""
async def work():
    {call}
async def main():
    task = asyncio.create_task(work())
    await asyncio.to_thread(until_made)
asyncio.run(main())
"""
    with SlowCreates() as wire:
        done = script(START + code, env=environment(wire.base_url))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        wire.assert_cancelled_once()


def interrupt(code, wire):
    """Run a program, interrupt it when its create has arrived; return its exit code and output."""
    command = [
        sys.executable,
        "-X",
        "dev",
        "-W",
        "error",
        "-c",
        passing.PRELUDE + START + textwrap.dedent(code),
    ]
    with subprocess.Popen(
        command,
        env=environment(wire.base_url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wire.until(lambda: len(wire.made) == 1, 20)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()
    return process.returncode, out, without_slowness(err)


@pytest.mark.parametrize("call", BLOCKING_CALLS.values(), ids=BLOCKING_CALLS)
def test_ctrl_c_in_a_create_of_a_program(call):
    code = f"""
        try:
            {call}
        except KeyboardInterrupt:
            print("interrupted")
    """
    with SlowCreates() as wire:
        assert interrupt(code, wire) == (0, "interrupted\n", "")
        wire.assert_cancelled_once()


@pytest.mark.parametrize("call", AWAITED_CALLS.values(), ids=AWAITED_CALLS)
def test_ctrl_c_in_an_awaited_create_of_a_program(call):
    code = f"""
        async def main():
            {call}
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted")
    """
    with SlowCreates() as wire:
        assert interrupt(code, wire) == (0, "interrupted\n", "")
        wire.assert_cancelled_once()


def test_the_end_of_a_program_that_is_in_a_long_hold():
    code = """
        async def main():
            task = asyncio.create_task(awaited.predictions.create("v", {}, wait=60))
            await asyncio.to_thread(until_made)
        asyncio.run(main())
    """
    with SlowCreates() as wire:
        wire.pause = None
        done = script(START + textwrap.dedent(code), env=environment(wire.base_url))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert wire.cancelled == wire.made == ["predictions/p1"]
