"""Rows written to JSONL, CSV and Parquet files.

Rows are written as they come. Each file is complete or absent: it is written beside its target, and
then takes its name. A name that ends with ``.gz`` is compressed, other than Parquet files, which
are compressed within.
"""

from __future__ import annotations

import csv
import io
import os
import zlib
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from errno import EISDIR
from json import JSONEncoder, loads
from os import PathLike
from pathlib import Path
from secrets import token_hex
from stat import S_ISDIR, S_ISREG
from typing import IO, Any, cast

from .._base.checks import encodable, file_path, shown, wrong_type
from .._base.typing import is_array
from .._files.convert import IS_FILE, Unsupported, simplify
from ..exceptions import file_error
from .table_sources import import_pyarrow

# Rows of a Parquet file that are held until they are written as one group.
GROUP = 4096
# The window and the header of gzip, for zlib.
GZIP = 16 + zlib.MAX_WBITS
# Errors of values that cannot be written.
REASONS = (Unsupported, TypeError, ValueError, RecursionError)


def write_jsonl(rows: Iterable[Mapping[str, object]], path: str | PathLike[str]) -> int:
    """Write rows as JSON objects, one a line, and return how many there were.

    Paths, dates and the like are written as text.

    Args:
        rows: The rows; they are taken one after the other.
        path: The file, which is replaced if it exists.

    Raises:
        TypeError, ValueError: JSON has no form for a value; the message has the row.
        FileError: The file cannot be written; an existing one is left as it was.

    """
    count = 0
    with _replace(path) as file:
        for count, row in enumerate(rows, 1):
            try:
                line = _to_json(row)
            except REASONS as error:
                raise _at(f"row {count - 1}", error) from error
            file.write(line + b"\n")
    return count


def write_csv(
    rows: Iterable[Mapping[str, object]],
    path: str | PathLike[str],
    columns: Sequence[str] | None = None,
) -> int:
    """Write rows as CSV in UTF-8 (with tabs if the name ends with ``.tsv``), and return how many.

    None is an empty field, bools are ``true`` and ``false``, lists and dicts JSON.

    Args:
        rows: The rows; they are taken one after the other. What a row does not have is empty.
        path: The file, which is replaced if it exists.
        columns: The columns; by default those of the first row.

    Raises:
        TypeError, ValueError: A row has another column, or JSON has no form for a value; the
            message has the row.
        FileError: The file cannot be written; an existing one is left as it was.

    """
    names = None if columns is None else _check_columns(columns)
    stem = str(file_path("path", path)).lower().removesuffix(".gz")
    separator = "\t" if stem.endswith(".tsv") else ","
    count = 0
    with _replace(path) as file:
        writer = csv.writer(_Encoder(file), delimiter=separator)
        if names is not None:
            writer.writerow(names)
        for count, row in enumerate(rows, 1):
            if names is None:
                names = _check_columns(list(row))
                writer.writerow(names)
            _refuse_others(row, names, count - 1)
            writer.writerow(_to_fields(row, names, count - 1))
    return count


def write_parquet(
    rows: Iterable[Mapping[str, object]],
    path: str | PathLike[str],
    columns: Mapping[str, type],
) -> int:
    """Write rows as a Parquet file, and return how many there were.

    Args:
        rows: The rows; they are taken a few thousand at a time. What a row does not have is null.
        path: The file, which is replaced if it exists.
        columns: The columns and their types: ``str``, ``int``, ``float``, ``bool``, or ``object``
            for values that are written as the text of their JSON.

    Raises:
        TypeError, ValueError: A row has another column, or a value is not of its column's type.
        FileError: The file cannot be written; an existing one is left as it was.
        ImportError: pyarrow is not installed.

    """
    library = import_pyarrow("Parquet files")
    parquet = import_pyarrow("Parquet files", "pyarrow.parquet")
    types = {
        str: library.large_string(),
        int: library.int64(),
        float: library.float64(),
        bool: library.bool_(),
        object: library.large_string(),
    }
    for name, kind in _check_types(columns).items():
        if kind not in types:
            raise TypeError(
                f"columns[{name!r}] must be str, int, float, bool or object, not {shown(kind)}"
            )
    schema = library.schema([(name, types[kind]) for name, kind in columns.items()])
    count = 0
    with _replace(path) as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for start, group in _groups(rows, columns):
            arrays = [
                _to_array(library, schema.field(name).type, kind, name, start, group)
                for name, kind in columns.items()
            ]
            writer.write_batch(library.record_batch(arrays, schema=schema))
            count += len(group)
    return count


def _groups(
    rows: Iterable[Mapping[str, object]], names: Collection[str]
) -> Iterator[tuple[int, list[Mapping[str, object]]]]:
    """Yield rows in groups, each with the index of its first row."""
    start = 0
    group: list[Mapping[str, object]] = []
    for index, row in enumerate(rows):
        _refuse_others(row, names, index)
        group.append(row)
        if len(group) == GROUP:
            yield start, group
            start, group = index + 1, []
    if group:
        yield start, group


def _to_array(
    library: Any,
    wanted: Any,
    kind: type,
    name: str,
    start: int,
    group: list[Mapping[str, object]],
) -> Any:
    """Return the values of a column as an Arrow array."""
    values: list[object] = []
    for index, row in enumerate(group, start):
        place = f"row {index}, column {shown(name)}"
        value = row.get(name)
        if value is not None and kind is object:
            try:
                value = _to_json(value).decode()
            except REASONS as error:
                raise _at(place, error) from error
        elif value is not None and not _is_of(value, kind):
            raise TypeError(f"{place}: must be {kind.__name__}, not {type(value).__name__}")
        values.append(value)
    try:
        return library.array(values, wanted)
    except (OverflowError, ValueError) as error:
        raise ValueError(
            f"rows {start} to {start + len(group) - 1}, column {shown(name)}: {error}"
        ) from error


def _is_of(value: object, kind: type) -> bool:
    """Return whether a value is of a column's type; whole numbers are floats, too."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _refuse_others(row: Mapping[str, object], names: Collection[str], index: int) -> None:
    """Refuse a row with a column that the file does not have."""
    if not hasattr(row, "keys"):
        raise TypeError(f"row {index} must be a dict, not {type(row).__name__}")
    others = [name for name in row if name not in names]
    if others:
        raise ValueError(
            f"row {index} has the column {shown(others[0])}, which the file does not have: name all"
            " columns in `columns`"
        )


def _check_columns(columns: object) -> dict[str, None]:
    """Return the names of columns, as keys."""
    if not is_array(columns):
        raise wrong_type("columns", "a list of names", columns)
    for name in columns:
        if not isinstance(name, str):
            raise wrong_type("columns", "a list of names", name)
        encodable("columns", name)
    if not columns or len(set(columns)) != len(columns):
        raise ValueError("columns must have at least one name, and each name once")
    return dict.fromkeys(columns)


def _check_types(columns: object) -> dict[str, type]:
    if not isinstance(columns, Mapping):
        raise wrong_type("columns", "a dict of names and types", columns)
    result = dict(cast("Mapping[str, type]", columns))
    _check_columns(list(result))
    return result


def _at(place: str, error: Exception) -> Exception:
    """Return the error for a value that cannot be written, with its place."""
    if isinstance(error, Unsupported):
        return error.kind(f"{place} {error.reason}")
    if isinstance(error, UnicodeEncodeError):
        return ValueError(f"{place} has half of a surrogate pair, which UTF-8 cannot carry")
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(f"{place}: {error}")


def _to_fields(row: Mapping[str, object], names: Iterable[str], index: int) -> list[str]:
    """Return the fields of a row as text."""
    fields: list[str] = []
    for name in names:
        try:
            fields.append(_to_field(row.get(name)))
        except REASONS as error:
            raise _at(f"row {index}, column {shown(name)}", error) from error
    return fields


def _to_field(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else _encode(value)
    if not text.isascii():
        text.encode()
    # Dates and paths are text without the quotes of JSON.
    return str(loads(text)) if text is not value and text.startswith('"') else text


def _to_json(value: object) -> bytes:
    return _encode(value).encode()


def _simplify(value: Any) -> object:
    if hasattr(value, "__fspath__") and not hasattr(value, "url"):
        return str(value)
    simpler: object = simplify(value)
    if simpler is IS_FILE:
        raise TypeError(f"a {type(value).__name__} is a file, which has no text: pass its path")
    return simpler


_encode: Callable[[object], str] = JSONEncoder(
    allow_nan=False, default=_simplify, ensure_ascii=False, separators=(",", ":")
).encode


class _Encoder:
    """What a csv writer writes to: a file that takes text."""

    def __init__(self, file: IO[bytes]) -> None:
        self._write = file.write

    def write(self, text: str) -> None:
        self._write(text.encode())


class _Writer(io.RawIOBase):
    """A file that is written, from its beginning to its end."""

    def __init__(self) -> None:
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position


class _Output(_Writer):
    """A file whose errors are `FileError`, unlike those of the rows that are written to it."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        super().__init__()
        self._file = file
        self._name = name

    def write(self, data: Any, /) -> int:
        with _translate_errors(self._name):
            size = self._file.write(data)
        self._position += size
        return size


class _Compressed(_Writer):
    """A file of gzip's format, without a time.

    Unlike `GzipFile`, it writes nothing when it is closed after an error.
    """

    def __init__(self, file: _Output) -> None:
        super().__init__()
        self._file = file
        self._compress = zlib.compressobj(wbits=GZIP)

    def write(self, data: Any, /) -> int:
        self._file.write(self._compress.compress(data))
        self._position += len(data)
        return len(data)

    def finish(self) -> None:
        """Write what is left."""
        self._file.write(self._compress.flush())


@contextmanager
def _replace(path: str | PathLike[str]) -> Generator[IO[bytes]]:
    """Open a file beside its target; it replaces the target at the end of the block."""
    name = str(file_path("path", path))
    # A symbolic link stays one.
    target = Path(os.path.realpath(name))
    with _translate_errors(name):
        # A pipe or a terminal cannot be replaced.
        in_place = _is_special(target)
        # The target's name is not a part of this one, which would become too long.
        temporary = target if in_place else target.with_name(f".replicate-{token_hex(16)}.part")
        file = temporary.open("wb" if in_place else "xb")
    output: Any = _Output(file, name)
    try:
        if name.lower().endswith(".gz"):
            compressed: Any = _Compressed(output)
            yield compressed
            compressed.finish()
        else:
            yield output
        with _translate_errors(name):
            file.flush()
            if not in_place:
                os.fsync(file.fileno())
            file.close()
            if not in_place:
                temporary.replace(target)
    except BaseException:
        # Closing writes what is left, which fails again on a full disk.
        with suppress(OSError):
            file.close()
        if not in_place:
            with suppress(OSError):
                temporary.unlink()
        raise


def _is_special(target: Path) -> bool:
    """Return whether a path is of a device or a pipe; refuse folders."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return False
    if S_ISDIR(mode):
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
    return not S_ISREG(mode)


@contextmanager
def _translate_errors(name: str) -> Generator[None]:
    """Raise errors of the operating system as a `FileError` that names the file."""
    try:
        yield
    except OSError as error:
        raise file_error(
            f"{name} was not written: {error.strerror or error}", error.errno, name
        ) from error
