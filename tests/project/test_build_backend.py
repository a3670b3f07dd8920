"""What a build from source says where a compiler is missing or too old."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("maturin")
if sys.platform == "win32":
    pytest.skip("the commands are shell scripts", allow_module_level=True)

BACKEND = Path(__file__).parents[2] / "tools" / "build_backend.py"
HOOKS = {
    f"{hook}_{kind}"
    for kind in ("wheel", "editable")
    for hook in ("get_requires_for_build", "prepare_metadata_for_build", "build")
} | {"get_requires_for_build_sdist", "build_sdist"}


@pytest.fixture
def check(tmp_path):
    """Return a function that runs the check where only the given commands exist."""

    def run(**commands):
        for name, printed in commands.items():
            command = tmp_path / name
            command.write_text(f"#!/bin/sh\necho '{printed}'\n")
            command.chmod(0o755)
        unwanted = ("RUSTC", "CC")
        variables = {name: value for name, value in os.environ.items() if name not in unwanted}
        return subprocess.run(
            [sys.executable, BACKEND],
            env={**variables, "PATH": str(tmp_path)},
            capture_output=True,
            text=True,
        )

    return run


def test_nothing_is_said_where_all_is_there(check):
    done = check(cargo="", rustc="rustc 1.999.0 (abc 2030-01-01)", cc="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_old_rust_is_named(check):
    done = check(cargo="", rustc="rustc 1.63.0", cc="")
    assert done.returncode == 1
    assert "here is rustc 1.63: install Rust from https://rustup.rs, or update it" in done.stderr


def test_a_missing_rust_is_named_and_left_to_maturin(check):
    done = check(cc="")
    assert (done.returncode, done.stderr) == (0, "")
    assert "here is none: install Rust from https://rustup.rs" in done.stdout


def test_a_rust_that_does_not_work_is_named(check):
    done = check(cargo="", rustc="error: no default toolchain", cc="")
    assert done.returncode == 1
    assert "rustc --version` failed" in done.stderr


def test_a_missing_c_compiler_is_named(check):
    done = check(cargo="", rustc="rustc 1.999.0")
    assert done.returncode == 1
    assert "needs a C compiler" in done.stderr
    assert "apt-get install build-essential" in done.stderr


def test_it_has_all_hooks_of_maturin(monkeypatch):
    monkeypatch.syspath_prepend(str(BACKEND.parent))
    import build_backend
    import maturin

    for hook in HOOKS:
        assert callable(getattr(maturin, hook))
        assert callable(getattr(build_backend, hook))
