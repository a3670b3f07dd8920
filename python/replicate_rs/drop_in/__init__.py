"""Let ``import replicate`` import this package in place of the official client.

    import replicate_rs.drop_in
    replicate_rs.drop_in.install()

    import some_library_that_imports_replicate

Or, without changing the program: ``python -m replicate_rs.drop_in program.py arguments…``, or with
``-m module``, ``-c code`` or ``-``, as for Python itself. The official client may be installed; it
must not have been imported before.

`install` puts a folder on the path that contains a package `replicate` and the metadata of 1.0.7.
Processes that the program starts find it too. ``python -m replicate_rs.drop_in --path`` prints the
folder, to be set as `PYTHONPATH`.

Calls through `replicate` follow the rules of 1.0.7 where these differ; calls through `replicate_rs`
in the same process do not.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False

if TYPE_CHECKING:
    from types import ModuleType

NAME = "replicate"


def path() -> str:
    """Return the folder that contains the package `replicate` and its metadata."""
    from pathlib import Path

    return str(Path(__file__).resolve().parent / "site")


def install() -> None:
    """Have ``import replicate`` import this package, here and in processes that this one starts.

    Repeated calls have no further effect.

    Raises:
        RuntimeError: The official client was imported already, and other modules have its classes.

    """
    from importlib import import_module

    folder = path()
    official = sys.modules.get(NAME)
    if official is not None and imported() is None:
        where = getattr(official, "__file__", None) or "an unknown place"
        raise RuntimeError(
            f"the module 'replicate' was imported already, from {where}: call"
            " replicate_rs.drop_in.install() before, at the very top of the program"
        )
    first, *rest = [each for each in sys.path if each != folder] or [folder]
    # First during the import, so that it finds this package.
    sys.path[:] = [folder, first, *rest]
    import_module(NAME)
    # Then second: programs expect their own folder to be the first.
    sys.path[:] = [first, folder, *rest]
    inherited = os.environ.get("PYTHONPATH")
    others = [each for each in inherited.split(os.pathsep) if each != folder] if inherited else []
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, *others])


def load() -> ModuleType:
    """Install the module `replicate` and return it; pickles of the module call this function."""
    install()
    return sys.modules[NAME]


def imported() -> ModuleType | None:
    """Return the module `replicate` if it was imported from this package."""
    from pathlib import Path

    module = sys.modules.get(NAME)
    file: str | None = getattr(module, "__file__", None)
    return module if file is not None and Path(file).resolve().is_relative_to(path()) else None
