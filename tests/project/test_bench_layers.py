"""Imports of benches/, those within functions and for type checkers included."""

import ast
import graphlib
from pathlib import Path

BENCHES = Path(__file__).parents[2] / "benches"
# What the modules of each package may import besides their own; modules on top may import all.
ALLOWED = {
    "machine": set(),
    "contenders": {"machine"},
    "jobs": {"contenders", "machine"},
    "report": {"contenders"},
    "simulation": {"machine", "map_worker"},
}


def name_of(path):
    parts = path.relative_to(BENCHES).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in BENCHES.rglob("*.py")}


def imported(name):
    """Return the modules of the benchmarks that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [each for each in submodules if each in MODULES]
            yield from found or ([node.module] if node.module in MODULES else [])


def test_no_imports_form_a_circle():
    graphlib.TopologicalSorter({name: {*imported(name)} for name in MODULES}).prepare()


def test_packages_import_only_lower_ones():
    for name in MODULES:
        package = name.partition(".")[0]
        for used in imported(name) if package in ALLOWED else ():
            other = used.partition(".")[0]
            assert other == package or other in ALLOWED[package], f"{name} imports {used}"


def test_every_package_is_checked():
    packages = {name.partition(".")[0] for name in MODULES if "." in name}
    assert packages == ALLOWED.keys() - {"machine"}
