"""The topic registry: the only place where a topic's name, key and settings are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final, Literal

__all__ = [
    "JOB_TOPICS",
    "TOPICS",
    "Cleanup",
    "Service",
    "Topic",
    "flows",
]


@unique
class Service(StrEnum):
    """Who produces and consumes."""

    INGEST_API = "ingest-api"
    VIEW = "view"
    EMBEDDER = "embedder"
    PLANNER = "planner"
    SCHEDULER = "scheduler"
    RECONCILE = "reconcile"


@unique
class Cleanup(StrEnum):
    """Kafka's ``cleanup.policy``."""

    DELETE = "delete"
    COMPACT = "compact"
    COMPACT_DELETE = "compact,delete"


_DAY_MS: Final = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic, as it must be on the broker."""

    name: str
    about: str
    key: str
    """What the key is made of; equal keys keep their order."""
    partitions: int | Literal["P"]
    """A number, or P: the installation's partition count, the same for all job topics."""
    cleanup: Cleanup
    retention_ms: int | None
    """None where records stay until compaction replaces them."""
    producers: frozenset[Service]
    consumers: frozenset[Service]
    events: tuple[str, ...] = ()
    """The types of event on it; empty where the value is raw or its event is not yet defined."""
    is_retry: bool = False
    """A declared way back: the only cycle that the topic graph may have."""

    def partition_count(self, p: int) -> int:
        """Return the number of partitions where the installation's count is ``p``."""
        return p if self.partitions == "P" else self.partitions

    def config(self) -> dict[str, str]:
        """Return the broker-side settings that go with the topic."""
        config = {"cleanup.policy": str(self.cleanup)}
        if self.retention_ms is not None:
            config["retention.ms"] = str(self.retention_ms)
        if self.cleanup is not Cleanup.DELETE:
            config |= {
                "segment.ms": str(60 * 60 * 1000),
                "min.cleanable.dirty.ratio": "0.1",
                "max.compaction.lag.ms": str(6 * 60 * 60 * 1000),
                "delete.retention.ms": str(_DAY_MS),
            }
        return config


def _services(*names: Service) -> frozenset[Service]:
    return frozenset(names)


_API, _VIEW, _EMBEDDER = Service.INGEST_API, Service.VIEW, Service.EMBEDDER
_PLANNER, _SCHEDULER = Service.PLANNER, Service.SCHEDULER
_RECONCILE = Service.RECONCILE
_DOCUMENT_KEY: Final = "cabinet/document"
_WORK: Final = (
    "document_submitted",
    "document_deletion_requested",
    "task_cancellation_requested",
    "cabinet_deletion_requested",
)

_ALL: Final = (
    Topic(
        name="documents.interactive",
        about="Work that somebody waits for",
        key=_DOCUMENT_KEY,
        partitions="P",
        cleanup=Cleanup.DELETE,
        retention_ms=7 * _DAY_MS,
        producers=_services(_API),
        consumers=_services(_EMBEDDER, _VIEW),
        events=_WORK,
    ),
    Topic(
        name="documents.bulk",
        about="Work of reindex runs, replays and overflow, and what was lost",
        key=_DOCUMENT_KEY,
        partitions="P",
        cleanup=Cleanup.DELETE,
        retention_ms=7 * _DAY_MS,
        producers=_services(_PLANNER, _API, _RECONCILE),
        consumers=_services(_EMBEDDER, _VIEW),
        events=_WORK,
    ),
    Topic(
        name="documents.retry",
        about="Work to be tried again at not_before",
        key=_DOCUMENT_KEY,
        partitions="P",
        cleanup=Cleanup.DELETE,
        retention_ms=7 * _DAY_MS,
        producers=_services(_EMBEDDER),
        consumers=_services(_EMBEDDER),
        events=_WORK,
        is_retry=True,
    ),
    Topic(
        name="documents.dlq",
        about="Raw values of work that failed for good, with the reason in the headers",
        key=_DOCUMENT_KEY,
        partitions=6,
        cleanup=Cleanup.DELETE,
        retention_ms=30 * _DAY_MS,
        producers=_services(_EMBEDDER, _API),
        consumers=_services(_VIEW),
    ),
    Topic(
        name="task.progress",
        about="Stages of running tasks; not awaited",
        key="task_id",
        partitions="P",
        cleanup=Cleanup.DELETE,
        retention_ms=_DAY_MS,
        producers=_services(_EMBEDDER, _PLANNER),
        consumers=_services(_VIEW),
        events=("task_progressed", "run_progressed"),
    ),
    Topic(
        name="task.status",
        about="Retries and ends of tasks; awaited",
        key="task_id",
        partitions="P",
        cleanup=Cleanup.COMPACT_DELETE,
        retention_ms=7 * _DAY_MS,
        # The view sends a stored higher state again where a lower one came last: compaction keeps
        # the last record, not the highest.
        producers=_services(_EMBEDDER, _PLANNER, _VIEW),
        consumers=_services(_VIEW),
        events=("task_status_changed",),
        is_retry=True,
    ),
    Topic(
        name="cabinets",
        about="Settings by cabinet, and {cabinet}#seen for its first upload",
        key="cabinet",
        partitions=6,
        cleanup=Cleanup.COMPACT,
        retention_ms=None,
        producers=_services(_API, _RECONCILE),
        consumers=_services(_SCHEDULER, _VIEW),
        events=("cabinet_seen", "cabinet_configured"),
    ),
    Topic(
        name="cabinets.reindex",
        about="Requests to reindex a cabinet, and the next page of a run",
        key="cabinet",
        partitions=24,
        cleanup=Cleanup.DELETE,
        retention_ms=7 * _DAY_MS,
        producers=_services(_SCHEDULER, _API, _PLANNER, _RECONCILE),
        consumers=_services(_PLANNER, _VIEW),
        events=("reindex_requested", "run_continued"),
        is_retry=True,
    ),
    Topic(
        name="scheduler.state",
        about="All slots up to t are emitted; how the last reconciliation ended",
        key="constant",
        partitions=1,
        cleanup=Cleanup.COMPACT,
        retention_ms=None,
        producers=_services(_SCHEDULER, _RECONCILE),
        consumers=_services(_SCHEDULER, _API),
        events=("slots_emitted", "reconcile_ended"),
        is_retry=True,
    ),
)

TOPICS: Final[Mapping[str, Topic]] = MappingProxyType({topic.name: topic for topic in _ALL})
"""Every topic by name."""

JOB_TOPICS: Final = ("documents.interactive", "documents.bulk", "documents.retry")
"""Topics of document work: same key, same partition count, so one worker has all of a document."""


def flows() -> frozenset[tuple[Service, str, Service]]:
    """Return the topic graph: (producer, topic, consumer)."""
    return frozenset(
        (producer, topic.name, consumer)
        for topic in TOPICS.values()
        for producer in topic.producers
        for consumer in topic.consumers
    )
