"""What can be wrong with a topic, in words that say what to do. Pure: no broker is asked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kartoteka_contracts.topics import Cleanup, Topic
from kartoteka_runtime.kafka import KafkaSettings

__all__ = ["FoundTopic", "faults"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTopic:
    """A topic as it is on the broker."""

    name: str
    partitions: int
    replication_factor: int
    """Of the partition with the fewest replicas."""
    config: Mapping[str, str] = field(default_factory=dict)


def faults(
    kafka: KafkaSettings, topics: Mapping[str, Topic], found: Mapping[str, FoundTopic]
) -> tuple[str, ...]:
    """Return what is wrong with the topics, each with what to do."""
    said: list[str] = []
    for name, topic in topics.items():
        there = found.get(name)
        if there is None:
            said.append(f"{name}: does not exist: run `kartoteka-topics provision`")
        else:
            said.extend(f"{name}: {fault}" for fault in _faults(kafka, topic, there))
    return tuple(said)


def _faults(kafka: KafkaSettings, topic: Topic, found: FoundTopic) -> Iterator[str]:
    yield from _partition_faults(kafka, topic, found)
    yield from _replica_faults(kafka, found)
    yield from _cleanup_faults(topic, found)


def _partition_faults(kafka: KafkaSettings, topic: Topic, found: FoundTopic) -> Iterator[str]:
    wanted = topic.partition_count(kafka.job_partitions)
    if found.partitions == wanted:
        return
    if topic.partitions == "P":
        yield (
            f"has {found.partitions} partitions, must have {wanted} (KAFKA_JOB_PARTITIONS): the "
            "count is fixed for life, so set KAFKA_JOB_PARTITIONS to what all job topics have; "
            "or, if nothing in it is needed, delete the topic and run `kartoteka-topics provision`"
        )
    else:
        yield (
            f"has {found.partitions} partitions, must have {wanted}: if nothing in it is needed, "
            "delete the topic and run `kartoteka-topics provision`"
        )


def _replica_faults(kafka: KafkaSettings, found: FoundTopic) -> Iterator[str]:
    if found.replication_factor < kafka.replication_factor:
        yield (
            f"has a replication factor of {found.replication_factor}, must have "
            f"{kafka.replication_factor} (KAFKA_REPLICATION_FACTOR): a lost broker would lose "
            "records; add replicas with `kafka-reassign-partitions.sh`"
        )
    in_sync = _number(found.config.get("min.insync.replicas"))
    if in_sync is not None and in_sync < kafka.min_insync_replicas:
        yield (
            f"has min.insync.replicas={in_sync}, must have {kafka.min_insync_replicas} "
            "(KAFKA_MIN_INSYNC_REPLICAS): an acknowledged record could be lost; "
            + _alter(found.name, "min.insync.replicas", str(kafka.min_insync_replicas))
        )
    elif in_sync is not None and in_sync > found.replication_factor:
        yield (
            f"has min.insync.replicas={in_sync} above its {found.replication_factor} replicas: no "
            "write can ever be acknowledged; "
            + _alter(found.name, "min.insync.replicas", str(kafka.min_insync_replicas))
        )
    if found.config.get("unclean.leader.election.enable") == "true" and (
        found.replication_factor > 1
    ):
        yield (
            "allows unclean leader election: an acknowledged record could be lost; "
            + _alter(found.name, "unclean.leader.election.enable", "false")
        )


def _cleanup_faults(topic: Topic, found: FoundTopic) -> Iterator[str]:
    policy = found.config.get("cleanup.policy")
    if policy is None:
        return
    if _policies(policy) != _policies(topic.cleanup):
        yield (
            f"has cleanup.policy={policy}, must have {topic.cleanup}: records would vanish, or "
            "never go; " + _alter(found.name, "cleanup.policy", f"[{topic.cleanup}]")
        )
    if topic.cleanup is Cleanup.COMPACT or topic.retention_ms is None:
        return
    kept = _number(found.config.get("retention.ms"))
    if kept is not None and 0 <= kept < topic.retention_ms:
        yield (
            f"has retention.ms={kept}, must have at least {topic.retention_ms}: work could expire "
            "before it is done; " + _alter(found.name, "retention.ms", str(topic.retention_ms))
        )


def _policies(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(","))


def _number(text: str | None) -> int | None:
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


def _alter(topic: str, name: str, value: str) -> str:
    return (
        f"run `kafka-configs.sh --alter --entity-type topics --entity-name {topic} "
        f"--add-config '{name}={value}'`"
    )
