"""The notebooks of examples/: their saved outputs are those of a run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
# At the end, so that no module of the tools hides one of the tests.
sys.path.append(str(ROOT / "tools"))

import notebooks  # noqa: E402 - found by the path above


def test_there_are_notebooks():
    assert [each.name for each in NOTEBOOKS] == ["pictures.ipynb", "quickstart.ipynb"]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_outputs_of_a_run_are_the_saved_ones(path):
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "notebooks.py", "--check", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def saved():
    return nbformat.read(ROOT / "examples" / "quickstart.ipynb", as_version=4)


def outputs(notebook, kind):
    """Return the parts of outputs that have a media type."""
    return [
        output["data"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if kind in output.get("data", ())
    ]


def test_other_text_in_an_output_is_a_difference():
    changed = saved()
    data = outputs(changed, "text/html")[1]
    data["text/html"] = data["text/html"].replace("integer", "number", 1)
    assert notebooks.comparable(changed) != notebooks.comparable(saved())


def test_another_picture_is_a_difference():
    changed = saved()
    first, second = outputs(changed, "text/html")[:3:2]
    first["text/html"] = second["text/html"]
    assert notebooks.comparable(changed) != notebooks.comparable(saved())


def test_a_missing_output_is_a_difference():
    changed = saved()
    next(cell for cell in changed.cells if cell.get("outputs")).outputs = []
    assert notebooks.comparable(changed) != notebooks.comparable(saved())


@pytest.mark.parametrize(
    ("text", "steady"),
    [
        ("http://127.0.0.1:41891/pbxt/OGVj/a.png", "http://HOST/pbxt/FILE/a.png"),
        ("0.25 s · <code>5dqgnfe6vxz5qcqdppb5kpfprw", "SECONDS · <code>ID"),
        ("2026-11-30T08:42:37.666698Z", "TIME"),
        ("/tmp/notebook-abc/pictures/a.png", "FOLDER/pictures/a.png"),
        ("12.3 kB, per minute 1,234.5, left 0:00:00", "SIZE, per minute NUMBER, left DURATION"),
        ("6 of 6 inputs, failed 1", "6 of 6 inputs, failed 1"),
    ],
)
def test_times_ids_and_places_are_none(text, steady):
    assert notebooks.steady(text) == steady


def test_no_notebook_has_a_token_or_a_path_of_its_author():
    for path in NOTEBOOKS:
        text = path.read_text()
        for secret in ("r8_", "whsec_", "/home/", "/root/", str(ROOT)):
            assert secret not in text, (path.name, secret)
