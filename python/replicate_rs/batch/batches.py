"""The kinds of batches that engines give: where their rows are, and how columns are added."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, cast

from .._base.checks import shown
from .._base.typing import is_array
from .._batch.table_sources import BATCH, Arrow, Pandas, Source
from .._files.convert import is_instance
from .columns import to_arrow_fields, to_numpy, to_pandas, to_spark_fields

if TYPE_CHECKING:
    from .._batch.table_sources import Row
    from .columns import Column

WANTED = (
    "a dict of arrays or of lists, a list of dicts, a pandas.DataFrame, a pyarrow.Table or"
    " RecordBatch, or an iterator of these"
)


class Batch(ABC):
    """A batch, its rows, and what it becomes."""

    # Whether it has columns, each of one type, and not only rows: they are there without rows, too.
    has_columns: ClassVar[bool] = True

    def __init__(self, source: Source, length: int) -> None:
        self.source: Source = source
        self.length: int = length

    @abstractmethod
    def add(self, columns: list[Column]) -> Any:
        """Return the batch with columns added; the batch itself stays as it is."""


def open_batch(batch: Any) -> Batch:
    """Return a batch of any kind.

    Raises:
        TypeError: It is of no kind that engines give.

    """
    if is_instance(batch, "pandas", "DataFrame"):
        return PandasBatch(batch)
    if is_instance(batch, "pyarrow.lib", "Table") or is_instance(
        batch, "pyarrow.lib", "RecordBatch"
    ):
        return ArrowBatch(batch)
    if isinstance(batch, Mapping):
        return DictBatch(cast("Mapping[str, Any]", batch))
    if is_array(batch):
        return ListBatch(batch)
    raise TypeError(f"a batch must be {WANTED}, not {type(batch).__name__}")


class PandasBatch(Batch):
    """A DataFrame of pandas."""

    def __init__(self, frame: Any) -> None:
        super().__init__(Pandas(frame), len(frame))
        self._frame = frame

    def add(self, columns: list[Column]) -> Any:
        """Return a DataFrame with the same index."""
        frame = self._frame.copy(deep=False)
        for column in columns:
            frame[column.name] = to_pandas(column)
        return frame


class ArrowBatch(Batch):
    """A table or a record batch of pyarrow."""

    def __init__(self, table: Any) -> None:
        super().__init__(Arrow(table), table.num_rows)
        self._table = table

    def add(self, columns: list[Column]) -> Any:
        """Return a table or a record batch, as the batch was."""
        library: Any = import_module("pyarrow")
        table = self._table
        fields = to_arrow_fields({column.name: column.kind for column in columns})
        for column, field in zip(columns, fields, strict=True):
            table = table.append_column(field, library.array(column.values, field.type))
        return table


class DictBatch(Batch):
    """A dict of columns, each an array of NumPy or a list."""

    def __init__(self, batch: Mapping[str, Any]) -> None:
        source = DictSource(batch)
        super().__init__(source, source.length or 0)
        self._batch = batch
        self._has_arrays = any(map(is_numpy, batch.values()))

    def add(self, columns: list[Column]) -> Any:
        """Return a dict with all columns: arrays if there were some, else lists."""
        return {
            **self._batch,
            **{
                column.name: to_numpy(column) if self._has_arrays else column.values
                for column in columns
            },
        }


class ListBatch(Batch):
    """A list of rows, each a dict."""

    has_columns: ClassVar[bool] = False

    def __init__(self, rows: list[Any]) -> None:
        super().__init__(ListSource(rows), len(rows))
        self._rows = rows

    def add(self, columns: list[Column]) -> Any:
        """Return a list of new dicts."""
        names = [column.name for column in columns]
        values = zip(*(column.values for column in columns), strict=True)
        return [
            {**row, **dict(zip(names, each, strict=True))}
            for row, each in zip(self._rows, values, strict=True)
        ]


class DictSource(Source):
    """The rows of a dict of columns."""

    name: str = "the batch"

    def __init__(self, batch: Mapping[str, Any]) -> None:
        self._batch = batch
        self.check_columns(batch)
        lengths: dict[str, int] = {}
        for name, values in batch.items():
            if not (is_numpy(values) and values.ndim) and not is_array(values):
                raise TypeError(
                    f"{self.name}: the column {shown(name)} must be an array or a list, not"
                    f" {type(values).__name__}; a batch is {WANTED}"
                )
            lengths[name] = len(values)
        if len({*lengths.values()}) > 1:
            listed = ", ".join(f"{shown(name)} has {length}" for name, length in lengths.items())
            raise ValueError(f"{self.name}: its columns must have equal lengths: {listed}")
        self.length: int | None = next(iter(lengths.values()), 0)

    def rows(self, columns: list[str] | None) -> Iterator[Row]:
        """Yield the rows by their positions."""
        names = self.columns if columns is None else columns
        for start in range(0, self.length or 0, BATCH):
            cells = [_to_list(self._batch[name][start : start + BATCH]) for name in names]
            for number, values in enumerate(zip(*cells, strict=True), start):
                yield number, dict(zip(names, values, strict=True))


class ListSource(Source):
    """The rows of a list of dicts; a row may be without a column."""

    name: str = "the batch"

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows
        names: dict[object, None] = {}
        for number, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise TypeError(
                    f"{self.place(number)}: it must be a dict such as {{'prompt': '…'}}, not"
                    f" {type(row).__name__}: make dicts of the rows first"
                )
            names.update(dict.fromkeys(cast("Mapping[object, Any]", row)))
        self.check_columns(names)
        self.length: int | None = len(rows)

    def rows(self, columns: list[str] | None) -> Iterator[Row]:  # noqa: ARG002 - columns cost nothing
        """Yield the rows by their positions."""
        yield from enumerate(self._rows)


def is_numpy(value: object) -> bool:
    """Return whether a value is an array of NumPy."""
    return is_instance(value, "numpy", "ndarray")


def _to_list(values: Any) -> list[Any]:
    # `tolist` makes numbers of dates that have nanoseconds.
    if is_array(values) or values.dtype.kind in "mM":
        return [*values]
    plain: list[Any] = values.tolist()
    return plain


def is_row(value: object) -> bool:
    """Return whether an item of an iterator is one row, and not a batch.

    Raises:
        ValueError: It may be either.

    """
    if not isinstance(value, Mapping):
        return False
    values = [*cast("Mapping[str, Any]", value).values()]
    if values and all(is_array(each) for each in values):
        raise ValueError(
            "an iterator gives a dict of lists, which may be one row or a batch of rows: call the"
            " mapper with each batch, or with a list of the rows"
        )
    return not (values and all(map(is_numpy, values)))


class Header(Source):
    """A table of which only the columns are known."""

    def __init__(self, name: str, columns: list[Any]) -> None:
        self.name: str = name
        self.check_columns(columns)


def find_schema(table: Any) -> tuple[Header, Any]:
    """Return the columns of a table or of a schema, and its schema, to which columns are added.

    The schema is a StructType of Spark, an Arrow schema, or an empty DataFrame of pandas.

    Raises:
        TypeError: It is neither.

    """
    found: list[Any] = [table, getattr(table, "schema", None), getattr(table, "_meta", None)]
    for each in found:
        if is_instance(each, "pyspark.sql.types", "StructType"):
            return Header("the DataFrame", each.names), each
        if is_instance(each, "pyarrow.lib", "Schema"):
            return Header("the Arrow table", each.names), each
        if is_instance(each, "pandas", "DataFrame"):
            return Header("the DataFrame", list(each.columns)), each.iloc[:0]
    raise TypeError(
        "schema needs a DataFrame of Spark, Dask or pandas, an Arrow table, or the schema of one,"
        f" not {type(table).__name__}"
    )


def extend_schema(schema: Any, kinds: dict[str, str]) -> Any:
    """Return a schema of `find_schema` with columns added."""
    if is_instance(schema, "pyspark.sql.types", "StructType"):
        return type(schema)([*schema.fields, *to_spark_fields(kinds)])
    if is_instance(schema, "pyarrow.lib", "Schema"):
        for field in to_arrow_fields(kinds):
            schema = schema.append(field)
        return schema
    frame = schema.copy()
    for name, kind in kinds.items():
        frame[name] = to_pandas(_empty(name, kind))
    return frame


def _empty(name: str, kind: str) -> Column:
    from .columns import Column

    return Column(name, kind, [])
