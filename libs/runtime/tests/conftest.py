from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kartoteka_testkit.kafka_broker import KafkaBroker, running_broker


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker for tests that leave it as it is; each takes topics of its own."""
    with running_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
async def own_kafka(tmp_path: Path) -> AsyncIterator[KafkaBroker]:
    """A broker for one test, which may kill it."""
    broker = KafkaBroker(tmp_path / "kafka")
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()
