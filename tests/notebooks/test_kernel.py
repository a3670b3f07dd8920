"""Cells in Jupyter's kernel that are interrupted: they end soon, and nothing runs on."""

import sys
import time
from tempfile import TemporaryDirectory

import pytest

from support.conditions import until

manager = pytest.importorskip("jupyter_client.manager")
pytest.importorskip("ipykernel")

FIRST = """
from collections.abc import Iterator
from tempfile import mkstemp
from replicate_rs import AsyncReplicate, Replicate
from replicate_rs.local import LocalReplicate, sleep

server = LocalReplicate()

@server.model("acme/slow", stream=True)
def slow(number: int = 0) -> Iterator[str]:
    yield "begun"
    mkstemp(dir=folder)
    sleep(50)

server.start()
client = Replicate(server.token, base_url=server.base_url)
awaited = AsyncReplicate(server.token, base_url=server.base_url)
inputs = [{"number": each} for each in range(3)]

def running():
    return [each.status for each in client.predictions.list() if each.completed_at is None]
"""
CELLS = [
    "client.run('acme/slow', {}, progress=True)",
    "for event in client.stream('acme/slow', {}): print(event)",
    "for result in client.map('acme/slow', inputs, progress=True): print(result)",
    "await awaited.run('acme/slow', {})",
    "async for result in awaited.map('acme/slow', inputs): print(result)",
]
# Seconds within which a cell ends; a model takes ten times as long.
SOON = 5


class Kernel:
    """A kernel, and what its cells print."""

    def __init__(self, folder):
        # Its sockets are files, since another program can take a port before the kernel does.
        settings = {"transport": "ipc", "connection_file": f"{folder}/kernel.json"}
        if sys.platform == "win32":
            settings = {}
        self._manager = manager.KernelManager(kernel_name="python3", **settings)
        self._manager.start_kernel(extra_arguments=["--log-level=ERROR"])
        self._client = self._manager.client()
        self._client.start_channels()
        try:
            self._client.wait_for_ready(timeout=30)
        except BaseException:
            self.close()
            raise

    def begin(self, code):
        return self._client.execute(code)

    def interrupt(self):
        self._manager.interrupt_kernel()

    def finish(self, cell):
        """Wait for the end of a cell; return the name of its error, or what it returned."""
        result = None
        while True:
            message = self._client.get_iopub_msg(timeout=30)
            if message["parent_header"].get("msg_id") != cell:
                continue
            content = message["content"]
            if message["msg_type"] == "error":
                result = content["ename"]
            elif message["msg_type"] == "execute_result":
                result = content["data"]["text/plain"]
            elif content.get("execution_state") == "idle":
                return result

    def run(self, code):
        return self.finish(self.begin(code))

    def close(self):
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A folder with a file for each prediction that has begun."""
    return tmp_path_factory.mktemp("begun")


@pytest.fixture(scope="module")
def kernel(begun):
    # The path of a socket has at most 107 bytes, and pytest's folders have long paths.
    with TemporaryDirectory(prefix="kernel-") as folder:
        kernel = Kernel(folder)
        try:
            assert kernel.run(f"folder = {str(begun)!r}\n{FIRST}") is None
            yield kernel
        finally:
            kernel.close()


@pytest.mark.parametrize("code", CELLS)
def test_an_interrupted_cell_cancels_what_it_runs(kernel, begun, code):
    count = 3 if "map" in code else 1
    before = len([*begun.iterdir()])
    cell = kernel.begin(code)
    until(lambda: len([*begun.iterdir()]) == before + count)
    kernel.interrupt()
    interrupted = time.monotonic()
    assert kernel.finish(cell) in ("KeyboardInterrupt", "CancelledError")
    assert time.monotonic() - interrupted < SOON
    deadline = time.monotonic() + SOON
    while (running := kernel.run("running()")) != "[]":
        assert time.monotonic() < deadline, running
