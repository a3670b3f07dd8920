"""Programs that call `map` and are killed at any moment: nothing is lost, or paid for twice."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

import replicate_rs as replicate
from replicate_rs.batch import Journal
from replicate_rs.local import LocalReplicate, sleep
from support.conditions import until

# `make stress` sets it.
KILLS = int(os.environ.get("STRESS_KILLS", "3"))
INPUTS_PER_KILL = 40
SIZE = 20_000

PROGRAM = """
import sys
import replicate_rs as replicate

base_url, token, folder, count = sys.argv[1:]
client = replicate.Replicate(token, base_url=base_url)
inputs = ((f"input-{number}", {"number": number}) for number in range(int(count)))
results = client.map(
    "acme/painter", inputs, journal=f"{folder}/runs.db", save_to=f"{folder}/images", concurrency=16
)
print("begun", flush=True)
for result in results:
    assert result.status == "succeeded", (result, result.error)
    assert result.files, result.error
print("ended", flush=True)
"""


def content(number):
    return number.to_bytes(4, "big") * (SIZE // 4)


@pytest.fixture
def server():
    server = LocalReplicate()

    @server.model("acme/painter")
    def painter(number: int) -> bytes:
        sleep(random.uniform(0.01, 0.15))
        return content(number)

    with server:
        yield server


def disturb(server):
    """Have a few of the next requests fail, answers of creates that were accepted among them."""
    if len([each for each in server.faults if not each.hits]) > 6:
        return
    for pattern, effect in (
        ("POST /models/*", {"reset": "after"}),
        ("POST /models/*", {"reset": True}),
        ("POST /models/*", {"status": 503}),
        ("POST /models/*", {"retry_after": 1}),
        ("GET /predictions", {"reset": True}),
        ("GET /pbxt/*", {"truncate": 1000}),
    ):
        server.fault(pattern, optional=True, **effect)


def test_every_input_is_paid_for_once_and_every_file_is_whole(server, tmp_path):
    count = KILLS * INPUTS_PER_KILL
    command = [sys.executable, "-c", PROGRAM, server.base_url, server.token, tmp_path, str(count)]
    for _ in range(KILLS):
        disturb(server)
        with subprocess.Popen(command, stdout=subprocess.PIPE) as program:
            assert program.stdout.readline() == b"begun\n"
            time.sleep(random.uniform(0.05, 1.5))
            program.send_signal(signal.SIGKILL)
    disturb(server)
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300 + count / 10
    )
    assert (ran.stdout, ran.returncode) == ("begun\nended\n", 0), ran.stderr

    client = replicate.Replicate(server.token, base_url=server.base_url)
    predictions = [*client.predictions.list().auto()]
    paid = Counter(prediction.input["number"] for prediction in predictions)
    assert sorted(paid) == [*range(count)]
    assert {number for number, times in paid.items() if times > 1} == set()
    assert all(prediction.status == "succeeded" for prediction in predictions)
    with Journal(tmp_path / "runs.db") as journal:
        summary = journal.summary()
        assert (summary.total, summary.succeeded, summary.workers) == (count, count, 0)
        by_key = {result.key: result.prediction for result in journal.results()}
    assert {by_key[f"input-{each.input['number']}"] for each in predictions} == {
        each.id for each in predictions
    }
    for number in range(count):
        assert (tmp_path / "images" / f"input-{number}.bin").read_bytes() == content(number)
    # A download that was killed leaves its temporary file.
    names = [each.name for each in (tmp_path / "images").iterdir()]
    assert len([name for name in names if not name.startswith(".replicate-")]) == count


def test_processes_share_the_inputs_of_one_journal(server, tmp_path):
    """One of three is killed: the others run what it held."""
    count = 300
    command = [sys.executable, "-c", PROGRAM, server.base_url, server.token, tmp_path, str(count)]
    programs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    with contextlib.ExitStack() as stack:
        for program in programs:
            stack.enter_context(program)
        until(lambda: len(server.requests) > 60)
        programs[0].send_signal(signal.SIGKILL)
        programs[0].communicate()
        for program in programs[1:]:
            out, errors = program.communicate(timeout=120)
            assert (out, program.returncode) == ("begun\nended\n", 0), errors
    client = replicate.Replicate(server.token, base_url=server.base_url)
    predictions = [*client.predictions.list().auto()]
    assert Counter(each.input["number"] for each in predictions) == dict.fromkeys(range(count), 1)
