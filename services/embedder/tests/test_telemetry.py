"""What a worker's figures say after things happened, in the names that dashboards use."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from indexing_world import World
from reindex_world import ReindexWorld

from embedder.adapters.extractor_pool import MOCK_MEDIA_TYPE, ExtractorPool
from embedder.adapters.parser_settings import ParserSettings
from embedder.domain.admission import Work
from embedder.domain.chunking import ChunkPolicy
from embedder.domain.job import Lease
from embedder.domain.reading import Kill
from embedder.domain.retry import RetryPolicy
from embedder.telemetry import IndexingMetrics
from embedder.usecases.index_document import IndexDocument
from embedder.usecases.outages import Outages
from embedder.usecases.settle import SettleJobs
from kartoteka_contracts.errors import DocumentError, MalformedEventError
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.ids import Epoch
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.metrics import Metrics
from kartoteka_testkit import builders

_MOCK = Path(__file__).with_name("mock_extractor.py")


def _shown(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"kartoteka_{name}", labels)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.index.ensure()
    yield made
    await made.index.close()


def _usecase(world: World, metrics: Metrics) -> IndexDocument:
    return IndexDocument(
        bodies=world.objects,
        extractor=world.extractor,
        embedder=world.embedder,
        index=world.index,
        clock=SystemClock(),
        scratch=world.scratch,
        metrics=metrics,
    )


def _settle(world: World, metrics: Metrics) -> SettleJobs:
    return SettleJobs(
        work=world.work(),
        log=world.log,
        policy=RetryPolicy(retries=3, base_seconds=60),
        clock=SystemClock(),
        outages=Outages(),
        metrics=metrics,
    )


async def test_a_published_document_has_its_stages_and_is_searchable_once(
    world: World, metrics: Metrics
) -> None:
    job = await world.accept("one\ntwo", version=1)
    usecase = _usecase(world, metrics)
    for _ in range(2):  # the second delivery finds that it is done
        await usecase.run(job, Lease(), lambda _stage, _share: None)
    assert _shown(metrics, "stage_seconds_count", stage="embedding") == 1
    assert _shown(metrics, "stage_seconds_count", stage="fetching") == 1
    assert _shown(metrics, "searchable_seconds_count", work="interactive") == 1


async def test_a_failed_try_has_the_stages_that_it_came_to(world: World, metrics: Metrics) -> None:
    job = await world.accept("?timeout", version=1)
    with pytest.raises(DocumentError):
        await _usecase(world, metrics).run(job, Lease(), lambda _stage, _share: None)
    assert _shown(metrics, "stage_seconds_count", stage="fetching") == 1
    assert _shown(metrics, "stage_seconds_count", stage="embedding") == 0
    assert _shown(metrics, "searchable_seconds_count", work="interactive") == 0


def test_freshness_counts_from_the_upload(metrics: Metrics) -> None:
    event = DocumentSubmitted.of(builders.record(version=1))
    IndexingMetrics(metrics).published(event, Work.BULK, event.accepted_at + timedelta(seconds=5))
    assert _shown(metrics, "searchable_seconds_sum", work="bulk") == 5


def test_freshness_of_what_is_indexed_anew_counts_from_when_that_was_asked_for(
    metrics: Metrics,
) -> None:
    asked = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    again = Epoch(int(asked.timestamp()) * 1_000_000)
    event = DocumentSubmitted.of(builders.record(version=1), epoch=again)
    IndexingMetrics(metrics).published(event, Work.BULK, asked + timedelta(seconds=7))
    assert _shown(metrics, "searchable_seconds_sum", work="bulk") == 7


def test_a_retry_counts_among_uploads_unless_it_is_of_what_is_indexed_anew(
    metrics: Metrics,
) -> None:
    record = builders.record(version=1)
    figures = IndexingMetrics(metrics)
    for epoch in (Epoch(0), Epoch(1), Epoch(2)):
        event = DocumentSubmitted.of(record, epoch=epoch)
        figures.published(event, Work.RETRY, event.accepted_at)
    assert _shown(metrics, "searchable_seconds_count", work="retry") == 1
    assert _shown(metrics, "searchable_seconds_count", work="bulk") == 2


def test_clocks_that_differ_make_no_negative_time(metrics: Metrics) -> None:
    event = DocumentSubmitted.of(builders.record(version=1))
    IndexingMetrics(metrics).published(event, Work.BULK, event.accepted_at - timedelta(seconds=1))
    assert _shown(metrics, "searchable_seconds_sum", work="bulk") == 0


async def test_every_try_counts_by_what_it_came_to(world: World, metrics: Metrics) -> None:
    settle = _settle(world, metrics)
    good = await world.accept("one", version=1)
    for job in (good, await world.accept("?timeout", version=2)):
        await settle.handle(job, Lease())
    await settle.supersede(await world.accept("three", version=3))
    unreadable = MalformedEventError("no JSON")
    await settle.reject(good.record, unreadable)
    for outcome in ("succeeded", "retrying", "superseded", "unreadable"):
        assert _shown(metrics, "attempts_total", work="interactive", outcome=outcome) == 1
    assert _shown(metrics, "attempts_total", work="bulk", outcome="failed") == 0
    assert _shown(metrics, "retries_total", reason="timeout") == 1
    assert _shown(metrics, "dead_letters_total", reason=unreadable.code) == 1


async def test_what_a_run_compares_counts_by_what_it_finds(
    tmp_path: Path, metrics: Metrics
) -> None:
    world = ReindexWorld(tmp_path)
    await world.index.ensure()
    await world.configure("docs")
    await world.copied("a.txt", "b.txt")
    world.write("b.txt", "changed")
    world.write("c.txt", "new")
    runs = world.planner(metrics=metrics)
    await runs.request(world.request(), Lease())
    found = {
        why: _shown(metrics, "reindex_planned_documents_total", why=why)
        for why in ("new", "changed", "unchanged", "vanished")
    }
    assert found == {"new": 1, "changed": 1, "unchanged": 1, "vanished": 0}
    await world.index.close()


async def test_parsers_that_end_without_an_answer_count_by_why(
    tmp_path: Path, metrics: Metrics
) -> None:
    pool = ExtractorPool(
        ParserSettings(
            children=1, memory_bytes=512 << 20, soft_limit_seconds=1, hard_limit_seconds=1.5
        ),
        tokenizer="hash",
        policy=ChunkPolicy(max_tokens=50),
        extra_extractor=_MOCK,
        metrics=metrics,
    )
    await pool.start()
    try:
        assert _shown(metrics, "parser_children") == 1
        body = tmp_path / "body"
        for directive in ("segv", "hang", "hang-politely", "text the next one is up"):
            body.write_text(directive)
            await asyncio.gather(_read(pool, body), return_exceptions=True)
        body.write_text("hang")
        waiting = asyncio.create_task(_read(pool, body))
        await asyncio.sleep(0.3)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    finally:
        await pool.stop()
    kills = {why: _shown(metrics, "parser_kills_total", reason=why) for why in Kill}
    assert kills == {Kill.CRASHED: 1, Kill.TIMEOUT: 2, Kill.CANCELLED: 1}
    assert _shown(metrics, "parser_children") == 0


async def _read(pool: ExtractorPool, body: Path) -> None:
    await pool.extract(
        body, media_type=MOCK_MEDIA_TYPE, filename="f", report=lambda _stage, _share: None
    )
