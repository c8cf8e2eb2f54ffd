"""See what became of a run's documents, page by page, from their manifests alone."""

from dataclasses import dataclass
from typing import Final

from embedder.domain.reindex_plan import Action, Entry, Page, PageNotes
from embedder.planner_ports import PlannerIndex
from embedder.usecases.reindex_emission import is_decided
from embedder.usecases.reindex_pages import RunPages
from kartoteka_contracts.ids import DocumentId
from kartoteka_contracts.reindex import RunError, RunResult
from kartoteka_index.manifest import Manifest, Outcome

__all__ = ["WatchPages", "Watched"]

_MOST_ERRORS: Final = 100
_MOST_PAGES: Final = 50
"""Looked at in one step: the next step is another worker's, if this one dies."""
_GOOD: Final = frozenset({Outcome.PUBLISHED, Outcome.UNCHANGED, Outcome.EMPTY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """How far a run has come."""

    page: int
    """The first that is not all decided."""
    result: RunResult
    """Of the pages before."""
    partly: RunResult
    """With what is decided of that page too."""
    is_waiting: bool
    """Whether that page waits for workers; False where only this step has looked enough."""


class WatchPages:
    """The last part of a run. Writes nothing."""

    def __init__(self, *, index: PlannerIndex) -> None:
        self._index = index

    async def run(self, pages: RunPages, *, first: int, total: int, result: RunResult) -> Watched:
        """Add up what is decided, from a page on, as far as whole pages are.

        Args:
            pages: of the run.
            first: the page to begin at.
            total: pages that the run has.
            result: of the pages before.

        Raises:
            UnavailableError: a store is away.
        """
        last = min(total, first + _MOST_PAGES)
        for n in range(first, last):
            page = await pages.page(n) or Page(entries=())
            notes = await pages.notes(n)
            manifests = await self._index.manifests(
                pages.cabinet, [entry.document_id for entry in page.entries]
            )
            seen, is_all = _added(result, page, notes, manifests)
            if not is_all:
                return Watched(page=n, result=result, partly=seen, is_waiting=True)
            result = seen
        return Watched(page=last, result=result, partly=result, is_waiting=False)


def _added(
    result: RunResult,
    page: Page,
    notes: PageNotes,
    manifests: dict[DocumentId, Manifest],
) -> tuple[RunResult, bool]:
    """Return the result with what is decided of a page, and whether all of it is."""
    errors = {error.document_id: error for error in notes.errors}
    success = failed = overtaken = 0
    listed = list(result.errors)
    for entry in page.entries:
        manifest = manifests.get(entry.document_id)
        error = errors.get(entry.document_id) or _error(entry, manifest)
        if error is not None:
            failed += 1
            listed.append(error)
        elif entry.document_id in notes.overtaken:
            overtaken += 1
        elif manifest is not None and is_decided(entry, manifest):
            is_good = _is_good(entry, manifest)
            success += is_good
            overtaken += not is_good
    added = RunResult(
        success=result.success + success,
        errors=listed[:_MOST_ERRORS],
        failed=result.failed + failed,
        overtaken=result.overtaken + overtaken,
        total=result.total,
        counts=result.counts,
    )
    return added, success + failed + overtaken == len(page.entries)


def _stands(entry: Entry, manifest: Manifest) -> bool:
    return (manifest.fence, manifest.epoch) == entry.work


def _is_good(entry: Entry, manifest: Manifest) -> bool:
    if not _stands(entry, manifest):
        return False
    if entry.action is Action.DELETE:
        return manifest.outcome is Outcome.DELETED
    return manifest.outcome in _GOOD


def _error(entry: Entry, manifest: Manifest | None) -> RunError | None:
    if manifest is None or not _stands(entry, manifest) or manifest.outcome is not Outcome.FAILED:
        return None
    fault = manifest.error
    return RunError(
        document_id=entry.document_id,
        external_id=entry.external_id,
        code="unexpected" if fault is None else fault.code,
        message="" if fault is None else fault.message[:500],
    )
