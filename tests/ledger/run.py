"""One run: work and harm, then healing, reconciliation and the check."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.ledger.book import Book, Known
from tests.ledger.cabinets import DOOMED, FOLDER, name_of_file
from tests.ledger.caretaker import Caretaker
from tests.ledger.checker import Checker
from tests.ledger.closing import LastRuns
from tests.ledger.doomed_checker import DoomedChecker
from tests.ledger.duplicates import Duplicates
from tests.ledger.evidence import gather_evidence
from tests.ledger.features import Features, find_features
from tests.ledger.findings import Finding, Findings
from tests.ledger.folder_checker import FolderChecker
from tests.ledger.folder_client import FolderClient, FolderPlan
from tests.ledger.leaks import probe_leaks
from tests.ledger.ledger import Intent, Ledger, Operation
from tests.ledger.nemesis import Nemesis, NemesisPlan
from tests.ledger.plant import Plant, running_plant
from tests.ledger.reader import Reader
from tests.ledger.replica import Replica
from tests.ledger.report import Report
from tests.ledger.rules import Rules
from tests.ledger.run_checker import RunChecker, RunWorld
from tests.ledger.watch import Watch
from tests.ledger.workload import Workload, WorkloadPlan

__all__ = ["RunPlan", "run_ledger"]

_HEAL_SECONDS: Final = 120.0
_END_SECONDS: Final = 300.0
"""For all tasks to end after healing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """All that a run depends on."""

    seconds: float
    workload: WorkloadPlan
    nemesis: NemesisPlan
    env: Mapping[str, str] = field(default_factory=dict)
    """Settings of the services."""
    has_disks: bool = True
    reconciles: bool = True
    """Whether what was left over is repaired before the check, as it is in operation."""
    quiet_seconds: float = 60.0
    """Without any end in this time, none will come: above twice the longest wait of a try."""
    reindexes: bool = True
    """Whether cabinets are reindexed, and one is fed from a folder that changes."""
    stops_at_first: bool = False
    """Whether the first finding ends the run."""


@dataclass(slots=True, kw_only=True)
class _Parts:
    book: Book
    findings: Findings
    replicas: list[Replica]
    watch: Watch
    reader: Reader
    nemesis: Nemesis
    workload: Workload
    duplicates: Duplicates
    caretaker: Caretaker
    files: FolderClient
    began: datetime
    """When the ledger was opened."""
    configured_at: datetime | None = None
    """When the folder's cabinet was configured."""


async def run_ledger(plan: RunPlan, folder: Path) -> Report:
    """Run, check and report.

    Raises:
        RuntimeError: the stack did not start or heal, which proves nothing.
        TimeoutError: likewise.
    """
    began = datetime.now(UTC)
    with Ledger(folder / "history.jsonl") as ledger:
        ledger.note("settings", seed=plan.workload.seed, seconds=plan.seconds)
        env = {"LOG_LEVEL": "info", **plan.env}
        async with running_plant(folder, ledger, env=env, has_disks=plan.has_disks) as plant:
            features = await find_features(plant)
            if not plan.reindexes:
                features = replace(features, reindex=False)
            parts = _parts(plan, plant, ledger, features, began)
            more: dict[str, Any] = {"features": asdict(features)}
            await _run_phases(plan, plant, parts, features, more)
            for replica in parts.replicas:
                await replica.http.aclose()
    settings = json.loads(json.dumps(asdict(plan), default=sorted))
    for path in ("PYTHONPATH", "MODEL_CACHE"):  # of this machine, and of no use elsewhere
        settings["env"].pop(path, None)
    return Report(
        book=parts.book,
        findings=parts.findings,
        harmed=parts.nemesis.harmed,
        settings={"seed": plan.workload.seed, **settings},
        more=more | {"restarts": plant.restarts},
    )


def _parts(
    plan: RunPlan, plant: Plant, ledger: Ledger, features: Features, began: datetime
) -> _Parts:
    findings = Findings(ledger)
    book = Book(ledger)
    key = plant.stack.client.http.headers["X-API-Key"]
    replicas = [
        Replica.at(api.name, link.url, key)
        for api, link in zip(plant.stack.apis, plant.apis, strict=True)
    ]
    nemesis = Nemesis(plan.nemesis, plant)
    duplicates = Duplicates(plant.links["kafka"].address, has_runs=features.reindex)

    watched = _cabinets(plan, features)
    watch = Watch(book, replicas, watched, findings, nemesis.succeeded)
    workload = Workload(features.fit(plan.workload), book, replicas, duplicates, nemesis.accepted)
    return _Parts(
        book=book,
        findings=findings,
        replicas=replicas,
        watch=watch,
        reader=Reader(book, replicas, findings),
        nemesis=nemesis,
        workload=workload,
        duplicates=duplicates,
        caretaker=Caretaker(
            plan.workload.seed, book, replicas, plan.workload.cabinets, plant.folder
        ),
        files=FolderClient(FolderPlan(seed=plan.workload.seed), book, plant.folder),
        began=began,
    )


def _cabinets(plan: RunPlan, features: Features) -> tuple[int, ...]:
    others = (FOLDER, DOOMED) if features.reindex else ()
    return (*plan.workload.cabinets, *others)


async def _run_phases(
    plan: RunPlan, plant: Plant, parts: _Parts, features: Features, more: dict[str, Any]
) -> None:
    background = [
        asyncio.create_task(work)
        for work in (
            plant.keep(),
            parts.watch.run(),
            parts.reader.run(),
            parts.duplicates.read(),
        )
    ]
    try:
        if features.reindex:
            await parts.caretaker.configure()
            parts.configured_at = datetime.now(UTC)
        await _work_and_harm(plan, parts, background, features)
        more["heal_seconds"] = round(await plant.heal(_HEAL_SECONDS), 1)
        if not (plan.stops_at_first and parts.findings.all):
            if parts.configured_at is not None:
                await _end_schedules(plant, parts, parts.configured_at)
            more["end_seconds"] = round(
                await parts.watch.all_ended(within=_END_SECONDS, quiet=plan.quiet_seconds), 1
            )
            if features.reconcile and plan.reconciles:
                more["reconcile"] = await _reconcile(plan, plant, parts)
            if features.reindex:
                more["last_runs_seconds"] = round(await _converge(plan, parts), 1)
            await parts.watch.close()
            await _check(plan, plant, parts, features, more)
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await parts.watch.close()
        more["observations"] = parts.watch.observations
        more["empty_searches"] = parts.reader.empty
        more["searches"] = parts.watch.searches + parts.reader.answers


async def _end_schedules(plant: Plant, parts: _Parts, configured_at: datetime) -> None:
    """From here on nothing is asked for but by us."""
    last = LastRuns(parts.caretaker, parts.replicas, parts.findings)
    await last.schedule(configured_at)
    await plant.stop_schedules()


async def _converge(plan: RunPlan, parts: _Parts) -> float:
    begun = time.monotonic()
    last = LastRuns(parts.caretaker, parts.replicas, parts.findings)
    await last.converge(plan.workload.cabinets, may_wait=not plan.reconciles)
    await parts.watch.all_ended(within=_END_SECONDS, quiet=plan.quiet_seconds)
    return time.monotonic() - begun


async def _work_and_harm(
    plan: RunPlan, parts: _Parts, background: list[asyncio.Task[None]], features: Features
) -> None:
    work = [asyncio.create_task(parts.workload.run())]
    if features.reindex:
        work.append(asyncio.create_task(parts.caretaker.run()))
        work.append(asyncio.create_task(parts.files.run()))
    harm = asyncio.create_task(parts.nemesis.run())
    over = asyncio.create_task(asyncio.sleep(plan.seconds))
    waits: set[asyncio.Task[Any]] = {*work, harm, over, *background}
    if plan.stops_at_first:
        waits.add(asyncio.create_task(parts.findings.any.wait()))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in (*work, harm, *background):
            if task.done():
                task.result()
                raise RuntimeError("a part of the ledger has ended too early")
    finally:
        for part in (parts.workload, parts.caretaker, parts.files, parts.nemesis):
            part.end()
        await asyncio.gather(*work, harm)


async def _reconcile(plan: RunPlan, plant: Plant, parts: _Parts) -> str:
    """Reconcile, and wait for the work that this sent again."""
    said = await plant.stack.run(["embedder", "reconcile", "--grace", "1", "--orphan-age", "1"])
    parts.book.ledger.note("reconcile", text=said[-2000:])
    await asyncio.sleep(2)
    await parts.watch.all_ended(within=_END_SECONDS, quiet=plan.quiet_seconds)
    return next((line for line in said.splitlines() if line.startswith("{")), "")


async def _check(
    plan: RunPlan, plant: Plant, parts: _Parts, features: Features, more: dict[str, Any]
) -> None:
    begun = time.monotonic()
    evidence = await gather_evidence(
        [*parts.book.documents, *_sourced(parts.book.ledger)],
        _cabinets(plan, features),
        parts.replicas,
        qdrant_url=plant.stack.qdrant_url,
        kafka=plant.stack.broker.bootstrap_servers,
        objects=plant.stack.folder / "objects",
    )
    has_reconcile = features.reconcile and plan.reconciles
    rules = Rules(parts.book.ledger, evidence, of_files=FOLDER, has_reconcile=has_reconcile)
    found = [*Checker(parts.book.ledger, rules).check()]
    if features.reindex:
        found += _check_cabinets(plan, plant, parts, rules, more)
    for finding in found:
        parts.findings.add(finding)
    more["orphaned_works"] = rules.orphans
    own = plan.workload.cabinets[0]
    key = await plant.stack.create_key("--name", "one", "--all-scopes", "--cabinet", str(own))
    await asyncio.sleep(2)  # replicas read the file of keys once a second
    restricted = Replica.at("restricted", plant.apis[0].url, key)
    more["leak_probes"] = await probe_leaks(
        parts.book, parts.replicas, restricted, own, parts.findings
    )
    await restricted.http.aclose()
    more["check_seconds"] = round(time.monotonic() - begun, 1)


def _sourced(ledger: Ledger) -> list[Known]:
    """Return the documents that files became, as clients know theirs."""
    newest = {change.path: change for change in ledger.changes if change.sha256}
    return [
        Known(
            cabinet=FOLDER,
            name=name_of_file(path),
            newest=Intent(
                n=0, operation=Operation.NEW, cabinet=FOLDER, name=path, canary=change.canary
            ),
        )
        for path, change in newest.items()
    ]


def _check_cabinets(
    plan: RunPlan, plant: Plant, parts: _Parts, rules: Rules, more: dict[str, Any]
) -> list[Finding]:
    """Check the cabinets that no client uploads to, and all runs."""
    ledger = parts.book.ledger
    doomed = DoomedChecker(ledger, rules)
    world = RunWorld(
        began=parts.began,
        ended=datetime.now(UTC),
        cabinets=(*plan.workload.cabinets, FOLDER, DOOMED),
        deleted=doomed.deleted,
        times_away=plant.folder.times_away,
        times_empty=plant.folder.times_empty,
    )
    runs = RunChecker(parts.book, rules, world)
    found = [*FolderChecker(ledger, rules).check(), *runs.check(), *doomed.check()]
    changes = Counter(str(change.kind) for change in ledger.changes)
    more["runs"] = {
        "accepted": len(parts.book.runs),
        "scheduled": runs.scheduled,
        "ends": runs.ends,
    }
    more["source"] = {
        "files": parts.files.files,
        "changes": dict(sorted(changes.items())),
        "times_away": plant.folder.times_away,
    }
    more["cabinet_deletes"] = doomed.deletes
    return found
