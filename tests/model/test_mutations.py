"""The model can fail: each planted bug is found within the budget of a short run.

``make test-model`` finds them, after the long run; ``make test`` shows that each can be planted.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.ledger.source import ROOT, copy_packages
from tests.model.mutations import BUGS, Bug

_RUNS: Final = 150
_STEPS: Final = 30


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_can_be_planted_and_compiles(bug: Bug, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    copy_packages(packages)
    bug.edit.plant(packages)
    changed = packages / bug.edit.path
    compile(changed.read_text("utf-8"), str(changed), "exec")


@pytest.mark.planted
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_planted_bug_is_found(bug: Bug, tmp_path: Path) -> None:
    env = copy_packages(tmp_path / "packages")
    bug.edit.plant(tmp_path / "packages")
    run = [sys.executable, "-m", "tests.model", "--jobs", "1", "--first"]
    found = subprocess.run(
        [*run, "--runs", str(_RUNS), "--steps", str(_STEPS), "--seed", "1"],
        cwd=ROOT,
        env={**os.environ, **env, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1, found.stdout
    assert "AssertionError" in found.stderr, found.stderr
