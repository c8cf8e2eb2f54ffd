"""Bugs to plant: each is a replacement of text in our packages, and the harm that brings it out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.ledger.ledger import Operation

__all__ = ["MUTATIONS", "Edit", "Mutation", "UnplantableError"]

_VERSIONS: Final[Mapping[Operation, int]] = {Operation.NEW: 12, Operation.VERSION: 60}


class UnplantableError(Exception):
    """The text to replace is not there exactly once: the mutation must follow the code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One replacement in one module."""

    path: str
    """Below the folder of packages."""
    old: str
    new: str

    def plant(self, packages: Path) -> None:
        """Change a copy.

        Raises:
            UnplantableError: ``old`` is not there exactly once.
        """
        module = packages / self.path
        text = module.read_text(encoding="utf-8")
        if (found := text.count(self.old)) != 1:
            raise UnplantableError(f"{self.path} has {found} of:\n{self.old}")
        module.write_text(text.replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A bug, and a run that ought to find it."""

    name: str
    edits: tuple[Edit, ...]
    faults: Mapping[str, int]
    """Weights by kind; others do not occur."""
    targets: frozenset[str] = frozenset()
    """Names of what may be hit; empty for everything of those kinds."""
    operations: Mapping[Operation, int] | None = None
    """Weights; None for the usual ones."""
    gap: tuple[float, float] = (1.0, 3.0)
    overlap: float = 0.3
    seconds: float = 75
    pause: float = 0.12
    hostile_share: float = 0.0
    has_keys: bool = False
    kill_after_accept: float = 0.0
    reindexes: bool = False
    """Whether cabinets are reindexed and files change, too."""
    settings: Mapping[str, str] = field(default_factory=dict)


MUTATIONS: Final = (
    Mutation(
        name="acks=0",
        edits=(
            Edit(
                path="kartoteka_runtime/producer_link.py",
                old='acks="all",\n            enable_idempotence=True,',
                new="acks=0,\n            enable_idempotence=False,",
            ),
            Edit(
                path="kartoteka_runtime/producer.py",
                old="        metadata = ack.result()\n",
                new="        metadata = ack.result()\n"
                "        if metadata is None:\n"
                "            return Delivered(topic=topic, partition=0, offset=0)\n",
            ),
        ),
        faults={"block connections": 1},
        targets=frozenset({"kafka"}),
    ),
    Mutation(
        name="202 before the record",
        edits=(
            Edit(
                path="ingest_api/usecases/submit.py",
                old="        while not await self._archive.create_record(record):\n"
                "            record = await self.redraft(record)\n"
                "        await self.publish(record, traceparent=traceparent)\n"
                "        return Acceptance(record=record, traceparent=traceparent)",
                new="        async def later() -> None:\n"
                "            await self._archive.create_record(record)\n"
                "            await self.publish(record, traceparent=traceparent)\n"
                "        self._later = __import__('asyncio').create_task(later())\n"
                "        return Acceptance(record=record, traceparent=traceparent)",
            ),
        ),
        faults={"kill api": 1},
        kill_after_accept=0.2,
    ),
    Mutation(
        name="acknowledged at delivery",
        edits=(
            Edit(
                path="embedder/entrypoints/acks.py",
                old="        self._deliveries[delivery.id] = delivery\n",
                new="        self._deliveries[delivery.id] = delivery\n"
                "        self.settle(delivery)\n"
                "        del self._settled[delivery.id]\n",
            ),
        ),
        faults={"pause qdrant": 2, "kill embedder": 3},
        overlap=0.9,
    ),
    Mutation(
        name="manifest without the fence",
        edits=(
            Edit(
                path="kartoteka_index/cabinet_filter.py",
                old='= [_below("fence", version, "epoch", epoch)]\n    if only_while',
                new="= []\n    if only_while",
            ),
        ),
        faults={"delay requests": 1},
        targets=frozenset({"qdrant of embedder-0", "qdrant of embedder-1"}),
        overlap=1.0,
        operations=_VERSIONS,
        # Shorter than the delay: the work goes on, and its first write comes after newer ones.
        settings={"QDRANT_TIMEOUT_SECONDS": "1"},
    ),
    Mutation(
        name="writes not confirmed, points not counted",
        edits=(
            Edit(
                path="kartoteka_index/chunks.py",
                old='            await attempt("upsert", partial(self._write, batch))',
                new="            try:\n"
                '                await attempt("upsert", partial(self._write, batch))\n'
                "            except UnavailableError:\n"
                "                pass",
            ),
            Edit(
                path="embedder/usecases/index_document.py",
                old="        if stored != total:",
                new="        if stored > total:",
            ),
        ),
        faults={"block connections": 1},
        targets=frozenset({"qdrant of embedder-0", "qdrant of embedder-1"}),
        overlap=1.0,
        # Shorter than a block: a write is given up, and the count that follows gets through.
        settings={"QDRANT_TIMEOUT_SECONDS": "2"},
    ),
    Mutation(
        name="dead letter not awaited",
        edits=(
            Edit(
                path="embedder/usecases/settle.py",
                old="            await self._send(_DEAD_LETTER_TOPIC, key, record.value",
                new="            import asyncio\n\n"
                "            async def _late(topic, key, value, headers):\n"
                "                await self._event_log.send(\n"
                "                    topic, key=key, value=value, headers=headers)\n\n"
                "            asyncio.ensure_future(\n"
                "                _late(_DEAD_LETTER_TOPIC, key, record.value",
            ),
            Edit(
                path="embedder/usecases/settle.py",
                old='record.value or b"", headers)\n        except RequestError',
                new='record.value or b"", headers))\n        except RequestError',
            ),
        ),
        faults={"block connections": 2, "kill broker": 1},
        targets=frozenset({"kafka", "broker"}),
        gap=(4.0, 8.0),
        hostile_share=0.7,
    ),
    Mutation(
        name="search without the manifest check",
        edits=(
            Edit(
                path="kartoteka_index/rounds.py",
                old="        if stands == tuple(candidate_work):",
                new="        if stands is not None:",
            ),
        ),
        faults={"zombie embedder": 1, "kill embedder": 1, "cut connections": 1},
        operations=_VERSIONS,
    ),
    Mutation(
        name="delete without the sweep",
        edits=(
            Edit(
                path="kartoteka_index/chunks.py",
                old="        await self._delete(chunks)\n"
                "        left = await self._count(chunks)\n",
                new="        left = 0\n",
            ),
        ),
        faults={"kill embedder": 1},
        operations={Operation.NEW: 40, Operation.VERSION: 10, Operation.DELETE: 40},
        gap=(4.0, 8.0),
        seconds=30,
    ),
    Mutation(
        name="an end overwritten by a later one",
        edits=(
            Edit(
                path="ingest_api/domain/task.py",
                old="    rises = not stored.status.is_end and seen.order > stored.order",
                new="    rises = seen.status.is_end or seen.order > stored.order",
            ),
        ),
        faults={"kill embedder": 1},
        operations={Operation.NEW: 10, Operation.VERSION: 30, Operation.DUPLICATE: 40},
        seconds=45,
    ),
    Mutation(
        name="Idempotency-Key ignored",
        edits=(
            Edit(
                path="ingest_api/entrypoints/http/idempotency.py",
                old="    return idempotency_key_of(idempotency_key)",
                new="    return None",
            ),
        ),
        faults={"drop answers": 2, "kill api": 1},
        has_keys=True,
        seconds=45,
    ),
    Mutation(
        name="filter without the cabinet",
        edits=(
            Edit(
                path="kartoteka_index/cabinet_filter.py",
                old="    return models.Filter(must=[own, *must], must_not=",
                new="    return models.Filter(must=list(must), must_not=",
            ),
            Edit(
                path="kartoteka_index/cabinet_filter.py",
                old="    return payload is not None and payload.get(CABINET)"
                " == cabinet_value(cabinet.cabinet_id)",
                new="    return payload is not None",
            ),
        ),
        faults={"kill embedder": 1},
        seconds=20,
    ),
    Mutation(
        name="what is away taken for vanished",
        edits=(
            Edit(
                path="embedder/usecases/reindex_survey.py",
                old="            await self._list(scope, source, survey, tally, objects)\n",
                new="            try:\n"
                "                await self._list(scope, source, survey, tally, objects)\n"
                "            except KartotekaError:\n"
                "                pass\n",
            ),
            Edit(
                path="embedder/usecases/reindex_survey.py",
                old="from kartoteka_contracts.cabinets import Source\n",
                new="from kartoteka_contracts.cabinets import Source\n"
                "from kartoteka_contracts.errors import KartotekaError\n",
            ),
            Edit(
                path="embedder/domain/reindex_verdict.py",
                old="        if counts.known and not counts.listed:\n",
                new="        if counts.known > 1000 and not counts.listed:\n",
            ),
        ),
        faults={"unmount source": 1},
        operations={Operation.NEW: 1},
        gap=(12.0, 20.0),
        pause=1.0,
        reindexes=True,
    ),
    Mutation(
        name="a changed file taken for unchanged",
        edits=(
            Edit(
                path="embedder/domain/reindex_verdict.py",
                old="        if known.listed.stamp != manifest.source.stamp:\n",
                new="        if known.listed.path != manifest.source.path:\n",
            ),
        ),
        faults={"kill embedder": 1, "kill scheduler": 1},
        operations={Operation.NEW: 1},
        gap=(8.0, 16.0),
        seconds=60,
        pause=1.0,
        reindexes=True,
    ),
)
"""The first eight are the ones that every delivery promise hangs on."""
