"""Every bug can still be planted: the text that it replaces has not moved away."""

from pathlib import Path

import pytest

from tests.ledger.mutations import MUTATIONS, Edit, Mutation, UnplantableError
from tests.ledger.source import copy_packages


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_mutation_can_be_planted_and_compiles(mutation: Mutation, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    copy_packages(packages)
    for edit in mutation.edits:
        edit.plant(packages)
    for edit in mutation.edits:
        compile((packages / edit.path).read_text(), edit.path, "exec")


@pytest.mark.parametrize("text", ["", "old old"], ids=["absent", "twice"])
def test_text_that_is_not_there_once_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(text)
    with pytest.raises(UnplantableError):
        Edit(path="module.py", old="old", new="new").plant(tmp_path)
