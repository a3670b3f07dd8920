"""maturin as the build backend of pip and others, after a check that the compilers are there.

Without it, the errors about missing and old compilers name no remedy. `make setup` runs the check
on its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import maturin
from maturin import build_editable as build_editable
from maturin import build_sdist as build_sdist
from maturin import build_wheel as build_wheel
from maturin import get_requires_for_build_sdist as get_requires_for_build_sdist

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
RUST = "install Rust from https://rustup.rs, or update it with `rustup update stable`"
C = (
    "install one: `apt-get install build-essential` (Debian, Ubuntu), `dnf install gcc` (Fedora),"
    " `apk add build-base` (Alpine), `xcode-select --install` (macOS); or name yours in the"
    " variable CC"
)


def check() -> None:
    """End with a message that names the remedy, if Python or a compiler does not fit."""
    if sys.implementation.name != "cpython":
        sys.exit(f"replicate-rs needs CPython 3.11 or newer; this is {sys.implementation.name}")
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text("utf-8"))
    needed = manifest["package"]["rust-version"]
    rustc = os.environ.get("RUSTC") or shutil.which("rustc")
    if rustc and shutil.which("cargo"):
        printed = subprocess.run([rustc, "--version"], capture_output=True, text=True, check=False)
        found = re.match(r"rustc (\d+)\.(\d+)", printed.stdout)
        if found is None:
            sys.exit(f"replicate-rs: `{rustc} --version` failed: {printed.stderr.strip()}")
        if tuple(map(int, found.groups())) < tuple(map(int, needed.split("."))):
            sys.exit(f"replicate-rs needs Rust {needed} or newer, and here is {found[0]}: {RUST}")
    else:
        # maturin then installs Rust for itself, if it can; pip shows this only if that fails.
        print(f"replicate-rs needs Rust {needed} or newer, and here is none: {RUST}", flush=True)
    # Crates find Microsoft's compiler without PATH.
    if sys.platform != "win32" and not (os.environ.get("CC") or shutil.which("cc")):
        sys.exit(f"replicate-rs needs a C compiler, for TLS, and here is no `cc`: {C}")


def _checked(hook: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*arguments: Any, **named: Any) -> Any:
        check()
        return hook(*arguments, **named)

    return checked


# Both are called by pip, in processes of their own, and only the first by `python -m build`.
get_requires_for_build_wheel = _checked(maturin.get_requires_for_build_wheel)
get_requires_for_build_editable = _checked(maturin.get_requires_for_build_editable)
prepare_metadata_for_build_wheel = _checked(maturin.prepare_metadata_for_build_wheel)
prepare_metadata_for_build_editable = _checked(maturin.prepare_metadata_for_build_editable)

if __name__ == "__main__":
    check()
