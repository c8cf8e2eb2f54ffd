"""Topics as the registry wants them: make the missing ones, find fault with the others.

Nothing that exists is ever changed: growing a topic would break the order of each document's work,
and shrinking one, or changing its cleanup, would lose records. What is wrong is said, with what to
do about it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, KafkaError, for_code

from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.topics import TOPICS, Topic
from kartoteka_runtime.kafka import KafkaSettings, client_options
from kartoteka_runtime.topic_faults import FoundTopic, faults

__all__ = ["ProvisionReport", "check", "provision", "topic_config"]

_REQUEST_MS: Final = 10_000
_TIMEOUT_SECONDS: Final = 30.0
_OK: Final = 0
_ALREADY_EXISTS: Final = 36
_APPEAR_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionReport:
    """What came of provisioning."""

    created: tuple[str, ...]
    """Topics made now."""
    kept: tuple[str, ...]
    """Topics that were there already."""
    faults: tuple[str, ...]
    """What is wrong with the topics as they are now, and what to do. Empty when all is well."""


async def provision(kafka: KafkaSettings, topics: Mapping[str, Topic] = TOPICS) -> ProvisionReport:
    """Create the topics that are missing, then check all. Safe to repeat, and to run twice at once.

    Raises:
        UnavailableError: ``event_log_unavailable``: Kafka does not answer, or refuses us.
    """
    async with _admin(kafka) as client:
        found = await _find(client, topics)
        missing = [topic for name, topic in topics.items() if name not in found]
        refused = await _create(client, kafka, missing)
        expected = {topic.name for topic in missing} - refused.keys()
        found = await _appeared(client, topics, expected)
        not_created = frozenset(refused)
        checked = {name: topic for name, topic in topics.items() if name not in not_created}
        return ProvisionReport(
            created=tuple(sorted(expected)),
            kept=tuple(sorted(found.keys() - expected)),
            faults=(*refused.values(), *faults(kafka, checked, found)),
        )


async def check(kafka: KafkaSettings, topics: Mapping[str, Topic] = TOPICS) -> tuple[str, ...]:
    """Return what is wrong with the topics, each with what to do; nothing when all is well.

    Raises:
        UnavailableError: ``event_log_unavailable``: Kafka does not answer, or refuses us.
    """
    async with _admin(kafka) as client:
        return faults(kafka, topics, await _find(client, topics))


def topic_config(kafka: KafkaSettings, topic: Topic) -> dict[str, str]:
    """Return the broker-side settings with which a topic is created."""
    return {
        **topic.config(),
        "min.insync.replicas": str(kafka.min_insync_replicas),
        # A replica that missed acknowledged records must never lead: that would lose them.
        "unclean.leader.election.enable": "false",
    }


@asynccontextmanager
async def _admin(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    try:
        client = AIOKafkaAdminClient(
            **client_options(kafka), client_id="kartoteka-topics", request_timeout_ms=_REQUEST_MS
        )
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await client.start()
                yield client
        finally:
            await client.close()
    except (KafkaError, OSError, TimeoutError) as error:
        raise UnavailableError(
            "event_log_unavailable",
            f"Kafka at {kafka.bootstrap_servers} does not answer{_why(error)}",
        ) from error


def _why(error: Exception) -> str:
    # "Unable to bootstrap from", and Python's view of the addresses: nothing is said by it.
    return "" if isinstance(error, KafkaConnectionError) else f": {error!r}"


async def _find(client: AIOKafkaAdminClient, topics: Mapping[str, Topic]) -> dict[str, FoundTopic]:
    # All topics are asked for: naming one makes a broker with auto.create.topics.enable create it.
    described = {
        entry["topic"]: entry["partitions"]
        for entry in await client.describe_topics()
        if entry["topic"] in topics and entry["error_code"] == _OK
    }
    configs = await _configs(client, list(described))
    return {
        name: FoundTopic(
            name=name,
            partitions=len(partitions),
            replication_factor=min((len(part["replicas"]) for part in partitions), default=0),
            config=configs.get(name, {}),
        )
        for name, partitions in described.items()
    }


async def _configs(client: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    for response in await client.describe_configs(resources):
        for code, _message, _kind, name, entries in (row[:5] for row in response.resources):
            if code != _OK:
                raise for_code(code)(f"the settings of topic {name} cannot be read")
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


async def _create(
    client: AIOKafkaAdminClient, kafka: KafkaSettings, missing: list[Topic]
) -> dict[str, str]:
    """Create topics; return those that the broker refused, with the reason."""
    if not missing:
        return {}
    wanted = [
        NewTopic(
            topic.name,
            topic.partition_count(kafka.job_partitions),
            kafka.replication_factor,
            topic_configs=topic_config(kafka, topic),
        )
        for topic in missing
    ]
    response = await client.create_topics(wanted)
    return {
        row[0]: _refusal(kafka, row)
        for row in response.topic_errors
        if row[1] not in (_OK, _ALREADY_EXISTS)  # somebody else provisions at the same time
    }


def _refusal(kafka: KafkaSettings, row: Any) -> str:
    name, code = row[0], row[1]
    message = row[2] if len(row) > 2 and row[2] else for_code(code).__name__  # noqa: PLR2004 - v1 on
    return (
        f"{name}: could not be created: {message} (KAFKA_REPLICATION_FACTOR="
        f"{kafka.replication_factor} needs as many brokers; the user needs the right to create)"
    )


async def _appeared(
    client: AIOKafkaAdminClient, topics: Mapping[str, Topic], expected: set[str]
) -> dict[str, FoundTopic]:
    """Return the topics once the brokers know the new ones: the controller knows them first."""
    deadline = asyncio.get_running_loop().time() + _APPEAR_SECONDS
    while True:
        try:
            found = await _find(client, topics)
        except KafkaError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            found = {}
        if expected <= found.keys() or asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(0.1)
