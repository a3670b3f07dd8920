"""Inputs from tables of pandas, polars and pyarrow; rows written as Parquet."""

import datetime
import decimal
import errno
import operator
import resource

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from replicate_rs import FileError
from replicate_rs._batch import table_sources
from replicate_rs.batch import read_inputs, write_parquet

FRAME = pd.DataFrame(
    {
        "id": [1, 2],
        "prompt": ["a", None],
        "seed": [4.0, np.nan],
        "when": pd.to_datetime(["2024-01-02 03:04:05", None]),
        "count": pd.array([1, None], dtype="Int64"),
        "list": [np.array([1, 2]), [{"x": np.float32(0.5)}]],
        "kind": pd.Categorical(["u", "v"]),
        "flag": [True, False],
        "image": ["a.png", "https://example.com/b.png"],
    }
)


def test_a_frame_of_pandas_has_plain_values():
    first = {
        "id": 1,
        "prompt": "a",
        "seed": 4.0,
        "when": "2024-01-02T03:04:05",
        "count": 1,
        "list": [1, 2],
        "kind": "u",
        "flag": True,
        "image": "a.png",
    }
    second = {
        "id": 2,
        "list": [{"x": 0.5}],
        "kind": "v",
        "flag": False,
        "image": "https://example.com/b.png",
    }
    rows = list(read_inputs(FRAME))
    assert rows == [first, second]
    assert {name: type(value) for name, value in rows[0].items()} == {
        name: type(value) for name, value in first.items()
    }


def test_columns_of_pandas():
    rows = read_inputs(
        FRAME, key="id", prompt="prompt", seed="seed", image="image", types={"seed": int}
    )
    assert list(rows) == [
        ("1", {"prompt": "a", "seed": 4, "image": "a.png"}),
        ("2", {"image": "https://example.com/b.png"}),
    ]
    assert operator.length_hint(rows) == 2
    assert type(next(iter(rows))[1]["seed"]) is int


def test_problems_of_pandas():
    with pytest.raises(ValueError, match="the DataFrame has no column 'promt': did you mean"):
        read_inputs(FRAME, text="promt")
    with pytest.raises(TypeError, match="names of columns must be text, not 0, a int"):
        read_inputs(pd.DataFrame([[1]]))
    with pytest.raises(ValueError, match="two columns have the name 'a'"):
        read_inputs(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(ValueError, match="the DataFrame has no column for an input"):
        read_inputs(pd.DataFrame())
    rows = read_inputs(pd.DataFrame({"a": [pd.Timedelta(1)]}))
    with pytest.raises(TypeError, match="the DataFrame, row 0: the column 'a' is a timedelta"):
        list(rows)
    rows = read_inputs(pd.DataFrame({"id": [1.0, np.nan], "a": [1, 2]}), key="id")
    with pytest.raises(ValueError, match="the DataFrame, row 1: the key in the column 'id'"):
        list(rows)


@pytest.mark.parametrize("library", [pd, pl])
def test_frames_longer_than_a_slice(library):
    frame = library.DataFrame({"a": list(range(200)), "b": list(range(200))})
    rows = read_inputs(frame, x="b")
    assert list(rows) == list(rows) == [{"x": i} for i in range(200)]


def test_a_frame_of_polars_has_plain_values():
    frame = pl.DataFrame(
        {
            "id": ["x", "y"],
            "n": [1, None],
            "f": [1.5, float("nan")],
            "when": [datetime.datetime(2024, 1, 2), None],
            "list": [[1], None],
            "struct": [{"a": 1}, {"a": 2}],
        }
    )
    assert list(read_inputs(frame, key="id")) == [
        (
            "x",
            {"n": 1, "f": 1.5, "when": "2024-01-02T00:00:00", "list": [1], "struct": {"a": 1}},
        ),
        ("y", {"struct": {"a": 2}}),
    ]
    with pytest.raises(TypeError, match=r"not a LazyFrame: pass its collect\(\)"):
        read_inputs(frame.lazy())


TABLE = pa.table(
    {
        "id": ["x", "y"],
        "when": pa.array([1, None], pa.timestamp("ns")),
        "zone": pa.array([1, None], pa.timestamp("ns", "UTC")),
        "struct": [{"a": 1, "b": [1]}, None],
        "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        "decimal": [decimal.Decimal("1.5"), None],
        "bytes": [b"x", None],
        "image": [{"bytes": b"q", "path": "a.png"}, {"bytes": None, "path": "a.png"}],
        "kind": pa.array(["u", "v"]).dictionary_encode(),
    }
)
ROWS = [
    (
        "x",
        {
            "when": "1970-01-01T00:00:00",
            "zone": "1970-01-01T00:00:00+00:00",
            "struct": {"a": 1, "b": [1]},
            "map": {"k": 1},
            "decimal": 1.5,
            "bytes": b"x",
            "image": {"bytes": b"q", "path": "a.png"},
            "kind": "u",
        },
    ),
    ("y", {"image": {"bytes": None, "path": "a.png"}, "kind": "v"}),
]


class Stream:
    """A table of another library than pyarrow."""

    def __arrow_c_stream__(self, requested_schema=None):
        return TABLE.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize("table", [TABLE, TABLE.to_batches()[0], Stream()])
def test_an_arrow_table_has_plain_values(table):
    rows = read_inputs(table, key="id")
    assert list(rows) == list(rows) == ROWS


def test_a_reader_is_read_once():
    rows = read_inputs(TABLE.to_reader(), key="id")
    assert list(rows) == ROWS
    with pytest.raises(ValueError, match=r"can be read once: pass its read_all\(\)"):
        list(rows)


def test_a_parquet_file(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(TABLE, path)
    rows = read_inputs(path, key="id")
    assert list(rows) == list(rows) == ROWS
    assert operator.length_hint(rows) == 2
    rows = read_inputs(path, image="image", files=["image"])
    assert list(rows) == [{"image": b"q"}, {"image": tmp_path / "a.png"}]


def test_a_long_parquet_file_is_read_in_parts(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"a": range(1000)}), path, row_group_size=300)
    sizes = []
    read = table_sources._batch_rows

    def watched(source, batches):
        return read(source, (sizes.append(each.num_rows) or each for each in batches))

    monkeypatch.setattr(table_sources, "_batch_rows", watched)
    rows = iter(read_inputs(path))
    assert next(rows) == {"a": 0}
    assert sizes == [table_sources.BATCH]
    assert [row["a"] for row in rows] == [*range(1, 1000)]
    assert max(sizes) == table_sources.BATCH


def test_damaged_parquet_files(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(TABLE, path)
    whole = path.read_bytes()
    damaged = whole[:20] + b"\xff" * 40 + whole[60:]
    for content in (b"", b"id,a\n", whole[:-10], damaged):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.parquet: no complete Parquet file: "):
            list(read_inputs(path))


COLUMNS = {"key": str, "n": int, "share": float, "done": bool, "output": object, "none": str}


def written(count):
    for i in range(count):
        yield {"key": str(i), "n": i, "share": i / 2, "done": i % 2 == 0, "output": {"i": [i]}}


def test_rows_as_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    assert write_parquet(written(10_000), path, COLUMNS) == 10_000
    assert [each.name for each in tmp_path.iterdir()] == ["a.parquet"]
    table = parquet.read_table(path)
    assert table.column_names == list(COLUMNS)
    assert table.slice(9999).to_pylist() == [
        {
            "key": "9999",
            "n": 9999,
            "share": 4999.5,
            "done": False,
            "output": '{"i":[9999]}',
            "none": None,
        }
    ]
    rows = list(read_inputs(path, types={"output": dict}))
    assert rows == list(written(10_000))
    assert write_parquet([], path, COLUMNS) == 0
    assert list(read_inputs(path)) == []


@pytest.mark.parametrize(
    ("row", "kind", "problem"),
    [
        ({"a": "x"}, int, "row 1, column 'a': must be int, not str"),
        ({"a": True}, int, "row 1, column 'a': must be int, not bool"),
        ({"a": 1 << 70}, int, "rows 0 to 1, column 'a': "),
        ({"a": object()}, object, "row 1, column 'a' is a "),
        ({"a": "\ud800"}, str, "rows 0 to 1, column 'a': "),
        ({"a": "\ud800"}, object, "row 1, column 'a' has half of a surrogate pair"),
        ({"b": 1}, int, "row 1 has the column 'b', which the file does not have"),
        (3, int, "row 1 must be a dict, not int"),
        ({}, bytes, r"columns\['a'\] must be str, int, float, bool or object"),
    ],
)
def test_rows_that_parquet_cannot_have(tmp_path, row, kind, problem):
    path = tmp_path / "a.parquet"
    path.write_text("before")
    with pytest.raises((TypeError, ValueError), match=f"^{problem}"):
        write_parquet([{}, row], path, {"a": kind})
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["a.parquet"]


def test_a_full_disk(tmp_path):
    """The limit of a file's size stands for it; the system reports both in the same way."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "a.parquet"
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(
            FileError, match=r"a\.parquet was not written: File too large"
        ) as caught:
            write_parquet(written(20_000), path, COLUMNS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []
