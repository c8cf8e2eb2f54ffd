"""Work, break everything, then prove that nothing was lost. ``make ledger MINUTES=n SEED=s``."""

import argparse
import asyncio
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.ledger.disk import own_mounts
from tests.ledger.nemesis import NemesisPlan
from tests.ledger.run import RunPlan, run_ledger
from tests.ledger.source import ROOT, copy_packages
from tests.ledger.workload import WEIGHTS, WorkloadPlan


def _plan(options: argparse.Namespace, env: dict[str, str], *, has_disks: bool) -> RunPlan:
    env["MODEL_BACKEND"] = options.model
    if options.model != "hash":
        cache = Path(os.environ.get("KARTOTEKA_HOME", ROOT / ".kartoteka")) / "models"
        env["MODEL_CACHE"] = str(cache)
    return RunPlan(
        seconds=60 * options.minutes,
        workload=WorkloadPlan(
            seed=options.seed,
            clients=options.clients,
            pause=options.pause,
            weights={kind: n for kind, n in WEIGHTS.items() if kind not in options.without},
            has_keys="keys" not in options.without,
        ),
        nemesis=NemesisPlan(seed=options.seed),
        reindexes="runs" not in options.without,
        env=env,
        has_disks=has_disks,
    )


def main() -> int:
    """Run the command; see the module's text."""
    parser = argparse.ArgumentParser(prog="make ledger", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3, help="of work and harm")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn")
    parser.add_argument("--model", choices=("hash", "openvino"), default="hash")
    parser.add_argument("--clients", type=int, default=4, help="that work at once")
    parser.add_argument("--pause", type=float, default=0.25, help="seconds between their requests")
    parser.add_argument(
        "--without", action="append", default=[], help="an operation, keys, or runs; repeatable"
    )
    parser.add_argument("--folder", type=Path, help="for data, logs and the history; kept")
    parser.add_argument(
        "--save", type=Path, default=ROOT / ".kartoteka" / "ledger.json", help="the JSON's path"
    )
    options = parser.parse_args()
    # What is broken on purpose needs no telling by the clients that it hits.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    no_disks = own_mounts()
    if no_disks:
        print(f"No disk can be filled here ({no_disks}).")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="kartoteka-ledger-"))
    folder.mkdir(parents=True, exist_ok=True)
    env = copy_packages(folder / "packages")
    report = asyncio.run(run_ledger(_plan(options, env, has_disks=not no_disks), folder))
    report.save(options.save)
    missing = [name for name, is_there in report.more["features"].items() if not is_there]
    if missing:
        print(f"Not there, so not tried: {', '.join(missing)}")
    for restart in report.more["restarts"]:
        print(f"Restarted: {restart}")
    for finding in report.findings.all:
        print(finding)
    if report.findings.all:
        print(f"Seed {options.seed}; history and logs: {folder}")
    elif options.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    print(report.line())
    return 1 if report.findings.all else 0


if __name__ == "__main__":
    sys.exit(main())
