"""Programs written for 1.0.7, unchanged, with this package in its place."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

OFFICIAL = pytest.importorskip("replicate").__path__[0]
SUBMODULES = sorted(path.stem for path in Path(OFFICIAL).glob("*.py") if path.stem != "__init__")

# Hides the official client, as if it were not installed.
HIDDEN = """
import sys
from importlib.machinery import PathFinder


class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "replicate":
            found = PathFinder.find_spec(
                name, [each for each in sys.path if not each.endswith("site-packages")]
            )
            if found is None:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return found


sys.meta_path.insert(0, Hide())
"""
INSTALL = "import replicate_rs.drop_in; replicate_rs.drop_in.install()\n"

PROGRAM = """
import asyncio
import io
import os
import sys

import replicate
from replicate import Client
from replicate.client import Client as SameClient
from replicate.exceptions import ModelError, ReplicateError
from replicate.helpers import FileOutput
from replicate.stream import ServerSentEvent

assert Client is SameClient

# Runs, and their errors.
print(replicate.run("acme/shout", input={"text": "hello"}))
try:
    replicate.run("acme/fail", input={})
except ModelError as error:
    print(error.prediction.status, error)
try:
    Client(api_token="wrong").predictions.get("x")
except ReplicateError as error:
    print(error.status, type(error.to_dict()).__name__)
try:
    replicate.run("nonsense")
except ValueError:
    print("ValueError")

# Files as input and output.
output = replicate.run("acme/reverse", input={"file": io.BytesIO(b"abc")})
print(isinstance(output, FileOutput), output.read(), b"".join(output), str(output) == output.url)

# Predictions, step by step.
model = replicate.models.get("acme/shout")
version = model.latest_version
prediction = replicate.predictions.create(version=version, input={"text": "again"})
prediction.wait()
prediction.reload()
print(prediction.status, prediction.output, model.versions.get(version.id).id == version.id)
print(type(replicate.predictions.list().results[0]).__name__, prediction.dict()["input"])
print(all(len(page.results) > 0 for page in replicate.paginate(replicate.predictions.list)))

# Streams.
events = list(replicate.stream("acme/tokens", input={"text": "to be"}))
print(
    [str(event) for event in events],
    events[-1].event == ServerSentEvent.EventType.DONE,
    events[0].event.value,
)
client = Client(api_token=os.environ["REPLICATE_API_TOKEN"], timeout=None)
print(
    "".join(str(event) for event in client.stream("acme/tokens", input={"text": "to be"})).split()
)


async def main():
    print(await replicate.async_run("acme/shout", input={"text": "async"}))
    async for event in await replicate.async_stream("acme/tokens", input={"text": "or not"}):
        print(repr(str(event)))
    async for page in replicate.async_paginate(replicate.models.async_list):
        print("acme/shout" in [model.id for model in page])
        break
    return await asyncio.gather(
        *(replicate.async_run("acme/shout", {"text": each}) for each in "ab")
    )


print(asyncio.run(main()))
secret = replicate.webhooks.default.secret()
print(secret.key.startswith("whsec_"), sys.argv[1:])
"""
PRINTED = """\
HELLO
failed OOM
401 dict
ValueError
True b'cba' b'cba' True
succeeded AGAIN True
Prediction {'text': 'again'}
True
['to ', 'be ', ''] True output
['to', 'be']
ASYNC
'or '
'not '
''
True
['A', 'B']
True ['--flag', 'a b']
"""


@pytest.fixture(params=["with the official client", "without it"])
def python(request, tmp_path, local, monkeypatch):
    """Return a function that runs Python and returns its output, of a failure its stderr."""
    monkeypatch.setenv("REPLICATE_BASE_URL", local.base_url.removesuffix("/v1"))
    monkeypatch.setenv("REPLICATE_API_TOKEN", local.token)
    if request.param == "without it":
        (tmp_path / "sitecustomize.py").write_text(HIDDEN)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(*arguments, fails=False, cwd=None):
        command = [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error::ResourceWarning",
            *map(str, arguments),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=False, cwd=cwd or tmp_path
        )
        if fails:
            assert done.returncode, done.stdout
            return done.stderr
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


def test_a_program_for_1_0_7_runs_unchanged(python, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    assert python("-m", "replicate_rs.drop_in", "program.py", "--flag", "a b") == PRINTED


def test_a_program_may_install_it_itself(python, tmp_path):
    (tmp_path / "program.py").write_text(INSTALL + PROGRAM)
    assert python("program.py", "--flag", "a b") == PRINTED


def test_a_module_runs_unchanged_and_finds_its_neighbours(python, tmp_path):
    package = tmp_path / "tool"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "words.py").write_text(
        "import replicate\nTEXT = replicate.run('acme/shout', {'text': 'neighbour'})"
    )
    (package / "__main__.py").write_text(
        "import sys\nfrom .words import TEXT\nprint(__name__, TEXT, sys.argv[1:])"
    )
    assert (
        python("-m", "replicate_rs.drop_in", "-m", "tool", "-m", "x")
        == "__main__ NEIGHBOUR ['-m', 'x']\n"
    )


def test_a_script_finds_the_modules_beside_it(python, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "beside.py").write_text("NAME = 'beside'")
    (folder / "script.py").write_text(
        "import sys\nfrom beside import NAME\nprint(__name__, NAME, sys.argv)\nsys.exit(0)"
    )
    assert (
        python("-m", "replicate_rs.drop_in", folder / "script.py", "1")
        == f"__main__ beside {[str(folder / 'script.py'), '1']}\n"
    )


@pytest.mark.parametrize("arguments", [[], ["-m"], ["-x"], ["-m", "-m"], ["there_is_none.py"]])
def test_misuse_gets_a_usage_line(python, arguments):
    assert python("-m", "replicate_rs.drop_in", *arguments, fails=True).startswith(
        "usage: python -m replicate_rs.drop_in"
    )


def test_every_submodule_is_importable_in_every_way(python):
    names = [name for name in SUBMODULES if name not in ("run", "stream", "hardware")]
    code = INSTALL + textwrap.dedent(f"""
        import importlib, sys
        import replicate, replicate_rs
        OWN = {{"__about__": "drop_in.about"}}
        OWN |= {{name: f"drop_in.{{name}}" for name in ("client", "exceptions", "stream")}}
        for name in {SUBMODULES}:
            module = importlib.import_module(f"replicate.{{name}}")
            own = f"replicate_rs.{{OWN[name] if name in OWN else name}}"
            assert module is sys.modules[f"replicate.{{name}}"] is sys.modules[own], name
            assert module.__spec__.name == module.__name__ == own, name
        for name in {names}:
            exec(f"import replicate.{{name}} as a; from replicate import {{name}} as b")
            assert a is b is getattr(replicate, name)
        # Functions with the names of submodules, as in 1.0.7.
        from replicate.run import run
        from replicate.stream import stream, async_stream, ServerSentEvent
        from replicate.hardware import Hardware, HardwareNamespace
        assert callable(replicate.run) and callable(replicate.stream)
        assert isinstance(replicate.hardware, HardwareNamespace)
        print(run(replicate.default_client, "acme/shout", {{"text": "x"}}))
        print(*stream(replicate.default_client, "acme/tokens", input={{"text": "x"}}))
        assert replicate is not replicate_rs
        assert replicate.__version__ == replicate.__about__.__version__ == "1.0.7"
        assert replicate_rs.__version__ == replicate_rs.__about__.__version__ != "1.0.7"
        import replicate.pagination, replicate_rs.pagination
        assert replicate.pagination is replicate_rs.pagination
        for wrong in ("replicate.no_such_thing", "replicate.client.deeper"):
            try:
                importlib.import_module(wrong)
            except ModuleNotFoundError:
                print("not there")
    """)
    assert python("-c", code) == "X\nx  \nnot there\nnot there\n"


def test_the_import_system_s_own_tools_work(python):
    code = INSTALL + textwrap.dedent("""
        import importlib, importlib.util, pickle, unittest.mock
        import replicate, replicate.prediction, replicate.client

        assert importlib.reload(replicate) is replicate
        assert importlib.reload(replicate.prediction) is replicate.prediction
        assert importlib.util.find_spec("replicate") and importlib.util.find_spec(
            "replicate.client"
        )
        assert importlib.util.find_spec("replicate.nothing") is None
        replicate_rs.drop_in.install()
        importlib.reload(replicate_rs.drop_in).install()

        from replicate.prediction import Prediction

        here = pickle.dumps(Prediction(id="x", status="succeeded"), protocol=0)
        there = here.replace(b"creplicate_rs.prediction", b"creplicate.prediction")
        assert pickle.loads(here) == pickle.loads(there) and here != there
        assert type(pickle.loads(there)) is Prediction

        # What tests do.
        names = (
            "replicate.run",
            "replicate.predictions.create",
            "replicate.client.Client.run",
            "replicate.default_client.run",
        )
        for name in names:
            with unittest.mock.patch(name, return_value="mocked") as mock:
                assert eval(name)() == "mocked", name
        assert replicate.run("acme/shout", {"text": "real"}) == "REAL"
        assert (
            replicate.predictions.create(
                model="acme/shout", input={"text": "real"}, wait=True
            ).output
            == "REAL"
        )
    """)
    assert python("-c", code) == ""


def test_it_refuses_to_come_late():
    code = "import replicate\n" + INSTALL
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert "RuntimeError: the module 'replicate' was imported already, from " in done.stderr
    assert "at the very top" in done.stderr


def test_without_it_nothing_changes(tmp_path):
    code = "import replicate_rs, replicate_rs.client, replicate; print(replicate.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.strip() == f"{OFFICIAL}/__init__.py"


# Tests that fail with the official client, because it differs from this library.
DIFFERENCES = {
    "test_run_iterates_over_the_output_of_a_version": "a list, which is an iterator too",
    "test_a_stream_raises_what_the_model_raised": "ModelError, where 1.0.7 raises RuntimeError",
    "test_files_that_a_model_made_can_be_read": "a file of a local server is a FileOutput",
    "test_a_stream_of_files_gives_files": "as above",
    "test_versions_are_listed_and_deleted": "returns True, where 1.0.7 returns False",
    "test_run_takes_files_as_paths_and_handles": "a file that was read before is sent whole",
    "node": "another client",
}


@pytest.mark.timeout(180)
def test_what_is_called_of_1_0_7_is_called_here_with_the_same_results():
    """The tests of `test_official_clients` call all of 1.0.7 that the API still supports."""
    left_out = " and ".join(f"not {name}" for name in DIFFERENCES)
    command = [
        sys.executable,
        "-m",
        "replicate_rs.drop_in",
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-vv",
        "-k",
        left_out,
    ]
    tests = Path(__file__).parents[1] / "local" / "test_official_clients.py"
    done = subprocess.run(
        [*command, str(tests)],
        cwd=tests.parent.parent,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    passed = re.findall(r"::(test_\w+)\S* PASSED", done.stdout)
    assert len(passed) > 60
    assert {
        "test_predictions_live_their_life",
        "test_deployments_are_made_used_and_deleted",
    } <= set(passed)
