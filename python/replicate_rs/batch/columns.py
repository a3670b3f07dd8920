"""The columns that a `Mapper` adds: their names, their values, and their types in each library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .._base.checks import encodable, shown, wrong_type
from .._batch.rows import to_json

if TYPE_CHECKING:
    from .._batch.results import Result

TEXT, TEXTS, NUMBER = "text", "list of text", "number"
# The columns in their order, and what their values are.
KINDS = {
    "output": TEXT,
    "files": TEXTS,
    "status": TEXT,
    "error": TEXT,
    "prediction": TEXT,
    "predict_time": NUMBER,
}


@dataclass(frozen=True, slots=True)
class Column:
    """An added column: its name in the batch, and its values in the order of the rows."""

    name: str
    kind: str
    values: list[Any]


class Columns:
    """The names of the added columns.

    Args:
        names: The caller's names, by those of `KINDS`.
        has_files: Whether files are saved.

    """

    def __init__(self, names: object, *, has_files: bool) -> None:
        given = _check_names(names)
        self._names: dict[str, str] = {
            name: given.get(name, name) for name in KINDS if has_files or name != "files"
        }
        seen = [*self._names.values()]
        for name in seen:
            if seen.count(name) > 1:
                raise ValueError(f"names gives two columns the name {shown(name)}")

    def refuse_clash(self, table: str, columns: list[str]) -> None:
        """Refuse a table that has a column of one of these names."""
        for name, column in self._names.items():
            if column in columns:
                raise ValueError(
                    f"{table} already has a column {shown(column)}: give the new one another name,"
                    f" as in names={{{name!r}: {f'model_{name}'!r}}}"
                )

    def fill(self, outcomes: list[Outcome], *, as_text: bool) -> list[Column]:
        """Return the columns with their values.

        Args:
            outcomes: What became of the rows, in their order.
            as_text: Whether an output that is not text is its JSON.

        """
        rows = [_to_text_output(each) for each in outcomes] if as_text else outcomes
        places = {name: number for number, name in enumerate(KINDS)}
        return [
            Column(column, KINDS[name], [row[places[name]] for row in rows])
            for name, column in self._names.items()
        ]

    def kinds(self) -> dict[str, str]:
        """Return what the values of each column are, by the columns' names."""
        return {column: KINDS[name] for name, column in self._names.items()}


# The values of one row, in the order of `KINDS`.
Outcome = tuple[Any, list[str] | None, str, str | None, str | None, float | None]


def to_outcome(result: Result) -> Outcome:
    """Return what a result says, as the values of a row."""
    files = None if result.files is None else [str(file) for file in result.files]
    return (
        result.output,
        files,
        result.status,
        _to_unicode(result.error),
        result.prediction,
        result.predict_time,
    )


def failed(error: Exception) -> Outcome:
    """Return the values of a row that could not be sent."""
    return (None, None, "failed", _to_unicode(f"{type(error).__name__}: {error}"), None, None)


def _to_text_output(outcome: Outcome) -> Outcome:
    output = outcome[0]
    text = output if isinstance(output, str) else to_json(output)
    return (_to_unicode(text), *outcome[1:])


def _to_unicode(text: str | None) -> str | None:
    """Return text without half surrogate pairs, which tables cannot hold."""
    if text is None or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _check_names(names: object) -> dict[str, str]:
    if names is None:
        return {}
    if not isinstance(names, Mapping):
        raise wrong_type("names", "a dict of the added columns and their names", names)
    given: dict[str, str] = {}
    for name, column in names.items():  # pyright: ignore[reportUnknownVariableType] - checked here
        if name not in KINDS:
            raise ValueError(
                f"names has {shown(name)}, which is no added column: these are {', '.join(KINDS)}"  # pyright: ignore[reportUnknownArgumentType] - as above
            )
        if not isinstance(column, str) or not column:
            raise TypeError(f"names[{name!r}] must be the name of a column, not {shown(column)}")  # pyright: ignore[reportUnknownArgumentType] - as above
        given[name] = encodable("names", column)
    return given


# The types and values of each library.


def to_arrow_fields(kinds: Mapping[str, str]) -> list[Any]:
    """Return the fields of an Arrow schema."""
    library: Any = import_module("pyarrow")
    types = {
        TEXT: library.string(),
        TEXTS: library.list_(library.string()),
        NUMBER: library.float64(),
    }
    return [library.field(name, types[kind]) for name, kind in kinds.items()]


def to_pandas(column: Column) -> Any:
    """Return a column's values as an array of pandas."""
    library: Any = import_module("pandas")
    if column.kind == TEXTS:
        return to_numpy(column)
    return library.array(column.values, dtype="string" if column.kind == TEXT else "float64")


def to_numpy(column: Column) -> Any:
    """Return a column's values as an array of NumPy, which has None for missing text."""
    library: Any = import_module("numpy")
    if column.kind == NUMBER:
        return library.array(column.values, dtype="float64")
    array = library.empty(len(column.values), dtype=object)
    for number, value in enumerate(column.values):
        # An assignment of all at once would take lists for rows of an array.
        array[number] = value
    return array


def to_spark_fields(kinds: Mapping[str, str]) -> list[Any]:
    """Return the fields of a schema of Spark."""
    types: Any = import_module("pyspark.sql.types")
    text = types.StringType()
    found = {TEXT: text, TEXTS: types.ArrayType(text), NUMBER: types.DoubleType()}
    return [types.StructField(name, found[kind]) for name, kind in kinds.items()]
