"""Loading the server that is defined in a file or a module."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from .server import LocalReplicate

# Files whose lines in a traceback are not the user's.
_OWN_FILES = (str(Path(__file__).parent), "<frozen ", importlib.__file__)


class LoadError(Exception):
    """The server cannot be loaded; the message is a line that says why."""


def load(reference: str, folder: Path, *, is_alone: bool) -> LocalReplicate:
    """Return the server in a file or module.

    Args:
        reference: ``path/to/app.py``, ``path/to/app.py:name``, ``module`` or ``module:name``.
        folder: The folder of a relative path, and of the module.
        is_alone: Whether the process runs nothing else. The file's folder then comes first on
            Python's path, otherwise last.

    Raises:
        LoadError: There is no such server, or importing its module fails.

    """
    source, _, name = reference.partition(":")
    try:
        module = (
            _import_file(folder / source, is_alone=is_alone)
            if source.endswith(".py")
            else _import_module(source, folder, is_alone=is_alone)
        )
    except LoadError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frames = [
            each
            for each in traceback.extract_tb(error.__traceback__)
            if not each.filename.startswith(_OWN_FILES)
        ]
        where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
        raise LoadError(
            f"{source} cannot be imported: {type(error).__name__}: {error}{where}"
        ) from error
    return _find_server(module, source, name)


def _import_file(path: Path, *, is_alone: bool) -> ModuleType:
    if not path.is_file():
        raise LoadError(f"there is no file {path}")
    path = path.resolve()
    # The file can import modules beside it, as when it is run as a script.
    _add_to_path(path.parent, is_alone=is_alone)
    if _is_importable(path):
        # Other code that imports the module gets the same one.
        return importlib.import_module(path.stem)
    # The file's name is that of another module.
    name = f"_replicate_local_{path.stem}"
    if name in sys.modules and sys.modules[name].__file__ == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    previous = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        if previous is not None:
            sys.modules[name] = previous
        raise
    return module


def _is_importable(path: Path) -> bool:
    """Return whether importing the name of a file imports this file."""
    spec = None
    # `find_spec` raises for a module that is loaded and has no spec.
    with contextlib.suppress(ValueError):
        spec = importlib.util.find_spec(path.stem) if path.stem.isidentifier() else None
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == path


def _add_to_path(folder: Path, *, is_alone: bool) -> None:
    importlib.invalidate_caches()
    entry = str(folder.resolve())
    if is_alone:
        sys.path.insert(0, entry)
    elif entry not in sys.path:
        sys.path.append(entry)


def _import_module(name: str, folder: Path, *, is_alone: bool) -> ModuleType:
    _add_to_path(folder, is_alone=is_alone)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            raise LoadError(
                f"there is no module {name}; for a file write {name.replace('.', '/')}.py"
            ) from None
        raise


def _find_server(module: ModuleType, source: str, name: str) -> LocalReplicate:
    servers = {
        key: value for key, value in vars(module).items() if isinstance(value, LocalReplicate)
    }
    if name:
        if name not in servers:
            raise LoadError(
                f"{source} has no LocalReplicate named {name!r}; it has:"
                f" {', '.join(servers) or 'none'}"
            )
        return servers[name]
    if "server" in servers:
        return servers["server"]
    if len(set(map(id, servers.values()))) == 1:
        return next(iter(servers.values()))
    if not servers:
        raise LoadError(
            f"{source} has no server: write `server = LocalReplicate()`, and @server.model(...)"
            " over your functions"
        )
    raise LoadError(
        f"{source} has several servers ({', '.join(servers)}): say which, as"
        f" {source}:{next(iter(servers))}"
    )
