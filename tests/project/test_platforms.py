"""What a build needs: a supported platform, and a version of Rust."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MANIFEST = tomllib.loads((ROOT / "Cargo.toml").read_text())
MINIMUM = MANIFEST["package"]["rust-version"]

pytestmark = pytest.mark.skipif(not shutil.which("cargo"), reason="needs Rust's tools")


@pytest.fixture(scope="module")
def build_script(tmp_path_factory):
    program = tmp_path_factory.mktemp("build") / "build"
    subprocess.run(
        ["rustc", "--edition", MANIFEST["package"]["edition"], "-o", program, ROOT / "build.rs"],
        check=True,
    )
    return program


@pytest.mark.parametrize(
    ("target", "system", "bits", "is_supported"),
    [
        ("x86_64-unknown-linux-gnu", "linux", "64", True),
        ("riscv64gc-unknown-linux-gnu", "linux", "64", True),
        ("aarch64-apple-darwin", "macos", "64", True),
        ("aarch64-pc-windows-msvc", "windows", "64", True),
        ("i686-pc-windows-msvc", "windows", "32", False),
        ("armv7-unknown-linux-gnueabihf", "linux", "32", False),
        ("x86_64-unknown-freebsd", "freebsd", "64", False),
        ("wasm32-unknown-emscripten", "emscripten", "32", False),
    ],
)
def test_a_build_for_a_platform_that_is_not_supported_names_it(
    build_script, target, system, bits, is_supported
):
    variables = {
        "TARGET": target,
        "CARGO_CFG_TARGET_OS": system,
        "CARGO_CFG_TARGET_POINTER_WIDTH": bits,
    }
    done = subprocess.run(
        [build_script], env=os.environ | variables, capture_output=True, text=True, check=True
    )
    errors = re.findall(r"^cargo::error=(.*)", done.stdout, flags=re.M)
    assert is_supported == (errors == [])
    for error in errors:
        assert target in error
        assert "only Linux, macOS and Windows" in error


def test_no_dependency_needs_a_newer_rust():
    """Of those that are compiled on this machine, without development dependencies."""
    (host,) = re.findall(
        r"^host: (.*)", subprocess.check_output(["rustc", "-vV"], text=True), flags=re.M
    )
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline"]
    metadata = json.loads(
        subprocess.check_output([*command, "--filter-platform", host], cwd=ROOT, text=True)
    )
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    used, waiting = set(), [metadata["resolve"]["root"]]
    while waiting:
        if (package := waiting.pop()) not in used:
            used.add(package)
            waiting += [
                each["pkg"]
                for each in nodes[package]["deps"]
                if any(kind["kind"] != "dev" for kind in each["dep_kinds"])
            ]
    assert len(used) > 100

    def number(version):
        return [int(part) for part in version.split(".")][:2]

    newer = {
        packages[each]["name"]: version
        for each in used
        if (version := packages[each]["rust_version"]) and number(version) > number(MINIMUM)
    }
    assert newer == {}


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/platforms.md"])
def test_documents_name_the_minimum_of_rust(document):
    assert set(re.findall(r"Rust ≥ ([\d.]*\d)", (ROOT / document).read_text())) == {MINIMUM}
