"""How far a consumer group is behind on its topics, asked beside it."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ingest_api.adapters.log_reader import consumer, end
from kartoteka_contracts.errors import UnavailableError
from kartoteka_runtime.kafka import KafkaSettings, client_options
from kartoteka_runtime.logs import get_logger

__all__ = ["GroupLag"]

_log = get_logger(__name__)

_CLIENT: Final = "kartoteka-lag"
_REQUEST_MS: Final = 5_000
_ROUND_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clients:
    admin: AIOKafkaAdminClient
    consumer: AIOKafkaConsumer

    @classmethod
    async def open(cls, kafka: KafkaSettings) -> Self:
        options = client_options(kafka)
        clients = cls(
            admin=AIOKafkaAdminClient(**options, client_id=_CLIENT, request_timeout_ms=_REQUEST_MS),
            consumer=consumer(options, f"{_CLIENT}-offsets"),
        )
        try:
            await clients.admin.start()
            await clients.consumer.start()
        except BaseException:
            await clients.close()
            raise
        return clients

    async def close(self) -> None:
        await end(self.consumer)
        try:
            await asyncio.wait_for(self.admin.close(), _STOP_SECONDS)
        except (KafkaError, OSError, TimeoutError) as error:
            _log.warning("kafka_client_stop", reason=repr(error))


class GroupLag:
    """Asks as nobody of the group. Connects when it is first asked, and anew after a failure.

    Args:
        kafka: where the log is.
        group: the consumer group.
        topics: all that it reads.
    """

    def __init__(self, kafka: KafkaSettings, *, group: str, topics: Collection[str]) -> None:
        self._kafka = kafka
        self._group = group
        self._topics = tuple(sorted(topics))
        self._clients: _Clients | None = None

    async def ask(self) -> Mapping[str, int] | None:
        """Return the records that the group has not committed, by topic; bounded.

        A partition without a commit counts from its beginning, where the group would begin. That
        is told apart from a coordinator that is still loading, whose answer the client strips of
        its error and which then lacks partitions: None, since nothing is known. So it is where a
        topic is not there yet.

        Raises:
            UnavailableError: ``event_log_unavailable``.
        """
        try:
            async with asyncio.timeout(_ROUND_SECONDS):
                return await self._ask()
        except (KafkaError, OSError, TimeoutError) as error:
            await self.stop()
            reason = str(error) or type(error).__name__
            raise UnavailableError("event_log_unavailable", reason) from error

    async def stop(self) -> None:
        """Disconnect; bounded, whatever the broker does."""
        clients, self._clients = self._clients, None
        if clients is not None:
            await clients.close()

    async def _ask(self) -> Mapping[str, int] | None:
        if self._clients is None:
            self._clients = await _Clients.open(self._kafka)
        admin, reader = self._clients.admin, self._clients.consumer
        places = await self._places(admin)
        committed = None if places is None else await self._committed(admin, places)
        if places is None or committed is None:
            return None
        # The ends come after the commits, so a lag is never below 0 and never too small.
        begins = await reader.beginning_offsets(places)
        ends = await reader.end_offsets(places)
        lag = Counter[str](dict.fromkeys(self._topics, 0))
        for place in places:
            at = max(begins[place], committed.get(place, 0))
            lag[place.topic] += max(0, ends[place] - at)
        return lag

    async def _places(self, admin: AIOKafkaAdminClient) -> list[TopicPartition] | None:
        # All are asked for: naming one makes a broker with auto.create.topics.enable create it.
        described = await admin.describe_topics()
        found = [
            TopicPartition(entry["topic"], partition["partition"])
            for entry in described
            if entry["topic"] in self._topics and entry["error_code"] == 0
            for partition in entry["partitions"]
        ]
        return found if {place.topic for place in found} == set(self._topics) else None

    async def _committed(
        self, admin: AIOKafkaAdminClient, places: list[TopicPartition]
    ) -> Mapping[TopicPartition, int] | None:
        try:
            found = await admin.list_consumer_group_offsets(self._group, partitions=places)
        except KafkaError as error:
            _log.info("group_lag_unknown", group=self._group, reason=repr(error))
            return None
        if len(found) < len(places):
            return None
        return {place: one.offset for place, one in found.items() if one.offset >= 0}
