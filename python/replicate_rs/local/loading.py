"""Finds the server that a file or a module holds."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from .server import LocalReplicate

_OWN = (str(Path(__file__).parent), "<frozen ", importlib.__file__)


class LoadError(Exception):
    """There is no server to be had; the message says why in a line."""


def load(reference: str, folder: Path, *, is_alone: bool) -> LocalReplicate:
    """Return the server of ``path/to/app.py``, ``path/to/app.py:name``, ``module`` or
    ``module:name``.

    Args:
        reference: The file or the module.
        folder: Where a relative path and a module are looked for.
        is_alone: Nothing else runs in this process: what is beside the file is imported before
            anything else of its name.

    Raises:
        LoadError: There is none, or its module fails.

    """
    place, _, name = reference.partition(":")
    try:
        module = (
            _file(folder / place, is_alone=is_alone)
            if place.endswith(".py")
            else _module(place, folder, is_alone=is_alone)
        )
    except LoadError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        # Where in the user's own code.
        frames = [
            each
            for each in traceback.extract_tb(error.__traceback__)
            if not each.filename.startswith(_OWN)
        ]
        where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
        raise LoadError(
            f"{place} cannot be imported: {type(error).__name__}: {error}{where}"
        ) from error
    return _server(module, place, name)


def _file(path: Path, *, is_alone: bool) -> ModuleType:
    if not path.is_file():
        raise LoadError(f"there is no file {path}")
    path = path.resolve()
    # What is beside the file can be imported, as when the file is run.
    _look_in(path.parent, is_alone=is_alone)
    if _is_module(path):
        # A program that imports it too has the same one.
        return importlib.import_module(path.stem)
    # The name of the file is another module's.
    name = f"_replicate_local_{path.stem}"
    if name in sys.modules and sys.modules[name].__file__ == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise
    return module


def _is_module(path: Path) -> bool:
    """Return whether importing a file's name gives this file."""
    spec = None
    # A module that is loaded already may have no spec.
    with contextlib.suppress(ValueError):
        spec = importlib.util.find_spec(path.stem) if path.stem.isidentifier() else None
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == path


def _look_in(folder: Path, *, is_alone: bool) -> None:
    importlib.invalidate_caches()
    place = str(folder.resolve())
    if is_alone:
        sys.path.insert(0, place)
    elif place not in sys.path:
        sys.path.append(place)


def _module(name: str, folder: Path, *, is_alone: bool) -> ModuleType:
    _look_in(folder, is_alone=is_alone)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            raise LoadError(
                f"there is no module {name}; for a file write {name.replace('.', '/')}.py"
            ) from None
        raise


def _server(module: ModuleType, place: str, name: str) -> LocalReplicate:
    found = {key: value for key, value in vars(module).items() if isinstance(value, LocalReplicate)}
    if name:
        if name not in found:
            raise LoadError(
                f"{place} has no LocalReplicate named {name!r}; it has:"
                f" {', '.join(found) or 'none'}"
            )
        return found[name]
    if "server" in found:
        return found["server"]
    if len(set(map(id, found.values()))) == 1:
        return next(iter(found.values()))
    if not found:
        raise LoadError(
            f"{place} has no server: write `server = LocalReplicate()`, and @server.model(...) over"
            " your functions"
        )
    raise LoadError(
        f"{place} has several servers ({', '.join(found)}): say which, as"
        f" {place}:{next(iter(found))}"
    )
