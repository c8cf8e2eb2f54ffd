"""A broker for each test: there is one watermark."""

import asyncio
from collections.abc import Iterator

import pytest

from kartoteka_runtime.topics_admin import provision
from kartoteka_testkit.kafka_broker import KafkaBroker, running_broker


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """Run a broker with the registry's topics; its log cleaner never waits."""
    quick = {"log.cleaner.backoff.ms": "50"}
    with running_broker(tmp_path_factory.mktemp("kafka"), properties=quick) as broker:
        report = asyncio.run(provision(broker.settings()))
        assert not report.faults
        yield broker
