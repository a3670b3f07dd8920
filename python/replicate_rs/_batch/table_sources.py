"""Where the rows of a table are: files of several formats, DataFrames, Arrow tables.

Rows are read in their order, a bounded number at a time.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from contextlib import contextmanager
from errno import EISDIR
from importlib import import_module
from json import JSONDecodeError, loads
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from .._base.checks import shown, wrong_type
from .._base.typing import TYPE_CHECKING, cast, is_object
from .._files.convert import is_instance
from ..exceptions import file_error

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from typing import Any, BinaryIO, ClassVar, TypeAlias

    # The number of a row or of its first line, and the row's values by column.
    Row: TypeAlias = tuple[int, dict[str, Any]]

# Rows that are taken from a table at a time; they may contain images.
BATCH = 64
# Rows of a JSONL file in which its columns are looked for.
SAMPLE = 100
# Bytes of a line; a file without ends of lines must not be read whole.
MAX_LINE = 1 << 28
GZIP = b"\x1f\x8b"
# What other formats begin with, and what to do.
SIGNATURES = {
    b"PAR1": "it is a Parquet file: name it .parquet",
    b"PK\3\4": "it is an Excel workbook or another zip archive: save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "it is an old Excel workbook: save the sheet as CSV",
    GZIP: "it is compressed by gzip: add .gz to its name",
    b"\x28\xb5\x2f\xfd": "it is compressed by zstd: unpack it",
    b"\xff\xfe": "it is UTF-16: save it as UTF-8",
    b"\xfe\xff": "it is UTF-16: save it as UTF-8",
}
# What to do with files of other formats, by the ends of their names.
EXCEL = ": save the sheet as CSV, or pass the DataFrame of pandas.read_excel"
HINTS = {
    ".xlsx": EXCEL,
    ".xls": EXCEL,
    ".ods": EXCEL,
    ".json": ": write one JSON object a line, or pass the list of json.load to `map`",
    ".txt": ": name the file by what it contains",
    ".parquet": ": Parquet files are compressed within",
}
SEPARATORS = {",": "comma", "\t": "tab"}
PYARROW = 'pip install "replicate-rs[parquet]"'


class Source:
    """A table, its columns, and its rows."""

    # What a row's number counts: lines from 1, rows from 0.
    unit: ClassVar[str] = "row"
    # Whether all values are of types that JSON has.
    is_plain: ClassVar[bool] = False

    # How messages name the table.
    name: str
    columns: list[str]
    # How messages say that a column is missing.
    lacks: ClassVar[str] = "has no column"
    # Relative paths in the table begin here.
    folder: Path = Path()
    # How many rows there are, where that is known without reading them.
    length: int | None = None

    def rows(self, columns: list[str] | None) -> Iterator[Row]:
        """Yield the rows; only these columns of them, if reading them alone is cheaper."""
        raise NotImplementedError

    def place(self, number: int) -> str:
        """Return how messages name a row."""
        return f"{self.name}, {self.unit} {number}"

    def check_columns(self, names: Iterable[object]) -> None:
        """Take over the names of the columns, which must be text and differ."""
        self.columns: list[str] = []
        for name in names:
            if not isinstance(name, str):
                raise TypeError(
                    f"{self.name}: the names of columns must be text, not {shown(name)}, a"
                    f" {type(name).__name__}: rename that column"
                )
            if name in self.columns and name:
                raise ValueError(
                    f"{self.name}: two columns have the name {shown(name)}: rename one of them"
                )
            self.columns.append(name)


def find_source(source: object) -> Source:
    """Return the source for a value of `read_inputs`."""
    if isinstance(source, Source):
        return source
    to_path: Any = getattr(type(source), "__fspath__", None)
    path: object = source if to_path is None else to_path(source)
    if isinstance(path, str):
        return _find_file_source(path)
    if isinstance(path, bytes):
        raise wrong_type("source", "a path as text", path)
    if is_instance(source, "pandas", "DataFrame"):
        return Pandas(source)
    if is_instance(source, "polars", "DataFrame"):
        return Polars(source)
    if is_instance(source, "polars", "LazyFrame"):
        raise TypeError("source must be a table, not a LazyFrame: pass its collect()")
    if hasattr(type(source), "__arrow_c_stream__") or hasattr(type(source), "__arrow_c_array__"):
        return Arrow(source)
    wanted = "the path of a file, a DataFrame or an Arrow table"
    if hasattr(source, "read"):
        raise TypeError(f"source must be {wanted}, not an open file: pass its path")
    if hasattr(type(source), "__iter__"):
        raise TypeError(
            f"source must be {wanted}, not {type(source).__name__}: dicts need no reading, they are"
            " inputs as they are"
        )
    raise wrong_type("source", wanted, source)


def _find_file_source(name: str) -> Source:
    if name.partition("://")[2]:
        raise ValueError(
            f"source must be the path of a file, not the URL {shown(name)}: download it first"
        )
    stem = name.lower().removesuffix(".gz")
    ending = Path(stem).suffix
    kind = FORMATS.get(ending)
    if kind is None or (kind is Parquet and stem != name.lower()):
        FileSource(Path(name))  # Refuses what is no file.
        hint = HINTS.get(ending, "")
        raise ValueError(
            f"{name}: the format must be told by the name's end: .jsonl, .ndjson, .csv or .tsv,"
            f" each also with .gz, or .parquet{hint}"
        )
    return kind(Path(name))


class FileSource(Source):
    """A table in a file, which is opened again for each iteration."""

    def __init__(self, path: Path) -> None:
        self.name: str = str(path)
        # The working directory may change before the rows are read.
        self.path: Path = path.absolute()
        self.folder: Path = self.path.parent
        with self._translate_errors():
            mode = self.path.stat().st_mode
        if S_ISDIR(mode):
            raise file_error(f"{self.name}: it is a folder, not a file", EISDIR, self.name)
        if not S_ISREG(mode):
            raise file_error(
                f"{self.name}: it is no regular file, so it cannot be read twice: write it to one"
            )

    @contextmanager
    def _translate_errors(self) -> Generator[None]:
        """Raise errors of the operating system as a `FileError` that names the file."""
        try:
            yield
        except OSError as error:
            raise file_error(
                f"{self.name}: {error.strerror or error}", error.errno, self.name
            ) from error


class TextSource(FileSource):
    """A file of lines in UTF-8."""

    unit: ClassVar[str] = "line"
    is_plain: ClassVar[bool] = True

    def lines(self) -> Generator[str]:
        """Yield the lines with their ends."""
        with self._open() as file:
            number = offset = 0
            while line := self._read_line(file, number + 1):
                number += 1
                try:
                    text = line.decode()
                except UnicodeDecodeError as error:
                    raise ValueError(
                        f"{self.place(number)}, byte {error.start + 1}: the byte"
                        f" 0x{line[error.start]:02x} (at {offset + error.start} in the file) is not"
                        " UTF-8: save the file as UTF-8"
                    ) from None
                offset += len(line)
                # Spreadsheets mark UTF-8 files by this character.
                yield text.removeprefix("\ufeff") if number == 1 else text

    def _open(self) -> BinaryIO:
        with self._translate_errors(), self.path.open("rb") as file:
            start = file.read(4)
        if self.path.suffix.lower() == ".gz":
            if not start.startswith(GZIP):
                raise ValueError(
                    f"{self.name}: it is not compressed by gzip: take .gz off its name"
                )
            return cast("BinaryIO", gzip.open(self.path))
        for signature, reason in SIGNATURES.items():
            if start.startswith(signature):
                raise ValueError(f"{self.name}: {reason}")
        with self._translate_errors():
            return self.path.open("rb")

    def _read_line(self, file: BinaryIO, number: int) -> bytes:
        with self._translate_errors():
            try:
                line = file.readline(MAX_LINE + 1)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise ValueError(
                    f"{self.place(number)}: the compressed file is damaged or cut off: {error}"
                ) from None
        if len(line) > MAX_LINE:
            raise ValueError(
                f"{self.place(number)}: the line is longer than {MAX_LINE >> 20} MiB: this is no"
                " table of one row a line"
            )
        return line


class JsonLines(TextSource):
    """A file of JSON objects, one a line; fields that a line does not have are missing there."""

    lacks: ClassVar[str] = f"has, in its first {SAMPLE} objects, no field"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        names: dict[str, None] = {}
        has_rows = False
        for (_, row), _ in zip(self.rows(None), range(SAMPLE), strict=False):
            has_rows = True
            names.update(dict.fromkeys(row))
        if not has_rows:
            raise ValueError(f"{self.name}: it has no row: write one JSON object a line")
        self.columns: list[str] = list(names)

    def rows(self, columns: list[str] | None) -> Iterator[Row]:  # noqa: ARG002 - a line is read whole
        """Yield the objects by the numbers of their lines, all fields included."""
        for number, line in enumerate(self.lines(), 1):
            if line.isspace():
                continue
            try:
                # An error at the end has its column in this line, and not in the next.
                row: object = loads(line.rstrip("\r\n"))
            except JSONDecodeError as error:
                raise ValueError(
                    f"{self.place(number)}, column {error.colno}: no JSON: {error.msg}: write one"
                    " JSON object a line"
                ) from None
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{self.place(number)}: Python cannot read it: {error}") from None
            if not is_object(row):
                raise ValueError(
                    f"{self.place(number)}: it must be a JSON object such as"
                    f' {{"prompt": "…"}}, not {shown(row)}'
                )
            yield number, row


class JsonStream(JsonLines):
    """JSON objects, one a line, of an open file such as a pipe; they can be read once.

    Its columns are the fields of the first object: those that follow may come late.
    """

    lacks: ClassVar[str] = "has, in its first object, no field"

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self.name: str = name
        self._rows: Iterator[Row] = super().rows(None)
        first = next(self._rows, None)
        if first is None:
            raise ValueError(f"{name}: it has no row: write one JSON object a line")
        self.columns: list[str] = [*first[1]]
        self._first: Row = first

    def _open(self) -> BinaryIO:
        return self._file

    def rows(self, columns: list[str] | None) -> Iterator[Row]:  # noqa: ARG002 - a line is read whole
        """Yield the objects by the numbers of their lines, all fields included."""
        yield self._first
        yield from self._rows


class Csv(TextSource):
    """A file of fields with separators, whose first line names the columns (RFC 4180)."""

    separator: ClassVar[str] = ","

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        for _, fields in self._read():
            self.check_columns(each.strip() for each in fields)
            break
        else:
            raise ValueError(f"{self.name}: it is empty: its first line must name the columns")
        if len(self.columns) == 1:
            for other, called in ((";", "semicolons"), ("\t", "tabs"), (",", "commas")):
                if other in self.columns[0] and other != self.separator:
                    raise ValueError(
                        f"{self.place(1)}: the columns seem to be separated by {called}: save the"
                        " file with commas, or name it .tsv if it has tabs"
                    )

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each line that is not blank, by its number; it may go on over several lines."""
        reader = csv.reader(self.lines(), delimiter=self.separator, strict=True)
        number = 1
        while True:
            try:
                fields = next(reader, None)
            except csv.Error as error:
                raise ValueError(f"{self.place(number)}: {self._explain(str(error))}") from None
            if fields is None:
                return
            if fields:
                yield number, fields
            number = reader.line_num + 1

    def _explain(self, problem: str) -> str:
        if problem == "unexpected end of data":
            return 'a quote (") is opened and never closed: write a quote within quotes twice'
        if "field limit" in problem:
            return (
                f"a field has more than {csv.field_size_limit()} characters: close its quote, or"
                " raise csv.field_size_limit() if it is that long"
            )
        if "expected after" in problem:
            return f'{problem}: write a quote (") within quotes twice'
        if "new-line character" in problem:
            return "a line ends with a carriage return alone: end lines with line feeds"
        return f"no CSV: {problem}"

    def rows(self, columns: list[str] | None) -> Iterator[Row]:  # noqa: ARG002 - a line is read whole
        """Yield the rows by the numbers of their first lines, without empty fields."""
        names = self.columns
        is_header = True
        for number, fields in self._read():
            if is_header:
                is_header = False
                continue
            if len(fields) != len(names):
                many = f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
                raise ValueError(
                    f"{self.place(number)}: it has {many}, and the first line names {len(names)}"
                    f" columns: quote a field that has a {SEPARATORS[self.separator]} in it"
                )
            row = {name: field for name, field in zip(names, fields, strict=True) if field}
            # Spreadsheets write empty rows as separators.
            if row:
                yield number, row


class Tsv(Csv):
    """A CSV file with tabs."""

    separator: ClassVar[str] = "\t"


class Parquet(FileSource):
    """A Parquet file, read by pyarrow."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._open() as file:
            self.check_columns(file.schema_arrow.names)
            self.length: int | None = file.metadata.num_rows

    @contextmanager
    def _open(self) -> Generator[Any]:
        parquet = import_pyarrow("Parquet files", "pyarrow.parquet")
        with self._translate_errors(), self.path.open("rb") as raw:
            try:
                with parquet.ParquetFile(raw) as file:
                    yield file
            except (OSError, ValueError) as error:
                # pyarrow reports damage as either; errors of the system have a number.
                is_its = is_instance(error, "pyarrow.lib", "ArrowException")
                if is_its or (isinstance(error, OSError) and error.errno is None):
                    raise ValueError(f"{self.name}: no complete Parquet file: {error}") from error
                raise

    def rows(self, columns: list[str] | None) -> Iterator[Row]:
        """Yield the rows by their indices."""
        with self._open() as file:
            yield from _batch_rows(self, file.iter_batches(BATCH, columns=columns))


def import_pyarrow(what: str, module: str = "pyarrow") -> Any:
    """Import a module of pyarrow, which this package does not depend on."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(f"{what} need pyarrow: {PYARROW}") from error


class Arrow(Source):
    """An Arrow table, a record batch or a reader, of any library."""

    name: str = "the Arrow table"

    def __init__(self, source: object) -> None:
        library = import_pyarrow("Arrow tables")
        self._library = library
        self._is_reader = is_instance(source, "pyarrow.lib", "RecordBatchReader")
        table: Any = source
        if not hasattr(source, "__arrow_c_stream__"):
            table = library.Table.from_batches([library.record_batch(table)])
        self._table: Any = table
        reader: Any = table if self._is_reader else library.RecordBatchReader.from_stream(table)
        self.check_columns(reader.schema.names)
        rows: Any = getattr(table, "num_rows", None)
        self.length: int | None = rows if isinstance(rows, int) else None

    def rows(self, columns: list[str] | None) -> Iterator[Row]:  # noqa: ARG002 - columns cost nothing
        """Yield the rows by their indices; a reader has them once."""
        table = self._table
        if table is None:
            raise ValueError(
                f"{self.name}: a RecordBatchReader can be read once: pass its read_all()"
            )
        if self._is_reader:
            self._table = None
        else:
            table = self._library.RecordBatchReader.from_stream(table)
        yield from _batch_rows(self, _slices(table))


def _slices(batches: Iterable[Any]) -> Iterator[Any]:
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH):
            yield batch.slice(start, BATCH)


def _batch_rows(source: Source, batches: Iterable[Any]) -> Iterator[Row]:
    """Yield the rows of record batches."""
    start = 0
    for batch in batches:
        columns = {
            name: _column_values(source, column, name, start)
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        names = list(columns)
        for number, values in enumerate(zip(*columns.values(), strict=True), start):
            yield number, dict(zip(names, values, strict=True))
        start += batch.num_rows


def _column_values(source: Source, column: Any, name: str, start: int) -> list[Any]:
    """Return the values of a part of a column."""
    if str(column.type).startswith("timestamp[ns"):
        # datetime has microseconds, and pyarrow gives other types if pandas is installed.
        column = column.cast(
            import_pyarrow("Arrow tables").timestamp("us", tz=column.type.tz), safe=False
        )
    try:
        values: list[Any] = column.to_pylist(maps_as_pydicts="lossy")
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{source.place(start)} and the following: Python cannot hold a value of the column"
            f" {shown(name)} ({column.type}): {error}"
        ) from error
    return values


class Pandas(Source):
    """A DataFrame of pandas."""

    name: str = "the DataFrame"

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.check_columns(frame.columns)
        self.length: int | None = len(frame)

    def rows(self, columns: list[str] | None) -> Iterator[Row]:
        """Yield the rows by their positions."""
        names = self.columns if columns is None else columns
        positions = [self.columns.index(name) for name in names]
        for start in range(0, len(self._frame), BATCH):
            part = self._frame.iloc[start : start + BATCH]
            values = [part.iloc[:, position].tolist() for position in positions]
            for number, cells in enumerate(zip(*values, strict=True), start):
                yield number, dict(zip(names, cells, strict=True))


class Polars(Source):
    """A DataFrame of polars."""

    name: str = "the DataFrame"

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.check_columns(frame.columns)
        self.length: int | None = len(frame)

    def rows(self, columns: list[str] | None) -> Iterator[Row]:
        """Yield the rows by their positions."""
        names = self.columns if columns is None else columns
        frame = self._frame.select(names)
        yield from enumerate(frame.iter_rows(named=True, buffer_size=BATCH))


FORMATS: dict[str, type[FileSource]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".csv": Csv,
    ".tsv": Tsv,
    ".parquet": Parquet,
}
