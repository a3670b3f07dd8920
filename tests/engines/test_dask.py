"""Dask: bags and DataFrames, on a cluster of processes and on threads."""

from __future__ import annotations

import dask.bag
import dask.dataframe
import pandas as pd
import pytest
from dask.distributed import Client, LocalCluster

from replicate_rs.batch import Mapper
from support.engines import paid_once, run_examples, texts

pytest_plugins = ["support.journal_fixtures"]


@pytest.fixture(scope="module", autouse=True)
def engine(server):
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster):
            yield cluster


def test_a_killed_worker_s_rows_are_paid_for_once(server, killed, prefix, any_journal):
    names = texts(prefix)
    frame = dask.dataframe.from_pandas(pd.DataFrame({"name": names}), npartitions=10)
    mapper = Mapper("acme/shout", {"text": "name"}, journal=any_journal)
    mapped = frame.map_partitions(mapper, meta=mapper.schema(frame))
    found = killed(any_journal, mapped.compute)
    assert [*found["output"]] == [each.upper() for each in names]
    assert [*found.index] == [*range(len(found))]
    paid_once(server, prefix)


def test_a_bag_s_partitions(server, tmp_path):
    names = texts("bag", 50)
    bag = dask.bag.from_sequence([{"name": each} for each in names], npartitions=4)
    mapper = Mapper("acme/shout", {"text": "name"}, journal=tmp_path / "runs.db")
    # Rows of a list, and of an iterator after another step.
    for source in (bag, bag.map(lambda row: {**row, "loud": True})):
        mapped = source.map_partitions(mapper).filter(lambda row: row["status"] == "succeeded")
        assert [each["output"] for each in mapped.compute()] == [each.upper() for each in names]
    paid_once(server, "bag", 50)


def test_a_frame_s_columns_have_the_types_of_meta(server, tmp_path):
    names = [*texts("bad-frame", 10), None, *texts("frame", 9)]
    frame = dask.dataframe.from_pandas(
        pd.DataFrame({"name": names, "n": range(20)}, index=[f"i{each}" for each in range(20)]),
        npartitions=2,
        sort=False,
    )
    mapper = Mapper("acme/shout", {"text": "name"}, journal=tmp_path / "runs.db")
    meta = mapper.schema(frame)
    mapped = frame.map_partitions(mapper, meta=meta)
    found = mapped.compute()
    assert found.dtypes.to_dict() == meta.dtypes.to_dict()
    assert [*found.index] == [f"i{each}" for each in range(20)]
    assert found["output"].isna().sum() == 10
    # The model's default in place of a null.
    assert found["output"].iloc[10] == ""
    mapped.to_parquet(tmp_path / "out")
    assert len(dask.dataframe.read_parquet(tmp_path / "out")) == 20
    paid_once(server, "frame", 9)


def test_rows_that_dask_makes_up_are_not_run(server):
    frame = dask.dataframe.from_pandas(pd.DataFrame({"name": ["made-up"]}), npartitions=1)
    before = len(server.requests)
    with pytest.raises(ValueError, match=r"pass meta=mapper\.schema\(frame\)"):
        frame.map_partitions(Mapper("acme/shout", {"text": "name"}))
    assert len(server.requests) == before


def test_threads_share_a_journal(server, tmp_path):
    bag = dask.bag.from_sequence([{"name": each} for each in texts("thread", 60)], npartitions=6)
    mapper = Mapper("acme/shout", {"text": "name"}, journal=tmp_path / "runs.db")
    found = bag.map_partitions(mapper).compute(scheduler="threads", num_workers=4)
    assert len(found) == 60
    paid_once(server, "thread", 60)


def test_errors_of_all_rows_reach_the_program(server):
    bag = dask.bag.from_sequence([{"name": "a"}], npartitions=1)
    with pytest.raises(ValueError, match="the batch has no column 'text'"):
        bag.map_partitions(Mapper("acme/shout", {"text": "text"})).compute()
    with pytest.raises(TypeError, match="it must be a dict such as"):
        dask.bag.from_sequence(["a"]).map_partitions(Mapper("acme/shout")).compute()
    frame = dask.dataframe.from_pandas(pd.DataFrame({"name": ["a"]}), npartitions=1)
    with pytest.raises(ValueError, match="the DataFrame has no column 'text'"):
        Mapper("acme/shout", {"text": "text"}).schema(frame)


def token_of_the_worker():
    return "r8_engines"


def test_a_function_gives_the_token_on_the_worker(server, tmp_path):
    names = texts("token", 4)
    bag = dask.bag.from_sequence([{"name": each} for each in names], npartitions=2)
    for token in (token_of_the_worker, lambda: "r8_engines"):
        mapper = Mapper("acme/shout", {"text": "name"}, token=token)
        found = bag.map_partitions(mapper).compute()
        assert [each["output"] for each in found] == [each.upper() for each in names]


def test_the_examples_of_the_document(server):
    found = run_examples("Dask")
    assert [each["status"] for each in found["rows"]] == ["succeeded"] * 2
    written = dask.dataframe.read_parquet("pictures").compute()
    assert [*written["status"]] == ["succeeded"] * 3


def test_the_first_example_of_the_document(server, capsys):
    run_examples("Several machines")
    assert capsys.readouterr().out.startswith("succeeded ")
