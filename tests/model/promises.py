"""What must hold at every moment, looked at after every write and every record."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kartoteka_contracts.codec import decode
from kartoteka_contracts.events import (
    CabinetDeletionRequested,
    DocumentDeletionRequested,
    DocumentSubmitted,
    TaskStatusChanged,
)
from kartoteka_contracts.ids import TaskId, document_id
from kartoteka_contracts.tasks import TaskStatus
from kartoteka_index.search import Hit
from tests.model.api import DOCUMENTS, Accepted, Api
from tests.model.contents import lines_of
from tests.model.memory_log import Stored

__all__ = ["Chunk", "Promises", "Work", "expected"]

Work = tuple[int, int]
"""(version, epoch)."""
Chunk = tuple[str, str]
"""Text and metadata."""

_SETTLED: Final = frozenset({TaskStatus.SUCCEEDED, TaskStatus.EMPTY, TaskStatus.UNCHANGED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A manifest, as far as promises are about it."""

    fence: Work
    outcome: str | None
    task_id: str | None
    published: Work | None
    affirmed: int


def expected(accepted: Accepted) -> list[Chunk]:
    """Return the chunks that a version's work makes."""
    event = accepted.event
    if not isinstance(event, DocumentSubmitted):
        return []
    return [(line, repr(sorted(event.metadata.items()))) for line in lines_of(accepted.body)]


class Promises:
    """Watches one world."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.violations: list[str] = []
        self.standing: dict[str, Standing] = {}
        self.decided: defaultdict[str, dict[Work, str]] = defaultdict(dict)
        """Of each document, what every decided work came to."""
        self.ends: defaultdict[TaskId, list[TaskStatus]] = defaultdict(list)
        self.told: set[TaskId] = set()
        """Tasks of which the log says anything: an end, a retry or a dead letter."""
        self.changes: list[tuple[str, Work | None]] = []
        """What was published, one change after the other."""
        api.stores.index.changed = self._index_changed
        api.stores.log.appended.append(self._appended)

    # --- what stands ----------------------------------------------------------------------------

    def published(self, document: str) -> Work | None:
        """Return what is published of a document."""
        stands = self.standing.get(document)
        return None if stands is None else stands.published

    def chunks(self) -> dict[tuple[str, Work], dict[int, Mapping[str, Any]]]:
        """Return all stored chunks, by document and work."""
        found: dict[tuple[str, Work], dict[int, Mapping[str, Any]]] = defaultdict(dict)
        for name, points in self.api.stores.index.points.items():
            if not name.endswith("-documents"):
                for point in points.values():
                    payload = point.payload
                    work = (payload["version"], payload["epoch"])
                    found[payload["document_id"], work][payload["n"]] = payload
        return found

    def works(self, document: str, work: Work) -> Iterator[Accepted]:
        """Give the tasks that have asked for a work."""
        for task in self.api.tasks.values():
            event = task.event
            if (
                isinstance(event, DocumentSubmitted)
                and event.document_id == document
                and (task.order == work)
            ):
                yield task

    def deletes(self, document: str) -> Iterator[Accepted]:
        """Give the deletes that befall a document, those of its cabinet included."""
        for task in self.api.tasks.values():
            match task.event:
                case DocumentDeletionRequested(document_id=deleted) if deleted == document:
                    yield task
                case CabinetDeletionRequested(cabinet_id=cabinet) if document in _ids(cabinet):
                    yield task
                case _:
                    pass

    def is_cleared(self, document: str, version: int) -> bool:
        """Whether a cabinet's delete removes a version, one document after the other."""
        return any(
            isinstance(task.event, CabinetDeletionRequested) and task.event.version >= version
            for task in self.deletes(document)
        )

    # --- after every write ----------------------------------------------------------------------

    def _index_changed(self, collection: str) -> None:
        if collection.endswith("-documents"):
            for document, point in self.api.stores.index.points[collection].items():
                self._stands(document, point.payload)
        chunks = self.chunks()
        for (document, work), found in chunks.items():
            self._check_chunks(document, work, found)
        for document, stands in self.standing.items():
            if stands.published is not None:
                self._check_whole(document, stands.published, chunks)

    def _stands(self, document: str, payload: Mapping[str, Any]) -> None:
        published = payload.get("published")
        now = Standing(
            fence=(payload["fence"], payload["epoch"]),
            outcome=payload.get("outcome"),
            task_id=payload.get("task_id"),
            published=None if published is None else (published["version"], published["epoch"]),
            affirmed=payload.get("affirmed") or 0,
        )
        before = self.standing.get(document)
        if before == now:
            return
        self.standing[document] = now
        if now.outcome is not None:
            self.decided[document][now.fence] = now.outcome
        if before is not None and now.fence < before.fence:
            self._fault(f"P4: the fence of {document} sank from {before.fence} to {now.fence}")
        if before is not None and now.fence == before.fence and now.task_id != before.task_id:
            self._fault(f"P4: {now.fence} of {document} was decided twice")
        if now.published != (None if before is None else before.published):
            self.changes.append((document, now.published))
        self._check_visible(document, now)

    def _check_visible(self, document: str, stands: Standing) -> None:
        if stands.published is None:
            return
        if stands.published > stands.fence:
            self._fault(f"P4: {document} publishes {stands.published}, decided is {stands.fence}")
        for task in self.deletes(document):
            version = task.event.version
            if TaskStatus.SUCCEEDED in self.ends[task.event.task_id] and version >= max(
                stands.affirmed, stands.published[0]
            ):
                self._fault(f"P4: {document} {stands.published} outlives the delete {version}")
        tasks = list(self.works(document, stands.published))
        ends = [self.ends[task.event.task_id] for task in tasks]
        if not tasks:
            self._fault(f"P4: nobody has asked for {document} {stands.published}")
        elif all(TaskStatus.CANCELLED in one for one in ends):
            self._fault(f"P4: {document} {stands.published} is visible, and ended as cancelled")

    def _check_chunks(self, document: str, work: Work, found: Mapping[int, Any]) -> None:
        wanted = [expected(task) for task in self.works(document, work)]
        for n, payload in found.items():
            chunk = _chunk(payload)
            if not any(n < len(one) and one[n] == chunk for one in wanted):
                self._fault(f"P7: {document} {work} #{n} is {chunk}")
            cabinet, name = self.api.document_of(payload["document_id"])
            if payload["cabinet_id"] != str(cabinet) or payload["external_id"] != name:
                self._fault(f"P7: {document} {work} #{n} is filed as {payload['cabinet_id']}")

    def _check_whole(
        self, document: str, work: Work, chunks: Mapping[tuple[str, Work], Mapping[int, Any]]
    ) -> None:
        count = max((len(expected(task)) for task in self.works(document, work)), default=0)
        stored = len(chunks.get((document, work), {}))
        if stored != count and not self.is_cleared(document, work[0]):
            self._fault(f"P6: {document} publishes {work}, and has {stored} of {count} chunks")

    # --- after every record ---------------------------------------------------------------------

    def _appended(self, record: Stored) -> None:
        if record.topic == "documents.dlq":
            self.told.add(TaskId(dict(record.headers)["x-task-id"].decode()))
        if record.topic != "task.status":
            return
        event = decode(record.value)
        if not isinstance(event, TaskStatusChanged):
            self._fault(f"{event.type} on task.status")
            return
        self.told.add(event.task_id)
        if event.status.is_end:
            self._ended(event)

    def _ended(self, event: TaskStatusChanged) -> None:
        ends = self.ends[event.task_id]
        ends.append(event.status)
        if len(set(ends) - {TaskStatus.SUPERSEDED}) > 1:
            self._fault(f"P5: {event.task_id} ended as {ends}")
        if event.document_id is None:
            for document in _ids(event.cabinet_id):
                if document in self.standing:
                    self._check_visible(document, self.standing[document])
            return
        stands = self.standing.get(event.document_id)
        if event.status in _SETTLED and event.version is not None:
            work = (event.version, event.epoch)
            if stands is None or stands.fence < work:
                self._fault(f"P6: {event.task_id} ended as {event.status}, not decided")
        if stands is not None:
            self._check_visible(event.document_id, stands)

    # --- readers --------------------------------------------------------------------------------

    def check_answer(
        self, cabinet: int, since: int, before: Mapping[str, Work | None], hits: list[Hit]
    ) -> None:
        """Check the answer of a search.

        Args:
            cabinet: whose.
            since: how many changes there were when it was asked.
            before: what was published then.
            hits: the answer.
        """
        changes = self.changes[since:]
        own = _ids(cabinet)
        for hit in hits:
            if hit.document_id not in own:
                self._fault(f"P7: a search of {cabinet} found {hit.document_id}")
        for document in own:
            seen = sorted(_hit(hit) for hit in hits if hit.document_id == document)
            works = [before.get(document), *(work for one, work in changes if one == document)]
            allowed = [self._content(document, work) for work in works]
            if len(works) > 2:
                allowed.append([])  # a search gives up after three rounds
            if seen not in allowed and not self._is_cleared_partly(document, works):
                self._fault(f"a search found {seen} of {document}, published were {works}")

    def _is_cleared_partly(self, document: str, works: list[Work | None]) -> bool:
        return any(work is not None and self.is_cleared(document, work[0]) for work in works)

    def _content(self, document: str, work: Work | None) -> list[Chunk]:
        if work is None:
            return []
        return sorted(next((expected(task) for task in self.works(document, work)), []))

    def _fault(self, text: str) -> None:
        self.violations.append(text)


def _ids(cabinet: int) -> list[str]:
    return [document_id(*one) for one in DOCUMENTS if one[0] == cabinet]


def _chunk(payload: Mapping[str, Any]) -> Chunk:
    return payload["text"], repr(sorted(payload["metadata"].items()))


def _hit(hit: Hit) -> Chunk:
    return hit.text, repr(sorted(hit.metadata.items()))
