"""Ray Data: `map_dataset`, and `Mapper` in `map_batches`."""

from __future__ import annotations

import operator

import pytest
import ray

from replicate_rs.batch import Mapper
from replicate_rs.batch.ray import map_dataset
from support.engines import ROWS, paid_once, run_examples, texts

pytest_plugins = ["support.journal_fixtures"]


@pytest.fixture(scope="module", autouse=True)
def engine(server):
    ray.init(
        num_cpus=2, include_dashboard=False, object_store_memory=200 << 20, logging_level="ERROR"
    )
    yield
    ray.shutdown()


def dataset(names, blocks=8):
    return ray.data.from_items([{"name": each} for each in names], override_num_blocks=blocks)


def test_a_killed_actor_s_rows_are_paid_for_once(server, killed, prefix, any_journal):
    names = texts(prefix)
    rows = map_dataset(
        dataset(names),
        "acme/shout",
        {"text": "name"},
        workers=2,
        batch_size=ROWS // 10,
        journal=any_journal,
    )
    found = killed(any_journal, rows.take_all)
    assert {each["name"]: each["output"] for each in found} == {
        each: each.upper() for each in names
    }
    paid_once(server, prefix)


def test_a_dataset_is_consumed_twice_and_paid_for_once(server, tmp_path):
    names = texts("twice", 60)
    rows = map_dataset(
        dataset([*names, *texts("bad-twice", 4)]),
        "acme/shout",
        {"text": "name"},
        workers=(1, 2),
        batch_size=8,
        journal=tmp_path / "runs.db",
    )
    first = rows.take_all()
    rows.write_parquet(str(tmp_path / "out"))
    found = ray.data.read_parquet(str(tmp_path / "out"))
    key = operator.itemgetter("name")
    assert sorted(found.take_all(), key=key) == sorted(first, key=key)
    assert {each["status"] for each in first if "bad" in each["name"]} == {"failed"}
    assert [str(each) for each in found.schema().types] == [*["string"] * 5, "double"]
    paid_once(server, "twice", 60)
    paid_once(server, "bad-twice", 4)


@pytest.mark.parametrize("batch_format", ["default", "pandas"])
def test_a_class_in_map_batches(server, tmp_path, batch_format):
    prefix = f"class-{batch_format}"
    names = [*texts(f"bad-{prefix}", 8), *texts(prefix, 8)]
    rows = dataset(names, 2).map_batches(
        Mapper,
        fn_constructor_kwargs={
            "ref": "acme/shout",
            "columns": {"text": "name"},
            "journal": tmp_path / "runs.db",
            "names": {"output": "shouted"},
        },
        concurrency=1,
        batch_size=8,
        batch_format=batch_format,
        num_cpus=0.5,
    )
    found = {each["name"]: each for each in rows.take_all()}
    assert [found[each]["shouted"] for each in names] == [None] * 8 + [
        each.upper() for each in names[8:]
    ]
    assert found[names[0]]["error"] == "out of memory"
    paid_once(server, prefix, 8)


def test_errors_of_all_rows_reach_the_program(server, tmp_path):
    with pytest.raises(Exception, match="the Arrow table has no column 'text'"):
        map_dataset(dataset(["a"]), "acme/shout", {"text": "text"}).take_all()
    with pytest.raises(Exception, match=r"No such file or directory[^$]*on the worker"):
        map_dataset(
            dataset(["a"]), "acme/shout", {"text": "name"}, token=tmp_path / "nowhere"
        ).take_all()
    with pytest.raises(TypeError, match="dataset must be a ray.data.Dataset, not list"):
        map_dataset([{"name": "a"}], "acme/shout")
    with pytest.raises(ValueError, match="workers"):
        map_dataset(dataset(["a"]), "acme/shout", workers=0)
    with pytest.raises(TypeError, match="token itself"):
        map_dataset(dataset(["a"]), "acme/shout", token="r8_x")


def test_the_examples_of_the_document(server, tmp_path):
    found = run_examples("Ray Data")
    written = ray.data.read_parquet(str(tmp_path / "pictures")).take_all()
    assert [each["status"] for each in written] == ["succeeded"] * 3
    assert "MapBatches(Mapper)" in repr(found["pictures"])
