"""Check that a release is complete: ``make check-release``.

python tools/release.py v1.2.3          # the tag, the versions and the changelog agree
python tools/release.py v1.2.3 dist     # and dist/ has each distribution once
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections import Counter
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "replicate_rs"
# The Pythons of a release: one wheel for all from 3.11, one for all from 3.15 with or without
# free threading, and faster ones for one version each.
PYTHONS = (
    "cp311-abi3",
    "cp315-abi3t",
    "cp311-cp311",
    "cp312-cp312",
    "cp313-cp313",
    "cp314-cp314",
    "cp314-cp314t",
)
PLATFORMS = (
    "manylinux2014_x86_64",
    "manylinux2014_aarch64",
    "musllinux_1_2_x86_64",
    "musllinux_1_2_aarch64",
    "macosx_x86_64",
    "macosx_arm64",
    "win_amd64",
    "win_arm64",
)


def read_versions(root: Path) -> dict[str, str]:
    """Return the version that each file has: the crate's, the lock file's and the changelog's."""
    cargo = tomllib.loads((root / "Cargo.toml").read_text(encoding="utf-8"))["package"]
    lock = tomllib.loads((root / "Cargo.lock").read_text(encoding="utf-8"))["package"]
    (locked,) = (each["version"] for each in lock if each["name"] == cargo["name"])
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = re.search(r"^## (.*)$", changelog, re.MULTILINE)
    return {
        "Cargo.toml": cargo["version"],
        "Cargo.lock": locked,
        "CHANGELOG.md": heading[1] if heading else "nothing",
    }


def check_tag(tag: str, root: Path) -> list[str]:
    """Return what is wrong with a tag."""
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        return [f"the tag {tag!r} is not a version such as v1.2.3"]
    version = tag.removeprefix("v")
    versions = read_versions(root)
    found, _, day = versions.pop("CHANGELOG.md").partition(" ")
    errors = [
        f"{name} has version {each}, not {version}"
        for name, each in versions.items()
        if each != version
    ]
    try:
        released = date.fromisoformat(day.strip("()"))
    except ValueError:
        released = None
    if found != version or released is None or day != f"({released})":
        errors.append(
            f"CHANGELOG.md begins with {f'{found} {day}'.strip()!r}, not with the date of this"
            f" version: '{version} (2026-12-31)'"
        )
    return errors


def name_platform(tag: str) -> str:
    """Return the name in PLATFORMS of a wheel's platform, or the tag if it is none of them."""
    first = tag.split(".")[0]
    first = re.sub(r"^manylinux_2_17_", "manylinux2014_", first)
    return re.sub(r"^macosx_\d+_\d+_", "macosx_", first)


def name_python(python: str, abi: str) -> str:
    """Return the name in PYTHONS of a wheel's Python, or its tags if it is none of them."""
    return f"{python}-abi3t" if "abi3t" in abi.split(".") else f"{python}-{abi}"


def check_files(names: list[str], version: str) -> list[str]:
    """Return what is missing among distributions, and what is there in vain or twice."""
    expected = {f"{PACKAGE}-{version}.tar.gz"} | {
        f"{python}-{platform}" for python in PYTHONS for platform in PLATFORMS
    }
    found: Counter[str] = Counter()
    for name in names:
        if name.endswith(".whl") and name.count("-") == 4 and name.split("-")[1] == version:
            *_, python, abi, platform = name.removesuffix(".whl").split("-")
            found[f"{name_python(python, abi)}-{name_platform(platform)}"] += 1
        else:
            found[name] += 1
    return [
        *(f"missing: {each}" for each in sorted(expected - found.keys())),
        *(f"not expected: {each}" for each in sorted(found.keys() - expected)),
        *(f"twice: {each}" for each, times in sorted(found.items()) if times > 1),
    ]


def main() -> None:
    """Check a tag, and the files of a folder if one is given."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    tag, *folders = sys.argv[1:]
    errors = check_tag(tag, ROOT)
    for folder in folders:
        names = sorted(each.name for each in Path(folder).iterdir())
        errors += check_files(names, tag.removeprefix("v"))
    if errors:
        sys.exit("\n".join(errors))
    print(f"{tag} is complete")


if __name__ == "__main__":
    main()
