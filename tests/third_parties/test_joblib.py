"""joblib: functions that call `replicate` in other processes."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

WORK = """
def shout(prompt):
    return os.getpid(), replicate.run("acme/shout", input={"prompt": prompt})

def read(prompt):
    return client.run("acme/painter", input={"prompt": prompt}).read().hex()
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
        answers = parallel(joblib.delayed(shout)(f"prompt {number}") for number in range(6))
        files = parallel(joblib.delayed(read)(color) for color in ("red", "lime"))
    pids, texts = zip(*answers)
    print(json.dumps([os.getpid() in pids, texts, files]))
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
    printed = json.loads(program(backend, code=code, name="main.py"))
    is_here, texts, files = printed
    assert is_here is (backend == "threading")
    assert texts == [f"PROMPT {number}" for number in range(6)]
    colors = [Image.open(io.BytesIO(bytes.fromhex(file))).getpixel((3, 2)) for file in files]
    assert colors == [(255, 0, 0), (0, 255, 0)]
    assert len(server.created) == 8
