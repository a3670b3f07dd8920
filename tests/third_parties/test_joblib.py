"""joblib: functions that call `replicate` in other processes."""

from __future__ import annotations

import json

import pytest

WORK = """
def shout(prompt):
    return os.getpid(), replicate.run("acme/shout", input={"prompt": prompt})

def read(prompt):
    return len(client.run("acme/painter", input={"prompt": prompt}).read())
"""

MAIN = """
import json
import os
import sys

import joblib
import replicate
%s

if __name__ == "__main__":
    with joblib.Parallel(n_jobs=2, backend=sys.argv[1]) as parallel:
        told = parallel(joblib.delayed(shout)(f"prompt {number}") for number in range(6))
        sizes = parallel(joblib.delayed(read)(color) for color in ("red", "lime"))
    print(json.dumps([os.getpid() in {pid for pid, _ in told}, [text for _, text in told], sizes]))
"""


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
@pytest.mark.parametrize("place", ["in the program", "in a module"])
def test_parallel(server, program, tmp_path, backend, place):
    client = "client = replicate.Client()\n"
    if place == "in a module":
        (tmp_path / "work.py").write_text("import os\nimport replicate\n" + client + WORK)
        code = MAIN % "from work import read, shout"
    else:
        code = MAIN % (client + WORK)
    shown = json.loads(program(backend, code=code, name="main.py"))
    is_here, texts, sizes = shown
    assert is_here is (backend == "threading")
    assert texts == [f"PROMPT {number}" for number in range(6)]
    assert sizes[0] > 50
    assert len(server.created) == 8
