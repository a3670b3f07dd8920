"""The dependencies of the crate, the cost of an import, the demo, and the isolation of tests."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "replicate_rs"


def test_clippy_denies_panics():
    manifest = (ROOT / "Cargo.toml").read_text()
    for lint in (
        'unsafe_code = "forbid"',
        'unwrap_used = "deny"',
        'expect_used = "deny"',
        'panic = "deny"',
        'indexing_slicing = "deny"',
    ):
        assert lint in manifest


def fresh(code):
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_an_import_starts_no_thread_and_imports_little():
    code = """
import sys; before = set(sys.modules)
import os, replicate_rs
client = replicate_rs.Replicate("r8_x")
new = {name for name in set(sys.modules) - before if not name.startswith("replicate_rs")}
print(len(os.listdir("/proc/self/task")), *sorted(new))
"""
    threads, *modules = fresh(code)
    assert threads == "1"
    allowed = {
        "__future__",
        "_imp",
        "_xxsubinterpreters",
        "importlib",
        "importlib._bootstrap",
        "importlib._bootstrap_external",
        "time",
        "warnings",
    }
    assert set(modules) <= allowed


def test_the_package_has_no_dependencies():
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
    assert "as received: genuine" in done.stdout
    assert "with one byte added: refused" in done.stdout
    assert (ROOT / "output" / "sketch.png").stat().st_size > 10_000


def test_tests_do_not_depend_on_the_developer_s_environment():
    unreachable = "http://127.0.0.1:9"
    variables = {
        "HTTP_PROXY": unreachable,
        "https_proxy": unreachable,
        "ALL_PROXY": "socks5://127.0.0.1:9",
        "NO_PROXY": "example.com",
        "REPLICATE_LOG": "trace",
        "REPLICATE_POLL_INTERVAL": "often",
        "REPLICATE_API_TOKEN": "r8_theirs",
        "REPLICATE_BASE_URL": unreachable,
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
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout
