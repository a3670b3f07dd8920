"""The version, and what a program is told where the compiled module cannot be loaded."""

import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

import replicate_rs
from replicate_rs._client.options import USER_AGENT

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "replicate_rs"


def test_the_version_is_that_of_the_crate():
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    assert replicate_rs.__version__ == replicate_rs.__about__.__version__ == version
    assert f"replicate-rs/{version}" == USER_AGENT
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" not in project
    assert "version" in project["dynamic"]
    # Whether installed or, in development, linked.
    assert importlib.metadata.version("replicate-rs") == version


def test_the_changelog_begins_with_the_version():
    (section, *_) = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    version, _, state = section.partition(" ")
    assert version == replicate_rs.__version__
    assert re.fullmatch(r"\((?:not released|\d{4}-\d\d-\d\d)\)", state)


def test_a_tag_is_the_version_of_a_released_section():
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no repository, as in a source distribution")
    tags = subprocess.run(
        [git, "tag", "--points-at", "HEAD", "v*"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    for tag in tags:
        assert tag == f"v{replicate_rs.__version__}"
        assert f"\n## {tag[1:]} (not released)" not in (ROOT / "CHANGELOG.md").read_text()


@pytest.fixture
def installed(tmp_path):
    """Return a copy of the package without its compiled module, and a function that imports it."""
    folder = tmp_path / "replicate_rs"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))

    def fail(code):
        done = subprocess.run(
            [
                sys.executable,
                "-I",
                "-S",
                "-c",
                f"import sys; sys.path[:0] = [{str(tmp_path)!r}]\n{code}",
            ],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        # The last line of the traceback.
        return done.stderr.strip().splitlines()[-1]

    return folder, fail


MODULES = sorted(
    path.stem
    for path in PACKAGE.glob("[a-z]*.py")
    # A plugin is loaded into every test run.
    if path.stem != "pytest_plugin"
)


@pytest.mark.parametrize(
    "code",
    [
        "import replicate_rs; replicate_rs.run",
        "import replicate_rs; replicate_rs.__version__",
        "from replicate_rs import AbortSignal",
        *(f"import replicate_rs.{module}" for module in MODULES),
    ],
)
def test_a_missing_core_is_explained(installed, code):
    folder, fail = installed
    message = fail(code)
    assert message.startswith("ImportError: replicate_rs cannot load its compiled module with")
    version = platform.python_version()
    gil = " (free-threaded)" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    assert f" {version}{gil} on {sysconfig.get_platform()}: " in message
    assert f": {folder} contains no compiled module. Supported are CPython 3.11 or newer" in message
    assert f"{sys.executable} -m pip install --force-reinstall replicate-rs" in message


def test_a_core_for_another_python_is_named(installed):
    folder, fail = installed
    (folder / "_core.cpython-39-darwin.so").touch()
    assert "for another Python or platform: _core.cpython-39-darwin.so" in fail(
        "import replicate_rs; replicate_rs.run"
    )


def test_a_core_of_another_platform_is_explained(installed):
    folder, fail = installed
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    (folder / f"_core{suffix}").write_bytes(b"of another platform")
    message = fail("import replicate_rs; replicate_rs.run")
    assert "Supported are CPython 3.11 or newer" in message
    # What the system's loader says.
    assert f"_core{suffix}" in message


def test_a_build_from_the_source_distribution_leaves_out_the_jitter_of_the_processor():
    settings = tomllib.loads((ROOT / ".cargo" / "config.toml").read_text())
    assert settings["env"] == {"AWS_LC_SYS_NO_JITTER_ENTROPY": "1"}
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["maturin"]["include"]
    assert {"path": ".cargo/*", "format": "sdist"} in included
