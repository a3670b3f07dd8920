"""The package `replicate`: the code of `replicate_rs/__init__.py`, run a second time under that
name.

So it has settings and a default client of its own. Its submodules are those of `replicate_rs`, the
same objects, but for a few that follow the rules of 1.0.7 and live in this folder.
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

OURS = "replicate_rs"
# Submodules that differ under the name of 1.0.7.
OWN = {"__about__": "about", "client": "client", "exceptions": "exceptions", "stream": "stream"}


def build(name: str) -> None:
    """Fill the package of this name, which is being imported."""
    package = sys.modules[name]
    if not any(type(finder).__qualname__ == Finder.__qualname__ for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
    # That `replicate_rs` itself has been imported is not enough: what a module assigns to itself
    # must not be shared.
    exec(_code(), vars(package))  # noqa: S102 - the code is this package's own
    names: dict[str, Any] = vars(package)
    names["__version__"] = about.__version__
    names["use"] = _use_of(name)
    # 1.0.7 has the submodule under this name, and 2.0 a namespace of the default client: the
    # submodule has its methods too.
    names["_CLIENT_METHODS"] = tuple(each for each in names["_CLIENT_METHODS"] if each != "account")
    names["_SUBMODULES"] = (*names["_SUBMODULES"], "account")
    # Where it is unpickled, the official client may have its name.
    type(package).__reduce__ = _reduced  # type: ignore[method-assign,assignment] # a class of its own, made by the code above


def _reduced(_package: object) -> tuple[Callable[[], ModuleType], tuple[()]]:
    return load, ()


def _code() -> CodeType:
    package = import_module(OURS)
    loader: Any = getattr(package.__spec__, "loader", None)
    if not hasattr(loader, "get_code"):
        # Under pytest, whose loader rewrites assertions.
        loader = SourceFileLoader(OURS, str(package.__file__))
    code: CodeType = loader.get_code(OURS)
    return code


class _DefaultClient:
    """The default client of a package, whichever it is when it is used."""

    def __init__(self, package: str) -> None:
        self._package = package

    @property
    def _session(self) -> Any:
        return import_module(self._package).default_client._session


def _use_of(package: str) -> Callable[..., Any]:
    """Return `use` for the default client of a package."""

    def use(ref: Any, **options: Any) -> Any:
        from ..use import use as use_model

        made: Any = use_model
        function: Any = made(ref, **options)
        function._client = _DefaultClient(package)
        return function

    return use


class Finder(MetaPathFinder):
    """Finds the submodules of `replicate`."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Find a submodule, which may be one of `replicate_rs`."""
        package, _dot, name = fullname.partition(".")
        if package != NAME or not name:
            return None
        own = find_spec(f"{__package__}.{OWN[name]}" if name in OWN else f"{OURS}.{name}")
        return (
            None
            if own is None
            else ModuleSpec(
                fullname, _Loader(own), is_package=own.submodule_search_locations is not None
            )
        )


class _Loader(Loader):
    """Loads a module of this package under another name too."""

    def __init__(self, own: ModuleSpec) -> None:
        self.own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002 - the import system passes it
        return import_module(self.own.name)

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put the other name's spec in; with that one, the module could not be
        # reloaded.
        module.__spec__ = self.own
        name = module.__name__.rpartition(".")[2]
        own = vars(module).get("__getattr__")
        if name in REEXPORTED and not isinstance(own, _Reexports):
            vars(module)["__getattr__"] = _Reexports(module.__name__, REEXPORTED[name], own)
        if name in MEMBERS:
            kind, members = MEMBERS[name]
            for each in members:
                setattr(vars(module)[kind], each, _Member(each))


class _Member:
    """An attribute of a class that is loaded when it is asked for."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, _instance: object, _owner: object) -> object:
        from ..drop_in import legacy

        return getattr(legacy, self.name)


class _Reexports:
    """A module's `__getattr__` for names that 1.0.7's module of the same name has imported from
    others.
    """

    def __init__(
        self, module: str, homes: dict[str, str], own: Callable[[str], object] | None
    ) -> None:
        """Remember where the names are; `own` finds those of the module itself."""
        self._module, self._homes, self._own = module, homes, own

    def __call__(self, name: str) -> object:
        if name not in self._homes:
            if self._own is not None:
                return self._own(name)
            raise AttributeError(f"module {self._module!r} has no attribute {name!r}")
        place, _colon, attribute = self._homes[name].partition(":")
        if place == "default_client":
            return getattr(import_module(NAME).default_client.account, name)
        home = import_module(f"{NAME}.{place}")
        return home if name == place and not attribute else getattr(home, attribute or name)
