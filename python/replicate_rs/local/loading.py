"""Finds the server that a file or a module holds."""

from __future__ import annotations

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


def load(reference: str) -> LocalReplicate:
    """Give the server of ``path/to/app.py``, ``path/to/app.py:name``, ``module`` or ``module:name``.

    Raises:
        LoadError: There is none, or its module fails.

    """
    place, _, name = reference.partition(":")
    try:
        module = _file(Path(place)) if place.endswith(".py") else _module(place)
    except LoadError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        # Where in the user's own code.
        frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith(_OWN)]
        where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
        raise LoadError(f"{place} cannot be imported: {type(error).__name__}: {error}{where}") from error
    return _server(module, place, name)


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        raise LoadError(f"there is no file {path}")
    # What stands beside the file can be imported, as when the file is run.
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _module(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            raise LoadError(f"there is no module {name}; for a file write {name.replace('.', '/')}.py") from None
        raise


def _server(module: ModuleType, place: str, name: str) -> LocalReplicate:
    found = {key: value for key, value in vars(module).items() if isinstance(value, LocalReplicate)}
    if name:
        if name not in found:
            raise LoadError(f"{place} has no LocalReplicate named {name!r}; it has: {', '.join(found) or 'none'}")
        return found[name]
    if "server" in found:
        return found["server"]
    if len(set(map(id, found.values()))) == 1:
        return next(iter(found.values()))
    if not found:
        raise LoadError(f"{place} has no server: write `server = LocalReplicate()`, and @server.model(...) over your functions")
    raise LoadError(f"{place} has several servers ({', '.join(found)}): say which, as {place}:{next(iter(found))}")
