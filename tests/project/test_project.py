"""What an import costs, what the package depends on, and that what users are shown works."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
PACKAGE = ROOT / "python" / "replicate_rs"


def test_rust_s_dependencies_point_one_way():
    allowed = {
        "clock": set(),
        "response": set(),
        "error": {"response"},  # a status error holds the response
        "sse": set(),
        "resume": {"retry", "sse"},
        "webhook": set(),
        "url": {"error"},
        "retry": {"error"},
        "pace": {"clock", "retry"},
        "proxy": {"error"},
        "tls": {"error"},
        "data_uri": {"error"},
        "checksum": {"data_uri"},
        "disk": {"error"},
        "reach": {"error", "url"},
        "upload": {"clock", "data_uri", "error"},
        "stats": {"error"},
        "stage": {"clock", "error", "stats", "upload"},
        "pool": {"disk", "error", "pace", "proxy", "reach", "retry", "stage", "stats", "tls"},
        # An upload is a body.
        "http": {
            "clock",
            "error",
            "pool",
            "reach",
            "response",
            "retry",
            "stage",
            "stats",
            "tls",
            "upload",
            "url",
        },
        "download": {"checksum", "disk", "error", "http", "pool", "retry", "stage"},
        "polls": {"clock", "http", "pace", "pool"},
        "create_lookup": set(),
        "create": {"clock", "create_lookup", "error", "http", "pool", "response", "stage", "url"},
    }
    assert {path.stem for path in SOURCE.glob("*.rs")} == {*allowed, "lib"}
    for name, may in allowed.items():
        text = (SOURCE / f"{name}.rs").read_text().partition("#[cfg(test)]")[0]
        assert set(re.findall(r"crate::(\w+)", text)) <= may, name
        assert "pyo3" not in text, name
    for path in (SOURCE / "sync").glob("*.rs"):
        text = path.read_text()
        assert set(re.findall(r"crate::(\w+)", text)) == set(), path
        assert "pyo3" not in text, path
        assert "tokio" not in text, path


def test_rust_forbids_what_the_design_forbids():
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
    assert "as received: genuine" in done.stdout
    assert "with one byte added: refused" in done.stdout
    assert (ROOT / "output" / "sketch.png").stat().st_size > 10_000


def test_the_version_is_the_same_everywhere():
    import replicate_rs
    from replicate_rs._client.options import USER_AGENT

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
