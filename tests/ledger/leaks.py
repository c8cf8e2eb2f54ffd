"""Tries to read across cabinets: by search, by foreign ids, and with a key for one cabinet only."""

from random import Random
from typing import Final

from tests.ledger.book import Accepted, Book
from tests.ledger.documents import CANARY
from tests.ledger.findings import Finding, Findings, Kind
from tests.ledger.replica import Replica

__all__ = ["probe_leaks"]

_PROBES: Final = 60


async def probe_leaks(
    book: Book, replicas: list[Replica], restricted: Replica, own: int, findings: Findings
) -> int:
    """Probe; returns how many questions were answered.

    Args:
        book: what there is.
        replicas: asked with a key for everything.
        restricted: asked with a key for cabinet ``own`` alone.
        own: its cabinet.
        findings: what crossed a border goes here.
    """
    cabinets = {task.intent.canary: task.intent.cabinet for task in book.tasks.values()}
    random = Random("leaks")
    tasks = list(book.tasks.items())
    answered = 0
    for task_id, task in random.sample(tasks, min(_PROBES, len(tasks))):
        elsewhere = random.choice(
            [c for c in set(cabinets.values()) | {own} if c != task.intent.cabinet] or [own]
        )
        answered += await _search(random.choice(replicas), task, elsewhere, cabinets, findings)
        if task.intent.cabinet != own:
            answered += await _foreign(restricted, task_id, task, findings)
    return answered


async def _search(
    replica: Replica,
    task: Accepted,
    elsewhere: int,
    cabinets: dict[str, int],
    findings: Findings,
) -> int:
    """Search one cabinet for words of another."""
    answer = await replica.search(elsewhere, task.intent.canary or "archive", top_k=20)
    if answer is None or not answer.is_success:
        return 0
    for hit in answer.json()["hits"]:
        foreign = [word for word in CANARY.findall(hit["text"]) if cabinets.get(word) != elsewhere]
        unknown = [word for word in foreign if word not in cabinets]
        if foreign and foreign != unknown:
            _leaked(findings, task, f"a search of cabinet {elsewhere} answers with {foreign}")
    return 1


async def _foreign(restricted: Replica, task_id: str, task: Accepted, findings: Findings) -> int:
    """What a key may not see is answered as what does not exist."""
    cabinet = task.intent.cabinet
    paths = (
        f"/rag/task/{task_id}",
        f"/rag/documents/{task.document.document_id}",
        f"/rag/cabinets/{cabinet}/documents",
    )
    answered = 0
    for path in paths:
        answer = await restricted.get(path)
        answered += answer is not None
        if answer is not None and answer.is_success:
            _leaked(findings, task, f"a key of another cabinet reads {path}")
    found = await restricted.search(cabinet, task.intent.canary or "archive")
    if found is not None and found.is_success:
        _leaked(findings, task, f"a key of another cabinet searches cabinet {cabinet}")
    return answered + (found is not None)


def _leaked(findings: Findings, task: Accepted, detail: str) -> None:
    findings.add(
        Finding(kind=Kind.LEAKED, cabinet=task.intent.cabinet, name=task.intent.name, detail=detail)
    )
