"""Every fault of `chaos`, with both clients: the right answer or a clear error, and nothing left
behind.

Rows 1, 3, 4, 8, 12, 18 and 23 of demand.md; J1-J3, J6, J13, J15, P1-P6, P11, P20, P23, P24, P26,
P29, B1, B2, B5.
"""

import pytest

from chaos.faults import FAULTS
from chaos.run import FAILURE, run


def test_there_are_many_faults_and_each_has_a_name():
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names)) >= 130


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_ends_in_the_right_answer_or_a_clear_error(both, fault):
    verdict = run(fault, both)
    assert verdict.verdict != FAILURE, f"{fault.what}: {verdict.detail}"
