"""Shows that the ledger can fail: plants bugs in copies of our packages, one at a time.

``make ledger-mutants LEDGER="--only 'acks=0'"`` tries one.
"""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tests.ledger.disk import own_mounts
from tests.ledger.mutations import MUTATIONS, Mutation
from tests.ledger.nemesis import NemesisPlan
from tests.ledger.report import Report
from tests.ledger.run import RunPlan, run_ledger
from tests.ledger.source import copy_packages
from tests.ledger.workload import WEIGHTS, WorkloadPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    mutation: Mutation
    report: Report | None
    error: str
    seconds: float

    @property
    def is_caught(self) -> bool:
        return self.report is not None and bool(self.report.findings.all)

    def row(self) -> str:
        by, counts = self.error, ""
        if self.report is not None:
            findings = self.report.findings
            by = str(findings.all[0]) if findings.all else ""
            counts = ", ".join(f"{kind} {n}" for kind, n in findings.counts.items() if n)
        verdict = "caught" if self.is_caught else "SURVIVED"
        return f"{verdict:9} {self.mutation.name:42} {self.seconds:4.0f} s  {counts}  {by[:160]}"


def _plan(mutation: Mutation, env: dict[str, str], seed: int) -> RunPlan:
    return RunPlan(
        seconds=mutation.seconds,
        workload=WorkloadPlan(
            seed=seed,
            pause=mutation.pause,
            weights=mutation.operations or WEIGHTS,
            hostile_share=mutation.hostile_share,
            has_keys=mutation.has_keys,
        ),
        nemesis=NemesisPlan(
            seed=seed,
            gap=mutation.gap,
            overlap=mutation.overlap,
            weights=mutation.faults,
            targets=mutation.targets,
            kill_after_accept=mutation.kill_after_accept,
        ),
        env={"MODEL_BACKEND": "hash", **env, **mutation.settings},
        has_disks=False,
        # A bug that is repaired before anybody looks is a bug all the same.
        reconciles=False,
        reindexes=mutation.reindexes,
        quiet_seconds=35 if mutation.edits else 60,
        stops_at_first=True,
    )


def _try(mutation: Mutation, seed: int, folder: Path) -> _Tried:
    begun = time.monotonic()
    env = copy_packages(folder / "packages")
    for edit in mutation.edits:
        edit.plant(folder / "packages")
    report, error = None, ""
    try:
        report = asyncio.run(run_ledger(_plan(mutation, env, seed), folder))
    except (RuntimeError, TimeoutError) as failure:
        error = f"the run failed, which shows nothing: {failure}"
    seconds = time.monotonic() - begun
    return _Tried(mutation=mutation, report=report, error=error, seconds=seconds)


def main() -> int:
    """Run the command; see the module's text."""
    parser = argparse.ArgumentParser(prog="make ledger-mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn")
    parser.add_argument("--only", action="append", help="a mutation's name; repeatable")
    parser.add_argument(
        "--control", action="store_true", help="plant nothing: the same harm must find nothing"
    )
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    own_mounts()
    chosen = [m for m in MUTATIONS if options.only is None or m.name in options.only]
    if not chosen:
        parser.error("there is no such mutation")
    if options.control:
        chosen = [replace(mutation, edits=()) for mutation in chosen]
    rows: list[_Tried] = []
    for mutation in chosen:
        folder = Path(tempfile.mkdtemp(prefix="kartoteka-mutant-"))
        tried = _try(mutation, options.seed, folder)
        rows.append(tried)
        print(tried.row(), flush=True)
        if tried.is_caught and not options.control:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"history and logs: {folder}", flush=True)
    caught = sum(tried.is_caught for tried in rows)
    print(f"ledger-mutants: {caught} of {len(rows)} caught, seed {options.seed}")
    return 0 if caught == (0 if options.control else len(rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
