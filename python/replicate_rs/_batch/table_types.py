"""Types of tables that `read_inputs` takes besides files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeAlias, runtime_checkable


@runtime_checkable
class DataFrame(Protocol):
    """A DataFrame of pandas or polars."""

    @property
    def columns(self) -> Iterable[object]:
        """The names of the columns."""
        ...

    def __len__(self) -> int: ...


@runtime_checkable
class ArrowStream(Protocol):
    """A table or a reader of record batches, of pyarrow or of another library."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


@runtime_checkable
class ArrowBatch(Protocol):
    """A record batch of pyarrow."""

    def __arrow_c_array__(
        self, requested_schema: object | None = None
    ) -> tuple[object, object]: ...


Table: TypeAlias = DataFrame | ArrowStream | ArrowBatch
