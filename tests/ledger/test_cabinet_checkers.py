"""The checkers of folders, runs and deleted cabinets see each way to break a promise."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kartoteka_contracts.ids import CabinetId, document_id, new_task_id, run_task_id
from tests.ledger.book import Book
from tests.ledger.cabinets import DOOMED, FOLDER, SOURCE, id_of_file
from tests.ledger.doomed_checker import DoomedChecker
from tests.ledger.evidence import Evidence, Point, Record
from tests.ledger.findings import Kind
from tests.ledger.folder_checker import FolderChecker
from tests.ledger.ledger import (
    Change,
    ChangeKind,
    Intent,
    Ledger,
    Operation,
    Outcome,
    Verdict,
)
from tests.ledger.rules import Rules
from tests.ledger.run_checker import RunChecker, RunWorld

NOW = datetime(2026, 5, 4, 12, 0, 30, tzinfo=UTC)
FILE = id_of_file("a.txt")
DOCUMENT = document_id(CabinetId(DOOMED), "d")
ASKED = str(new_task_id())
SCHEDULED = str(run_task_id(CabinetId(FOLDER), NOW.replace(second=0)))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "history.jsonl") as opened:
        yield opened


def _rules(ledger: Ledger, evidence: Evidence) -> Rules:
    return Rules(ledger, evidence, of_files=FOLDER, has_reconcile=True)


def _change(kind: ChangeKind, at: float, content: int = 0) -> Change:
    words = {"sha256": f"{content:064x}", "canary": f"zq1n{content}q"} if content else {}
    return Change(kind=kind, path="a.txt", at=at, **words)  # type: ignore[arg-type]  # texts alone


def _copy(version: int, content: int) -> Record:
    return Record(
        version=version,
        task_id=f"task-{version}",
        kind="index",
        sha256=f"{content:064x}",
        filename="a.txt",
        metadata={"source": SOURCE, "path": "a.txt"},
        body_key=f"body-{version}",
        accepted_at=float(version),
    )


def _vanish(version: int) -> Record:
    return replace(_copy(version, 0), kind="delete", sha256="", is_vanished=True)


def _child(version: int, status: str) -> dict[str, Any]:
    return {
        "task_id": f"task-{version}",
        "kind": "index",
        "status": status,
        "stage": None,
        "version": version,
        "document_id": FILE,
        "error": None,
    }


def _published(version: int, content: int) -> dict[str, Any]:
    return {"version": version, "epoch": 0, "chunks": 1, "sha256": f"{content:064x}"}


def _there(ledger: Ledger) -> Evidence:
    """A file that was written twice, and copied twice."""
    ledger.change(_change(ChangeKind.CREATE, 1, content=1))
    ledger.change(_change(ChangeKind.CHANGE, 11, content=2))
    tasks = {"task-5": _child(5, "succeeded"), "task-15": _child(15, "succeeded")}
    point = Point(
        cabinet=FOLDER,
        document_id=FILE,
        version=15,
        epoch=0,
        n=0,
        canaries=frozenset({"zq1n2q"}),
    )
    return Evidence(
        tasks={"one": dict(tasks), "two": dict(tasks)},
        manifests={FILE: {"cabinet_id": str(FOLDER), "published": _published(15, 2)}},
        points={FILE: [point]},
        records={FILE: [_copy(5, 1), _copy(15, 2)]},
        hits={FILE: [(FILE, 15, frozenset({"zq1n2q"}))]},
    )


def _gone(ledger: Ledger) -> Evidence:
    """A file that was copied, and then removed."""
    ledger.change(_change(ChangeKind.CREATE, 1, content=1))
    ledger.change(_change(ChangeKind.REMOVE, 11))
    tasks = {"task-15": _child(15, "succeeded")}
    return Evidence(
        tasks={"one": dict(tasks), "two": dict(tasks)},
        manifests={FILE: {"cabinet_id": str(FOLDER), "published": None}},
        records={FILE: [_copy(5, 1), _vanish(15)]},
        states={FILE: "deleted"},
        hits={FILE: []},
    )


def _of_files(ledger: Ledger, evidence: Evidence) -> set[Kind]:
    return {found.kind for found in FolderChecker(ledger, _rules(ledger, evidence)).check()}


@pytest.mark.parametrize("world", [_there, _gone], ids=["there", "gone"])
def test_a_folder_that_is_followed_is_no_finding(
    ledger: Ledger, world: Callable[[Ledger], Evidence]
) -> None:
    assert _of_files(ledger, world(ledger)) == set()


def _older(evidence: Evidence) -> None:
    evidence.manifests[FILE]["published"] = _published(5, 1)
    evidence.points[FILE] = [replace(evidence.points[FILE][0], version=5)]
    evidence.hits[FILE] = [(FILE, 5, frozenset({"zq1n1q"}))]


def _fails(evidence: Evidence) -> None:
    for view in evidence.tasks.values():
        view["task-15"] = _child(15, "failed")
    evidence.letters.add("task-15")


@pytest.mark.parametrize(
    ("harm", "kind"),
    [
        (_older, Kind.STALE),
        (_fails, Kind.LOST),
        (lambda it: it.manifests[FILE].update(published=None), Kind.LOST),
        (lambda it: it.records[FILE].append(_vanish(20)), Kind.LOST),
        (lambda it: it.records[FILE].append(_copy(20, 2)), Kind.TWIN),
        (lambda it: it.records[FILE].append(_copy(20, 7)), Kind.STALE),
        (lambda it: it.points[FILE].clear(), Kind.MISSING),
        (
            lambda it: it.manifests.update({"x": {"cabinet_id": str(FOLDER), "published": None}}),
            Kind.TWIN,
        ),
    ],
)
def test_whatever_the_folder_is_not_is_found(
    ledger: Ledger, harm: Callable[[Evidence], object], kind: Kind
) -> None:
    evidence = _there(ledger)
    harm(evidence)
    assert kind in _of_files(ledger, evidence)


@pytest.mark.parametrize(
    "harm",
    [
        lambda it: it.manifests[FILE].update(published=_published(5, 1)),
        lambda it: it.bodies.update({FILE: ["body-5"]}),
        lambda it: it.states.update({FILE: "indexed"}),
    ],
)
def test_what_is_left_of_a_removed_file_is_found(
    ledger: Ledger, harm: Callable[[Evidence], object]
) -> None:
    evidence = _gone(ledger)
    harm(evidence)
    assert Kind.RESURRECTED in _of_files(ledger, evidence)


def test_a_file_vanishes_once_for_each_time_that_it_was_removed(ledger: Ledger) -> None:
    evidence = _gone(ledger)
    ledger.change(_change(ChangeKind.CREATE, 21, content=2))
    evidence.records[FILE] += [_copy(25, 2), _vanish(26)]
    found = [*FolderChecker(ledger, _rules(ledger, evidence)).check()]
    assert any("its file was there" in finding.detail for finding in found)


def _run(
    status: str, *, total: int = 0, success: int | None = None, joined: str | None = None
) -> dict[str, Any]:
    done = total if success is None else success
    counts = {"success": done, "failed": 0, "overtaken": 0, "total": total, "joined": joined}
    return {
        "kind": "reindex",
        "status": status,
        "stage": None,
        "version": None,
        "document_id": None,
        "cabinet_id": FOLDER,
        "result": counts,
        "error": {"code": "source_unavailable"} if status == "failed" else None,
    }


def _runs(ledger: Ledger, runs: dict[str, dict[str, Any]], *, times_away: int = 0) -> set[Kind]:
    book = Book(ledger)
    intent = Intent(n=1, operation=Operation.REINDEX, cabinet=FOLDER, name="")
    ledger.intend(intent)
    outcome = Outcome(n=1, verdict=Verdict.OK, task_id=ASKED)
    ledger.answered(outcome)
    book.asked_for_run(intent, outcome)
    rules = _rules(ledger, Evidence(tasks={"one": runs, "two": dict(runs)}))
    world = RunWorld(began=NOW, ended=NOW, cabinets=(FOLDER,), times_away=times_away)
    return {found.kind for found in RunChecker(book, rules, world).check()}


def test_runs_that_were_asked_for_and_ended_are_no_findings(ledger: Ledger) -> None:
    joining = _run("superseded", joined=SCHEDULED)
    assert _runs(ledger, {ASKED: joining, SCHEDULED: _run("succeeded", total=3)}) == set()


def test_a_run_may_fail_while_its_folder_is_away_and_only_then(ledger: Ledger) -> None:
    failed = {ASKED: _run("failed")}
    assert _runs(ledger, failed, times_away=1) == set()
    assert _runs(ledger, failed) == {Kind.LOST}


@pytest.mark.parametrize(
    ("runs", "kind"),
    [
        ({}, Kind.LOST),
        ({ASKED: _run("running")}, Kind.STUCK),
        ({ASKED: _run("unchanged", total=1)}, Kind.LOST),
        ({ASKED: _run("superseded")}, Kind.LOST),
        (
            {
                ASKED: {
                    **_run("succeeded", total=2),
                    "result": {**_run("", total=2)["result"], "success": 1},
                }
            },
            Kind.LOST,
        ),
        ({ASKED: _run("unchanged"), new_task_id(): _run("unchanged")}, Kind.TWIN),
    ],
    ids=["unknown", "open", "not unchanged", "joined nothing", "not all", "not asked for"],
)
def test_runs_that_are_wrong_are_found(
    ledger: Ledger, runs: dict[str, dict[str, Any]], kind: Kind
) -> None:
    assert kind in _runs(ledger, runs)


def _doomed(ledger: Ledger, *, is_deleted: bool) -> tuple[Ledger, Evidence]:
    upload = Intent(
        n=1, operation=Operation.NEW, cabinet=DOOMED, name="d", sha256=f"{1:064x}", canary="zq1n1q"
    )
    ledger.intend(upload)
    ledger.answered(Outcome(n=1, verdict=Verdict.OK, task_id="task-5", version=5))
    tasks = {"task-5": {**_child(5, "succeeded"), "document_id": DOCUMENT}}
    published: dict[str, Any] | None = _published(5, 1)
    if is_deleted:
        ledger.intend(Intent(n=2, operation=Operation.DELETE_CABINET, cabinet=DOOMED, name=""))
        ledger.answered(Outcome(n=2, verdict=Verdict.OK, task_id="task-9", version=9))
        delete = {"kind": "delete", "cabinet_id": DOOMED, "document_id": None}
        tasks = {"task-9": {**_child(9, "succeeded"), **delete}}
        published = None
    point = Point(
        cabinet=DOOMED, document_id=DOCUMENT, version=5, epoch=0, n=0, canaries=frozenset()
    )
    return ledger, Evidence(
        tasks={"one": dict(tasks), "two": dict(tasks)},
        manifests={DOCUMENT: {"cabinet_id": str(DOOMED), "published": published}},
        points={} if is_deleted else {DOCUMENT: [point]},
        records={DOCUMENT: [_copy(5, 1)]},
    )


def _of_doomed(ledger: Ledger, evidence: Evidence) -> set[Kind]:
    return {found.kind for found in DoomedChecker(ledger, _rules(ledger, evidence)).check()}


@pytest.mark.parametrize("is_deleted", [True, False])
def test_a_deleted_cabinet_loses_what_was_there_and_nothing_else(
    ledger: Ledger, *, is_deleted: bool
) -> None:
    assert _of_doomed(*_doomed(ledger, is_deleted=is_deleted)) == set()


def test_what_a_cabinets_delete_left_or_took_too_much_is_found(ledger: Ledger) -> None:
    _, evidence = _doomed(ledger, is_deleted=True)
    evidence.manifests[DOCUMENT]["published"] = _published(5, 1)
    assert Kind.RESURRECTED in _of_doomed(ledger, evidence)


def test_what_was_uploaded_and_not_deleted_must_be_there(ledger: Ledger) -> None:
    _, evidence = _doomed(ledger, is_deleted=False)
    evidence.manifests[DOCUMENT]["published"] = None
    assert Kind.LOST in _of_doomed(ledger, evidence)
