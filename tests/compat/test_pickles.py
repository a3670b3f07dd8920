"""Pickles that an earlier layout of the package wrote are loaded as what they were."""

import base64
import json
import pickle
from pathlib import Path

import pytest

from support import pickled

FOLDER = Path(__file__).parent / "pickles"
PICKLES = [line.split("|") for line in (FOLDER / "pickles.txt").read_text().splitlines()]
DESCRIBED = json.loads((FOLDER / "described.json").read_text())


@pytest.mark.parametrize(
    ("name", "data"),
    [pytest.param(name, data, id=f"{name}, {protocol}") for name, protocol, data in PICKLES],
)
def test_a_pickle_of_an_earlier_layout_is_loaded(name, data):
    assert pickled.describe(pickle.loads(base64.b64decode(data))) == DESCRIBED[name]


def test_there_is_a_pickle_of_each_object():
    assert {name for name, *_ in PICKLES} == set(DESCRIBED) >= set(pickled.samples())
