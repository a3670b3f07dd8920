"""The name `replicate` in child processes, and the metadata of its distribution."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from test_drop_in import HIDDEN

import replicate_rs
from conftest import without_slowness
from replicate_rs import drop_in
from support.serving import answers, asked_of_all, started

INSTALL = "import replicate_rs.drop_in; replicate_rs.drop_in.install()\n"
# Checks that `replicate` is this package, and prints its versions.
CHECK = """
import importlib.metadata, replicate, replicate_rs

assert isinstance(replicate.default_client, replicate_rs.Replicate), replicate.__file__
assert replicate.client.Client is replicate.Client
print(
    importlib.metadata.version("replicate"),
    replicate.__version__,
    replicate.run("acme/shout", {"text": "hi"}),
)
"""
PRINTED = "1.0.7 1.0.7 HI\n"


@pytest.fixture(params=["with the official client", "without it"])
def environment(request, tmp_path, local, monkeypatch):
    monkeypatch.setenv("REPLICATE_BASE_URL", local.base_url)
    monkeypatch.setenv("REPLICATE_API_TOKEN", local.token)
    if request.param == "without it":
        (tmp_path / "sitecustomize.py").write_text(HIDDEN)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.fixture
def python(environment, tmp_path):
    def run(*arguments, stdin=None, env=None):
        command = [sys.executable, "-X", "dev", "-W", "error", *map(str, arguments)]
        env = None if env is None else os.environ | env
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
            cwd=tmp_path,
            input=stdin,
            env=env,
        )
        assert (done.returncode, without_slowness(done.stderr)) == (0, ""), done.stderr
        return done.stdout

    return run


def test_the_metadata_are_those_of_the_version_that_is_stood_in_for(python):
    assert python("-c", INSTALL + CHECK) == PRINTED
    code = """
    import importlib.metadata

    found = importlib.metadata.distribution("replicate")
    print(
        found.version,
        found.metadata["Name"],
        found.requires,
        importlib.metadata.packages_distributions()["replicate"][0],
    )
    print(importlib.metadata.version("replicate-rs"), replicate_rs.__version__)
    """
    ours = replicate_rs.__version__
    assert (
        python("-c", INSTALL + textwrap.dedent(code))
        == f"1.0.7 replicate None replicate\n{ours} {ours}\n"
    )


def test_a_process_that_is_started_sees_it(python, tmp_path):
    (tmp_path / "child.py").write_text(CHECK)
    code = """
    import subprocess, sys

    for arguments in (
        ["child.py"],
        ["-m", "child"],
        ["-c", "import child"],
        ["-W", "error", "-X", "dev", "child.py"],
    ):
        print(
            subprocess.run(
                [sys.executable, *arguments], capture_output=True, text=True, check=True
            ).stdout,
            end="",
        )
    """
    assert python("-c", INSTALL + textwrap.dedent(code)) == PRINTED * 4
    (tmp_path / "parent.py").write_text(textwrap.dedent(code))
    assert python("-m", "replicate_rs.drop_in", "parent.py") == PRINTED * 4


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("how", ["program", "module", "installed by the program"])
def test_workers_of_multiprocessing_see_it(python, tmp_path, method, how):
    code = f"""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    import replicate

    def shout(text):
        import importlib.metadata
        assert replicate.__version__ == "1.0.7", replicate.__file__
        version = importlib.metadata.version("replicate")
        return replicate.run("acme/shout", {{"text": text}}) + version

    if __name__ == "__main__":
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("{method}")) as pool:
            print([*pool.map(shout, ["a", "b"])])
    """
    program = textwrap.dedent(code)
    arguments = {"program": ["program.py"], "module": ["-m", "program"]}.get(how)
    if arguments is None:
        program = INSTALL + program
    (tmp_path / "program.py").write_text(program)
    printed = python(
        *(["program.py"] if arguments is None else ["-m", "replicate_rs.drop_in", *arguments])
    )
    assert printed == "['A1.0.7', 'B1.0.7']\n"


def test_code_is_run_as_python_would(python, tmp_path):
    (tmp_path / "neighbour.py").write_text("NAME = 'beside'")
    show = (
        "import sys, neighbour; print(__name__, sys.argv, neighbour.NAME,"
        " __import__('__main__').__dict__ is globals())"
    )
    assert python("-m", "replicate_rs.drop_in", "-c", CHECK + show, "-x", "a b") == (
        PRINTED + "__main__ ['-c', '-x', 'a b'] beside True\n"
    )
    assert (
        python("-m", "replicate_rs.drop_in", "-", "-x", stdin=CHECK + show)
        == PRINTED + "__main__ ['-', '-x'] beside True\n"
    )
    failing = "def f():\n    raise KeyError('x')\nf()"
    for arguments, stdin in ((["-c", failing], None), (["-"], failing)):
        done = subprocess.run(
            [sys.executable, "-m", "replicate_rs.drop_in", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr.endswith("KeyError: 'x'\n")


def test_the_path_is_printed_for_those_who_start_programs_otherwise(python, tmp_path):
    path = python("-m", "replicate_rs.drop_in", "--path").strip()
    assert path == drop_in.path()
    (tmp_path / "program.py").write_text(CHECK)
    path = os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH")]))
    assert python("program.py", env={"PYTHONPATH": path}) == PRINTED
    assert python("-c", INSTALL + CHECK, env={"PYTHONPATH": path}) == PRINTED


def test_installing_it_twice_is_as_good_as_once(python, tmp_path):
    code = """
    import os, sys

    replicate_rs.drop_in.install()
    path = replicate_rs.drop_in.path()
    print(
        sys.path.count(path),
        os.environ["PYTHONPATH"].split(os.pathsep).count(path),
        sys.path.index(path),
    )
    print(repr(sys.path[0]))
    """
    assert python("-c", INSTALL + textwrap.dedent(code)) == "1 1 1\n''\n"
    (tmp_path / "program.py").write_text("import sys; print(sys.path[0])")
    assert python("-m", "replicate_rs.drop_in", "program.py") == f"{tmp_path}\n"


def test_it_is_imported_whatever_comes_first(python, tmp_path):
    other = tmp_path / "first" / "replicate"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise AssertionError('another one')")
    code = f"import sys; sys.path.insert(0, {str(other.parent)!r})\n"
    assert python("-c", code + INSTALL + CHECK) == PRINTED


@pytest.mark.parametrize("extra", [["--workers", "2"], ["--reload"]], ids=["workers", "reload"])
def test_workers_of_uvicorn_see_it(environment, local, tmp_path, extra):
    app = """
    import importlib.metadata, os
    import replicate

    assert importlib.metadata.version("replicate") == replicate.__version__ == "1.0.7"

    async def app(scope, receive, send):
        text = await replicate.async_run("acme/shout", {"text": scope["path"].strip("/")})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{text} {os.getpid()}".encode()})
    """
    (tmp_path / "app.py").write_text(textwrap.dedent(app))
    path = tmp_path / "socket"
    command = [
        "replicate_rs.drop_in",
        "-m",
        "uvicorn",
        "app:app",
        "--uds",
        str(path),
        "--lifespan",
        "off",
        *extra,
    ]
    with started(command, tmp_path, local.base_url) as program:
        program.until(lambda: answers(path))
        processes = asked_of_all(path, 2 if "--workers" in extra else 1)
        assert program.process.pid not in processes
        program.end()


def test_pytest_runs_under_it_with_warnings_as_errors(python, tmp_path, monkeypatch):
    # An installed package with a plugin, as pytest sees it.
    site = tmp_path / "site"
    info = site / "plugged-1.dist-info"
    info.mkdir(parents=True)
    (site / "replicate_rs").symlink_to(Path(replicate_rs.__file__).parent)
    (site / "plugged.py").touch()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1\n")
    (info / "RECORD").write_text("replicate_rs/__init__.py,,\nplugged.py,,\n")
    (info / "entry_points.txt").write_text("[pytest11]\nplugged = plugged\n")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    )
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\naddopts = -p no:faker -p no:cacheprovider\n"
    )
    (tmp_path / "test_it.py").write_text(
        "import replicate\n\ndef test_it(replicate_local):\n"
        "    @replicate_local.model('a/b')\n    def shout(text: str) -> str:\n        return"
        " text.upper()\n"
        "    assert replicate.__version__ == '1.0.7'\n    assert replicate.run('a/b', {'text':"
        " 'x'}) == 'X'\n\n"
        # Each test has a server of its own.
        "test_again = test_it\n"
    )
    for code in (
        ["-m", "replicate_rs.drop_in", "-m", "pytest", "-q"],
        ["-c", INSTALL + "import pytest; pytest.main(['-q'])"],
    ):
        assert "2 passed" in python(*code)
