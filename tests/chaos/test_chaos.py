"""Every fault ends in the right answer or a clear error, and leaves no connection open."""

import pytest

from chaos import pages
from chaos.faults import FAULTS
from chaos.run import FAILURE, run


def test_there_are_many_faults_and_each_has_a_name():
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names)) >= 130


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_ends_in_the_right_answer_or_a_clear_error(both, fault):
    verdict = run(fault, both)
    assert verdict.verdict != FAILURE, f"{fault.what}: {verdict.detail}"


def test_the_pages_are_written_from_their_verdicts():
    rows = pages.read()
    assert set(rows) == {fault.name for fault in FAULTS}, "run `make chaos`"
    assert pages.SUMMARY.read_text() == pages.summary(rows), "run `python tests/chaos --pages`"
    assert pages.TABLE.read_text() == pages.table(rows), "run `python tests/chaos --pages`"
