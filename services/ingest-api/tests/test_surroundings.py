"""What is told of dependencies and of the workers' lag: what is unknown has no value."""

import asyncio
from collections.abc import Mapping

import pytest

from ingest_api.adapters.surroundings import Surroundings
from kartoteka_contracts.errors import UnavailableError
from kartoteka_runtime.metrics import Metrics


class Kafka:
    """Answers as it is told."""

    def __init__(self) -> None:
        self.answer: Mapping[str, int] | Exception | None = {"documents.bulk": 3}

    async def ask(self) -> Mapping[str, int] | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Store:
    def __init__(self) -> None:
        self.error: Exception | None = None

    async def probe(self) -> None:
        if self.error is not None:
            raise self.error


class World:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.kafka = Kafka()
        self.store = Store()
        self.surroundings = Surroundings(
            self.metrics,
            lag=self.kafka,
            group="workers",
            probes={"qdrant": self.store.probe},
        )

    def up(self, dependency: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "kartoteka_dependency_up", {"dependency": dependency}
        )

    def lag(self) -> float | None:
        return self.metrics.registry.get_sample_value(
            "kartoteka_consumer_lag_records", {"group": "workers", "topic": "documents.bulk"}
        )


@pytest.fixture
def world() -> World:
    return World()


async def test_before_the_first_look_nothing_is_known(world: World) -> None:
    assert (world.up("kafka"), world.up("qdrant"), world.lag()) == (None, None, None)


async def test_what_answers_is_up(world: World) -> None:
    await world.surroundings.look()
    assert (world.up("kafka"), world.up("qdrant"), world.lag()) == (1, 1, 3)


async def test_a_broker_that_is_away_takes_the_lag_along(world: World) -> None:
    await world.surroundings.look()
    world.kafka.answer = UnavailableError("event_log_unavailable")
    await world.surroundings.look()
    assert (world.up("kafka"), world.up("qdrant"), world.lag()) == (0, 1, None)
    world.kafka.answer = {"documents.bulk": 0}
    await world.surroundings.look()
    assert (world.up("kafka"), world.lag()) == (1, 0)


async def test_a_lag_that_is_unknown_is_not_0_though_kafka_answers(world: World) -> None:
    await world.surroundings.look()
    world.kafka.answer = None
    await world.surroundings.look()
    assert (world.up("kafka"), world.lag()) == (1, None)


@pytest.mark.parametrize(
    "error", [UnavailableError("index_unavailable"), OSError("refused"), TimeoutError()], ids=repr
)
async def test_a_store_that_is_away_is_not_up(world: World, error: Exception) -> None:
    world.store.error = error
    await world.surroundings.look()
    assert (world.up("kafka"), world.up("qdrant")) == (1, 0)
    world.store.error = None
    await world.surroundings.look()
    assert world.up("qdrant") == 1


async def test_it_looks_again_and_again() -> None:
    asked = asyncio.Event()

    class Counting(Kafka):
        times = 0

        async def ask(self) -> Mapping[str, int] | None:
            self.times += 1
            if self.times > 1:
                asked.set()
            return await super().ask()

    often = Surroundings(Metrics(), lag=Counting(), group="g", probes={}, every=0.01)
    running = asyncio.create_task(often.run())
    await asyncio.wait_for(asked.wait(), 5)
    running.cancel()
