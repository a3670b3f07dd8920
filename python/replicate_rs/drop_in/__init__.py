"""The official client's name for this package: ``import replicate``, and libraries that do so, get
replicate_rs.

    import replicate_rs.drop_in
    replicate_rs.drop_in.install()

    import some_library_that_imports_replicate

Or, without a change to a program: ``python -m replicate_rs.drop_in program.py arguments…``, and
likewise with ``-m module``, ``-c code`` and ``-``. The official client may be installed or not; it
must not have been imported before.

What `install` puts on the path is a folder with a package `replicate` and the metadata of 1.0.7, so
that processes that the program starts find it too. ``python -m replicate_rs.drop_in --path`` prints
the folder, to be set as `PYTHONPATH`.

Under the name `replicate`, calls follow the rules of 1.0.7 where these differ; `replicate_rs` keeps
its own in the same process.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False

if TYPE_CHECKING:
    from types import ModuleType

NAME = "replicate"


def path() -> str:
    """Return the folder that has the package `replicate` and its metadata."""
    from pathlib import Path

    return str(Path(__file__).resolve().parent / "site")


def install() -> None:
    """Let ``import replicate`` find this package, in this process and in those that it starts.
    Repeated calls do nothing more.

    Raises:
        RuntimeError: The official client was imported already: what imported it has its classes,
            which are not these.

    """
    from importlib import import_module

    folder = path()
    present = sys.modules.get(NAME)
    if present is not None and imported() is None:
        where = getattr(present, "__file__", None) or "nowhere"
        raise RuntimeError(
            f"the module 'replicate' was imported already, from {where}: call"
            " replicate_rs.drop_in.install() before, at the very top of the program"
        )
    first, *rest = [each for each in sys.path if each != folder] or [folder]
    # Whatever comes first, it is this package's that is imported here.
    sys.path[:] = [folder, first, *rest]
    import_module(NAME)
    # Programs look for their own files in the folder that is first.
    sys.path[:] = [first, folder, *rest]
    inherited = os.environ.get("PYTHONPATH")
    others = [each for each in inherited.split(os.pathsep) if each != folder] if inherited else []
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, *others])


def load() -> ModuleType:
    """Return the module `replicate`, installed if it is not yet: what a pickle of it calls."""
    install()
    return sys.modules[NAME]


def imported() -> ModuleType | None:
    """Return the module `replicate` if it was imported and is this package's."""
    from pathlib import Path

    module = sys.modules.get(NAME)
    file: str | None = getattr(module, "__file__", None)
    return module if file is not None and Path(file).resolve().is_relative_to(path()) else None
