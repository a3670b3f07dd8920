"""Stands in for the official client: after `install()`, ``import replicate`` gives this package, to everybody.

    import replicate_rs.drop_in
    replicate_rs.drop_in.install()

    import some_library_that_imports_replicate

Or, without a change to a program: ``python -m replicate_rs.drop_in program.py arguments…``, or ``-m module arguments…``.
The official client may be installed or not; it must not have been imported before. Processes that the program starts are on
their own: those must call `install()` too.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

TYPE_CHECKING = False

if TYPE_CHECKING:
    from types import ModuleType

OURS = "replicate_rs"
THEIRS = "replicate"
USAGE = "usage: python -m replicate_rs.drop_in (program.py | -m module) [argument ...]"


def install() -> None:
    """Make ``import replicate``, and the import of anything in it, give this package from now on. Twice is as good as once.

    Raises:
        RuntimeError: The official client was imported already: what imported it has its classes, which are not these.

    """
    package = import_module(OURS)
    present = sys.modules.get(THEIRS)
    if present is package:
        return
    if present is not None:
        where = getattr(present, "__file__", None) or "nowhere"
        raise RuntimeError(
            f"the module 'replicate' was imported already, from {where}: call replicate_rs.drop_in.install() before, "
            "at the very top of the program"
        )
    sys.meta_path.insert(0, _Finder())
    sys.modules[THEIRS] = package


class _Finder(MetaPathFinder):
    """Finds modules of the official client among those of this package, so that each exists once, whatever it is called."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        package, _dot, room = fullname.partition(".")
        if package != THEIRS or not room:
            return None
        own = find_spec(f"{OURS}.{room}")
        return None if own is None else ModuleSpec(fullname, _Loader(own), is_package=own.submodule_search_locations is not None)


class _Loader(Loader):
    """Gives a module of this package under the other name too."""

    def __init__(self, own: ModuleSpec) -> None:
        self.own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002 - the import system passes it
        return import_module(self.own.name)

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put the other name's spec in; with that one, the module could not be reloaded.
        module.__spec__ = self.own


def main(arguments: list[str]) -> None:
    """Run a program or a module, as Python itself would."""
    from pathlib import Path
    from runpy import run_module, run_path

    match arguments:
        case ["-m", module, *rest] if not module.startswith("-"):
            install()
            sys.argv = [module, *rest]
            run_module(module, run_name="__main__", alter_sys=True)
        case [program, *rest] if not program.startswith("-"):
            if not Path(program).exists():
                sys.exit(f"{USAGE}\nthere is no {program}")
            install()
            sys.argv = [program, *rest]
            if not sys.flags.safe_path:
                sys.path[0] = str(Path(program).resolve().parent)
            run_path(program, run_name="__main__")
        case _:
            sys.exit(USAGE)


if __name__ == "__main__":
    main(sys.argv[1:])
