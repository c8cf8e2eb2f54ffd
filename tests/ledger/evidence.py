"""What stands after a run: asked from the API, read from Qdrant and from object storage."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx

from kartoteka_contracts.keys import record_version
from kartoteka_testkit.kafka_topics import read_all
from tests.ledger.book import Known
from tests.ledger.documents import CANARY
from tests.ledger.replica import Replica

__all__ = ["Evidence", "Point", "Record", "gather_evidence"]

_PAGE: Final = 500
_TRIES: Final = 20
_ASKED: Final = 1500
"""Documents that are read and searched by the API; Qdrant is read whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One chunk in Qdrant."""

    cabinet: int
    document_id: str
    version: int
    epoch: int
    n: int
    canaries: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What object storage says was asked."""

    version: int
    task_id: str
    kind: str
    sha256: str
    filename: str
    metadata: dict[str, Any]
    body_key: str
    accepted_at: float = 0.0
    """Seconds since the epoch."""
    is_vanished: bool = False


@dataclass(slots=True, kw_only=True)
class Evidence:
    """All of it, by document id."""

    tasks: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """What each replica says of each task."""
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)
    records: dict[str, list[Record]] = field(default_factory=dict)
    """In the order of their versions."""
    bodies: dict[str, list[str]] = field(default_factory=dict)
    """Keys of bodies."""
    letters: set[str] = field(default_factory=set)
    """Tasks with a dead letter."""
    states: dict[str, str] = field(default_factory=dict)
    """Document states as the API tells them."""
    hits: dict[str, list[tuple[str, int, frozenset[str]]]] = field(default_factory=dict)
    """(document id, version, canaries) of what a search for the document's words answers."""


async def gather_evidence(
    documents: list[Known],
    cabinets: tuple[int, ...],
    replicas: list[Replica],
    *,
    qdrant_url: str,
    kafka: str,
    objects: Path,
) -> Evidence:
    """Read everything. The stack must be well and at rest."""
    evidence = Evidence()
    await _read_tasks(evidence, cabinets, replicas)
    await _read_index(evidence, qdrant_url)
    await asyncio.to_thread(_read_objects, evidence, objects)
    for letter in await read_all(kafka, "documents.dlq"):
        headers = dict(letter.headers)
        if "x-reason" in headers:
            evidence.letters.add(headers["x-task-id"].decode())
    asked = Random("what is asked for").sample(documents, min(_ASKED, len(documents)))
    for n, document in enumerate(asked):
        await _ask(evidence, replicas[n % len(replicas)], document)
    return evidence


async def _read_tasks(
    evidence: Evidence, cabinets: tuple[int, ...], replicas: list[Replica]
) -> None:
    """Read all tasks from every replica, until they agree or have had the time to."""
    for _ in range(_TRIES):
        for replica in replicas:
            evidence.tasks[replica.name] = {
                task["task_id"]: task
                for cabinet in cabinets
                async for task in _tasks(replica, cabinet)
            }
        first, *others = (
            {task_id: task["status"] for task_id, task in tasks.items()}
            for tasks in evidence.tasks.values()
        )
        if all(other == first for other in others):
            return
        await asyncio.sleep(1)


async def _tasks(replica: Replica, cabinet: int) -> AsyncIterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        params: dict[str, str | int] = {"cabinet": cabinet, "limit": _PAGE}
        if cursor is not None:
            params["cursor"] = cursor
        page = (await _insist(lambda: replica.get("/rag/tasks", **params))).json()  # noqa: B023 - awaited within the round
        for task in page["tasks"]:
            yield task
        cursor = page["next_cursor"]
        if cursor is None:
            return


async def _insist(call: Any) -> httpx.Response:
    """Ask until there is an answer that is no passing refusal.

    Raises:
        RuntimeError: none came, though everything is said to be well.
    """
    said = "nothing"
    for _ in range(_TRIES):
        answer: httpx.Response | None = await call()
        if answer is not None and not answer.is_server_error:
            return answer
        said = "nothing" if answer is None else answer.text
        await asyncio.sleep(0.5)
    raise RuntimeError(f"the healed stack does not answer: {said}")


async def _read_index(evidence: Evidence, url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        listed = (await client.get("/collections")).json()["result"]["collections"]
        for name in (collection["name"] for collection in listed):
            async for found in _scroll(client, name):
                payload = found["payload"]
                if name.endswith("-documents") and "document_id" not in payload:
                    continue  # where a run stands
                if name.endswith("-documents"):
                    evidence.manifests[payload["document_id"]] = payload
                    continue
                point = Point(
                    cabinet=int(payload["cabinet_id"]),
                    document_id=payload["document_id"],
                    version=payload["version"],
                    epoch=payload["epoch"],
                    n=payload["n"],
                    canaries=frozenset(CANARY.findall(payload["text"])),
                )
                evidence.points.setdefault(point.document_id, []).append(point)


async def _scroll(client: httpx.AsyncClient, name: str) -> AsyncIterator[dict[str, Any]]:
    offset: str | None = None
    while True:
        asked = {"limit": _PAGE, "offset": offset, "with_payload": True, "with_vector": False}
        answer = await client.post(f"/collections/{name}/points/scroll", json=asked)
        answer.raise_for_status()
        page = answer.json()["result"]
        for found in page["points"]:
            yield found
        offset = page["next_page_offset"]
        if offset is None:
            return


def _read_objects(evidence: Evidence, folder: Path) -> None:
    for path in sorted(folder.glob("cabinets/*/records/*/*.json")):
        if record_version(path.name) is None:
            continue
        found = json.loads(path.read_text())
        record = Record(
            version=found["version"],
            task_id=found["task_id"],
            kind=found["kind"],
            sha256=found.get("sha256", ""),
            filename=found.get("filename", ""),
            metadata=found.get("metadata", {}),
            body_key=found.get("body_key", ""),
            accepted_at=datetime.fromisoformat(found["accepted_at"]).timestamp(),
            is_vanished=found.get("is_vanished", False),
        )
        evidence.records.setdefault(path.parent.name, []).append(record)
    for path in folder.glob("cabinets/*/bodies/*/*"):
        # What a writer left when it was killed has a name of its own: nobody reads it.
        if "#" not in path.name:
            key = str(path.relative_to(folder))
            evidence.bodies.setdefault(path.parent.name, []).append(key)


async def _ask(evidence: Evidence, replica: Replica, document: Known) -> None:
    """Read a document and search it by the words of its newest version."""
    identity = document.document_id
    answer = await _insist(lambda: replica.get(f"/rag/documents/{identity}"))
    evidence.states[identity] = answer.json()["state"] if answer.is_success else "unknown"
    words = "archive basin cedar" if document.newest is None else document.newest.canary
    found = await _insist(
        lambda: replica.search(document.cabinet, words or "archive", document=identity)
    )
    found.raise_for_status()
    evidence.hits[identity] = [
        (hit["document_id"], hit["version"], frozenset(CANARY.findall(hit["text"])))
        for hit in found.json()["hits"]
    ]
