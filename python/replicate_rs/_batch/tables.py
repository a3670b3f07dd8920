"""Inputs of a model from the rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from os import PathLike
from typing import Any, Generic, TypeGuard, TypeVar, cast, overload

from .._base.checks import shown, wrong_type
from .table_sources import JsonLines, Source, find_source
from .table_types import Table
from .table_values import CONVERSIONS, to_file, to_plain

# What an iteration gives: the input of a row, or a pair of the row's key and its input.
R = TypeVar("R", covariant=True)

# Names of columns that a message lists.
MAX_LISTED = 20


@overload
def read_inputs(
    source: str | PathLike[str] | Table,
    /,
    *,
    key: None = None,
    columns: Mapping[str, str] | None = None,
    files: Collection[str] = (),
    types: Mapping[str, type] | None = None,
    **inputs: str,
) -> TableInputs[dict[str, Any]]: ...
@overload
def read_inputs(
    source: str | PathLike[str] | Table,
    /,
    *,
    key: str,
    columns: Mapping[str, str] | None = None,
    files: Collection[str] = (),
    types: Mapping[str, type] | None = None,
    **inputs: str,
) -> TableInputs[tuple[str, dict[str, Any]]]: ...
def read_inputs(
    source: str | PathLike[str] | Table,
    /,
    *,
    key: str | None = None,
    columns: Mapping[str, str] | None = None,
    files: Collection[str] = (),
    types: Mapping[str, type] | None = None,
    **inputs: str,
) -> TableInputs[Any]:
    """Read a model's inputs from a table, one row after the other.

        read_inputs("photos.csv", key="id", prompt="text", image="path", files=["image"])

    Each row becomes a dict. Keyword arguments name the column of each input; without any, every
    column becomes the input of its name. Empty cells are left out, and so are values that are null,
    NaN or NaT. The table is read again in each iteration, a few rows at a time.

    Text stays text, whatever it looks like: say which inputs are numbers (`types`) or paths of
    files (`files`).

    Args:
        source: The path of a ``.jsonl``, ``.ndjson``, ``.csv`` or ``.tsv`` file in UTF-8, also with
            ``.gz``, or of a ``.parquet`` file; a DataFrame of pandas or polars; an Arrow table.
        key: The column with each row's key. If it is named, the rows are pairs of the key, as text,
            and the dict.
        columns: The column of each input, for inputs that cannot be keyword arguments because of
            their names.
        files: The inputs whose text is the path of a file, relative to the folder of the table's
            file. Text that is a URL (http, https, data) stays text.
        types: The type of inputs: ``int``, ``float``, ``bool``, ``str``, or ``list`` and ``dict``
            for text that is JSON. `input_types` returns those of a model.
        **inputs: The column of each input.

    Raises:
        ValueError: The file is of another format, empty or damaged, or a column is missing. While
            rows are read: a row is malformed, or a value is not of the type in `types`; the message
            has the file and the line.
        FileError: The file cannot be read.
        ImportError: pyarrow, which reads Parquet files and Arrow tables, is not installed.

    """
    return Selection.of(key, columns, files, types, inputs).read(find_source(source))


@dataclass(frozen=True, slots=True)
class Selection:
    """Which columns of a table are which inputs, and what becomes of their values."""

    key: str | None
    mapping: dict[str, str]
    """The column of each input; if it is empty, every column is the input of its name."""
    files: list[str]
    types: dict[str, type]

    @classmethod
    def of(
        cls,
        key: object,
        columns: object,
        files: object,
        types: object,
        inputs: Mapping[str, object] | None = None,
    ) -> Selection:
        """Check the arguments of `read_inputs`, and return them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An input has two columns.

        """
        _check_key(key)
        return cls(
            key=cast("str | None", key),
            mapping=_check_mapping(columns, inputs or {}),
            types=_check_types(types),
            files=_check_files(files),
        )

    def read(self, table: Source) -> TableInputs[Any]:
        """Return the inputs of a table.

        Raises:
            ValueError: A column is missing.

        """
        known = _check_columns(table, self.key, self.mapping)
        self.check_names(known)
        converters: dict[str, list[Callable[[Any], Any]]] = {}
        for name, kind in self.types.items():
            converters.setdefault(name, []).append(CONVERSIONS[kind])
        for name in self.files:
            converters.setdefault(name, []).append(lambda value: to_file(value, table.folder))
        return TableInputs(table, self.key, self.mapping or None, converters, known)

    def check_names(self, known: list[str]) -> None:
        """Refuse names in `files` and `types` that are no inputs."""
        for argument, names in (("files", self.files), ("types", list(self.types))):
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"{argument} has {shown(name)}, which is no input:"
                        f" {_suggest(name, known, 'inputs')}"
                    )


def add_shared(item: Any, shared: Mapping[str, Any]) -> Any:
    """Return an input, or a pair of a key and an input, with the inputs that all rows share.

    A row's own value comes first.
    """
    if not shared:
        return item
    if isinstance(item, tuple):
        key, value = cast("tuple[str, dict[str, Any]]", item)
        return key, {**shared, **value}
    return {**shared, **item}


class TableInputs(Generic[R]):
    """The rows of a table as a model's inputs; each iteration reads them again."""

    __slots__ = ("_converters", "_key", "_mapping", "_source", "names")

    names: list[str]
    """The names of the inputs; lines of a JSONL file may have others."""

    def __init__(
        self,
        source: Source,
        key: str | None,
        mapping: dict[str, str] | None,
        converters: dict[str, list[Callable[[Any], Any]]],
        names: list[str],
    ) -> None:
        self.names = names
        self._source = source
        self._key = key
        self._mapping = mapping
        self._converters = converters

    def __repr__(self) -> str:
        return f"<TableInputs of {self._source.name}>"

    def __length_hint__(self) -> int:
        """Return the number of rows where it is known without reading them."""
        length = self._source.length
        return NotImplemented if length is None else length

    def __iter__(self) -> Iterator[R]:
        return self.iterate()

    def iterate(self, *, keep_errors: bool = False) -> Iterator[Any]:
        """Yield the inputs.

        Args:
            keep_errors: Whether a row that cannot be read gives its error, and those after it
                their inputs. By default, the first such row raises.

        """
        source, key, changed = self._source, self._key, self._converters
        is_text = source.is_plain
        mapping = None if self._mapping is None else list(self._mapping.items())
        wanted = None
        if self._mapping is not None:
            used: dict[str, None] = dict.fromkeys(self._mapping.values())
            if key is not None:
                used[key] = None
            wanted = list(used)
        for number, row in source.rows(wanted):
            pairs = [(name, name) for name in row if name != key] if mapping is None else mapping
            values: dict[str, Any] = {}
            item: Any = values
            try:
                for name, column in pairs:
                    value = row.get(column)
                    # Most values of text files need nothing else.
                    if value is not None and (
                        type(value) is not str or not is_text or name in changed
                    ):
                        value = self._convert(value, name, column, number)
                    if value is not None:
                        values[name] = value
                if key is not None:
                    item = self._get_key(row.get(key), number), values
            except (TypeError, ValueError) as error:
                if not keep_errors:
                    raise
                item = error
            yield item

    def _convert(self, value: Any, name: str, column: str, number: int) -> Any:
        """Return the value of an input, or None to leave it out."""
        try:
            if self._source.is_plain:
                # NaN, which Python's JSON has.
                if value != value:
                    return None
            else:
                value = to_plain(value)
            for convert in self._converters.get(name, ()):
                if value is not None:
                    value = convert(value)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(
                f"{self._source.place(number)}: the column {shown(column)} {error}"
            ) from error
        return value

    def _get_key(self, value: Any, number: int) -> str:
        if not self._source.is_plain:
            value = to_plain(value)
        if isinstance(value, float) and value.is_integer():
            # A DataFrame's column of whole numbers, if one of them was missing.
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not value:
            problem = "no value" if value is None or value != value or value == "" else shown(value)
            raise ValueError(
                f"{self._source.place(number)}: the key in the column {shown(self._key)} must be"
                f" text or a whole number; this row has {problem}"
            )
        return value


def _check_key(key: object) -> None:
    if key is not None and not isinstance(key, str):
        raise wrong_type("key", "the name of a column", key)


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_collection(value: object) -> TypeGuard[Collection[Any]]:
    return isinstance(value, Collection)


def _check_dict(argument: str, wanted: str, value: object) -> dict[Any, Any]:
    if value is None:
        return {}
    if not _is_mapping(value):
        raise wrong_type(argument, wanted, value)
    return dict(value)


def _check_mapping(columns: object, inputs: Mapping[str, object]) -> dict[str, str]:
    given = _check_dict("columns", "a dict of inputs and their columns", columns)
    result: dict[str, str] = {}
    for name, column in (*given.items(), *inputs.items()):
        if not isinstance(name, str):
            raise wrong_type("columns", "a dict whose keys are names of inputs", name)
        if not isinstance(column, str):
            raise TypeError(
                f"{name} must be the name of a column, not {type(column).__name__}: a value that"
                " all rows share is no column"
            )
        if name in result:
            raise ValueError(f"{name} has two columns: one in `columns` and one as an argument")
        result[name] = column
    return result


def _check_types(types: object) -> dict[str, type]:
    given = _check_dict("types", "a dict of inputs and their types", types)
    for name, kind in given.items():
        if not isinstance(kind, type) or kind not in CONVERSIONS:
            raise TypeError(
                f"types[{name!r}] must be int, float, bool, str, list or dict, not {shown(kind)}"
            )
    return given


def _check_files(files: object) -> list[str]:
    if isinstance(files, str):
        raise TypeError(f"files must be a list of names of inputs, such as [{files!r}], not text")
    if not _is_collection(files):
        raise wrong_type("files", "a list of names of inputs", files)
    names = [*files]
    for name in names:
        if not isinstance(name, str):
            raise wrong_type("files", "a list of names of inputs", name)
    return names


def _check_columns(table: Source, key: str | None, mapping: dict[str, str]) -> list[str]:
    """Refuse columns that are missing; return the names of the inputs."""
    for name in (*([] if key is None else [key]), *mapping.values()):
        if name not in table.columns:
            listed = _suggest(name, table.columns, "columns")
            raise ValueError(f"{table.name} {table.lacks} {shown(name)}: {listed}")
    if mapping:
        return list(mapping)
    names = [name for name in table.columns if name != key]
    if not names:
        raise ValueError(f"{table.name} has no column for an input")
    if "" in names and not isinstance(table, JsonLines):
        raise ValueError(
            f"{table.name}: the column {table.columns.index('') + 1} has no name: give it one, or"
            " name the columns of all inputs, as in prompt=… (pandas writes its index as such a"
            " column unless index=False)"
        )
    return names


def _suggest(name: str, names: list[str], called: str) -> str:
    near = get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    listed = ", ".join(map(shown, names[:MAX_LISTED]))
    more = len(names) - MAX_LISTED
    return f"{hint}the {called} are {listed}" + (f" and {more} more" if more > 0 else "")
