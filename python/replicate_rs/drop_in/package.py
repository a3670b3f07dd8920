"""Build the package `replicate` by running `replicate_rs/__init__.py` again under that name.

So `replicate` has options and a default client of its own. Its submodules are the same objects as
those of `replicate_rs`, except for a few that follow the rules of 1.0.7 and are in this folder.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec

from ..drop_in import NAME, about, load
from .names import MEMBERS, REEXPORTED

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType
    from typing import Any

PACKAGE = "replicate_rs"
# Submodules of `replicate` that are in this folder.
SUBMODULES = {
    "__about__": "about",
    "client": "client",
    "exceptions": "exceptions",
    "stream": "stream",
}


def build(name: str) -> None:
    """Fill the package of this name, which is being imported."""
    package = sys.modules[name]
    if not any(type(finder).__qualname__ == Finder.__qualname__ for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
    # The code runs again because the two packages must not share options that are assigned to them.
    exec(_get_code(), vars(package))  # noqa: S102 - this package's own code
    names: dict[str, Any] = vars(package)
    names["__version__"] = about.__version__
    names["use"] = _make_use(name)
    # `account` is a submodule in 1.0.7, and a namespace in 2.0. Here it is the submodule, which has
    # the methods of the namespace.
    names["_CLIENT_METHODS"] = tuple(each for each in names["_CLIENT_METHODS"] if each != "account")
    names["_SUBMODULES"] = (*names["_SUBMODULES"], "account")
    # Where it is unpickled, the official client may have its name.
    type(package).__reduce__ = _reduce  # type: ignore[method-assign,assignment] # a class that the code above has created


def _reduce(_package: object) -> tuple[Callable[[], ModuleType], tuple[()]]:
    return load, ()


def _get_code() -> CodeType:
    package = import_module(PACKAGE)
    loader: Any = getattr(package.__spec__, "loader", None)
    if not hasattr(loader, "get_code"):
        # pytest has a loader of its own.
        loader = SourceFileLoader(PACKAGE, str(package.__file__))
    code: CodeType = loader.get_code(PACKAGE)
    return code


class _DefaultClient:
    """Stands for the current default client of a package."""

    def __init__(self, package: str) -> None:
        self._package = package

    @property
    def _session(self) -> Any:
        return import_module(self._package).default_client._session


def _make_use(package: str) -> Callable[..., Any]:
    """Return `use` for the default client of a package."""

    def use(ref: Any, **options: Any) -> Any:
        from ..use import use as use_model

        create: Any = use_model
        function: Any = create(ref, **options)
        function._client = _DefaultClient(package)
        return function

    return use


class Finder(MetaPathFinder):
    """Finds the submodules of `replicate`."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Find a submodule of `replicate` in this folder or in `replicate_rs`."""
        package, _dot, name = fullname.partition(".")
        if package != NAME or not name:
            return None
        spec = find_spec(
            f"{__package__}.{SUBMODULES[name]}" if name in SUBMODULES else f"{PACKAGE}.{name}"
        )
        if spec is None:
            return None
        is_package = spec.submodule_search_locations is not None
        return ModuleSpec(fullname, _Loader(spec), is_package=is_package)


class _Loader(Loader):
    """Loads a module of this package under a second name."""

    def __init__(self, spec: ModuleSpec) -> None:
        """Create a loader; `spec` is the module's spec under its own name."""
        self.spec = spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002 - the import system passes it
        return import_module(self.spec.name)

    def exec_module(self, module: ModuleType) -> None:
        # The import system has set the spec of the second name, with which the module could not be
        # reloaded.
        module.__spec__ = self.spec
        name = module.__name__.rpartition(".")[2]
        own = vars(module).get("__getattr__")
        if name in REEXPORTED and not isinstance(own, _Reexports):
            vars(module)["__getattr__"] = _Reexports(module.__name__, REEXPORTED[name], own)
        if name in MEMBERS:
            kind, members = MEMBERS[name]
            for each in members:
                setattr(vars(module)[kind], each, _Member(each))


class _Member:
    """A class attribute that is loaded from `legacy` when it is read."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, _instance: object, _owner: object) -> object:
        from . import legacy

        return getattr(legacy, self.name)


class _Reexports:
    """A module's `__getattr__` for the names that 1.0.7's module imports from other modules."""

    def __init__(
        self, module: str, names: dict[str, str], fallback: Callable[[str], object] | None
    ) -> None:
        """Create the function.

        Args:
            module: The module's name.
            names: Where each name is, as in `REEXPORTED`.
            fallback: The module's own `__getattr__`.

        """
        self._module = module
        self._names = names
        self._fallback = fallback

    def __call__(self, name: str) -> object:
        if name not in self._names:
            if self._fallback is not None:
                return self._fallback(name)
            raise AttributeError(f"module {self._module!r} has no attribute {name!r}")
        source, _colon, attribute = self._names[name].partition(":")
        if source == "default_client":
            return getattr(import_module(NAME).default_client.account, name)
        module = import_module(f"{NAME}.{source}")
        return module if name == source and not attribute else getattr(module, attribute or name)
