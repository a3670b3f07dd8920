"""Dask: bags and DataFrames, on a cluster of processes and on threads."""

from __future__ import annotations

import dask.bag
import dask.dataframe
import pandas as pd
import pytest
from dask.distributed import Client, LocalCluster

from replicate_rs.batch import Mapper
from support.engines import paid_once, texts


@pytest.fixture(scope="module", autouse=True)
def engine(server):
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster):
            yield cluster


def test_a_killed_worker_s_rows_are_paid_for_once(server, killed, tmp_path):
    journal = tmp_path / "runs.db"
    frame = dask.dataframe.from_pandas(pd.DataFrame({"name": texts("dask")}), npartitions=10)
    mapper = Mapper("acme/shout", {"text": "name"}, journal=journal)
    mapped = frame.map_partitions(mapper, meta=mapper.schema(frame))
    found = killed("dask", journal, mapped.compute)
    assert [*found["output"]] == [each.upper() for each in texts("dask")]
    assert [*found.index] == [*range(len(found))]
    paid_once(server, "dask")
