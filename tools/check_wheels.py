"""Check the distributions in a folder: ``make check-wheels``.

Checks metadata, names, tags, symbols and content of each file, and, with each wheel for this Python
and platform, runs a program against the local server in an environment of its own. What is not for
them is listed at the end. Needs tools/requirements-wheels.txt.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path
from zipfile import ZipFile

from elftools.elf.elffile import ELFFile
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

BIN = Path(sys.executable).parent
SMOKE = Path(__file__).with_name("smoke.py").resolve()
# Folders in which sources, crates and toolchains are, here and on hosted runners. Those of Windows
# are not among them: Microsoft's C compiler has no documented option that removes them.
PATHS = re.compile(rb"(?:/root/|/home/|/Users/|/work/|/github/)[\x21-\x7e]*")
# The version of glibc.
PLATFORM = re.compile(r"\b(manylinux_2)_(\d+)_")
# What users and their lawyers look for in a wheel's metadata.
METADATA = ("licenses/LICENSE", "licenses/THIRD_PARTY_LICENSES", "sboms/replicate_rs.cdx.json")
IN_SDIST = ("CHANGELOG.md", "Cargo.lock", "LICENSE", "THIRD_PARTY_LICENSES", "tests/conftest.py")


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command, and return its output. If it fails, this program ends with the output."""
    done = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def check_content(wheel: Path) -> None:
    """Check that a wheel has licences and a bill of materials, and no path of the builder."""
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        for each in METADATA:
            if not any(name.endswith(f".dist-info/{each}") for name in names):
                raise SystemExit(f"{wheel.name} lacks {each}")
        (extension,) = (name for name in names if Path(name).suffix in (".so", ".pyd"))
        if found := PATHS.search(archive.read(extension)):
            raise SystemExit(f"{wheel.name} contains a path of the builder: {found[0].decode()}")
        (bill,) = (name for name in names if name.endswith(METADATA[2]))
        licenses = archive.read(next(name for name in names if name.endswith(METADATA[1]))).decode()
        for component in json.loads(archive.read(bill))["components"]:
            crate = f"{component['name']} {component['version']}"
            if f"\n{crate} (" not in licenses:
                raise SystemExit(f"{wheel.name} lacks the licence of {crate}")


def read_libraries(wheel: Path) -> set[str]:
    """Return the names of the shared libraries that a wheel's module needs."""
    with ZipFile(wheel) as archive:
        (extension,) = (name for name in archive.namelist() if name.endswith(".so"))
        section = ELFFile(io.BytesIO(archive.read(extension))).get_section_by_name(".dynamic")
    return {tag.needed for tag in section.iter_tags("DT_NEEDED")}


def check_platform(wheel: Path) -> None:
    """Check the symbols that a wheel needs from Python and from the system's libraries."""
    if "-abi3-" in wheel.name:
        run(BIN / "abi3audit", "--strict", wheel)
    if "musllinux" in wheel.name:
        # On systems with glibc, auditwheel takes their `libc.so`, which is a text, for musl's.
        if (needed := read_libraries(wheel)) != {"libc.so"}:
            raise SystemExit(f"{wheel.name} needs {', '.join(sorted(needed))}")
    elif "linux" in wheel.name:
        shown = " ".join(run(BIN / "auditwheel", "show", wheel).split())
        named, found = PLATFORM.search(wheel.name), PLATFORM.search(shown)
        # An older version than the name says does as well.
        if not (named and found and named[1] == found[1] and int(named[2]) >= int(found[2])):
            raise SystemExit(f"{wheel.name} is not what its name says: {shown}")


def run_program(wheel: Path) -> None:
    """Install a wheel into a new environment, and run a program against the local server."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        run(python, "-m", "pip", "install", "--quiet", f"{wheel}[local]")
        run(python, "-X", "dev", "-W", "error", SMOKE, "--local", cwd=Path(folder))


def check_sdist(sdist: Path) -> None:
    """Check that a source distribution contains what is needed to test and to publish it."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    if missing := set(IN_SDIST) - names:
        raise SystemExit(f"{sdist.name} lacks {', '.join(sorted(missing))}")
    rating = run(BIN / "pyroma", sdist)
    if "Final rating: 10/10" not in rating:
        raise SystemExit(rating)


def main() -> None:
    """Check each file, and print what was checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if not wheels and not sdists:
        raise SystemExit(f"{folder} has no wheel and no source distribution: run `make wheels`")
    run(BIN / "twine", "check", "--strict", *wheels, *sdists)
    supported = set(sys_tags())
    for each in sdists:
        check_sdist(each)
        print(f"{each.name}: right")
    for each in wheels:
        run(BIN / "check-wheel-contents", each)
        check_content(each)
        check_platform(each)
        if parse_wheel_filename(each.name)[3] & supported:
            run_program(each)
            print(f"{each.name}: right; installed, and a program run")
        else:
            print(f"{each.name}: right; not installed, being for another Python or platform")


if __name__ == "__main__":
    main()
