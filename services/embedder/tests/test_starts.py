"""Tries that never end are counted where a restart finds them, and are not begun for ever."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from indexing_world import Countdown, Crash, World

from embedder.domain.job import Job, Lease
from embedder.domain.outcome import Cancelled, Failed, Indexed, Superseded
from embedder.domain.parsed import Extraction
from kartoteka_contracts.errors import DocumentError, UnavailableError
from kartoteka_index.manifest import Starts


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.index.ensure()
    yield made
    await made.index.close()


async def _starts(world: World, job: Job) -> tuple[int, int] | None:
    found: Starts | None = (await world.manifest(job)).starts
    return None if found is None else (found.begun, found.killed)


class _Away:
    """A model that is away; says when it was asked."""

    name = "away"
    dimension = 8

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def embed_passages(self, _passages: Any) -> Any:
        self.asked.set()
        raise UnavailableError("embeddings_unavailable")


async def _crash_while_parsing(world: World, job: Job) -> None:
    class Dies:
        fingerprint = world.extractor.fingerprint

        async def extract(self, _body: Path, **options: Any) -> Extraction:
            await options["begin"]()
            raise Crash

    def around(port: Any) -> Any:
        return Dies() if port is world.extractor else port

    with pytest.raises(Crash):
        await world.run(job, around)


async def test_a_document_that_takes_its_worker_down_is_tried_five_times(world: World) -> None:
    job = await world.accept("text", version=1)
    for begun in range(1, 6):
        await _crash_while_parsing(world, job)
        assert await _starts(world, job) == (begun, 0)
    outcome = await world.run(job)
    assert isinstance(outcome, Failed)
    assert outcome.code == "poison"
    assert world.extractor.calls == 0
    assert await _starts(world, job) is None
    again = await world.run(job)
    assert isinstance(again, Failed)
    assert again.code == "poison"


@pytest.mark.parametrize("code", ["timeout", "parser_crashed"])
async def test_a_document_whose_parser_was_killed_twice_is_poison(world: World, code: str) -> None:
    job = await world.accept(f"?{code}", version=1)
    with pytest.raises(DocumentError) as raised:
        await world.run(job)
    assert raised.value.code == code
    assert await _starts(world, job) == (1, 1)
    outcome = await world.run(job)
    assert isinstance(outcome, Failed)
    assert outcome.code == "poison"
    assert world.extractor.calls == 2


async def test_another_failure_is_no_kill(world: World) -> None:
    job = await world.accept("?embedding_failed", version=1)
    for begun in (1, 2, 3):
        with pytest.raises(DocumentError):
            await world.run(job)
        assert await _starts(world, job) == (begun, 0)


async def test_a_new_version_is_no_poison(world: World) -> None:
    for _ in range(2):
        job = await world.accept("?timeout", version=1)
        with pytest.raises(DocumentError):
            await world.run(job)
        break
    assert isinstance(await world.run(await world.accept("text", version=2)), Indexed)


async def test_an_outage_that_a_try_waits_out_is_one_start(world: World) -> None:
    job, lease = await world.accept("text", version=1), Lease()
    embedder = world.embedder
    world.embedder = _Away()  # type: ignore[assignment] # a fake of one call
    usecase = world.usecase()
    for _ in range(9):
        with pytest.raises(UnavailableError):
            await usecase.run(job, lease, lambda _stage, _share: None)
        assert await _starts(world, job) == (1, 0)
    world.embedder = embedder
    assert isinstance(await world.run(job), Indexed)


async def test_an_outage_before_the_parse_is_no_start(world: World) -> None:
    job = await world.accept("text", version=1)

    class Away:
        def __init__(self, port: Any) -> None:
            self._port = port

        def __getattr__(self, name: str) -> Any:
            if name == "download":
                raise UnavailableError("object_store_unavailable")
            return getattr(self._port, name)

    with pytest.raises(UnavailableError):
        await world.run(job, Away)
    assert await world.index.manifest(job.cabinet, job.submission.document_id) is None


async def test_a_try_that_is_stopped_from_outside_is_taken_back(world: World) -> None:
    job = await world.accept("text", version=1)
    await _crash_while_parsing(world, job)

    class Hangs(_Away):
        async def embed_passages(self, _passages: Any) -> Any:
            self.asked.set()
            await asyncio.Event().wait()

    hangs = Hangs()
    world.embedder = hangs  # type: ignore[assignment] # a fake of one call
    running = asyncio.create_task(world.run(job))
    await hangs.asked.wait()
    assert await _starts(world, job) == (2, 0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await _starts(world, job) == (1, 0)


async def test_an_older_version_gives_way_to_one_that_has_begun(world: World) -> None:
    older = await world.accept("old", version=1)
    newer = await world.accept("new", version=2)
    await _crash_while_parsing(world, newer)
    assert isinstance(await world.run(older), Superseded)
    assert world.extractor.calls == 0
    assert isinstance(await world.run(newer), Indexed)


async def test_a_start_costs_no_request_more_than_the_decision_saves(world: World) -> None:
    """The insert that a decision began with is the one that counts the start."""
    calls: list[str] = []

    async def note() -> None:
        """Happen never."""

    class Counting(Countdown):
        async def tick(self, place: str) -> None:
            if place.startswith("before"):
                calls.append(place.removeprefix("before "))

    await world.run(await world.accept("one", version=1), Counting(left=0, happen=note).around)
    assert calls == [
        "manifest",
        "exists",
        "download",
        "extract",
        "begin",
        "embed_passages",
        "upsert",
        "count",
        "exists",
        "decide",
        "sweep",
        "keys",
    ]


async def test_a_cancelled_task_is_not_begun(world: World) -> None:
    job = await world.accept("text", version=1)
    await world.accept_cancel(job)
    assert isinstance(await world.run(job), Cancelled)
    assert world.extractor.calls == 0


async def test_a_task_that_is_cancelled_while_it_is_embedded_is_not_published(world: World) -> None:
    await world.run(await world.accept("old", version=1))
    job = await world.accept("text", version=2)
    embedder = world.embedder

    class Slow(_Away):
        async def embed_passages(self, passages: Any) -> Any:
            await world.accept_cancel(job)
            return await embedder.embed_passages(passages)

    world.embedder = Slow()  # type: ignore[assignment] # a fake of one call
    assert isinstance(await world.run(job), Cancelled)
    assert await world.texts() == ["old"]
    await world.assert_whole()
