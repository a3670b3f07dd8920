"""Many runs of a model: inputs from tables, and their export."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .export import write_csv as write_csv
    from .export import write_jsonl as write_jsonl
    from .export import write_parquet as write_parquet
    from .input_types import input_types as input_types
    from .tables import TableInputs as TableInputs
    from .tables import read_inputs as read_inputs

# The module of each name, which is imported when the name is first used.
_MODULES = {
    "TableInputs": "tables",
    "input_types": "input_types",
    "read_inputs": "tables",
    "write_csv": "export",
    "write_jsonl": "export",
    "write_parquet": "export",
}

__all__ = ["TableInputs", "input_types", "read_inputs", "write_csv", "write_jsonl", "write_parquet"]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
