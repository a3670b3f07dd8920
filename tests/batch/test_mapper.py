"""`Mapper` without an engine: its arguments, kinds of batches, rows, tokens, and pickles."""

from __future__ import annotations

import functools
import inspect
import os
import pickle
import sys
import threading
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

import replicate_rs as replicate
from conftest import script
from replicate_rs.batch import Mapper
from replicate_rs.batch.arguments import MapperArguments
from replicate_rs.batch.columns import Columns
from replicate_rs.batch.ray import map_dataset
from support.mapping import create_server, no_threads

ADDED = ["output", "status", "error", "prediction", "predict_time"]


@pytest.fixture
def server():
    with create_server() as server:
        yield server
        server.gate.set()


@pytest.fixture
def mapper(server, monkeypatch):
    """Return a function that creates a mapper for a model of the server."""
    monkeypatch.setenv("REPLICATE_API_TOKEN", server.token)
    client = {"base_url": server.base_url, "poll_interval": 0.01}
    return functools.partial(Mapper, client=client)


# Batches.


def test_a_list_of_dicts(mapper):
    rows = [{"t": "a", "x": 1}, {"t": "b"}]
    found = mapper("acme/shout", {"text": "t"})(rows)
    assert [list(each) for each in found] == [["t", "x", *ADDED], ["t", *ADDED]]
    assert [(each["t"], each["output"], each["status"]) for each in found] == [
        ("a", "A", "succeeded"),
        ("b", "B", "succeeded"),
    ]
    assert all(type(each["predict_time"]) is float and each["prediction"] for each in found)
    assert rows == [{"t": "a", "x": 1}, {"t": "b"}]


def test_a_dict_of_arrays(mapper):
    texts = np.array(["a", "bad", "c"])
    found = mapper("acme/picky", {"text": "t"})({"t": texts, "n": np.arange(3)})
    assert list(found) == ["t", "n", *ADDED]
    assert found["t"] is texts
    assert {name: found[name].dtype for name in ADDED} == {
        **dict.fromkeys(ADDED, np.dtype(object)),
        "predict_time": np.dtype("float64"),
    }
    assert found["output"].tolist() == ["A", None, "C"]
    assert found["error"].tolist() == [None, "OOM", None]


def test_a_dict_of_lists(mapper):
    found = mapper("acme/size", {"file": "f"})({"f": [b"abc", b""]})
    # A column of text, whatever the outputs are.
    assert found["output"] == ["3", "0"]
    assert type(found["predict_time"]) is list


def test_values_of_arrays_become_plain(mapper, server):
    received = []

    @server.model("acme/any")
    def take(**inputs) -> str:
        received.append(inputs)
        return ""

    batch = {
        "numbers": np.array([[1, 2], [3, 4]]),
        "half": np.array([0.5, np.nan], dtype="float32"),
        "when": np.array(["2024-01-02T03:04:05", "NaT"], dtype="datetime64[ns]"),
        "any": np.array([{"a": np.int64(1)}, None], dtype=object),
    }
    mapper("acme/any")(batch)
    when = "2024-01-02T03:04:05.000000000"
    assert sorted(received, key=len) == [
        {"numbers": [3, 4]},
        {"numbers": [1, 2], "half": 0.5, "when": when, "any": {"a": 1}},
    ]


def test_iterators(mapper):
    shout = mapper("acme/shout", {"text": "t"})
    taken = []

    def batches():
        for text in "ab":
            taken.append(text)
            yield {"t": np.array([text])}

    found = shout(batches())
    assert next(found)["output"].tolist() == ["A"]
    assert taken == ["a"]
    assert next(found)["output"].tolist() == ["B"]
    assert [*found] == []
    assert [each["output"] for each in shout(iter([{"t": "a"}, {"t": "b"}]))] == ["A", "B"]
    assert [[row["output"] for row in each] for each in shout(iter([[{"t": "a"}], []]))] == [
        ["A"],
        [],
    ]
    assert [*shout(iter(()))] == []
    with pytest.raises(ValueError, match="one row or a batch of rows"):
        shout(iter([{"t": ["a", "b"]}]))


def test_empty_batches_keep_their_columns(mapper, server):
    shout = mapper("acme/shout", {"text": "t"}, save_to="images")
    assert shout([]) == []
    assert shout({"t": []}) == {"t": []} | {name: [] for name in [ADDED[0], "files", *ADDED[1:]]}
    found = shout({"t": np.array([], dtype=str)})
    assert found["files"].dtype == object
    assert len(found["output"]) == 0
    assert server.requests == []


def test_rows_of_many_batches_come_back_in_order(mapper, server):
    shout = mapper("acme/shout", {"text": "t"}, concurrency=16)
    names = [f"t{number}" for number in range(500)]
    assert [each["output"] for each in shout([{"t": each} for each in names])] == [
        each.upper() for each in names
    ]
    assert server.creates == 500


def test_equal_rows_are_run_once(mapper, server):
    found = mapper("acme/shout", {"text": "t"})({"t": ["a", "b", "a", "a"]})
    assert found["output"] == ["A", "B", "A", "A"]
    assert len({*found["prediction"]}) == 2
    assert server.creates == 2


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (5, "a batch must be a dict of arrays or of lists, .* not int"),
        ("text", "not str"),
        ({"t": "text"}, "the column 't' must be an array or a list, not str"),
        ({"t": np.array(5)}, "the column 't' must be an array or a list"),
        ({"t": ["a"], "n": [1, 2]}, "equal lengths: 't' has 1, 'n' has 2"),
        ({"u": ["a"]}, "the batch has no column 't': the columns are 'u'"),
        ([{"u": "a"}], "the batch has no column 't'"),
        ({"text_": ["a"], "output": [1]}, "already has a column 'output'"),
        (["a"], "the batch, row 0: it must be a dict such as .* not str"),
        ([{5: "a"}], "names of columns must be text, not 5"),
        ({}, "the batch has no column 't'"),
    ],
)
def test_batches_that_do_not_fit(mapper, server, batch, message):
    with pytest.raises((TypeError, ValueError), match=message):
        mapper("acme/shout", {"text": "t"})(batch)
    assert server.requests == []


# Rows.


def test_missing_values_are_not_sent(mapper):
    shout = mapper("acme/shout", {"text": "t", "loud": "l"}, input={"text": "none"})
    rows = [{"t": None, "l": None}, {"t": float("nan")}, {"t": "a", "l": False}]
    assert [each["output"] for each in shout(rows)] == ["NONE", "NONE", "a"]


def test_rows_that_cannot_be_sent_have_an_error(mapper, server):
    shout = mapper("acme/shout", {"text": "t", "seed": "n"}, types={"seed": int}, key="k")
    rows = [
        {"k": "a", "t": "a", "n": "x"},
        {"k": None, "t": "b"},
        {"t": "c"},
        {"k": "d", "t": object()},
        {"k": 5, "t": "e", "n": 4.0},
        {"k": 5, "t": "other"},
    ]
    found = shout(rows)
    assert [each["status"] for each in found] == [*["failed"] * 4, "succeeded", "failed"]
    errors = [each["error"] for each in found]
    assert errors[0] == (
        "ValueError: the batch, row 0: the column 'n' must be a whole number, not the str 'x'"
    )
    for error in errors[1:3]:
        assert "the key in the column 'k' must be text or a whole number" in error
    assert "object" in errors[3]
    assert errors[4] is None
    assert "5" in errors[5]
    assert server.creates == 1


def test_text_that_tables_cannot_hold_is_replaced():
    outcome = ("\ud800é", None, "succeeded", None, "id", 1.0)
    columns = Columns(None, has_files=False).fill([outcome], as_text=True)
    assert columns[0].values == ["\ufffdé"]


def test_files_are_uploaded_and_saved(mapper, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_bytes(b"12345")
    size = mapper("acme/size", {"file": "path"}, files=["file"])
    paint = mapper("acme/frames", {"text": "t"}, key="t", save_to="images", journal="runs.db")
    twice = pickle.loads(pickle.dumps(paint))
    (tmp_path / "elsewhere").mkdir()
    # A worker has another working directory.
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert size([{"path": "a.txt"}])[0]["output"] == 5
    for each in (paint, twice):
        (row,) = each([{"t": "x"}])
        assert row["files"] == [f"{tmp_path}/images/x.{number}.png" for number in (1, 2)]
        assert [Path(file).stat().st_size > 8 for file in row["files"]] == [True, True]
    assert server.creates == 2
    assert mapper("acme/shout", save_to="images")({"text": ["a"]})["files"] == [None]


def test_names_of_columns(mapper):
    names = {"output": "caption", "status": "caption_status"}
    shout = mapper("acme/shout", {"text": "t"}, names=names)
    (row,) = shout([{"t": "a", "output": 1}])
    assert (row["caption"], row["caption_status"], row["output"]) == ("A", "succeeded", 1)


# What several calls share.


def test_a_journal_is_shared(mapper, server, tmp_path):
    rows = [{"t": "a"}, {"t": "bad"}]
    options = {"journal": tmp_path / "runs.db"}
    first = mapper("acme/picky", {"text": "t"}, **options)(rows)
    second = mapper("acme/picky", {"text": "t"}, **options)(rows)
    assert first == second
    assert server.creates == 2
    mapper("acme/picky", {"text": "t"}, retry_failed=True, **options)(rows)
    assert server.creates == 3
    with pytest.raises(replicate.exceptions.JournalError, match="acme/picky"):
        mapper("acme/shout", {"text": "t"}, **options)(rows)


def test_too_many_failures_end_a_call(mapper):
    picky = mapper("acme/picky", {"text": "t"}, max_failures=1)
    with pytest.raises(replicate.exceptions.TooManyFailures):
        picky([{"t": f"bad{number}"} for number in range(50)])
    no_threads()


def test_a_process_has_one_client(mapper, server):
    options = {"concurrency": 2}
    one = mapper("acme/shout", {"text": "t"}, **options)
    other = pickle.loads(pickle.dumps(mapper("acme/picky", {"text": "t"})))
    assert one._get_client() is other._get_client()
    assert mapper("acme/shout", token=os.getcwd)._get_client() is not one._get_client()
    threads = [threading.Thread(target=one, args=([{"t": f"{each}"}],)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.creates == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_goes_on(server):
    code = """
    import os, sys
    from replicate_rs.batch import Mapper
    shout = Mapper("acme/shout", {"text": "t"})
    assert shout([{"t": "a"}])[0]["output"] == "A"
    child = os.fork()
    if not child:
        os._exit(shout([{"t": "b"}])[0]["output"] != "B")
    assert shout([{"t": "c"}])[0]["output"] == "C"
    assert os.waitpid(child, 0)[1] == 0
    """
    environment = {"REPLICATE_API_TOKEN": server.token, "REPLICATE_BASE_URL": server.base_url}
    done = script(code, env=os.environ | environment, forks_with_threads=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_is_opened_before_the_first_batch():
    code = """
    import os, pickle, threading
    from replicate_rs.batch import Mapper
    mapper = Mapper("acme/x", {"text": "t"}, journal="runs.db", save_to="images")
    pickle.loads(pickle.dumps(mapper))
    print(threading.active_count(), os.path.exists("runs.db"), os.path.exists("images"))
    """
    assert script(code).stdout.split() == ["1", "False", "False"]


# Pickles and tokens.


def secret():
    return os.environ["MY_TOKEN"]


@pytest.mark.parametrize("library", [pickle, cloudpickle])
def test_a_pickle_has_no_token(server, monkeypatch, library, tmp_path):
    monkeypatch.setenv("REPLICATE_API_TOKEN", server.token)
    monkeypatch.setenv("REPLICATE_BASE_URL", server.base_url)
    shout = Mapper("acme/shout", {"text": "t"}, journal=tmp_path / "runs.db")
    assert shout([{"t": "a"}])[0]["output"] == "A"
    data = library.dumps(shout)
    assert server.token.encode() not in data
    assert server.token not in repr(shout)
    assert repr(shout) == "<Mapper of acme/shout, text=t>"
    assert pickle.loads(data)([{"t": "b"}])[0]["output"] == "B"


def test_a_pickle_of_a_program_is_run_elsewhere(server, tmp_path):
    code = """
    import os, sys, cloudpickle
    from replicate_rs.batch import Mapper

    class Mine(Mapper):
        def __call__(self, batch):
            return [row["output"] for row in super().__call__(batch)]

    mapper = Mine("acme/shout", {"text": "t"}, token=lambda: os.environ["MY_TOKEN"])
    sys.stdout.buffer.write(cloudpickle.dumps(mapper))
    """
    path = tmp_path / "program.py"
    path.write_text(inspect.cleandoc(code))
    environment = os.environ | {
        "PYTHONPATH": str(Path(replicate.__file__).parents[1]),
        "REPLICATE_BASE_URL": server.base_url,
    }
    import subprocess

    data = subprocess.run(
        [sys.executable, path], capture_output=True, check=True, timeout=30, env=environment
    ).stdout
    loader = "import pickle, sys; print(pickle.load(sys.stdin.buffer)([{'t': 'a'}, {'t': 'b'}]))"
    done = subprocess.run(
        [sys.executable, "-c", loader],
        input=data,
        capture_output=True,
        check=True,
        timeout=30,
        env=environment | {"MY_TOKEN": server.token},
    )
    assert done.stdout.decode().strip() == "['A', 'B']"


@pytest.mark.parametrize("text", ["r8_secret", "r8_a/b", "abc", replicate.__name__])
def test_a_token_as_text_is_refused(text):
    with pytest.raises(TypeError, match="token itself: .* every worker.*REPLICATE_API_TOKEN") as e:
        Mapper("acme/shout", token=text)
    assert text not in str(e.value).replace("replicate_rs", "") or text == "replicate_rs"


@pytest.mark.parametrize(
    "options",
    [
        {"client": {"api_token": "r8_secret"}},
        {"client": {"auth": "r8_secret"}},
        {"client": {"headers": {"Authorization": "Bearer r8_secret"}}},
        {"client": {"proxy": "http://user:r8_secret@example.com"}},
        {"extra_headers": {"authorization": "Bearer r8_secret"}},
        {"extra_headers": [("Authorization", "Bearer r8_secret")]},
        {"token": 5},
        {"token": b"r8_secret"},
    ],
)
def test_other_ways_to_send_a_token_are_refused(options):
    with pytest.raises((TypeError, ValueError)) as caught:
        Mapper("acme/shout", **options)
    assert "r8_secret" not in str(caught.value)


def test_tokens_of_workers(server, monkeypatch, tmp_path):
    monkeypatch.setenv("REPLICATE_BASE_URL", server.base_url)
    monkeypatch.setenv("MY_TOKEN", server.token)
    path = tmp_path / "token"
    path.write_text(f"{server.token}\n")
    for token in (secret, path, str(path)):
        mapper = pickle.loads(pickle.dumps(Mapper("acme/shout", token=token)))
        assert mapper([{"text": "a"}])[0]["output"] == "A"
    path.write_text("")
    with pytest.raises(replicate.exceptions.MissingTokenError, match="is empty") as caught:
        Mapper("acme/shout", token=path)([{"text": "b"}])
    assert "on the worker" in caught.value.__notes__[-1]
    path.unlink()
    with pytest.raises(replicate.exceptions.MissingTokenError, match="No such file"):
        Mapper("acme/shout", token=path)([{"text": "b"}])
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_wrong")
    with pytest.raises(replicate.exceptions.AuthenticationError) as caught:
        Mapper("acme/shout")([{"text": "b"}])
    pickle.loads(pickle.dumps(caught.value))


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs a model, or deployment="),
        ({"ref": "acme"}, "acme"),
        ({"columns": ["text"]}, "columns must be a dict"),
        ({"columns": {"text": 5}}, "text must be the name of a column"),
        ({"columns": {"text": "t"}, "files": ["image"]}, "files has 'image', which is no input"),
        ({"columns": {"text": "t"}, "types": {"seed": int}}, "types has 'seed'"),
        ({"types": {"seed": "int"}}, "must be int, float"),
        ({"files": "image"}, "files must be a list"),
        ({"key": 5}, "key must be the name of a column"),
        ({"input": ["a"]}, "input must be a dict"),
        ({"input": {"x": object()}}, r"input\.x|input\['x'\]"),
        ({"journal": 5}, "journal"),
        ({"concurrency": 0}, "concurrency"),
        ({"rate": -1}, "rate"),
        ({"retries": -1}, "retries"),
        ({"retry_failed": 1}, "retry_failed"),
        ({"max_failures": 2.0}, "max_failures"),
        ({"names": {"outputs": "x"}}, "names has 'outputs', which is no added column"),
        ({"names": {"output": ""}}, "must be the name of a column"),
        ({"names": {"output": "error"}}, "two columns the name 'error'"),
        ({"names": ["output"]}, "names must be a dict"),
        ({"client": {"token": "x"}}, "unexpected keyword argument 'token'"),
        ({"client": ["base_url"]}, "client must be a dict"),
        ({"client": {"use_file_output": True}}, "as URLs"),
        ({"save_to": "nowhere://x"}, "nowhere"),
        ({"timeout": "soon"}, "timeout"),
        ({"prompt": "a"}, "unexpected keyword argument 'prompt'"),
    ],
)
def test_arguments_are_checked_at_once(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Mapper(**({"ref": "acme/shout"} if arguments else {}) | arguments)


def test_an_open_file_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    with (tmp_path / "a").open("rb") as file, pytest.raises(TypeError, match="open file"):
        Mapper("acme/shout", input={"file": file})


def test_targets(mapper, server):
    for ref in ("acme/shout", server_version(server)):
        assert mapper(ref)([{"text": "a"}])[0]["output"] == "A"


def server_version(server):
    client = replicate.Replicate(server.token, base_url=server.base_url)
    return client.models.get("acme/shout").latest_version


def test_the_type_of_arguments_names_them_all():
    parameters = inspect.signature(Mapper).parameters.values()
    named = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
    assert {*MapperArguments.__annotations__} >= named
    options = {*replicate.types.PredictionOptions.__annotations__}
    assert {*MapperArguments.__annotations__} - options - named <= {"timeout", "signal"}


def test_an_engine_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ImportError, match=r'pip install "replicate-rs\[ray\]"'):
        map_dataset(None, "acme/shout")


def test_a_schema_of_something_else():
    with pytest.raises(TypeError, match="schema needs a DataFrame of Spark, Dask or pandas"):
        Mapper("acme/shout").schema([{"text": "a"}])
