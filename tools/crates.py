"""List the crates that a build links: their licences, and a software bill of materials.

    python tools/crates.py licenses           # write THIRD_PARTY_LICENSES
    python tools/crates.py licenses --check   # fail if it is not current
    python tools/crates.py sbom TARGET        # print CycloneDX JSON for one target

Needs cargo, with the sources of all crates (`cargo fetch`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LICENSES = ROOT / "THIRD_PARTY_LICENSES"
# Where the licence texts of a crate are, without regard to case.
NAMES = ("licen", "copying", "notice", "unlicense")
INTRODUCTION = """\
The compiled module of replicate_rs contains these crates and Rust's standard library, each under
the licence below its name. Some of the crates are linked on macOS or Windows only. Where a crate
offers a choice of licences, all their texts are here. `make licenses` writes this file.
"""
STANDARD_LIBRARY = "The Rust standard library (MIT OR Apache-2.0)"


def cargo(*arguments: str) -> str:
    """Return what cargo prints."""
    command = ["cargo", *arguments, "--locked", "--manifest-path", str(ROOT / "Cargo.toml")]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def read_metadata() -> dict[tuple[str, str], dict[str, Any]]:
    """Return what cargo knows of each crate in the lock file, by name and version."""
    packages = json.loads(cargo("metadata", "--format-version", "1"))["packages"]
    return {(each["name"], each["version"]): each for each in packages}


def list_linked(target: str) -> list[tuple[str, str]]:
    """Return names and versions of the crates that are linked for a target.

    Crates that only build scripts and macros need are not among them, nor is this one.
    """
    lines = cargo(
        "tree", "--edges=normal,no-proc-macro", "--prefix=none", "--format={p}", "--target", target
    ).splitlines()
    found = {(name, version.removeprefix("v")) for name, version, *_ in map(str.split, lines)}
    return sorted(each for each in found if each[0] != "replicate_rs")


def read_texts(crate: dict[str, Any]) -> list[str]:
    """Return the texts of a crate's licences."""
    folder = Path(crate["manifest_path"]).parent
    paths = sorted(each for each in folder.iterdir() if each.name.lower().startswith(NAMES))
    texts = [each.read_text("utf-8", "replace") for each in paths if each.is_file()]
    if not texts:
        raise SystemExit(f"{crate['name']} {crate['version']} has no text of its licence")
    return texts


def write_licenses() -> str:
    """Return the licences of all crates that are linked on one of the supported platforms.

    Each text is there once, below the names of all crates that have it.
    """
    metadata = read_metadata()
    named: dict[str, list[str]] = defaultdict(list)
    text_of: dict[str, str] = {}
    targets = tomllib.loads((ROOT / "deny.toml").read_text())["graph"]["targets"]
    for key in sorted({key for target in targets for key in list_linked(target)}):
        crate = metadata[key]
        for text in read_texts(crate):
            # Line breaks and indentation differ between copies of a text.
            words = " ".join(text.split())
            text_of.setdefault(words, text)
            named[words].append(f"{key[0]} {key[1]} ({crate['license']})")
            if key[0] == "libc" and "Permission is hereby granted" in text:
                named[words].append(STANDARD_LIBRARY)
    rule = "=" * 80
    sections = [
        "\n".join([rule, *dict.fromkeys(crates), rule, "", text_of[words].strip(), ""])
        for words, crates in named.items()
    ]
    lines = "\n".join([INTRODUCTION, *sections]).splitlines()
    return "\n".join(each.rstrip() for each in lines) + "\n"


def write_sbom(target: str) -> str:
    """Return a bill of the crates that are linked for a target, as CycloneDX 1.5."""
    metadata = read_metadata()
    own = next(each for (name, _), each in metadata.items() if name == "replicate_rs")
    components = []
    for name, version in list_linked(target):
        crate = metadata[name, version]
        components.append(
            {
                "type": "library",
                "bom-ref": f"pkg:cargo/{name}@{version}",
                "purl": f"pkg:cargo/{name}@{version}",
                "name": name,
                "version": version,
                "licenses": [{"expression": crate["license"].replace("/", " OR ")}],
            }
        )
    root = f"pkg:pypi/replicate-rs@{own['version']}"
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": root,
                "purl": root,
                "name": "replicate-rs",
                "version": own["version"],
                "licenses": [{"expression": own["license"]}],
            },
            "properties": [{"name": "cargo:target", "value": target}],
        },
        "components": components,
    }
    return json.dumps(document, indent=1) + "\n"


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    licenses = commands.add_parser("licenses")
    licenses.add_argument("--check", action="store_true")
    commands.add_parser("sbom").add_argument("target")
    arguments = parser.parse_args()
    if arguments.command == "sbom":
        sys.stdout.write(write_sbom(arguments.target))
    elif not arguments.check:
        LICENSES.write_text(write_licenses())
    elif LICENSES.read_text() != write_licenses():
        raise SystemExit(f"{LICENSES.name} is not current: run `make licenses`")


if __name__ == "__main__":
    main()
