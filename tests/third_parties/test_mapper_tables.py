"""`Mapper` with batches of pandas and pyarrow."""

import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from replicate_rs.batch import Mapper

ADDED = ["output", "status", "error", "prediction", "predict_time"]


@pytest.fixture
def shout(server):
    return Mapper("acme/shout", {"prompt": "text"})


def test_a_frame_of_pandas_keeps_its_index(shout):
    frame = pd.DataFrame(
        {"text": ["a", None, "c"], "n": [1, 2, 3]},
        index=pd.MultiIndex.from_tuples([("x", 1), ("x", 1), ("y", 2)]),
    )
    before = frame.copy()
    found = shout(frame)
    assert found.index.equals(frame.index)
    assert [*found.columns] == ["text", "n", *ADDED]
    assert found["output"].tolist()[::2] == ["A", "C"]
    # The model needs the input that was null.
    assert found["status"].tolist() == ["succeeded", "failed", "succeeded"]
    assert pd.isna(found["output"].iloc[1])
    pd.testing.assert_frame_equal(frame, before)


def test_all_frames_have_the_columns_of_the_schema(shout):
    frame = pd.DataFrame({"text": ["a"]})
    meta = shout.schema(frame)
    assert len(meta) == 0
    assert [str(each) for each in meta.dtypes][1:] == [*["string"] * 4, "float64"]
    for each in (frame, frame.iloc[:0], pd.DataFrame({"text": [np.nan]}, dtype=object)):
        assert [*shout(each).dtypes][1:] == [*meta.dtypes][1:]


@pytest.mark.parametrize("kind", ["table", "batch"])
def test_arrow_keeps_its_kind_and_its_schema(shout, kind):
    table = pa.table({"text": pa.array(["a", None]), "n": [1, 2]}).replace_schema_metadata(
        {"a": "b"}
    )
    value = table if kind == "table" else table.to_batches()[0]
    schema = shout.schema(value)
    assert schema == shout.schema(value.schema)
    assert schema.names == ["text", "n", *ADDED]
    for each in (value, value.slice(0, 0), value.slice(1)):
        found = shout(each)
        assert type(found) is type(value)
        assert found.schema.equals(schema)
        assert found.num_rows == each.num_rows
        assert found.schema.metadata == {b"a": b"b"}
    assert shout(value).column("output").to_pylist() == ["A", None]


def test_files_of_tables(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    album = Mapper("acme/album", {"prompt": "text"}, save_to="images", key="text")
    frame = pd.DataFrame({"text": ["red", "red blue"]})
    expected = [1, 2]
    files = album(frame)["files"].tolist()
    assert [len(each) for each in files] == expected
    assert all(os.path.getsize(file) for each in files for file in each)
    found = album(pa.table(frame))
    assert found.schema.field("files").type == pa.list_(pa.string())
    assert [len(each) for each in found.column("files").to_pylist()] == expected


def test_iterators_of_tables(shout):
    frames = [pd.DataFrame({"text": [each]}) for each in "ab"]
    assert [each["output"].tolist() for each in shout(iter(frames))] == [["A"], ["B"]]
    batches = [pa.record_batch({"text": [each]}) for each in "ab"]
    assert [each.column("output").to_pylist() for each in shout(iter(batches))] == [["A"], ["B"]]


def test_columns_that_do_not_fit(shout, server):
    with pytest.raises(ValueError, match="the DataFrame has no column 'text'"):
        shout(pd.DataFrame({"texts": ["a"]}))
    with pytest.raises(ValueError, match="the Arrow table already has a column 'error'"):
        shout(pa.table({"text": ["a"], "error": ["b"]}))
    with pytest.raises(ValueError, match="already has a column 'output'"):
        shout.schema(pa.schema([("text", pa.string()), ("output", pa.string())]))
    assert server.created == []
