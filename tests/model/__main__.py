"""Runs the model: ``python -m tests.model --runs 2000 --steps 50``. Its last line is a summary.

The runs are shared out among processes. A failure is shrunk and printed with what repeats it.
"""

import argparse
import os
import secrets
import subprocess
import sys
import time
from typing import Final

from hypothesis import seed as seeded
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import DocumentLife
from tests.model.profile import quiet, runs

_HASH_SEED: Final = "0"
"""The order of sets is part of a run."""


def _run(options: argparse.Namespace) -> int:
    seeded(options.seed)(DocumentLife)
    began = time.monotonic()
    profile = runs(options.runs, options.steps, shrinks=not options.first)
    with quiet():
        run_state_machine_as_test(DocumentLife, settings=profile)
    seconds = time.monotonic() - began
    print(f"model: {options.runs} runs of {options.steps} steps, {seconds:.0f} s", flush=True)
    return 0


def _share_out(options: argparse.Namespace) -> int:
    began, jobs = time.monotonic(), options.jobs
    print(f"model: seed {options.seed}", flush=True)
    shares = [options.runs // jobs + (n < options.runs % jobs) for n in range(jobs)]
    common = [sys.executable, "-m", "tests.model", "--steps", str(options.steps), "--jobs", "1"]
    if options.first:
        common.append("--first")
    env = {**os.environ, "PYTHONHASHSEED": _HASH_SEED}
    parts = [
        subprocess.Popen([*common, "--runs", str(share), "--seed", str(options.seed + n)], env=env)
        for n, share in enumerate(shares)
    ]
    failed = 0
    for n, part in enumerate(parts):
        if part.wait() != 0:
            failed += 1
            print(
                f"model: FAILED; repeat it: PYTHONHASHSEED={_HASH_SEED} python -m tests.model "
                f"--jobs 1 --runs {shares[n]} --steps {options.steps} --seed {options.seed + n}",
                flush=True,
            )
    seconds = time.monotonic() - began
    print(
        f"model: {options.runs} runs of {options.steps} steps, {seconds:.0f} s, "
        f"{failed} of {jobs} parts failed",
        flush=True,
    )
    return 1 if failed else 0


def main() -> int:
    """Run the command; see the module's text."""
    parser = argparse.ArgumentParser(prog="make test-model", description=__doc__)
    parser.add_argument("--runs", type=int, default=2000, help="documents' lives to live")
    parser.add_argument("--steps", type=int, default=50, help="at most, in each")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, default=None, help="of everything that is drawn")
    parser.add_argument("--first", action="store_true", help="do not shrink what is found")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = secrets.randbelow(10**6)
    return _run(options) if options.jobs == 1 else _share_out(options)


if __name__ == "__main__":
    sys.exit(main())
