"""The view's reader, on a real broker."""

import asyncio
from pathlib import Path

import pytest
from view_replica import make_topics

from ingest_api.adapters.log_reader import LogReader
from ingest_api.domain.log_batch import Partition
from kartoteka_testkit.kafka_broker import KafkaBroker

pytestmark = pytest.mark.integration


async def _read_for(reader: LogReader, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while True:
                await reader.read()
    except TimeoutError:
        return


async def test_a_reader_without_its_broker_ends_like_any_other(tmp_path: Path) -> None:
    """The client's own stop() cancels whoever awaits it while a fetch is to be tried again."""
    broker = KafkaBroker(tmp_path / "kafka")
    await broker.start()
    try:
        await make_topics(broker.settings())
        async with LogReader(broker.settings(), client_id="test") as reader:
            reader.start_from({Partition("task.status", n): 0 for n in range(4)})
            await reader.read()
            await broker.stop()
            await _read_for(reader, 2)
        assert await asyncio.sleep(0, "went on") == "went on"
    finally:
        await broker.stop()
