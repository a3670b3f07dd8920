"""The arithmetic of `make bench-counts`, without valgrind."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benches"))

from counts import COUNTS, MARGIN, Count, table, worse


def test_the_start_of_the_program_does_not_count():
    count = Count("x", [], "x", few=10, many=30, operations=100)
    assert count.cost(1_000_000 + 10 * 700, 1_000_000 + 30 * 700) == 7


@pytest.mark.parametrize(("now", "expected"), [(104.9, []), (105.1, ["a"]), (50, [])])
def test_a_count_above_the_margin_is_worse(now, expected):
    assert MARGIN == 0.05
    assert worse({"a": 100, "b": 9}, {"a": now, "b": 9}) == expected


def test_the_table_shows_both_and_the_change():
    assert table({"a": 1000}, {"a": 1100}).split() == [
        "instructions",
        "committed",
        "now",
        "change",
        "a",
        "1,000",
        "1,100",
        "+10.0%",
    ]


def test_no_two_counts_have_one_name():
    assert len({count.name for count in COUNTS}) == len(COUNTS)
