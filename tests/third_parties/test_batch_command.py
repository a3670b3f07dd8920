"""The command `python -m replicate_rs.batch` with Parquet files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

import replicate_rs
from replicate_rs.batch import Journal
from replicate_rs.local import LocalReplicate

TYPES = {"index": pa.int64(), "attempts": pa.int64(), "predict_time": pa.float64()}


def test_a_run_from_parquet_to_parquet(tmp_path):
    server = LocalReplicate(token="r8_mine")

    @server.model("acme/shout")
    def shout(text: str, times: int = 1) -> list[str]:
        if text == "bad":
            raise ValueError("NSFW")
        return [text.upper()] * times

    table = pa.table({"id": [7, 8, 9], "text": ["a", "bad", "é"], "times": [2, None, None]})
    parquet.write_table(table, tmp_path / "in.parquet")

    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "replicate_rs.batch", *arguments],
            cwd=tmp_path,
            env=os.environ
            | {
                "PYTHONPATH": str(Path(replicate_rs.__file__).parents[1]),
                "REPLICATE_BASE_URL": server.base_url,
                "REPLICATE_API_TOKEN": "r8_mine",
            },
            capture_output=True,
            text=True,
            timeout=60,
        )

    with server:
        run = ("run", "acme/shout", "in.parquet", "--key", "id", "--journal", "runs.db")
        ran = call(*run, "--out", "r.parquet")
        assert ran.returncode == 1, ran.stderr
        exported = call("export", "runs.db", "e.parquet")
    assert exported.returncode == 0
    assert exported.stderr == "replicate_rs.batch: 3 results written to e.parquet\n"
    with Journal(tmp_path / "runs.db") as journal:
        assert journal.to_parquet(tmp_path / "j.parquet") == 3
    for name in ("r", "e", "j"):
        written = parquet.read_table(tmp_path / f"{name}.parquet")
        for field in written.schema:
            assert field.type == TYPES.get(field.name, pa.large_string())
        rows = sorted(written.to_pylist(), key=lambda row: row["index"])
        assert [row["key"] for row in rows] == ["7", "8", "9"]
        assert [row["status"] for row in rows] == ["succeeded", "failed", "succeeded"]
        assert json.loads(rows[0]["input"]) == {"text": "a", "times": 2}
        assert [each and json.loads(each) for each in (row["output"] for row in rows)] == [
            ["A", "A"],
            None,
            ["É"],
        ]
        assert [row["error"] for row in rows] == [None, "NSFW", None]
