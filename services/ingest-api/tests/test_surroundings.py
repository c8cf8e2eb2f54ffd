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
        self.answer: Mapping[str, int] | BaseException | None = {"documents.bulk": 3}

    async def ask(self) -> Mapping[str, int] | None:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Store:
    def __init__(self) -> None:
        self.error: BaseException | None = None

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


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyError("of a client")], ids=repr)
async def test_what_fails_in_an_unknown_way_is_unknown_and_told_once(
    world: World, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    await world.surroundings.look()
    world.kafka.answer = world.store.error = error
    capsys.readouterr()
    for _ in range(3):
        await world.surroundings.look()
    assert (world.up("kafka"), world.up("qdrant"), world.lag()) == (None, None, None)
    assert capsys.readouterr().out.count("dependency_cannot_be_asked") == 2  # of each once
    world.kafka.answer, world.store.error = {"documents.bulk": 1}, None
    await world.surroundings.look()
    assert (world.up("kafka"), world.up("qdrant"), world.lag()) == (1, 1, 1)


@pytest.mark.parametrize("dependency", ["kafka", "qdrant"])
async def test_its_own_cancellation_ends_it(dependency: str) -> None:
    asked = asyncio.Event()

    async def stuck() -> None:
        asked.set()
        await asyncio.Event().wait()

    class Stuck(Kafka):
        async def ask(self) -> Mapping[str, int] | None:
            await stuck()
            return None

    of_kafka = dependency == "kafka"
    surroundings = Surroundings(
        Metrics(),
        lag=Stuck() if of_kafka else Kafka(),
        group="g",
        probes={} if of_kafka else {dependency: stuck},
    )
    running = asyncio.create_task(surroundings.run())
    await asyncio.wait_for(asked.wait(), 5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


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
