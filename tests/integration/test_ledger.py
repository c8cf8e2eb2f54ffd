"""Three minutes of the ledger, and that its checker and its mutations are not blind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_MINUTES = float(os.environ.get("LEDGER_MINUTES", "3"))
_ROOT = Path(__file__).resolve().parents[2]
_SEED = 20

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60 * _MINUTES + 900)]


def test_nothing_is_lost_while_everything_is_broken(tmp_path: Path) -> None:
    # A process of its own: it makes mounts of its own, and ends all that it started if killed.
    command = [sys.executable, "-m", "tests.ledger", "--minutes", str(_MINUTES)]
    command += ["--seed", str(_SEED), "--clients", "3", "--pause", "0.4"]
    command += ["--folder", str(tmp_path / "run"), "--save", str(tmp_path / "ledger.json")]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    print(done.stdout[-5000:])  # noqa: T201 - the summary, and what was found, belong in the report
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
