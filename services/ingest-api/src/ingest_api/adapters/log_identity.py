"""Which log a broker holds: the ids of its cluster and of its topics.

A topic that was deleted and made again has the same name and offsets that mean something else.
Only its id tells; it stands in metadata answers from version 10 on, which the Kafka client does
not speak by itself.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from ingest_api.domain.log_batch import Partition
from kartoteka_runtime.kafka import KafkaSettings, client_options

__all__ = ["Log", "describe_log"]

_METADATA: Final = 3
_VERSION: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Some topics of one broker, as they are now."""

    identity: str
    """Equal exactly for the same topics of the same cluster."""
    partitions: frozenset[Partition]


class _Uuid:
    """16 bytes."""

    @staticmethod
    def encode(value: UUID) -> bytes:
        return value.bytes

    @staticmethod
    def decode(data: Any) -> UUID:
        return UUID(bytes=data.read(16))

    @staticmethod
    def repr(value: UUID) -> str:
        return str(value)


class _Answer(Response):  # type: ignore[misc]  # the client ships no types
    API_KEY = _METADATA
    API_VERSION = _VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):  # type: ignore[misc]  # likewise
    API_KEY = _METADATA
    API_VERSION = _VERSION
    RESPONSE_TYPE = _Answer
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", _Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields)
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Metadata(Request[_Question]):  # type: ignore[misc]  # likewise
    API_KEY = _METADATA

    def __init__(self, topics: tuple[str, ...]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_Question]) -> _Question:
        topics: list[tuple[UUID, str, dict[int, bytes]]] = [
            (UUID(int=0), topic, {}) for topic in self._topics
        ]
        return request_struct_class(topics, False, False, False, {})  # noqa: FBT003 - positional wire fields


async def describe_log(settings: KafkaSettings, topics: Iterable[str], *, client_id: str) -> Log:
    """Ask the broker which log it holds.

    Raises:
        UnknownTopicOrPartitionError: a topic is not there.
        KafkaError: the broker cannot be asked.
    """
    wanted = tuple(sorted(topics))
    client = AIOKafkaClient(**client_options(settings), client_id=client_id)
    try:
        await client.bootstrap()
        node = client.get_random_node()
        if node is None:
            raise KafkaConnectionError("no broker to ask")
        answer = (await client.send(node, _Metadata(wanted))).to_object()
    finally:
        await client.close()
    missing = [topic["topic"] for topic in answer["topics"] if topic["error_code"]]
    if missing:
        raise UnknownTopicOrPartitionError(f"no such topics: {', '.join(missing)}")
    ids = {topic["topic"]: topic["topic_id"].hex for topic in answer["topics"]}
    return Log(
        identity=json.dumps({"cluster": answer["cluster_id"], "topics": ids}, sort_keys=True),
        partitions=frozenset(
            Partition(topic["topic"], part["partition"])
            for topic in answer["topics"]
            for part in topic["partitions"]
        ),
    )
