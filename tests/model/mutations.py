"""Bugs to plant in a copy of our packages, to see that the model finds each."""

from dataclasses import dataclass
from typing import Final

from tests.ledger.mutations import Edit

__all__ = ["BUGS", "Bug"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One bug."""

    name: str
    edit: Edit


def _bug(name: str, path: str, old: str, new: str) -> Bug:
    return Bug(name=name, edit=Edit(path=path, old=old, new=new))


BUGS: Final = (
    _bug(
        "the fence ignores the epoch",
        "kartoteka_index/cabinet_filter.py",
        'must: list[models.Condition] = [_below("fence", version, "epoch", epoch)]\n',
        'must: list[models.Condition] = [_at_most("fence", version)]\n',
    ),
    _bug(
        "the fence ignores the version",
        "kartoteka_index/cabinet_filter.py",
        'must: list[models.Condition] = [_below("fence", version, "epoch", epoch)]\n',
        "must: list[models.Condition] = []\n",
    ),
    _bug(
        "a sweep takes its own work",
        "kartoteka_index/cabinet_filter.py",
        'must=[_equals("document_id", document_id), _below("version", version, "epoch", epoch)],',
        'must=[_equals("document_id", document_id), _at_most("version", version)],',
    ),
    _bug(
        "a cancellation takes what is published",
        "embedder/usecases/cancel_task.py",
        "if stands.outcome is not Decided.CANCELLED:",
        "if stands.outcome is None:",
    ),
    _bug(
        "acknowledged at delivery",
        "embedder/entrypoints/acks.py",
        "        self._deliveries[delivery.id] = delivery\n",
        "        self._deliveries[delivery.id] = delivery\n"
        "        self.settle(delivery)\n"
        "        del self._settled[delivery.id]\n",
    ),
    _bug(
        "a delete leaves the manifest publishing",
        "kartoteka_index/payloads.py",
        "            keys |= WITHDRAWN\n",
        "            pass\n",
    ),
    _bug(
        "a view lets a retry follow an end",
        "ingest_api/domain/task.py",
        "rises = not stored.status.is_end and seen.order > stored.order",
        "rises = seen.order > stored.order or seen.attempt > stored.attempt",
    ),
    _bug(
        "a replay has no epoch of its own",
        "ingest_api/domain/replay.py",
        "epoch=max(microseconds(now), event.epoch + 1),",
        "epoch=event.epoch,",
    ),
    _bug(
        "a late twin discards what is published",
        "embedder/usecases/conclude.py",
        "if published is None or (published.version, published.epoch) != attempt.order:",
        "if True:",
    ),
    _bug(
        "a retry is not sent",
        "embedder/usecases/settle.py",
        "topic = _RUN_TOPIC if isinstance(job.event, RunEvent) else _RETRY_TOPIC",
        'topic = "documents.nowhere"',
    ),
    _bug(
        "the same work again counts as overtaken",
        "embedder/domain/lanes.py",
        "if newest is not None and order < newest:",
        "if newest is not None and order <= newest:",
    ),
    _bug(
        "an overtaken delete is left out",
        "embedder/usecases/work.py",
        "return await self._delete_document.run(job, Lease(), _unheard)",
        "return Superseded()",
    ),
    _bug(
        "chunks are published before they are written",
        "embedder/usecases/index_document.py",
        "        if extraction.chunks:\n            await self._write(attempt, extraction)\n",
        "        if extraction.chunks:\n",
    ),
    _bug(
        "a search does not ask the manifests",
        "kartoteka_index/rounds.py",
        "        if stands == tuple(candidate_work):",
        "        if stands is not None:",
    ),
)
