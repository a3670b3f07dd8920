"""Ray Data: `map_dataset`, and `Mapper` in `map_batches`."""

from __future__ import annotations

import pytest
import ray

from replicate_rs.batch.ray import map_dataset
from support.engines import ROWS, paid_once, texts


@pytest.fixture(scope="module", autouse=True)
def engine(server):
    ray.init(
        num_cpus=2, include_dashboard=False, object_store_memory=200 << 20, logging_level="ERROR"
    )
    yield
    ray.shutdown()


def dataset(names, blocks=8):
    return ray.data.from_items([{"name": each} for each in names], override_num_blocks=blocks)


def test_a_killed_actor_s_rows_are_paid_for_once(server, killed, tmp_path):
    journal = tmp_path / "runs.db"
    rows = map_dataset(
        dataset(texts("ray")),
        "acme/shout",
        {"text": "name"},
        workers=2,
        batch_size=ROWS // 10,
        journal=journal,
    )
    found = killed("ray", journal, rows.take_all)
    assert {each["name"]: each["output"] for each in found} == {
        each: each.upper() for each in texts("ray")
    }
    paid_once(server, "ray")
