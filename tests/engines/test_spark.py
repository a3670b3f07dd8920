"""Spark: `mapInPandas` and `mapInArrow`."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from replicate_rs.batch import Mapper
from support.engines import paid_once, run_examples, texts

pytest_plugins = ["support.journal_fixtures"]


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
def test_a_killed_worker_s_rows_are_paid_for_once(
    server, spark, killed, prefix, any_journal, method
):
    names = texts(prefix)
    frame = frame_of(spark, names)
    mapper = Mapper("acme/shout", {"text": "name"}, journal=any_journal)
    mapped = getattr(frame, method)(mapper, mapper.schema(frame))
    found = killed(any_journal, mapped.collect)
    assert {each["name"]: each["output"] for each in found} == {
        each: each.upper() for each in names
    }
    paid_once(server, prefix)


@pytest.mark.parametrize("method", ["mapInPandas", "mapInArrow"])
def test_columns_of_spark(server, spark, tmp_path, method):
    prefix = f"columns-{method}"
    frame = spark.createDataFrame(
        [(f"bad-{prefix}0", 1.5), (f"{prefix}0", None), (None, 2.0)], "name string, n double"
    )
    mapper = Mapper(
        "acme/painter", {"prompt": "name"}, save_to=tmp_path / "images", journal=tmp_path / "a.db"
    )
    schema = mapper.schema(frame)
    assert schema == mapper.schema(frame.schema)
    assert schema.simpleString() == (
        "struct<name:string,n:double,output:string,files:array<string>,status:string,"
        "error:string,prediction:string,predict_time:double>"
    )
    rows = getattr(frame, method)(mapper, schema).collect()
    assert [each["status"] for each in rows] == ["succeeded"] * 3
    for each in rows:
        (path,) = each["files"]
        assert Path(path).read_bytes().endswith((each["name"] or "").encode())
        assert each["predict_time"] > 0
    paid_once(server, prefix, 1)


def test_an_action_that_is_repeated_is_paid_for_once(server, spark, tmp_path):
    frame = frame_of(spark, texts("action", 40))
    mapper = Mapper("acme/shout", {"text": "name"}, journal=tmp_path / "runs.db")
    mapped = frame.mapInPandas(mapper, mapper.schema(frame))
    assert mapped.count() == 40
    assert mapped.where("status = 'succeeded'").count() == 40
    paid_once(server, "action", 40)


def test_errors_of_all_rows_reach_the_program(server, spark):
    frame = frame_of(spark, ["a"])
    with pytest.raises(ValueError, match="the DataFrame has no column 'text'"):
        Mapper("acme/shout", {"text": "text"}).schema(frame)
    mapper = Mapper("acme/shout", {"text": "name"})
    with pytest.raises(Exception, match="already has a column 'error'"):
        mapper.schema(frame.selectExpr("name", "name AS error"))
    # A schema that does not fit.
    with pytest.raises(Exception, match="output|schema|column"):
        frame.mapInPandas(mapper, "name string, shouted string").collect()
    with pytest.raises(Exception, match="no column 'text'"):
        frame.mapInPandas(Mapper("acme/shout", {"text": "text"}), "name string").collect()


def test_the_examples_of_the_document(server, spark, capsys):
    found = run_examples("Spark")["pictures"].collect()
    assert capsys.readouterr().out.split() == ["3"]
    assert [each["status"] for each in found] == ["succeeded"] * 3
