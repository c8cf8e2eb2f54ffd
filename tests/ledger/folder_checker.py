"""Proves that a cabinet is what the folder is that feeds it. Pure: reads nothing itself."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kartoteka_contracts.tasks import TaskKind, TaskStatus
from tests.ledger.cabinets import FOLDER, SOURCE, id_of_file, name_of_file
from tests.ledger.evidence import Record
from tests.ledger.findings import Finding, Kind
from tests.ledger.ledger import Change, ChangeKind, Ledger
from tests.ledger.rules import Rules

__all__ = ["FolderChecker"]

_Found = Iterator[tuple[Kind, str]]


@dataclass(slots=True, kw_only=True)
class _File:
    """What became of one path."""

    path: str
    changes: list[Change] = field(default_factory=list)

    @property
    def contents(self) -> dict[str, Change]:
        """By sha256, all that it ever held."""
        return {change.sha256: change for change in self.changes if change.sha256}

    @property
    def now(self) -> Change | None:
        """What it holds; None where it is gone."""
        if self.changes[-1].kind is ChangeKind.REMOVE:
            return None
        return [change for change in self.changes if change.sha256][-1]

    @property
    def removed_at(self) -> list[float]:
        return [change.at for change in self.changes if change.kind is ChangeKind.REMOVE]


class FolderChecker:
    """One check of one run, at rest, after a run that had to find nothing to do.

    Args:
        ledger: what was done to files.
        rules: of every document, with what stands.
    """

    def __init__(self, ledger: Ledger, rules: Rules) -> None:
        self._rules = rules
        self._evidence = rules.evidence
        self._files: dict[str, _File] = {}
        for change in ledger.changes:
            file = self._files.setdefault(change.path, _File(path=change.path))
            file.changes.append(change)

    def check(self) -> Iterator[Finding]:
        """Give everything that is wrong."""
        for file in self._files.values():
            identity = id_of_file(file.path)
            for kind, detail in self._file(file, identity):
                name = name_of_file(file.path)
                yield Finding(kind=kind, cabinet=FOLDER, name=name, detail=detail)
        known = {id_of_file(path) for path in self._files}
        for identity, manifest in self._evidence.manifests.items():
            if int(manifest["cabinet_id"]) == FOLDER and identity not in known:
                yield Finding(
                    kind=Kind.TWIN,
                    cabinet=FOLDER,
                    name=str(manifest.get("external_id")),
                    detail=f"there was never such a file, and {identity} is decided",
                )

    def _file(self, file: _File, identity: str) -> _Found:
        tasks = self._rules.tasks_of(identity)
        records = self._evidence.records.get(identity, [])
        yield from self._rules.ends(tasks)
        yield from self._causes(file, records, tasks)
        yield from self._records(file, records)
        yield from self._vanished(file, records)
        yield from self._standing(file, identity, records)
        yield from self._rules.points(FOLDER, identity)
        yield from self._rules.hits(FOLDER, identity)

    def _causes(
        self, file: _File, records: list[Record], tasks: dict[str, dict[str, Any]]
    ) -> _Found:
        """A good file does not fail, and nobody cancels what a run has begun."""
        contents = file.contents
        versions = {record.version: record.sha256 for record in records}
        for task_id, task in tasks.items():
            content = contents.get(versions.get(task["version"], ""))
            if task["status"] == TaskStatus.FAILED and content is not None and content.canary:
                yield Kind.LOST, f"task {task_id}, a good file, failed: {task['error']}"
            if task["status"] == TaskStatus.CANCELLED:
                yield Kind.LOST, f"task {task_id} is cancelled, and nobody asked for that"

    def _records(self, file: _File, records: list[Record]) -> _Found:
        """What was copied is what was there, and as often as that changed at most."""
        wanted = {"source": SOURCE, "path": file.path}
        copies = [record for record in records if record.kind != TaskKind.DELETE]
        for record in copies:
            if record.sha256 not in file.contents:
                yield Kind.STALE, f"version {record.version} is {record.sha256}: it never was"
            if record.metadata != wanted or record.filename != file.path.rpartition("/")[2]:
                yield Kind.STALE, f"version {record.version} says {record.metadata}"
        changes = sum(change.kind is not ChangeKind.REMOVE for change in file.changes)
        if len(copies) > changes:
            yield Kind.TWIN, f"it was copied {len(copies)} times, and written {changes} times"

    def _vanished(self, file: _File, records: list[Record]) -> _Found:
        """Only what was removed vanishes: a folder that is away says nothing of its files."""
        vanished = [record for record in records if record.kind == TaskKind.DELETE]
        for n, record in enumerate(vanished, 1):
            if not record.is_vanished:
                yield Kind.TWIN, f"version {record.version}: nobody asked to delete it"
            if sum(at < record.accepted_at for at in file.removed_at) < n:
                yield Kind.LOST, f"version {record.version} removes it, and its file was there"

    def _standing(self, file: _File, identity: str, records: list[Record]) -> _Found:
        published = self._evidence.manifests.get(identity, {}).get("published")
        stands = None if published is None else published["sha256"]
        now = file.now
        if now is None:
            if stands is not None:
                yield Kind.RESURRECTED, f"its file is gone, and {stands} is published"
            yield from self._rules.remains(identity, records)
        elif now.canary and stands is None:
            yield Kind.LOST, f"its file is there, and nothing is published: {now}"
        elif now.canary and stands != now.sha256:
            yield Kind.STALE, f"{stands} is published, and its file is {now}"
        elif stands is not None and stands not in file.contents:
            yield Kind.STALE, f"{stands} is published, and its file was never that"
