"""The public names of the package, with the keywords that callables take, as lines of text.

``python tests/support/public_names.py`` writes them; `tests/compat/public_names.txt` keeps them.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Container, Iterator
from importlib import import_module
from typing import Any

import replicate_rs
from replicate_rs import local, types
from support.signatures import parameters

# Public names that the package itself does not export, by their modules.
MODULES = {
    "deployment": ["Release"],
    "drop_in": ["install"],
    "exceptions": None,
    "file": ["FilePage"],
    "helpers": [
        *("FileOutput", "async_encode_json", "base64_encode_file", "encode_json"),
        "transform_output",
    ],
    "identifier": ["ModelVersionIdentifier"],
    "notebook": None,
    "options": ["Stats", "Timeout"],
    "output_iterator": ["AsyncOutputIterator", "OutputIterator"],
    "progress": ["Progress"],
    "relay": ["Relay"],
    "resource": None,
    "run": ["async_run", "run"],
    "schema": ["make_schema_backwards_compatible", "version_has_no_array_type"],
    "search": ["FoundModel", "SearchResult"],
    "stream": ["AsyncStream", "EventDecoder", "EventType", "Stream", "async_stream", "stream"],
    "telemetry": ["ReplicateInstrumentor", "instrument", "uninstrument"],
    "use": ["AsyncFunction", "AsyncRun", "Function", "Run", "use"],
}


# Attributes that are not for users, although their names have no underscore.
INTERNAL = {
    "client.files.begin",
    *(f"replicate_rs.{name}.mode" for name in ("AsyncClient", "Client")),
    *(f"replicate_rs.{name}.transport" for name in ("Async", "Sync")),
}


def is_public(name: str) -> bool:
    return not name.startswith("_")


def exported() -> dict[str, Any]:
    """Return what users can import, by its path."""
    found = {f"replicate_rs.{name}": getattr(replicate_rs, name) for name in dir(replicate_rs)}
    for name, names in MODULES.items():
        module = import_module(f"replicate_rs.{name}")
        for each in module.__all__ if names is None else names:
            found[f"replicate_rs.{name}.{each}"] = getattr(module, each)
    for module in (types, local):
        found |= {f"{module.__name__}.{name}": getattr(module, name) for name in module.__all__}
    # The module that defines a public name is public too.
    for name in replicate_rs.__all__:
        value = getattr(replicate_rs, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            path = f"{value.__module__}.{value.__name__}"
            found |= {} if "._" in path else {path: value}
    return found


def namespaces(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Return the namespaces of a client, and those within them."""
    for name in filter(is_public, dir(value)):
        if isinstance(
            found := getattr(value, name), import_module("replicate_rs.resource").Namespace
        ):
            yield f"{path}.{name}", found
            yield from namespaces(f"{path}.{name}", found)


def classes() -> dict[str, Any]:
    """Return the public classes, each by one of its paths."""
    found: dict[Any, str] = {}
    for path, value in exported().items():
        if inspect.isclass(value) and value.__module__.startswith("replicate_rs"):
            found.setdefault(value, path)
    for path, value in namespaces("client", replicate_rs.Replicate("r8_x")):
        found.setdefault(type(value), path)
    return {path: kind for kind, path in found.items()}


def created() -> list[Any]:
    """Return the classes that users create instances of."""
    return [getattr(each, name) for each in (replicate_rs, local) for name in each.__all__]


def members(kind: Any, public: Container[Any]) -> dict[str, Any]:
    """Return the public attributes of a class, without those of Python's and of public classes."""
    ours = [each for each in kind.__mro__ if each.__module__.startswith("replicate_rs")]
    own = {name for each in ours for name in names_in(each)}
    bases = {base for each in ours[1:] if each in public for base in each.__mro__}
    own -= {name for each in bases for name in names_in(each)}
    return {name: getattr(kind, name, None) for name in filter(is_public, own)}


def names_in(kind: Any) -> set[str]:
    return {*vars(kind), *getattr(kind, "__annotations__", ())}


def keywords(value: Any) -> str:
    """Return the keywords that a callable takes, in parentheses; nothing for other values.

    Instances of classes that the package does not export come from calls only.
    """
    if not callable(value) or (inspect.isclass(value) and value not in created()):
        return ""
    try:
        found, signature = parameters(value), inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return ""
    without = {each.name for each in signature if each.kind is each.POSITIONAL_ONLY}
    without |= {"self", "client"}
    return "(**)" if found is None else f"({' '.join(sorted({*found} - without))})"


def lines() -> list[str]:
    """Return all public names."""
    found = {
        path: "" if path.startswith("replicate_rs.types.") else keywords(value)
        for path, value in exported().items()
    }
    public = classes()
    for path, kind in public.items():
        if path.startswith("replicate_rs.types."):
            continue
        own = members(kind, public.values())
        found |= {f"{path}.{name}": keywords(value) for name, value in own.items()}
    found |= dict.fromkeys(drop_in(), "")
    return sorted(f"{path}{taken}" for path, taken in found.items() if path not in INTERNAL)


def drop_in() -> list[str]:
    """Return the names of the package `replicate` of the drop-in."""
    program = (
        "import replicate_rs.drop_in; replicate_rs.drop_in.install(); import replicate;"
        "print(*sorted({*dir(replicate), *replicate._SUBMODULES} - {'__about__'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return [f"replicate.{name}" for name in done.stdout.split()]


if __name__ == "__main__":
    sys.stdout.write("\n".join([*lines(), ""]))
