"""How Faust is set up; what it then does is shown on a real broker."""

from types import SimpleNamespace
from typing import Any, cast

import faust
import pytest
from faust import streams
from faust.types.tuples import TP, Message
from pydantic import SecretStr

from embedder.adapters.faust_log import FaustLog, GroupOptions
from embedder.domain.delivery import Delivery
from kartoteka_runtime.kafka import KafkaSettings


class Sink:
    def suspend(self) -> None:
        raise AssertionError("not connected")

    def turn(self, _generation: int, _places: Any) -> None:
        raise AssertionError("not connected")

    async def submit(self, _delivery: Any) -> None:
        raise AssertionError("not connected")


def app_of(kafka: KafkaSettings, **options: Any) -> faust.App:
    return FaustLog(kafka, GroupOptions(group="g", **options), Sink())._app


async def test_faust_is_reduced_to_what_is_safe() -> None:
    conf = app_of(KafkaSettings(bootstrap_servers="a:1,b:2")).conf
    assert [str(url) for url in conf.broker] == ["kafka://a:1", "kafka://b:2"]
    assert conf.stream_wait_empty is False
    assert conf.topic_allow_declare is False
    assert conf.topic_disable_leader is True
    assert conf.table_standby_replicas == 1
    assert conf.broker_session_timeout == 15
    assert conf.broker_request_timeout >= conf.broker_session_timeout
    assert conf.broker_max_poll_interval == 86_400
    assert conf.consumer_auto_offset_reset == "earliest"
    assert conf.web_enabled is False


@pytest.mark.parametrize("partitions", [4, 24, 96])
async def test_the_buffer_is_never_filled_by_what_is_fetched(partitions: int) -> None:
    conf = app_of(KafkaSettings(bootstrap_servers="a:1", job_partitions=partitions)).conf
    assert conf.stream_buffer_maxsize >= 5 * partitions * conf.broker_max_poll_records


async def test_credentials_reach_faust() -> None:
    kafka = KafkaSettings(
        bootstrap_servers="a:1",
        security_protocol="SASL_SSL",
        sasl_username="user",
        sasl_password=SecretStr("word"),
    )
    credentials = app_of(kafka).conf.broker_credentials
    assert isinstance(credentials, faust.SASLCredentials)
    assert credentials.username == "user"
    assert credentials.password == kafka.sasl_password.get_secret_value()  # type: ignore[union-attr]  # set above
    assert credentials.mechanism.value == "SCRAM-SHA-512"
    assert credentials.ssl_context is not None


async def test_tls_without_sasl_reaches_faust() -> None:
    kafka = KafkaSettings(bootstrap_servers="a:1", security_protocol="SSL")
    assert isinstance(app_of(kafka).conf.broker_credentials, faust.SSLCredentials)


async def test_a_faust_without_its_extension_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_CStreamIterator", None)
    with pytest.raises(RuntimeError, match="extension"):
        app_of(KafkaSettings(bootstrap_servers="a:1"))


async def test_a_stop_before_the_group_is_joined_is_a_quiet_one() -> None:
    log = FaustLog(KafkaSettings(bootstrap_servers="a:1"), GroupOptions(group="g"), Sink())
    log.pause()
    await log.commit()
    await log.stop()


class Acked:
    """A stream that notes what is acknowledged to it."""

    def __init__(self) -> None:
        self.offsets: list[int] = []

    async def ack(self, event: Any) -> None:
        self.offsets.append(event.message.offset)


class Group:
    """A log as it is once the group has shared out its partitions, without a broker."""

    def __init__(self) -> None:
        self.turns: list[int] = []
        self.stream = Acked()
        self._log = FaustLog(KafkaSettings(bootstrap_servers="a:1"), GroupOptions(group="g"), self)
        self._app = cast("Any", self._log._app)
        self._app.consumer = self

    def assignment(self) -> set[TP]:
        return {TP("documents.bulk", 0)}

    def suspend(self) -> None:
        """Nothing runs here."""

    def turn(self, generation: int, _places: Any) -> None:
        self.turns.append(generation)

    async def submit(self, _delivery: Any) -> None:
        raise AssertionError("not connected")

    def begin_rebalance(self) -> None:
        self._app.rebalancing_count += 1

    async def end_rebalance(self, generation: int) -> None:
        self._app.consumer_generation_id = generation
        await self._log._on_shared_out()

    def deliver(self, offset: int) -> Delivery:
        message = Message(
            "documents.bulk",
            0,
            offset,
            0.0,
            0,
            [],
            b"key",
            b"value",
            None,
            tp=TP("documents.bulk", 0),
            generation_id=self._app.consumer_generation_id,
        )
        return self._log._delivery(self.stream, SimpleNamespace(message=message))


async def test_a_delivery_is_acknowledged_in_its_own_generation_only() -> None:
    group = Group()
    group.begin_rebalance()
    await group.end_rebalance(4)
    old, late = group.deliver(1), group.deliver(2)
    await old.acknowledge()
    assert group.stream.offsets == [1]
    group.begin_rebalance()
    await group.end_rebalance(5)
    await late.acknowledge()
    assert group.stream.offsets == [1]
    await group.deliver(2).acknowledge()
    assert group.stream.offsets == [1, 2]
    assert group.turns == [4, 5]


async def test_nothing_is_acknowledged_from_the_moment_that_a_rebalance_begins() -> None:
    group = Group()
    group.begin_rebalance()
    await group.end_rebalance(4)
    late = group.deliver(1)
    group.begin_rebalance()  # the generation is still the old one
    await late.acknowledge()
    assert group.stream.offsets == []
