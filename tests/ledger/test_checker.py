"""The checker sees each way to break a promise, and nothing in a run that kept them all."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kartoteka_contracts.ids import CabinetId, document_id
from tests.ledger.cabinets import FOLDER
from tests.ledger.checker import Checker
from tests.ledger.evidence import Evidence, Point, Record
from tests.ledger.findings import Kind
from tests.ledger.ledger import Intent, Ledger, Operation, Outcome, Verdict
from tests.ledger.rules import Rules

DOCUMENT = document_id(CabinetId(1), "a")
WORDS = {1: "zq1n1q", 2: "zq1n2q"}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "history.jsonl") as opened:
        yield opened


def _upload(ledger: Ledger, n: int, *, verdict: Verdict = Verdict.OK) -> None:
    ledger.intend(
        Intent(
            n=n,
            operation=Operation.VERSION,
            cabinet=1,
            name="a",
            filename=f"f{n}.txt",
            sha256=f"{n:064x}",
            canary=WORDS[n],
        )
    )
    known = {"task_id": f"task-{n}", "version": n} if verdict is Verdict.OK else {}
    ledger.answered(Outcome(n=n, verdict=verdict, **known))  # type: ignore[arg-type]  # mixed values


def _delete(ledger: Ledger, n: int) -> None:
    ledger.intend(Intent(n=n, operation=Operation.DELETE, cabinet=1, name="a"))
    ledger.answered(Outcome(n=n, verdict=Verdict.OK, task_id=f"task-{n}", version=n))


def _record(n: int, kind: str = "index") -> Record:
    return Record(
        version=n,
        task_id=f"task-{n}",
        kind=kind,
        sha256=f"{n:064x}" if kind == "index" else "",
        filename=f"f{n}.txt" if kind == "index" else "",
        metadata={},
        body_key=f"cabinets/1/bodies/{DOCUMENT}/task-{n}",
    )


def _task(n: int, status: str) -> dict[str, Any]:
    return {
        "task_id": f"task-{n}",
        "kind": "index",
        "status": status,
        "stage": None,
        "version": n,
        "document_id": DOCUMENT,
        "error": None,
    }


def _published(n: int) -> dict[str, Any]:
    return {
        "version": n,
        "epoch": 0,
        "chunks": 1,
        "sha256": f"{n:064x}",
        "filename": f"f{n}.txt",
        "metadata": {},
    }


def _point(n: int) -> Point:
    return Point(
        cabinet=1,
        document_id=DOCUMENT,
        version=n,
        epoch=0,
        n=0,
        canaries=frozenset({WORDS[n]}),
    )


def _two_versions(ledger: Ledger) -> Evidence:
    """The second of two versions is indexed, and all is well."""
    _upload(ledger, 1)
    _upload(ledger, 2)
    tasks = {"task-1": _task(1, "superseded"), "task-2": _task(2, "succeeded")}
    return Evidence(
        tasks={"one": dict(tasks), "two": dict(tasks)},
        manifests={DOCUMENT: {"fence": 2, "epoch": 0, "published": _published(2)}},
        points={DOCUMENT: [_point(2)]},
        records={DOCUMENT: [_record(1), _record(2)]},
        states={DOCUMENT: "indexed"},
        hits={DOCUMENT: [(DOCUMENT, 2, frozenset({WORDS[2]}))]},
    )


def _deleted(ledger: Ledger) -> Evidence:
    """A version, then a delete, and all is well."""
    _upload(ledger, 1)
    _delete(ledger, 2)
    tasks = {"task-2": _task(2, "succeeded")}
    return Evidence(
        tasks={"one": dict(tasks), "two": dict(tasks)},
        manifests={DOCUMENT: {"fence": 2, "epoch": 0, "published": None}},
        records={DOCUMENT: [_record(1), _record(2, "delete")]},
        states={DOCUMENT: "deleted"},
        hits={DOCUMENT: []},
    )


def _kinds(ledger: Ledger, evidence: Evidence) -> set[Kind]:
    rules = Rules(ledger, evidence, of_files=FOLDER, has_reconcile=True)
    return {finding.kind for finding in Checker(ledger, rules).check()}


@pytest.mark.parametrize("world", [_two_versions, _deleted], ids=["indexed", "deleted"])
def test_kept_promises_are_no_findings(ledger: Ledger, world: Callable[[Ledger], Evidence]) -> None:
    assert _kinds(ledger, world(ledger)) == set()


def _open_task(evidence: Evidence) -> None:
    evidence.tasks["one"]["task-2"] = _task(2, "running")
    evidence.tasks["two"]["task-2"] = _task(2, "running")


def _older_published(evidence: Evidence) -> None:
    evidence.manifests[DOCUMENT]["published"] = _published(1)
    evidence.points[DOCUMENT] = [_point(1)]
    evidence.hits[DOCUMENT] = [(DOCUMENT, 1, frozenset({WORDS[1]}))]


def _failed_without_letter(evidence: Evidence) -> None:
    evidence.tasks["one"]["task-1"] = _task(1, "failed")
    evidence.tasks["two"]["task-1"] = _task(1, "failed")


@pytest.mark.parametrize(
    ("harm", "kind"),
    [
        (lambda it: it.tasks["two"].pop("task-2"), Kind.LOST),
        (lambda it: it.records[DOCUMENT].pop(), Kind.LOST),
        (lambda it: it.manifests[DOCUMENT].update(fence=1), Kind.LOST),
        (_failed_without_letter, Kind.LOST),
        (_open_task, Kind.STUCK),
        (lambda it: it.tasks["two"].update({"task-2": _task(2, "empty")}), Kind.REGRESSED),
        (_older_published, Kind.STALE),
        (lambda it: it.points[DOCUMENT].append(_point(1)), Kind.ORPHANED),
        (lambda it: it.points[DOCUMENT].clear(), Kind.MISSING),
        (lambda it: it.hits[DOCUMENT].clear(), Kind.MISSING),
        (
            lambda it: it.hits[DOCUMENT].append((DOCUMENT, 2, frozenset({"zq9n9q"}))),
            Kind.LEAKED,
        ),
        (lambda it: it.hits[DOCUMENT].append((DOCUMENT, 1, frozenset({WORDS[1]}))), Kind.STALE),
        (
            lambda it: it.points[DOCUMENT].append(replace(_point(2), cabinet=2)),
            Kind.LEAKED,
        ),
        (
            lambda it: it.records[DOCUMENT].append(replace(_record(2), task_id="x", version=3)),
            Kind.TWIN,
        ),
    ],
)
def test_each_broken_promise_of_an_indexed_document_is_found(
    ledger: Ledger, harm: Callable[[Evidence], object], kind: Kind
) -> None:
    evidence = _two_versions(ledger)
    harm(evidence)
    assert kind in _kinds(ledger, evidence)


@pytest.mark.parametrize(
    "harm",
    [
        lambda it: it.points.update({DOCUMENT: [_point(1)]}),
        lambda it: it.bodies.update({DOCUMENT: [_record(1).body_key]}),
        lambda it: it.states.update({DOCUMENT: "indexed"}),
        lambda it: it.manifests[DOCUMENT].update(published=_published(1)),
        lambda it: it.tasks["one"].update({"task-1": _task(1, "succeeded")}),
    ],
    ids=["points", "bodies", "state", "manifest", "view"],
)
def test_whatever_a_delete_left_is_found(
    ledger: Ledger, harm: Callable[[Evidence], object]
) -> None:
    evidence = _deleted(ledger)
    harm(evidence)
    assert Kind.RESURRECTED in _kinds(ledger, evidence)


def test_an_upload_without_an_answer_may_be_there_or_not(ledger: Ledger) -> None:
    evidence = _two_versions(ledger)
    ledger.outcomes[2] = [Outcome(n=2, verdict=Verdict.UNKNOWN)]
    assert _kinds(ledger, evidence) == set()
    evidence.records[DOCUMENT].pop()
    for tasks in evidence.tasks.values():
        del tasks["task-2"]
        tasks["task-1"] = _task(1, "succeeded")
    evidence.manifests[DOCUMENT] = {"fence": 1, "epoch": 0, "published": _published(1)}
    evidence.points[DOCUMENT] = [_point(1)]
    evidence.hits[DOCUMENT] = [(DOCUMENT, 1, frozenset({WORDS[1]}))]
    assert _kinds(ledger, evidence) == set()
