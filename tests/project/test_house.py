"""The house: who may know whom, what an import costs, and that what is shown to users works."""

import ast
import graphlib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "replicate_rs"

# Each room may use those on the floors below it, and those beside it that are named here.
FLOORS = [
    {"_typing", "_core", "token_text"},
    {"credentials"},
    {"_checks", "_greenlets"},
    {"_transport"},
    {"_operation"},
    {"_streaming", "_replaced", "_model_methods"},
    {"_record", "identifier", "progress", "request", "webhook_request"},
    {"exceptions", "creation"},
    {
        "pagination",
        "file_content",
        "file_name",
        "large_pages",
        "file_errors",
        "file_text",
        "open_file",
        "picture",
    },
    {"file_source"},
    {"file_reader", "multipart"},
    {"file", "webhook", "file_output", "account", "hardware", "version"},
    {"input", "saving", "course"},
    {"file_input", "form", "job"},
    {"prediction", "training", "middleware"},
    {"model", "deployment", "webhook_verifier"},
    {"collection"},
    {"search"},
    {"run", "watch"},
    {"stream", "relay"},
    {"output_iterator"},
    {"use"},
    {"options", "types"},
    {"settings"},
    {"configurable"},
    {"client"},
    {"__init__"},
    {"local", "drop_in", "schema", "resource", "helpers", "log", "_model_api", "__about__"},
    {"pytest_plugin"},
]


def floor(room):
    return next(n for n, rooms in enumerate(FLOORS) if room in rooms)


def imported_when_loaded(path, level=1):
    """The rooms that a module imports when it is itself imported; types are looked at later."""

    def walk(nodes):
        for node in nodes:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                yield from walk(node.orelse)
            elif isinstance(node, ast.ImportFrom) and node.level == level:
                yield from (
                    [node.module.split(".")[0]]
                    if node.module
                    else [each.name for each in node.names]
                )
            elif isinstance(node, (ast.If, ast.Try, ast.ClassDef)):
                yield from walk(ast.iter_child_nodes(node))

    return set(walk(ast.parse(path.read_text()).body))


def test_python_s_dependencies_point_one_way():
    rooms = {path.stem for path in PACKAGE.glob("*.py")} | {"local", "drop_in"}
    assert rooms | {"_core"} == set().union(*FLOORS)
    for path in PACKAGE.glob("*.py"):
        for used in imported_when_loaded(path):
            assert floor(used) < floor(path.stem), f"{path.stem} uses {used}"


def test_the_local_server_s_rooms_form_no_circle():
    local = PACKAGE / "local"
    sorter = graphlib.TopologicalSorter()
    for path in [*local.glob("*.py"), *local.glob("endpoints/*.py")]:
        if path.stem not in ("__init__", "__main__"):
            sorter.add(
                path.stem, *(imported_when_loaded(path, level=len(path.relative_to(local).parts)))
            )
    sorter.prepare()


def test_only_the_transport_knows_sync_from_async():
    for path in PACKAGE.glob("*.py"):
        if path.stem != "_transport":
            assert "asyncio" not in re.findall(
                r"^\s*(?:import|from) (\w+)", path.read_text(), re.M
            ), path


def fresh(code):
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_an_import_starts_nothing_and_pulls_nothing_in():
    code = """
import sys; before = set(sys.modules)
import os, replicate_rs
client = replicate_rs.Replicate("r8_x")
new = {name for name in set(sys.modules) - before if not name.startswith("replicate_rs")}
print(len(os.listdir("/proc/self/task")), *sorted(new))
"""
    threads, *modules = fresh(code)
    assert threads == "1"
    few = {
        "__future__",
        "_imp",
        "_xxsubinterpreters",
        "importlib",
        "importlib._bootstrap",
        "importlib._bootstrap_external",
        "time",
        "warnings",
    }
    assert set(modules) <= few


def test_the_package_needs_nothing():
    text = (ROOT / "pyproject.toml").read_text()
    assert "\ndependencies = []\n" in text


def test_the_demo_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "genuine: True; with one byte added: False" in done.stdout
    assert (ROOT / "output" / "sketch.png").stat().st_size > 10_000


def test_the_version_is_the_same_everywhere():
    import replicate_rs
    from replicate_rs.options import USER_AGENT

    assert f'\nversion = "{replicate_rs.__version__}"\n' in (ROOT / "Cargo.toml").read_text()
    assert f"replicate-rs/{replicate_rs.__version__}" == USER_AGENT


def test_the_tests_see_nothing_of_the_developer_s_surroundings():
    nowhere = "http://127.0.0.1:9"
    theirs = {
        "HTTP_PROXY": nowhere,
        "https_proxy": nowhere,
        "ALL_PROXY": "socks5://127.0.0.1:9",
        "NO_PROXY": "example.com",
        "REPLICATE_LOG": "trace",
        "REPLICATE_POLL_INTERVAL": "often",
        "REPLICATE_API_TOKEN": "r8_theirs",
        "REPLICATE_BASE_URL": nowhere,
        "SSL_CERT_FILE": "/nowhere",
        "SSL_CERT_DIR": "/nowhere",
        "REQUEST_METHOD": "GET",
        "PYTHONWARNINGS": "ignore",
        "PYTHONASYNCIODEBUG": "1",
        "TZ": "Asia/Tokyo",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "tests/client/test_client.py",
        "tests/process/test_process.py",
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | theirs,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout
