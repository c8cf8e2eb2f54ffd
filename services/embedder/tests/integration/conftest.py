"""A broker for all tests, and a stage for each."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kartoteka_testkit.job_stage import JobStage, create_job_topics
from kartoteka_testkit.kafka_broker import KafkaBroker, running_broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka")) as broker:
        asyncio.run(create_job_topics(broker))
        yield broker


@pytest.fixture
async def stage(broker: KafkaBroker, tmp_path: Path) -> AsyncIterator[JobStage]:
    stage = JobStage(broker, tmp_path, Path(__file__).with_name("recording_worker.py"))
    await stage.skip_earlier()
    try:
        yield stage
    finally:
        stage.kill_all()
