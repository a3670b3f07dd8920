"""Programs built with PyInstaller, with this library alone and with the local server."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """
import asyncio
import os
import sys
import urllib.request

import replicate_rs as replicate
from replicate_rs.local import LocalReplicate

server = LocalReplicate()

@server.model("acme/shout")
def shout(text: str) -> str:
    return text.upper()

@server.model("acme/reverse")
def reverse(content: bytes) -> bytes:
    return content[::-1]

@server.model("acme/words", stream=True)
def words(text: str) -> "Iterator[str]":
    yield from text.split()

async def awaited(client):
    return await client.run("acme/shout", {"text": "awaited"})

with server:
    os.environ["REPLICATE_BASE_URL"] = server.origin
    os.environ["REPLICATE_API_TOKEN"] = server.token
    print(replicate.run("acme/shout", {"text": "run"}))
    print(replicate.run("acme/reverse", {"content": b"abc"}).read().decode())
    print(*(str(event) for event in replicate.stream("acme/words", {"text": "a b"})))
    print(asyncio.run(awaited(replicate.AsyncReplicate())))
    print(replicate.files.create(b"abc", filename="a.txt").size)
    try:
        replicate.run("acme/shout", {"text": 5})
    except replicate.exceptions.UnprocessableEntityError as error:
        print(error.status)
    for path in ("/", "/-/requests", "/-/webhooks"):
        page = urllib.request.urlopen(server.origin + path).read().decode()
        print("<html" in page, "<style>" in page)
    if len(sys.argv) > 1:
        replicate.validate_webhook(headers={}, body="", secret="whsec_AAAA")
    print("done")
""".replace('"Iterator[str]"', "Iterator[str]").replace(
    "import asyncio", "import asyncio\nfrom collections.abc import Iterator", 1
)
# Uses names that are imported on first use.
ALONE = """
import replicate_rs as replicate

missing = []
for name in replicate.__all__:
    try:
        getattr(replicate, name)
    except Exception as error:
        missing.append(f"{name}: {error}")
print(missing)
try:
    replicate.Replicate("r8_x", base_url="http://127.0.0.1:9", max_retries=0).models.list()
except replicate.APIConnectionError:
    print("refused")

from importlib import metadata
import replicate_rs.drop_in

replicate_rs.drop_in.install()
import replicate as alias
from replicate.exceptions import ModelError

is_shared = ModelError is replicate.exceptions.ModelError
print(alias.__version__, metadata.version("replicate"), alias is not replicate, is_shared)
"""


def build(folder: Path, code: str) -> Path:
    """Build a program in one folder, as in an environment with this package installed."""
    (folder / "program.py").write_text(code)
    # The package is this checkout; the distribution only has its entry points.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    metadata = folder / "site" / "replicate_rs-0.1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: replicate-rs\nVersion: 0.1.0\n"
    )
    (entries,) = project["entry-points"]["pyinstaller40"].items()
    (metadata / "entry_points.txt").write_text("[pyinstaller40]\n{} = {}\n".format(*entries))
    path = os.pathsep.join([str(folder / "site"), str(ROOT / "python")])
    options = [
        "--onedir",
        "--noconfirm",
        "--log-level",
        "WARN",
        "--distpath",
        "dist",
        "--workpath",
        "work",
        "--specpath",
        ".",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "PyInstaller", *options, "program.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "PYINSTALLER_CONFIG_DIR": str(folder / "config")},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "dist" / "program" / "program"


def run(program: Path) -> subprocess.CompletedProcess[str]:
    # Without the environment in which it was built.
    return subprocess.run(
        [program], cwd="/", env={}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.timeout(600)
def test_a_program_with_the_local_server_in_it(tmp_path: Path) -> None:
    done = run(build(tmp_path, PROGRAM))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == [
        "RUN",
        "cba",
        "a b ",
        "AWAITED",
        "3",
        "422",
        "True True",
        "True True",
        "True True",
        "done",
        "",
    ]


@pytest.mark.timeout(600)
def test_a_program_without_the_server_leaves_out_its_libraries(tmp_path: Path) -> None:
    program = build(tmp_path, ALONE)
    done = run(program)
    assert (done.returncode, done.stderr, done.stdout) == (
        0,
        "",
        "[]\nrefused\n1.0.7 1.0.7 True True\n",
    )
    assert not {"uvicorn", "starlette", "jinja2", "pytest"} & {
        each.name for each in (program.parent / "_internal").iterdir()
    }
    names = subprocess.run(
        [
            sys.executable,
            "-m",
            "PyInstaller.utils.cliutils.archive_viewer",
            "-l",
            "-r",
            "-b",
            program,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert "replicate_rs._webhooks.verifier" in names
    assert "replicate_rs.local" not in names
