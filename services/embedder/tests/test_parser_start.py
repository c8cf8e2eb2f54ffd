"""A parser process that is slow to start, or does not: our trouble, never a document's."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from embedder.adapters.extractor_pool import MOCK_MEDIA_TYPE, ExtractorPool, _Deadline
from embedder.adapters.extractor_process import ExtractorProcess
from embedder.adapters.parser_settings import ParserSettings
from embedder.domain.chunking import ChunkPolicy
from embedder.domain.parsed import Extraction, Parsed
from kartoteka_contracts.errors import UnavailableError

_ENGINE = """
import time
from pathlib import Path
from typing import cast
from embedder.domain.reading import ReadingBuilder

time.sleep(float(Path({delay!r}).read_text()))

def read(body, limits, progress):
    builder = ReadingBuilder(limits.max_characters)
    builder.add(body.read_text())
    return builder.build(parser="slow 1")
"""


class Parsers:
    """A pool of one process, whose start takes as long as a file says."""

    def __init__(self, folder: Path) -> None:
        self._delay = folder / "delay"
        self.starts_in(0)
        engine = folder / "engine.py"
        engine.write_text(_ENGINE.format(delay=str(self._delay)))
        self._body = folder / "body"
        self._body.write_text("fine")
        settings = ParserSettings(
            children=1,
            memory_bytes=512 << 20,
            soft_limit_seconds=1.5,
            hard_limit_seconds=2,
            start_limit_seconds=10,
        )
        self.pool = ExtractorPool(
            settings,
            tokenizer="hash",
            policy=ChunkPolicy(max_tokens=50, overlap_tokens=5),
            extra_extractor=engine,
        )

    def starts_in(self, seconds: float) -> None:
        self._delay.write_text(str(seconds))

    async def die(self) -> None:
        os.kill(self.pool.pids[0], 9)
        await asyncio.sleep(0.2)

    async def read(self) -> Extraction:
        return await self.pool.extract(
            self._body,
            media_type=MOCK_MEDIA_TYPE,
            filename="file",
            report=lambda _stage, _share: None,
        )


@pytest.fixture
async def parsers(tmp_path: Path) -> AsyncIterator[Parsers]:
    parsers = Parsers(tmp_path)
    await parsers.pool.start()
    yield parsers
    await parsers.pool.stop()


async def test_a_start_longer_than_the_limit_of_a_parse_costs_the_document_nothing(
    parsers: Parsers,
) -> None:
    parsers.starts_in(2.5)
    await parsers.die()
    assert isinstance(await parsers.read(), Parsed)


async def test_a_process_that_does_not_start_is_an_outage_until_it_does(parsers: Parsers) -> None:
    parsers.starts_in(-1)  # which raises
    await parsers.die()
    with pytest.raises(UnavailableError) as caught:
        await parsers.read()
    assert caught.value.code == "parser_unavailable"
    parsers.starts_in(0)
    assert isinstance(await parsers.read(), Parsed)


async def test_a_stopped_pool_takes_no_document(parsers: Parsers) -> None:
    await parsers.pool.stop()
    with pytest.raises(UnavailableError) as caught:
        await parsers.read()
    assert caught.value.code == "parser_unavailable"


async def test_only_the_time_of_reading_counts_towards_a_documents_limit() -> None:
    class Process:
        def __init__(self) -> None:
            self.warned = asyncio.Event()
            self.killed = asyncio.Event()

        def warn(self) -> None:
            self.warned.set()

        def kill(self) -> None:
            self.killed.set()

    deadline = _Deadline(ParserSettings(soft_limit_seconds=0.4, hard_limit_seconds=0.6))
    first, second = Process(), Process()
    with deadline.holds(cast("ExtractorProcess", first)):
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)  # another process is started for the next engine
    was_over = [deadline.is_over]
    with deadline.holds(cast("ExtractorProcess", second)):
        await asyncio.sleep(0.1)
        assert not second.warned.is_set()
        await asyncio.wait_for(second.killed.wait(), 5)
    assert [*was_over, deadline.is_over] == [False, True]
    assert not first.warned.is_set()
