"""Topics and records of a test's broker, without our own code in between."""

import asyncio
from uuid import uuid4

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import ConsumerRecord

__all__ = ["make_topic", "read_all"]


async def make_topic(
    bootstrap_servers: str,
    *,
    name: str | None = None,
    partitions: int = 1,
    config: dict[str, str] | None = None,
) -> str:
    """Create a topic, named at random by default, and return its name."""
    name = name if name is not None else f"test-{uuid4().hex}"
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        await client.start()
        topic = NewTopic(name, partitions, 1, topic_configs=config or {})
        response = await client.create_topics([topic])
        errors = [entry[1:] for entry in response.topic_errors if entry[1] != 0]
        if errors:
            raise RuntimeError(f"topic {name} was not created: {errors}")
        for _ in range(100):  # the controller has it; brokers learn of it a little later
            known = await client.describe_topics([name])
            if known[0]["error_code"] == 0 and len(known[0]["partitions"]) == partitions:
                return name
            await asyncio.sleep(0.05)
    finally:
        await client.close()
    raise RuntimeError(f"topic {name} did not appear")


async def read_all(bootstrap_servers: str, topic: str) -> list[ConsumerRecord]:
    """Return every record of a topic, by partition, then offset."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        places = sorted(consumer.assignment())
        ends = await consumer.end_offsets(places)
        records: list[ConsumerRecord] = []
        for place in places:
            while await consumer.position(place) < ends[place]:
                batch = await consumer.getmany(place, timeout_ms=1000)
                records.extend(record for found in batch.values() for record in found)
        return sorted(records, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()
