"""The command, and the pytest plugin."""

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

import replicate_rs as replicate

APP = """
from replicate_rs.local import LocalReplicate

server = LocalReplicate()

@server.model("acme/shout")
def shout(text: str) -> str:
    return text.upper()

@server.model("acme/deaf")
def deaf() -> str:
    import time
    while True:
        time.sleep(1)
"""


@pytest.fixture
def app(tmp_path):
    path = tmp_path / "app.py"
    path.write_text(APP)
    return path


class Command:
    """`python -m replicate_rs.local`, running."""

    def __init__(self, *arguments, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "replicate_rs.local", *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": "", "PYTHONUNBUFFERED": "1"},
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # With what it has started: that holds the pipes too.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def announced(self):
        """The two lines to export."""
        lines = {}
        for line in self.process.stdout:
            if match := re.match(r"export (\w+)=(\S+)$", line):
                lines[match[1]] = match[2]
                if len(lines) == 2:
                    return lines
        raise AssertionError(self.process.stderr.read())

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


def client_of(lines):
    return replicate.Replicate(api_token=lines["REPLICATE_API_TOKEN"], base_url=lines["REPLICATE_BASE_URL"])


@contextlib.contextmanager
def changing(path):
    """The supervisor takes its first look a while after it has started a server: the file changes until that is seen."""
    over = threading.Event()

    def main():
        for seconds in itertools.count(1):
            moment = time.time() + seconds
            os.utime(path, (moment, moment))
            if over.wait(0.5):
                break

    thread = threading.Thread(target=main)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def answer(client):
    try:
        return client.run("acme/shout", {"text": "hi"})
    except replicate.ReplicateError:
        # It was just being replaced.
        return None


def until(condition):
    while not condition():
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop_also_while_a_model_runs(app, number):
    with Command("app.py", "--port", "0", "--token", "r8_mine", folder=app.parent) as command:
        lines = command.announced()
        assert lines["REPLICATE_API_TOKEN"] == "r8_mine"
        client = client_of(lines)
        assert client.run("acme/shout", {"text": "hi"}) == "HI"
        prediction = client.predictions.create(model="acme/deaf", input={})
        until(lambda: client.predictions.get(prediction.id).status == "processing")
        assert command.stop(number)[::2] == (0, "")


def test_a_module_is_served_too(app):
    with Command("app:server", "--port", "0", folder=app.parent) as command:
        lines = command.announced()
        assert client_of(lines).run("acme/shout", {"text": "hi"}) == "HI"
        assert command.stop()[::2] == (0, "")


def test_it_starts_again_when_the_file_changes_also_after_a_mistake(app):
    with Command("app.py", "--port", "0", "--reload", folder=app.parent) as command:
        client = client_of(command.announced())
        threading.Thread(target=command.process.stdout.read, daemon=True).start()
        assert client.run("acme/shout", {"text": "hi"}) == "HI"
        app.write_text("def (")
        with changing(app):
            assert any("cannot be imported: SyntaxError" in line for line in command.process.stderr)
        threading.Thread(target=command.process.stderr.read, daemon=True).start()
        app.write_text(APP.replace("upper", "title"))
        with changing(app):
            until(lambda: answer(client) == "Hi")
        assert command.stop()[0] == 0


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        (APP, ["nope.py"], "there is no file nope.py"),
        (APP, ["nope.app"], "there is no module nope.app; for a file write nope/app.py"),
        (APP, ["app.py:other"], "app.py has no LocalReplicate named 'other'; it has: server"),
        ("import os", ["app.py"], "app.py has no server: write `server = LocalReplicate()`"),
        (
            APP + "\nsecond = LocalReplicate()\nthird = server\ndel server",
            ["app.py"],
            "several servers (second, third): say which",
        ),
        (APP.replace("text: str", "text"), ["app.py"], "the parameter 'text' is not annotated: write `text: str`"),
        (APP.replace("acme/shout", "shout"), ["app.py"], "a model's name is 'owner/name'"),
        ("1 / 0", ["app.py"], "app.py cannot be imported: ZeroDivisionError: division by zero"),
        ("def (", ["app.py"], "app.py cannot be imported: SyntaxError"),
        ("import nothing_like_it", ["app"], "app cannot be imported: ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("raise SystemExit(3)", ["app.py"], "app.py cannot be imported: SystemExit: 3"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(app, content, arguments, says):
    app.write_text(content)
    with Command(*arguments, "--port", "0", folder=app.parent) as command:
        out, err = command.process.communicate(timeout=20)
    assert (command.process.returncode, out) == (1, "")
    assert err.startswith("replicate_rs.local: ")
    assert says in err
    assert err.count("\n") == 1


def test_a_port_in_use_is_said_in_a_line(app):
    with Command("app.py", "--port", "0", folder=app.parent) as first:
        port = first.announced()["REPLICATE_BASE_URL"].rpartition(":")[2]
        with Command("app.py", "--port", port, folder=app.parent) as second:
            err = second.process.communicate(timeout=20)[1]
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another port" in err
        assert err.count("\n") == 1
        assert first.stop()[0] == 0


PLUGIN = """
import os
import replicate_rs as replicate

def test_a_first(replicate_local):
    @replicate_local.model("acme/own")
    def own(text: str) -> str:
        return text + "!"
    assert replicate.run("acme/own", {"text": "hi"}) == "hi!"
    assert replicate.run("acme/shout", {"text": "hi"}) == "HI"
    assert [each.path for each in replicate_local.requests][0].startswith("/v1/models/acme/own")

def test_another_starts_afresh(replicate_local):
    assert replicate_local.requests == []
    assert replicate_local.models == ["acme/shout", "acme/deaf"]
    assert os.environ["REPLICATE_BASE_URL"] == replicate_local.origin
    assert replicate.run("acme/shout", {"text": "hi"}) == "HI"

def test_without_it_nothing_is_changed():
    assert "REPLICATE_BASE_URL" not in os.environ
"""


def test_the_pytest_plugin_needs_no_import(app):
    (app.parent / "test_it.py").write_text(PLUGIN)
    (app.parent / "pytest.ini").write_text("[pytest]\nreplicate_local = app.py\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=app.parent,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_an_idle_server_is_one_thread():
    code = """
import threading
from replicate_rs.local import LocalReplicate
with LocalReplicate():
    print(threading.active_count())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


def test_without_the_extra_the_package_says_what_to_install():
    code = """
import sys
sys.modules["starlette"] = None
import replicate_rs.pytest_plugin
try:
    import replicate_rs.local
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert "pip install 'replicate-rs[local]'" in done.stdout
