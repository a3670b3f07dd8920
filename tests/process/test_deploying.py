"""Where programs are deployed: archives, read-only layers, processes that are frozen, `-OO`."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import zipapp
from pathlib import Path

import pytest

import replicate_rs
from conftest import without_slowness
from support.wire import Wire, prediction, reply

PACKAGE = Path(replicate_rs.__file__).parent
SMOKE = Path(__file__).parents[2] / "tools" / "smoke.py"


def copy_package(folder: Path) -> Path:
    """Copy the package as an installation has it, extension included; return the folder."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, folder / "replicate_rs", ignore=ignored)
    return folder


def run(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run Python outside the checkout, without the package that is installed here."""
    command = [sys.executable, "-I", "-S", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=50, check=False, cwd="/", env=environment
    )


@pytest.mark.parametrize("module", ["replicate_rs", "replicate_rs.client", "replicate_rs.local"])
def test_a_zip_archive_is_refused_with_the_remedy(tmp_path, module):
    archive = shutil.make_archive(tmp_path / "app", "zip", copy_package(tmp_path / "site"))
    done = run("-c", f"import sys; sys.path.insert(0, {archive!r}); import {module}")
    assert (done.returncode, done.stdout) == (1, "")
    *_, last = done.stderr.splitlines()
    assert last.startswith("ImportError: replicate_rs cannot be imported from a zip archive")
    assert archive in last
    assert "shiv or pex" in last


def test_a_zipapp_is_refused_with_the_remedy(tmp_path):
    source = copy_package(tmp_path / "site")
    (source / "__main__.py").write_text("import replicate_rs")
    zipapp.create_archive(source, tmp_path / "app.pyz")
    done = run(tmp_path / "app.pyz")
    assert done.returncode == 1
    assert "cannot be imported from a zip archive" in done.stderr


@pytest.mark.parametrize("flags", [[], ["-OO"]], ids=["plain", "OO"])
@pytest.mark.parametrize("server", ["local", "small"])
def test_the_program_that_checks_packages(flags, server):
    code = f"""
        import runpy, sys
        if {server == "small"}:
            sys.modules["uvicorn"] = None
        sys.argv = ["smoke.py", *{["--local"] if server == "local" else []}]
        runpy.run_path({str(SMOKE)!r}, run_name="__main__")
    """
    command = [sys.executable, "-X", "dev", "-W", "error", *flags, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, without_slowness(done.stderr)) == (0, "")
    assert "the small server" in done.stdout or server == "local"
    assert "TLS work" in done.stdout


@pytest.fixture
def read_only():
    """Return a function that makes a folder read-only for the time of the test."""
    changed = []

    def change(folder: Path) -> Path:
        changed.extend([folder, *folder.rglob("*")])
        for path in changed:
            path.chmod(0o555)
        return folder

    yield change
    for path in changed:
        path.chmod(0o755)


# A function of AWS Lambda: the runtime imports it once, and calls it with each event.
HANDLER = """
    import asyncio, os, sys
    import replicate_rs as replicate

    client = replicate.Replicate("r8_x", base_url=sys.argv[1], max_retries=0)
    other = replicate.AsyncReplicate("r8_x", base_url=sys.argv[1], max_retries=0)

    def handler(event):
        sync = client.predictions.create(model="acme/x", input={}).status
        return sync, asyncio.run(other.predictions.create(model="acme/x", input={})).status

    assert "HOME" not in os.environ
    for event in sys.stdin:
        print(*handler(event), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a process is frozen with SIGSTOP")
def test_a_function_in_a_read_only_layer_that_is_frozen_between_calls(tmp_path, read_only):
    layer = read_only(copy_package(tmp_path / "opt" / "python"))
    task = tmp_path / "task.py"
    task.write_text(textwrap.dedent(HANDLER))
    connections = []

    def keep(connection):
        connections.append(connection)
        return reply(prediction())

    with Wire(lambda _: keep) as wire:
        process = subprocess.Popen(
            [sys.executable, "-B", "-X", "dev", "-W", "error", str(task), wire.base_url],
            cwd="/",
            env={"PYTHONPATH": str(layer)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                for _ in range(5):
                    process.stdin.write("event\n")
                    process.stdin.flush()
                    assert process.stdout.readline() == "succeeded succeeded\n"
                    os.kill(process.pid, signal.SIGSTOP)
                    # The server closes idle connections; the process notices when it continues.
                    for connection in connections:
                        connection.shutdown(2)
                    connections.clear()
                    os.kill(process.pid, signal.SIGCONT)
                _, errors = process.communicate(timeout=10)
            finally:
                process.kill()
    assert (process.returncode, errors) == (0, "")
    assert len(wire.seen) == 10
