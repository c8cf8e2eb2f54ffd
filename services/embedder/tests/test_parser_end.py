"""A parser process that is ended in the middle of its answer."""

import asyncio
import os
from pathlib import Path

from embedder.adapters.child_protocol import Request, Setup
from embedder.adapters.extractor_process import ExtractorProcess
from embedder.domain.chunking import ChunkPolicy
from embedder.domain.reading import ReadingLimits
from kartoteka_contracts.tasks import Stage
from kartoteka_testkit.eventually import eventually


def _setup() -> Setup:
    return Setup(
        parent=os.getpid(),
        tokenizer="hash",
        policy=ChunkPolicy(max_tokens=50, overlap_tokens=5),
        limits=ReadingLimits(max_characters=20_000_000, max_pages=10),
        max_chunks=1_000_000,
        memory_bytes=1 << 30,
        cpu_seconds=60,
        extra_extractor=None,
    )


async def test_a_process_whose_answer_nobody_reads_any_more_ends_all_the_same(
    tmp_path: Path,
) -> None:
    body = tmp_path / "body"
    body.write_text("one word after the other, to make a long answer. " * 60_000)
    process = await ExtractorProcess.start(_setup(), limit=30)
    is_cut = asyncio.Event()

    def on_stage(stage: Stage, _share: float) -> None:
        if stage is Stage.CHUNKING:
            is_cut.set()

    asked = asyncio.create_task(process.ask(Request(body=body, engine="text"), on_stage))
    await is_cut.wait()
    asked.cancel()
    await asyncio.wait([asked])
    stdout = process._process.stdout
    assert stdout is not None
    await eventually(lambda: bool(stdout._paused))  # type: ignore[attr-defined]
    async with asyncio.timeout(10):
        await process.end()
