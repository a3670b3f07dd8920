"""Spark: `mapInPandas` and `mapInArrow`."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from replicate_rs.batch import Mapper
from support.engines import paid_once, texts


@pytest.fixture(scope="module")
def spark(server, tmp_path_factory):
    session = (
        SparkSession.builder
        # Two workers, and four attempts for each task, as on a cluster.
        .master("local[2,4]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


def frame_of(spark, names):
    return spark.createDataFrame([(each,) for each in names], "name string").repartition(10)


@pytest.mark.parametrize("method", ["mapInPandas", "mapInArrow"])
def test_a_killed_worker_s_rows_are_paid_for_once(server, spark, killed, tmp_path, method):
    journal = tmp_path / "runs.db"
    frame = frame_of(spark, texts(method))
    mapper = Mapper("acme/shout", {"text": "name"}, journal=journal)
    mapped = getattr(frame, method)(mapper, mapper.schema(frame))
    found = killed(method, journal, mapped.collect)
    assert {each["name"]: each["output"] for each in found} == {
        each: each.upper() for each in texts(method)
    }
    paid_once(server, method)
