"""A short run of the model; ``make test-model`` is the long one."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import DocumentLife
from tests.model.profile import quiet, runs


@pytest.mark.timeout(300)
def test_documents_survive_whatever_happens_to_them() -> None:
    with quiet():
        run_state_machine_as_test(DocumentLife, settings=runs(150, 30))
