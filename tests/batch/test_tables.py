"""Inputs from JSONL and CSV files: values, columns, keys, files, and errors that say where."""

import gzip
import io
import json
import operator
import os
import re
import string
import sys
import typing
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate_rs import FileError
from replicate_rs._batch import table_sources
from replicate_rs._batch.table_values import to_plain
from replicate_rs.batch import read_inputs, write_csv, write_jsonl


@pytest.fixture
def table(tmp_path):
    """Return a function that writes a file and returns its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


PHOTOS = """\ufeffid,text,path,seed,loud\r
1,"a ""fine"" day,\r
and more",pictures/a.png,42,yes\r
\r
2,2024,https://example.com/b.png,,no\r
,,,,\r
"""


def test_every_column_of_a_csv_file_is_an_input_and_its_text_stays_text(table):
    assert list(read_inputs(table("a.csv", PHOTOS))) == [
        {
            "id": "1",
            "text": 'a "fine" day,\r\nand more',
            "path": "pictures/a.png",
            "seed": "42",
            "loud": "yes",
        },
        {"id": "2", "text": "2024", "path": "https://example.com/b.png", "loud": "no"},
    ]


def test_keywords_choose_columns_and_types_and_files(table):
    path = table("a.csv", PHOTOS)
    rows = read_inputs(
        path,
        key="id",
        prompt="text",
        image="path",
        seed="seed",
        columns={"key": "loud"},
        files=["image"],
        types={"seed": int, "key": bool},
    )
    assert list(rows) == [
        (
            "1",
            {
                "key": True,
                "prompt": 'a "fine" day,\r\nand more',
                "image": path.parent / "pictures/a.png",
                "seed": 42,
            },
        ),
        ("2", {"key": False, "prompt": "2024", "image": "https://example.com/b.png"}),
    ]


def test_the_key_is_no_input_unless_it_is_named_as_one(table):
    path = table("a.csv", "id,prompt\n7,hi\n")
    assert list(read_inputs(path, key="id")) == [("7", {"prompt": "hi"})]
    assert list(read_inputs(path, key="id", seed="id")) == [("7", {"seed": "7"})]


def test_text_that_looks_like_a_path_is_no_file_unless_it_is_said_to_be(table):
    path = table("a.csv", f"prompt\n{__file__}\n")
    assert list(read_inputs(path)) == [{"prompt": __file__}]
    # An absolute path stays one.
    assert list(read_inputs(path, files=["prompt"])) == [{"prompt": Path(__file__)}]


def test_paths_are_relative_to_the_table_also_after_a_change_of_the_folder(table, monkeypatch):
    path = table("a.csv", "image\na.png\n")
    monkeypatch.chdir(path.parent)
    rows = read_inputs("a.csv", files=["image"])
    monkeypatch.chdir("/")
    assert list(rows) == [{"image": path.parent / "a.png"}]


def test_lists_of_paths(table):
    path = table("a.csv", 'images\n"[""a.png"", ""https://example.com/b.png""]"\n')
    rows = read_inputs(path, types={"images": list}, files=["images"])
    assert list(rows) == [{"images": [path.parent / "a.png", "https://example.com/b.png"]}]


def test_lines_of_json_keep_their_values(table):
    content = """{"id": 1, "prompt": "", "null": null, "seed": 4}

{"id": "b", "prompt": "é 🦎", "nested": {"a": [1, null]}, "nan": NaN, "flag": false}"""
    path = table("a.jsonl", content)
    assert list(read_inputs(path)) == [
        {"id": 1, "prompt": "", "seed": 4},
        {"id": "b", "prompt": "é 🦎", "nested": {"a": [1, None]}, "flag": False},
    ]
    assert list(read_inputs(path, key="id", seed="seed")) == [("1", {"seed": 4}), ("b", {})]


def test_tabs_and_other_spellings(table):
    assert list(read_inputs(str(table("a.TSV", "a\tb\n1\t2,3\n")))) == [{"a": "1", "b": "2,3"}]
    assert list(read_inputs(table("a.ndjson", '{"a": 1}\n'))) == [{"a": 1}]
    assert list(read_inputs(table("a.csv", " a , b\n1, 2\n"))) == [{"a": "1", "b": " 2"}]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.GZ"])
def test_compressed_files(table, name):
    content = b"a\n1\n" if "csv" in name else b'{"a": "1"}\n'
    assert list(read_inputs(table(name, gzip.compress(content)))) == [{"a": "1"}]


def test_each_iteration_begins_anew_and_several_may_run_at_once(table):
    rows = read_inputs(table("a.csv", "a\n1\n2\n"))
    assert list(rows) == list(rows)
    first, second = iter(rows), iter(rows)
    assert [next(first), next(second), next(first)] == [{"a": "1"}, {"a": "1"}, {"a": "2"}]
    first.close()
    second.close()


def test_rows_are_read_as_they_are_taken(table):
    path = table("a.jsonl", '{"a": 1}\n' * 200 + "no JSON\n")
    rows = iter(read_inputs(path))
    assert [next(rows) for _ in range(200)] == [{"a": 1}] * 200
    with pytest.raises(ValueError, match="line 201, column 1: no JSON"):
        next(rows)


def test_a_header_without_rows_has_no_inputs(table):
    assert list(read_inputs(table("a.csv", "a,b\r\n"))) == []


def test_the_number_of_rows_of_a_text_file_is_unknown(table):
    assert operator.length_hint(read_inputs(table("a.csv", "a\n1\n")), 7) == 7


def test_annotations_can_be_evaluated():
    assert typing.get_type_hints(read_inputs)["key"] == str | None


TYPES = [
    (int, "42", 42),
    (int, " -7 ", -7),
    (int, "4.0", 4),
    (float, "1e-3", 0.001),
    (float, "3", 3.0),
    (bool, "TRUE", True),
    (bool, "0", False),
    (str, "01234", "01234"),
    (list, "[1, null]", [1, None]),
    (dict, '{"a": "b"}', {"a": "b"}),
]


@pytest.mark.parametrize(("kind", "text", "value"), TYPES)
def test_types_of_text(table, kind, text, value):
    path = table("a.tsv", "id\tx\n1\t" + text + "\n2\t\n")
    first, second = read_inputs(path, key="id", types={"x": kind})
    assert first == ("1", {"x": value})
    assert type(first[1]["x"]) is kind
    assert second == ("2", {})


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [(int, 4.0, 4), (str, 94103, "94103"), (bool, 1, True), (float, 2, 2), (list, [1], [1])],
)
def test_types_of_other_values(table, kind, value, result):
    path = table("a.jsonl", json.dumps({"x": value}))
    ((row),) = read_inputs(path, types={"x": kind})
    assert (row["x"], type(row["x"])) == (result, type(result))


WRONG_VALUES = [
    (int, '"4.5"', "must be a whole number, not the str '4.5'"),
    (int, '"4_000"', "must be a whole number"),
    (int, '""', "must be a whole number, not the str ''"),
    (int, '"4."', "must be a whole number"),
    (int, "true", "must be a whole number, not the bool True"),
    (int, "1.5", "must be a whole number, not the float 1.5"),
    (int, f'"{"9" * 5000}"', "must be a whole number: Exceeds the limit"),
    (float, '"nan"', "must be a number, not the str 'nan'"),
    (float, '"1_0"', "must be a number"),
    (float, '"x"', "must be a number"),
    (float, "1e999", "must be a number, not the float inf"),
    (bool, '"maybe"', "must be true or false, yes or no, 1 or 0, not the str 'maybe'"),
    (bool, "2", "must be true or false"),
    (str, "1.5", "must be text, not the float 1.5"),
    (str, "[1]", "must be text, not the list"),
    (list, '"{}"', "must be a list, not the dict"),
    (list, '"[1"', "must be a list as JSON: Expecting"),
    (dict, "[1]", "must be a dict, not the list"),
]


@pytest.mark.parametrize(("kind", "value", "problem"), WRONG_VALUES, ids=range(len(WRONG_VALUES)))
def test_values_of_other_types_are_errors_with_their_line_and_column(table, kind, value, problem):
    path = table("a.jsonl", f'\n\n{{"x": {value}}}\n')
    place = re.escape("a.jsonl, line 3: the column 'x' ")
    with pytest.raises((TypeError, ValueError), match=place + re.escape(problem)):
        list(read_inputs(path, y="x", types={"y": kind}))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ('"s3://bucket/a.png"', "models cannot fetch s3 URLs"),
        ('""', "must be a path, not ''"),
        (r'"a\u0000b"', "must be a path"),
        ("4", "must be a path, a URL or bytes, not the int 4"),
    ],
)
def test_what_is_no_path_is_an_error(table, value, problem):
    rows = read_inputs(table("a.jsonl", f'{{"x": {value}}}'), files={"x"})
    with pytest.raises(
        (TypeError, ValueError), match=r"a\.jsonl, line 1: the column 'x' .*"
    ) as error:
        list(rows)
    assert problem in str(error.value)


MALFORMED = [
    ("a.csv", "", "it is empty: its first line must name the columns"),
    ("a.csv", "\n\n", "it is empty"),
    ("a.csv", "a,b\n1,2\n1\n", "line 3: it has 1 field, and the first line names 2 columns"),
    ("a.csv", 'a,b\n"x\ny",2\n1,2,3\n', "line 4: it has 3 fields, and the first line names 2"),
    ("a.tsv", "a\tb\n1\n", "quote a field that has a tab in it"),
    ("a.csv", "a,a\n", "two columns have the name 'a'"),
    ("a.csv", "a, a\n", "two columns have the name 'a'"),
    ("a.csv", ",a\n1,2\n", "the column 1 has no name"),
    ("a.csv", 'a,b\n"1"x,2\n', "line 2: ',' expected after '\"'"),
    ("a.csv", 'a,b\n1,2\n"1,2\n1,2\n', 'line 3: a quote (") is opened and never closed'),
    ("a.csv", "a\r1\r", "line 1: a line ends with a carriage return alone"),
    ("a.csv", "a;b\n1;2\n", "line 1: the columns seem to be separated by semicolons"),
    ("a.csv", "a\tb\n", "line 1: the columns seem to be separated by tabs"),
    ("a.csv", f"a\n{'x' * 140000}\n", "line 2: a field has more than 131072 characters"),
    ("a.csv", b"a,b\n1,caf\xe9\n", "line 2, byte 6: the byte 0xe9 (at 9 in the file) is not UTF-8"),
    ("a.csv", "a\n1\n".encode("utf-16"), "it is UTF-16: save it as UTF-8"),
    ("a.csv", b"PK\3\4rest", "it is an Excel workbook or another zip archive"),
    ("a.csv", gzip.compress(b"a\n", mtime=0), "it is compressed by gzip: add .gz to its name"),
    ("a.jsonl", b"PAR1rest", "it is a Parquet file: name it .parquet"),
    ("a.csv.gz", b"a\n", "it is not compressed by gzip: take .gz off its name"),
    ("a.jsonl", "", "it has no row"),
    ("a.jsonl", "\n \n", "it has no row"),
    ("a.jsonl", "{}\n", "has no column for an input"),
    (
        "a.jsonl",
        '{"a": 1}\n[1]\n',
        'line 2: it must be a JSON object such as {"prompt": "…"}, not [1]',
    ),
    ("a.jsonl", '{"a": 1}\n{"a": 1,}\n', "line 2, column "),
    ("a.jsonl", '{"a": 1}\n{"a": 1\n', "line 2, column 8: no JSON"),
    ("a.jsonl", '[\n{"a": 1}\n]', "line 1, column 2: no JSON"),
    ("a.jsonl", "prompt\nhi\n", "line 1, column 1: no JSON: Expecting value"),
    ("a.jsonl", b'{"a": "\xff"}', "line 1, byte 8: the byte 0xff"),
    ("a.jsonl", '{"a": ' + "[" * 100_000, "line 1: Python cannot read it"),
    ("a.jsonl", '{"a": ' + "9" * 5000 + "}", "line 1: Python cannot read it: Exceeds the limit"),
    ("a.xlsx", "", "the format must be told by the name's end: .jsonl, .ndjson, .csv or .tsv"),
    ("a.json", "[]", "write one JSON object a line"),
    ("a.parquet.gz", "", "Parquet files are compressed within"),
    ("table", "", "the format must be told by the name's end"),
]


@pytest.mark.parametrize(("name", "content", "problem"), MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_files_are_errors_that_name_the_file_and_the_place(table, name, content, problem):
    path = table(name, content)
    with pytest.raises(ValueError, match=re.escape(problem)) as caught:
        list(read_inputs(path))
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_damaged_or_cut_compressed_file(table, name):
    content = "".join(
        f'{{"a": "{i * i}"}}\n' if "json" in name else f"{i * i}\n" for i in range(9000)
    )
    whole = gzip.compress(content.encode())
    for damaged in (whole[:-20], whole[:-6] + b"\0" + whole[-5:], whole[:3000] + b"\xff" * 500):
        path = table(f"{name}.gz", damaged)
        with pytest.raises(ValueError, match=r"gz, line \d+: the compressed file is damaged"):
            list(read_inputs(path))


def test_a_line_without_an_end_is_not_read_whole(table, monkeypatch):
    monkeypatch.setattr(table_sources, "MAX_LINE", 1 << 20)
    path = table("a.jsonl", b'{"a": 1}\n' + b" " * (2 << 20))
    with pytest.raises(ValueError, match="line 2: the line is longer than 1 MiB"):
        read_inputs(path)


def test_a_missing_column_is_an_error_before_a_row_is_read(table):
    path = table("a.csv", "id,prompt\n" * 3)
    problem = f"{path} has no column 'promt': did you mean 'prompt'? the columns are 'id', 'prompt'"
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        read_inputs(path, text="promt")
    with pytest.raises(ValueError, match="has no column 'key'"):
        read_inputs(path, key="key")
    wide = table("b.csv", ",".join(f"c{i}" for i in range(30)))
    with pytest.raises(ValueError, match="'c19' and 10 more"):
        read_inputs(wide, text="zzz")


def test_a_field_that_the_first_objects_do_not_have_is_an_error(table):
    path = table("a.jsonl", '{"a": 1}\n' * 99 + '{"b": 1}\n')
    assert list(read_inputs(path, x="b"))[99] == {"x": 1}
    path = table("b.jsonl", '{"a": 1}\n' * 100 + '{"b": 1}\n')
    with pytest.raises(ValueError, match="has, in its first 100 objects, no field 'b'"):
        read_inputs(path, x="b")


@pytest.mark.parametrize("value", ["null", '""', "1.5", "true", "[]"])
def test_a_key_that_is_missing_or_no_text(table, value):
    rows = iter(
        read_inputs(table("a.jsonl", f'{{"id": 1, "a": 1}}\n{{"id": {value}}}\n'), key="id")
    )
    assert next(rows) == ("1", {"a": 1})
    with pytest.raises(
        ValueError, match=r"a\.jsonl, line 2: the key in the column 'id' must be text"
    ):
        next(rows)


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ({"key": 1}, TypeError, "key must be the name of a column, not int"),
        ({"prompt": 3}, TypeError, "prompt must be the name of a column, not int"),
        ({"columns": ["a"]}, TypeError, "columns must be a dict of inputs and their columns"),
        ({"columns": {1: "a"}}, TypeError, "columns must be a dict whose keys are names"),
        ({"columns": {"x": "a"}, "x": "b"}, ValueError, "x has two columns"),
        ({"files": "a"}, TypeError, r"files must be a list of names of inputs, such as \['a'\]"),
        ({"files": 3}, TypeError, "files must be a list of names of inputs, not int"),
        ({"files": [3]}, TypeError, "files must be a list of names of inputs, not int"),
        ({"files": ["aa"]}, ValueError, "files has 'aa', which is no input: did you mean 'a'"),
        ({"x": "a", "files": ["a"]}, ValueError, "which is no input: the inputs are 'x'"),
        ({"types": [int]}, TypeError, "types must be a dict of inputs and their types"),
        ({"types": {"a": "int"}}, TypeError, r"types\['a'\] must be int, float, bool, str, list"),
        ({"types": {"c": int}}, ValueError, "types has 'c', which is no input"),
    ],
)
def test_wrong_arguments(table, arguments, error, problem):
    with pytest.raises(error, match=problem):
        read_inputs(table("a.csv", "a,b\n1,2\n"), **arguments)


def test_sources_that_are_no_tables(tmp_path):
    for source, problem in (
        ([{}], "not list: dicts need no reading"),
        (3, "not int"),
        (None, "not NoneType"),
        (io.StringIO("a\n"), "not an open file: pass its path"),
        (b"a.csv", "not bytes"),
    ):
        with pytest.raises(TypeError, match=problem):
            read_inputs(source)
    with pytest.raises(ValueError, match="not the URL 'https://example.com/a.csv': download it"):
        read_inputs("https://example.com/a.csv")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.csv: No such file or directory") as caught:
        read_inputs(tmp_path / "a.csv")
    assert isinstance(caught.value, FileError)
    assert caught.value.filename == str(tmp_path / "a.csv")
    with pytest.raises(IsADirectoryError, match="it is a folder, not a file"):
        read_inputs(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="has no pipes in folders")
def test_a_pipe_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(FileError, match="it is no regular file"):
        read_inputs(tmp_path / "pipe.csv")


def test_a_file_that_is_removed_after_the_call(table):
    path = table("a.csv", "a\n1\n")
    rows = read_inputs(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.csv"):
        list(rows)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read all files")
def test_a_file_that_may_not_be_read(table):
    path = table("a.csv", "a\n1\n")
    path.chmod(0)
    with pytest.raises(PermissionError, match=r"a\.csv: Permission denied"):
        read_inputs(path)


def test_parquet_files_without_pyarrow_name_the_remedy(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'pip install "replicate-rs\[parquet\]"'):
        read_inputs(table("a.parquet", b"PAR1"))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), None),
        (np.datetime64("NaT", "s"), None),
        (np.datetime64("2024-01-02"), "2024-01-02"),
        (np.array([1, 2]), [1, 2]),
        (np.bool_(True), True),
        (float("nan"), None),
        (datetime(2024, 1, 2, 3, 4), "2024-01-02T03:04:00"),
        (date(2024, 1, 2), "2024-01-02"),
        ([np.int8(1), {"a": np.str_("b")}], [1, {"a": "b"}]),
        (Path("a"), Path("a")),
        (b"a", b"a"),
    ],
)
def test_values_of_other_libraries_become_python_s(value, plain):
    result = to_plain(value)
    assert (result, type(result)) == (plain, type(plain))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.text(string.ascii_letters + "é_ -", min_size=1, max_size=8).map(str.strip).filter(bool)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(TEXTS, each, max_size=3),
    max_leaves=8,
)
QUICK = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), min_size=1, max_size=5))
def test_rows_survive_jsonl(tmp_path, rows):
    path = tmp_path / "rows.jsonl"
    assert write_jsonl(rows, path) == len(rows)
    expected = [{name: value for name, value in row.items() if value is not None} for row in rows]
    assert list(read_inputs(path)) == expected


@QUICK
@given(
    st.lists(NAMES, min_size=1, max_size=4, unique=True).flatmap(
        lambda names: st.tuples(
            st.just(names), st.lists(st.fixed_dictionaries(dict.fromkeys(names, TEXTS)), max_size=5)
        )
    ),
    st.sampled_from(["rows.csv", "rows.tsv.gz", "rows.csv.gz"]),
)
def test_texts_survive_csv(tmp_path, table, name):
    columns, rows = table
    path = tmp_path / name
    assert write_csv(rows, path, columns) == len(rows)
    expected = [{name: text for name, text in row.items() if text} for row in rows]
    # A row without any text is no row.
    assert list(read_inputs(path)) == [row for row in expected if row]
