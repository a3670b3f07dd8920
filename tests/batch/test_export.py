"""Rows written to files: each file is whole or absent, and errors say which row or file it was."""

import errno
import gzip
import json
import os
import stat
import subprocess
import sys
import threading
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from replicate_rs import FileError
from replicate_rs.batch import read_inputs, write_csv, write_jsonl, write_parquet

ROWS = [
    {"key": "a", "n": 1, "share": 0.5, "done": True, "output": ["é", {"x": None}], "error": None},
    {"key": 'b "c",\r\nd', "n": -2, "share": 1.0, "done": False, "output": None, "error": "🦎"},
]
WRITERS = [write_jsonl, write_csv]


def files(folder):
    return sorted(each.name for each in folder.iterdir())


def test_rows_as_lines_of_json(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert write_jsonl(iter(ROWS), path) == 2
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == ROWS
    assert path.read_bytes().endswith(b"}\n")
    assert files(tmp_path) == ["rows.jsonl"]


def test_rows_as_csv(tmp_path):
    path = tmp_path / "rows.csv"
    assert write_csv(iter(ROWS), str(path)) == 2
    assert path.read_bytes().decode() == (
        "key,n,share,done,output,error\r\n"
        'a,1,0.5,true,"[""é"",{""x"":null}]",\r\n'
        '"b ""c"",\r\nd",-2,1.0,false,,🦎\r\n'
    )
    types = {"n": int, "share": float, "done": bool, "output": list}
    expected = [{name: each for name, each in row.items() if each is not None} for row in ROWS]
    assert list(read_inputs(path, types=types)) == expected


def test_columns_of_csv(tmp_path):
    path = tmp_path / "rows.tsv"
    assert write_csv([{"b": 1}, {}], path, ["a", "b"]) == 2
    assert path.read_bytes() == b"a\tb\r\n\t1\r\n\t\r\n"
    assert write_csv([], path, ("a",)) == 0
    assert path.read_bytes() == b"a\r\n"


def test_compressed_files_are_the_same_each_time(tmp_path):
    for write, name in ((write_jsonl, "rows.jsonl"), (write_csv, "rows.csv")):
        plain, first, second = (tmp_path / each for each in (name, f"{name}.gz", f"2{name}.gz"))
        for path in (plain, first, second):
            write(ROWS, path)
        assert gzip.decompress(first.read_bytes()) == plain.read_bytes()
        assert first.read_bytes() == second.read_bytes()


def test_values_that_json_does_not_have(tmp_path):
    row = {
        "path": Path("a") / "b.png",
        "when": datetime(2024, 1, 2, 3, 4),
        "number": np.float32(0.5),
        "decimal": Decimal("1.5"),
        "nested": [{"set": {1}}],
    }
    path = str(Path("a") / "b.png")
    write_jsonl([row], tmp_path / "a.jsonl")
    assert json.loads((tmp_path / "a.jsonl").read_text()) == {
        "path": path,
        "when": "2024-01-02T03:04:00",
        "number": 0.5,
        "decimal": 1.5,
        "nested": [{"set": [1]}],
    }
    write_csv([row], tmp_path / "a.csv")
    line = (tmp_path / "a.csv").read_text().splitlines()[1]
    assert line == f'{path},2024-01-02T03:04:00,0.5,1.5,"[{{""set"":[1]}}]"'


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "not JSON compliant"),
        ("\ud800", "has half of a surrogate pair"),
        (["\ud800"], "has half of a surrogate pair"),
        (object(), "has no JSON of its own"),
        (b"x", "is a file, which has no text"),
        (10**5000, "Exceeds the limit"),
    ],
    # pytest cannot write the last value either.
    ids=range(6),
)
def test_values_that_cannot_be_written(tmp_path, write, value, problem):
    path = tmp_path / "rows"
    path.write_text("before")
    with pytest.raises((TypeError, ValueError), match=f"^row 1.*{problem}"):
        write([{"a": 1}, {"a": value}], path)
    assert path.read_text() == "before"
    assert files(tmp_path) == ["rows"]


def test_rows_with_other_columns(tmp_path):
    with pytest.raises(ValueError, match="row 1 has the column 'b', which the file does not have"):
        write_csv([{"a": 1}, {"a": 1, "b": 2}], tmp_path / "a.csv")
    with pytest.raises(TypeError, match="row 0 must be a dict, not int"):
        write_csv([3], tmp_path / "a.csv", ["a"])
    for columns in ([], ["a", "a"]):
        with pytest.raises(ValueError, match="columns must have at least one name, and each"):
            write_csv([], tmp_path / "a.csv", columns)
    with pytest.raises(ValueError, match="columns must be Unicode text"):
        write_csv([{"\ud800": 1}], tmp_path / "a.csv")
    for columns in ("ab", [1]):
        with pytest.raises(TypeError, match="columns must be a list of names"):
            write_csv([], tmp_path / "a.csv", columns)
    assert files(tmp_path) == []


@pytest.mark.parametrize("write", WRITERS)
def test_an_error_of_the_rows_passes_and_leaves_the_file_as_it_was(tmp_path, write):
    path = tmp_path / "rows"
    path.write_text("before")

    def rows():
        yield {"a": 1}
        assert len(files(tmp_path)) == 2
        raise ConnectionResetError(errno.ECONNRESET, "of the rows")

    with pytest.raises(ConnectionResetError, match="of the rows") as caught:
        write(rows(), path)
    assert not isinstance(caught.value, FileError)
    assert path.read_text() == "before"
    assert files(tmp_path) == ["rows"]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_full_disk(tmp_path, write, ending):
    """The limit of a file's size stands for it; the system reports both in the same way."""
    path = tmp_path / f"rows{ending}"
    path.write_bytes(b"before")
    program = f"""
import errno, os, resource, sys
from replicate_rs import FileError
from replicate_rs.batch import {write.__name__}
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    {write.__name__}(({{"a": os.urandom(600).hex()}} for _ in range(1000)), sys.argv[1])
except FileError as error:
    assert error.errno == errno.EFBIG, error
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, path],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert (done.stdout, done.stderr) == (f"{path} was not written: File too large\n", "")
    assert path.read_bytes() == b"before"
    assert files(tmp_path) == [path.name]


@pytest.mark.parametrize("write", WRITERS)
def test_folders_that_cannot_be_written(tmp_path, write):
    with pytest.raises(FileNotFoundError, match=r"no/a was not written: No such file") as caught:
        write([], tmp_path / "no" / "a")
    assert isinstance(caught.value, FileError)
    assert caught.value.filename == str(tmp_path / "no" / "a")
    with pytest.raises(IsADirectoryError, match="was not written: Is a directory"):
        write([], tmp_path)
    with pytest.raises(TypeError, match="path must be a path, not int"):
        write([], 3)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody may write to")
def test_a_read_only_folder():
    with pytest.raises(FileError, match=r"^/proc/a\.jsonl was not written: "):
        write_jsonl([], "/proc/a.jsonl")


def test_a_symbolic_link_stays_one_and_rights_are_usual(tmp_path):
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "rows.jsonl"
    link = tmp_path / "link.jsonl"
    link.symlink_to(target)
    write_jsonl([{"a": 1}], link)
    assert link.is_symlink()
    assert target.read_text() == '{"a":1}\n'
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask


def test_a_pipe_is_written_in_place(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    assert write_jsonl([{"a": 1}], path) == 1
    reader.join()
    assert read == [b'{"a":1}\n']
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_parquet_without_pyarrow_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'pip install "replicate-rs\[parquet\]"'):
        write_parquet([], tmp_path / "a.parquet", {"a": str})
    assert files(tmp_path) == []
