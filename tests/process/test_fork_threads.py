"""The threads of this library end before a fork and begin again after it: CPython 3.12 and newer
warn of a fork while other threads run. Nothing that is under way in the parent is lost.
"""

import pytest

from conftest import script
from support.wire import HEAD, Wire, done, output, prediction, reply

# A hook that was registered earlier runs later, so that the first sees what CPython counts.
COUNTED = """
import asyncio, os, sys, threading, warnings

threads = []
def count():
    if os.path.exists("/proc/self/task"):
        threads.append(len(os.listdir("/proc/self/task")))
os.register_at_fork(before=count)

import replicate_rs as replicate
from replicate_rs import FileOutput

base_url = sys.argv[1].replace("127.0.0.1", "localhost")
client = replicate.Replicate("r8_x", base_url=base_url)
asynchronous = replicate.AsyncReplicate("r8_x", base_url=base_url)

def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""

USES = {
    "a blocking call": "client.predictions.get('p1')",
    "an awaited call": "asyncio.run(asynchronous.predictions.get('p1'))",
    "a stream": "assert ''.join(client.text_stream('acme/x', {})) == 'ab'",
    "a file": "FileOutput(sys.argv[1].removesuffix('/v1') + '/file', client).save(sys.argv[2])",
    # Linux lists a thread for a moment longer than it can be joined.
    "simultaneous calls": """
jobs = [threading.Thread(target=client.predictions.get, args=("p1",)) for _ in range(8)]
[each.start() for each in jobs]
[each.join() for each in jobs]
while any(os.path.exists(f"/proc/self/task/{each.native_id}") for each in jobs):
    pass
""",
}


def answer(seen):
    if seen.path == "/file":
        return reply(bytes(3 << 20), kind="application/octet-stream")
    if seen.path == "/stream":
        return HEAD + output("a", "b") + done()
    if seen.method == "POST":
        urls = {"stream": f"http://{seen.headers['host']}/stream"}
        return reply(prediction("processing", urls=urls), 201)
    return reply(prediction())


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_no_thread_is_left_at_a_fork(use, tmp_path):
    check = f"""
for _ in range(10):
    {use.strip().replace(chr(10), chr(10) + "    ")}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fork()
    assert caught == [], caught
assert set(threads) <= {{1}}, threads
"""
    with Wire(answer) as wire:
        ran = script(COUNTED + check, wire.base_url, tmp_path / "file")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_nothing_is_lost_in_a_parent_that_forks():
    code = """
async def get():
    for _ in range(8):
        assert (await asynchronous.predictions.get("p1")).id == "p1"

async def stream():
    for _ in range(4):
        events = asynchronous.text_stream("acme/x", {})
        assert "".join([each async for each in events]) == "ab"

async def main():
    work = asyncio.gather(*(get() for _ in range(32)), *(stream() for _ in range(4)))
    for _ in range(40):
        fork()
        await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await work

asyncio.run(main())
stats = asynchronous.stats()
print(stats.requests, stats.failures, stats.retries)
"""
    with Wire(answer) as wire:
        ran = script(COUNTED + code, wire.base_url)
    assert (ran.returncode, ran.stderr) == (0, "")
    # A stream is a request, and one that creates its prediction.
    assert ran.stdout.split() == [str(32 * 8 + 4 * 4 * 2), "0", "0"]


def test_threads_call_and_fork_at_once():
    code = """
warnings.simplefilter("ignore", DeprecationWarning)
left = threading.Semaphore(0)

def call():
    for _ in range(40):
        assert client.predictions.get("p1").id == "p1"
    left.release()

def forks():
    for _ in range(20):
        fork()
    left.release()

jobs = [threading.Thread(target=each, daemon=True) for each in (call, call, forks, forks)]
[each.start() for each in jobs]
assert all(left.acquire(timeout=25) for _ in jobs)
assert client.predictions.get("p1").id == "p1"
"""
    with Wire(answer) as wire:
        ran = script(COUNTED + code, wire.base_url, timeout=50)
    assert (ran.returncode, ran.stderr) == (0, "")
