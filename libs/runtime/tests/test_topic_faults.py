import pytest

from kartoteka_contracts.topics import TOPICS
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.topic_faults import FoundTopic, faults
from kartoteka_runtime.topics_admin import topic_config

KAFKA = KafkaSettings(bootstrap_servers="a:1", replication_factor=3, min_insync_replicas=2)


def as_wanted(name: str, **changes: str) -> FoundTopic:
    topic = TOPICS[name]
    return FoundTopic(
        name=name,
        partitions=topic.partition_count(KAFKA.job_partitions),
        replication_factor=3,
        config=topic_config(KAFKA, topic) | {k.replace("_", "."): v for k, v in changes.items()},
    )


def said(name: str, found: FoundTopic) -> str:
    (fault,) = faults(KAFKA, {name: TOPICS[name]}, {name: found})
    assert fault.startswith(f"{name}: ")
    return fault


def test_topics_as_wanted_are_without_fault() -> None:
    assert faults(KAFKA, TOPICS, {name: as_wanted(name) for name in TOPICS}) == ()


def test_a_missing_topic_is_named_with_the_command() -> None:
    (fault,) = faults(KAFKA, {"cabinets": TOPICS["cabinets"]}, {})
    assert fault == "cabinets: does not exist: run `kartoteka-topics provision`"


@pytest.mark.parametrize("partitions", [12, 48])
def test_a_job_topic_of_another_partition_count_is_refused(partitions: int) -> None:
    found = FoundTopic(
        name="documents.bulk",
        partitions=partitions,
        replication_factor=3,
        config=as_wanted("documents.bulk").config,
    )
    fault = said("documents.bulk", found)
    assert f"has {partitions} partitions, must have 24" in fault
    assert "KAFKA_JOB_PARTITIONS" in fault


def test_too_few_replicas_are_refused() -> None:
    wanted = as_wanted("cabinets")
    found = FoundTopic(name="cabinets", partitions=6, replication_factor=2, config=wanted.config)
    assert "replication factor of 2, must have 3" in said("cabinets", found)


@pytest.mark.parametrize(
    ("name", "changes", "part"),
    [
        ("documents.bulk", {"min_insync_replicas": "1"}, "min.insync.replicas=1, must have 2"),
        ("documents.bulk", {"min_insync_replicas": "4"}, "no write can ever be acknowledged"),
        ("documents.bulk", {"cleanup_policy": "compact"}, "cleanup.policy=compact, must have del"),
        ("cabinets", {"cleanup_policy": "delete"}, "--add-config 'cleanup.policy=[compact]'"),
        ("documents.dlq", {"retention_ms": "1000"}, "retention.ms=1000, must have at least"),
        ("cabinets", {"unclean_leader_election_enable": "true"}, "unclean leader election"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_to_do(
    name: str, changes: dict[str, str], part: str
) -> None:
    fault = said(name, as_wanted(name, **changes))
    assert part in fault
    assert "kafka-configs.sh" in fault


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("documents.bulk", {"retention_ms": "-1"}),
        ("documents.bulk", {"retention_ms": str(10**12)}),
        ("documents.bulk", {"min_insync_replicas": "3"}),
        ("task.status", {"cleanup_policy": "delete,compact"}),
    ],
)
def test_what_is_safer_than_wanted_is_fine(name: str, changes: dict[str, str]) -> None:
    assert faults(KAFKA, {name: TOPICS[name]}, {name: as_wanted(name, **changes)}) == ()
