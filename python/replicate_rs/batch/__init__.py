"""Many runs of a model: `map`, its journal, inputs from tables, their export, and engines."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._batch.export import write_csv as write_csv
    from .._batch.export import write_jsonl as write_jsonl
    from .._batch.export import write_parquet as write_parquet
    from .._batch.input_types import input_types as input_types
    from .._batch.journal import Journal as Journal
    from .._batch.journal import Summary as Summary
    from .._batch.map import Results as Results
    from .._batch.progress import MapProgress as MapProgress
    from .._batch.results import Result as Result
    from .._batch.tables import TableInputs as TableInputs
    from .._batch.tables import read_inputs as read_inputs
    from .mapper import Mapper as Mapper

# The module of each name, which is imported when the name is first used.
_MODULES = {
    "Journal": ".._batch.journal",
    "MapProgress": ".._batch.progress",
    "Mapper": ".mapper",
    "Result": ".._batch.results",
    "Results": ".._batch.map",
    "Summary": ".._batch.journal",
    "TableInputs": ".._batch.tables",
    "input_types": ".._batch.input_types",
    "read_inputs": ".._batch.tables",
    "write_csv": ".._batch.export",
    "write_jsonl": ".._batch.export",
    "write_parquet": ".._batch.export",
}

__all__ = [*_MODULES]  # pyright: ignore[reportUnsupportedDunderAll] - the names above


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_MODULES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
