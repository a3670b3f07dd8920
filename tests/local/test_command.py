"""The command `python -m replicate_rs.local`, and the pytest plugin."""

import contextlib
import itertools
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import replicate_rs as replicate
from support.conditions import until

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
    """A running `python -m replicate_rs.local`."""

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
        # Its child processes too, because they keep the pipes open.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def exported(self):
        """Return the two variables that it tells users to export."""
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
    return replicate.Replicate(
        api_token=lines["REPLICATE_API_TOKEN"], base_url=lines["REPLICATE_BASE_URL"]
    )


class Reloads:
    """Reads the errors of a command that restarts when a file changes."""

    def __init__(self, command):
        self.lines = []
        self.process = command.process
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        self.lines.extend(self.process.stderr)

    def said(self, text):
        return any(text in line for line in self.lines)

    def cause(self, path):
        """Change a file's modification time until the supervisor notices.

        It first reads the times some time after it has started the server.
        """
        self.lines.clear()
        for seconds in itertools.count(1):
            moment = time.time() + seconds
            os.utime(path, (moment, moment))
            with contextlib.suppress(TimeoutError):
                until(lambda: self.said("detected changes"), timeout=1)
                break


def answer(client):
    try:
        return client.run("acme/shout", {"text": "hi"})
    except replicate.ReplicateError:
        # The server is just being replaced.
        return None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop_also_while_a_model_runs(app, number):
    with Command("app.py", "--port", "0", "--token", "r8_mine", folder=app.parent) as command:
        lines = command.exported()
        assert lines["REPLICATE_API_TOKEN"] == "r8_mine"
        client = client_of(lines)
        assert client.run("acme/shout", {"text": "hi"}) == "HI"
        prediction = client.predictions.create(model="acme/deaf", input={})
        until(lambda: client.predictions.get(prediction.id).status == "processing")
        assert command.stop(number)[::2] == (0, "")


def test_it_says_where_others_find_it(app):
    arguments = [
        "app.py",
        "--port",
        "0",
        "--host",
        "0.0.0.0",
        "--public-url",
        "http://gw:9000/v1/",
        "--output-port",
    ]
    # Outside of the range from which the system chooses free ports.
    port = random.randrange(10_000, 30_000)
    with Command(*arguments, str(port), folder=app.parent) as command:
        assert command.exported()["REPLICATE_BASE_URL"] == "http://gw:9000"
        # The output port accepts connections.
        socket.create_connection(("127.0.0.1", port)).close()
        assert command.stop()[::2] == (0, "")


@pytest.mark.parametrize(
    ("option", "value"), [("--public-url", "gw:9000"), ("--public-output-url", "x")]
)
def test_a_public_address_that_is_none_is_said_in_a_line(app, option, value):
    with Command("app.py", option, value, folder=app.parent) as command:
        err = command.process.communicate(timeout=20)[1]
    assert (
        err == f"replicate_rs.local: {option[2:].replace('-', '_')} must be a URL like"
        f" http://replicate:8787, not '{value}'\n"
    )


def test_on_all_addresses_it_names_one_that_works(app):
    with Command("app.py", "--port", "0", "--host", "0.0.0.0", folder=app.parent) as command:
        assert re.fullmatch(
            r"local Replicate: http://127\.0\.0\.1:\d+\n", command.process.stdout.readline()
        )
        assert command.process.stdout.readline().startswith(
            f"elsewhere: http://{socket.gethostname()}:"
        )
        lines = command.exported()
        assert lines["REPLICATE_BASE_URL"].startswith("http://127.0.0.1:")
        other = lines["REPLICATE_BASE_URL"].replace("127.0.0.1", "127.0.0.2")
        for address in (lines["REPLICATE_BASE_URL"], other):
            assert (
                client_of(lines | {"REPLICATE_BASE_URL": address}).run("acme/shout", {"text": "hi"})
                == "HI"
            )
        assert command.stop()[::2] == (0, "")


def test_a_module_is_served_too(app):
    with Command("app:server", "--port", "0", folder=app.parent) as command:
        lines = command.exported()
        assert client_of(lines).run("acme/shout", {"text": "hi"}) == "HI"
        assert command.stop()[::2] == (0, "")


def test_it_starts_again_when_the_file_changes_also_after_a_mistake(app):
    with Command("app.py", "--port", "0", "--reload", folder=app.parent) as command:
        client = client_of(command.exported())
        threading.Thread(target=command.process.stdout.read, daemon=True).start()
        assert client.run("acme/shout", {"text": "hi"}) == "HI"
        reloads = Reloads(command)
        app.write_text("def (")
        reloads.cause(app)
        until(lambda: reloads.said("cannot be imported: SyntaxError"))
        app.write_text(APP.replace("upper", "title"))
        reloads.cause(app)
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
        (
            APP.replace("text: str", "text"),
            ["app.py"],
            "the parameter 'text' is not annotated: write `text: str`",
        ),
        (APP.replace("acme/shout", "shout"), ["app.py"], "a model's name is 'owner/name'"),
        ("1 / 0", ["app.py"], "app.py cannot be imported: ZeroDivisionError: division by zero"),
        ("def (", ["app.py"], "app.py cannot be imported: SyntaxError"),
        (
            "import nothing_like_it",
            ["app"],
            "app cannot be imported: ModuleNotFoundError: No module named 'nothing_like_it'",
        ),
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
        port = first.exported()["REPLICATE_BASE_URL"].rpartition(":")[2]
        with Command("app.py", "--port", port, folder=app.parent) as second:
            err = second.process.communicate(timeout=20)[1]
        assert (
            f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another port" in err
        )
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
    assert "3 passed" in (told := run_pytest(app.parent)), told


def run_pytest(folder, *arguments, program=("-m", "pytest")):
    command = [sys.executable, *program, "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=50, check=False
    )
    return done.stdout + done.stderr


# As pytest's own command: without the working directory on the path.
BARE = ("-c", "import sys, pytest; sys.path.remove(''); sys.exit(pytest.main(sys.argv[1:]))")


@pytest.mark.parametrize(
    "reference", ["app.py", "./models/app.py:server", "models.app", "{folder}/app.py"]
)
def test_the_setting_is_resolved_beside_the_ini_file(app, reference):
    project = app.parent
    for folder in ("tests", "models"):
        (project / folder).mkdir()
    (project / "models" / "app.py").write_text(APP)
    (project / "tests" / "test_it.py").write_text(PLUGIN)
    # A file of the same name in the working directory is not used.
    (project / "tests" / "app.py").write_text("raise RuntimeError('the wrong one')")
    (project / "pytest.ini").write_text(
        f"[pytest]\nreplicate_local = {reference.format(folder=project)}\n"
    )
    assert "3 passed" in (told := run_pytest(project / "tests", program=BARE)), told


def test_a_setting_that_leads_nowhere_is_said_in_a_line(app):
    (app.parent / "test_it.py").write_text(PLUGIN)
    (app.parent / "pytest.ini").write_text("[pytest]\nreplicate_local = apps.py\n")
    told = run_pytest(app.parent)
    assert f"replicate_local = apps.py: there is no file {app.parent}/apps.py" in told
    assert "Traceback" not in told
    assert "1 passed, 2 errors" in told


PROGRAM = """
import replicate_rs
from replicate_rs import async_run, predictions, run, stream, use
from replicate_rs import default_client
from replicate_rs.local import LocalReplicate

shout = use("acme/shout")
client = replicate_rs.Replicate()
namespace = client.models

class Service:
    def __init__(self, run=run):
        self.run = run

service = Service()
"""

BY_NAME = """
import asyncio
import pytest
import replicate_rs
import program

def uses(server):
    given = {"text": "hi"}
    assert program.run("acme/shout", given) == "HI"
    assert program.service.run("acme/shout", given) == "HI"
    assert asyncio.run(program.async_run("acme/shout", given)) == "HI"
    assert program.shout(text="hi") == "HI"
    assert program.client.run("acme/shout", given) == "HI"
    assert program.default_client.run("acme/shout", given) == "HI"
    assert program.predictions.create(model="acme/shout", input=given, wait=True).output == "HI"
    assert program.namespace.get("acme/shout").name == "shout"
    assert replicate_rs.run("acme/shout", given) == "HI"
    assert len(server.requests) == 9

def test_first(replicate_local):
    uses(replicate_local)

def test_second(replicate_local):
    uses(replicate_local)

def test_after(monkeypatch):
    assert program.client.base_url == program.default_client.base_url == "https://api.replicate.com/v1"
"""


def test_the_fixture_reaches_programs_that_imported_functions_by_name(app):
    """Their client was created before the server."""
    (app.parent / "program.py").write_text(PROGRAM)
    (app.parent / "test_it.py").write_text(BY_NAME)
    (app.parent / "pytest.ini").write_text("[pytest]\nreplicate_local = app.py\n")
    assert "3 passed" in (told := run_pytest(app.parent)), told


SHADOWED = """
import sys
import json
import {name} as before

def test_it(replicate_local):
    import replicate_rs as replicate
    assert replicate.run("acme/shout", {{"text": "hi"}}) == "HI"
    import {name}
    assert {name} is before is sys.modules["{name}"]
    assert {name}.__file__ != {path!r}
"""


@pytest.mark.parametrize("name", ["json", "helper", "__main__"])
def test_a_module_of_the_file_s_name_stays_what_it_is(app, name):
    models = app.parent / "models"
    models.mkdir()
    app = app.rename(models / f"{name}.py")
    (app.parent.parent / "helper.py").write_text("")
    (app.parent.parent / "test_it.py").write_text(SHADOWED.format(name=name, path=str(app)))
    (app.parent.parent / "pytest.ini").write_text(f"[pytest]\nreplicate_local = models/{name}.py\n")
    assert "1 passed" in (told := run_pytest(app.parent.parent)), told


def test_a_program_and_the_fixture_have_one_module(app):
    (app.parent / "pytest.ini").write_text("[pytest]\nreplicate_local = app.py\n")
    (app.parent / "test_it.py").write_text("""
import sys

def test_it(replicate_local):
    from app import server
    assert server.models == replicate_local.models
    names = [name for name in sys.modules if name.endswith("app")]
    assert [name for name in names if not name.startswith("replicate_rs")] == ["app"]
""")
    assert "1 passed" in (told := run_pytest(app.parent)), told


def test_a_module_that_comes_later_is_not_hidden(app):
    """A package of the program has the name of the file."""
    project = app.parent
    (project / "tests").mkdir()
    app.rename(project / "tests" / "app.py")
    (project / "app").mkdir()
    (project / "app" / "__init__.py").write_text("name = 'the program'")
    (project / "pytest.ini").write_text(
        "[pytest]\nreplicate_local = tests/app.py\npythonpath = .\ntestpaths = tests\n"
    )
    (project / "tests" / "test_it.py").write_text("""
import replicate_rs as replicate

def test_it(replicate_local):
    assert replicate.run("acme/shout", {"text": "hi"}) == "HI"
    import app
    assert app.name == "the program"
""")
    assert "1 passed" in (told := run_pytest(project, "--import-mode=importlib")), told


@pytest.mark.parametrize("name", ["models/json.py", "my.app.py"])
def test_the_command_takes_a_file_of_any_name(app, name):
    (app.parent / "models").mkdir()
    app.rename(app.parent / name)
    with Command(name, "--port", "0", folder=app.parent) as command:
        assert client_of(command.exported()).run("acme/shout", {"text": "hi"}) == "HI"
        assert command.stop()[::2] == (0, "")


FAULTS = """
import pytest
import replicate_rs as replicate

def shout(server):
    @server.model("acme/shout")
    def shout(text: str) -> str:
        return text.upper()
    return replicate.run("acme/shout", {"text": "hi"})

def test_never_met(replicate_local):
    replicate_local.fault("GET /predictions/*", status=503)
    assert shout(replicate_local) == "HI"

def test_never_reached(replicate_local):
    replicate_local.fault("POST /models/*", truncate=1_000_000)
    assert shout(replicate_local) == "HI"

def test_one_of_two(replicate_local):
    replicate_local.fault("POST /models/*", delay=0.01)
    replicate_local.fault("GET /account", status=500)
    assert shout(replicate_local) == "HI"

@pytest.fixture
def service(replicate_local):
    replicate_local.fault("GET /hardware", status=500)
    return replicate_local

def test_of_another_fixture(service):
    assert shout(service) == "HI"

def test_asked_for_late(request):
    server = request.getfixturevalue("replicate_local")
    server.fault("GET /hardware", status=500)

class TestClass:
    async def run(self):
        pass

    def test_method(self, replicate_local):
        replicate_local.fault("GET /hardware", status=500)

def test_good_struck(replicate_local):
    fault = replicate_local.fault("POST /models/*", retry_after=0)
    assert shout(replicate_local) == "HI"
    assert fault.hits == 1

def test_good_some_of_the_times(replicate_local):
    replicate_local.fault("POST /models/*", retry_after=0, times=3)
    with pytest.raises(replicate.exceptions.RateLimitError):
        replicate.Replicate(max_retries=0).run("acme/shout", {"text": "hi"})

def test_good_optional(replicate_local):
    replicate_local.fault("GET /predictions/*", status=503, optional=True)
    assert shout(replicate_local) == "HI"

def test_good_cleared(replicate_local):
    replicate_local.fault("GET /predictions/*", status=503)
    replicate_local.faults.clear()

def test_good_skipped(replicate_local):
    replicate_local.fault("GET /predictions/*", status=503)
    pytest.skip("later")

def test_fails_by_itself(replicate_local):
    replicate_local.fault("GET /predictions/*", status=503)
    assert 1 == 2, "its own reason"
"""


def test_a_test_whose_faults_never_struck_fails(tmp_path):
    (tmp_path / "test_it.py").write_text(FAULTS)
    told = run_pytest(tmp_path, "-rA")
    failed = set(re.findall(r"^FAILED test_it.py::(\S+)", told, re.M))
    assert failed == {
        "test_never_met",
        "test_never_reached",
        "test_one_of_two",
        "test_of_another_fixture",
        "test_asked_for_late",
        "TestClass::test_method",
        "test_fails_by_itself",
    }, told
    assert "7 failed, 4 passed, 1 skipped" in told
    assert "error" not in told.splitlines()[-1]
    assert "GET /predictions/* (no request met it)" in told
    assert "POST /models/* (1 request met it, and was over before)" in told
    assert "POST /v1/models/acme/shout/predictions" in told
    assert "optional=True" in told
    assert "its own reason" in told


def test_an_idle_server_is_one_thread():
    code = """
import threading
from replicate_rs.local import LocalReplicate
with LocalReplicate():
    print(threading.active_count())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )
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
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )
    assert 'pip install "replicate-rs[local]"' in done.stdout
