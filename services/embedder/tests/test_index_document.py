"""Indexing: whatever is repeated, reordered or cut off, the newest version stands, whole."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from indexing_world import CABINET, Crash, WordExtractor, World

from embedder.domain.job import Lease
from embedder.domain.outcome import Empty, Failed, Indexed, Superseded, Unchanged
from embedder.domain.parsed import Extraction, Parsed
from kartoteka_contracts.errors import DocumentError, KartotekaError
from kartoteka_contracts.ids import Epoch, Version
from kartoteka_contracts.keys import record_key
from kartoteka_index.manifest import Outcome


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.index.ensure()
    yield made
    await made.index.close()


async def test_a_document_is_published_whole(world: World) -> None:
    job = await world.accept("one\ntwo\nthree", version=1)
    outcome = await world.run(job)
    assert isinstance(outcome, Indexed)
    assert outcome.result.chunks == 3
    assert await world.texts() == ["one", "three", "two"]


async def test_a_newer_version_replaces_the_older_one(world: World) -> None:
    first = await world.accept("old one\nold two", version=1)
    second = await world.accept("new", version=2)
    await world.run(first)
    assert isinstance(await world.run(second), Indexed)
    assert await world.texts() == ["new"]
    assert await world.stored(first) == 0
    assert await world.objects.keys("cabinets/7/bodies/") == [second.submission.body_key]


async def test_an_older_version_that_comes_late_changes_nothing(world: World) -> None:
    first = await world.accept("old", version=1)
    second = await world.accept("new", version=2)
    await world.run(second)
    assert isinstance(await world.run(first), Superseded)
    assert await world.texts() == ["new"]
    assert await world.stored(first) == 0


async def test_an_older_version_overtaken_while_it_runs_removes_its_points(world: World) -> None:
    first = await world.accept("old", version=1)
    second = await world.accept("new", version=2)

    class Overtaken:
        def __init__(self, port: Any) -> None:
            self._port = port

        def __getattr__(self, name: str) -> Any:
            target = getattr(self._port, name)
            if name != "decide":
                return target

            async def decide(*args: Any, **options: Any) -> Any:
                assert isinstance(await world.run(second), Indexed)
                return await target(*args, **options)

            return decide

    assert isinstance(await world.run(first, Overtaken), Superseded)
    assert await world.texts() == ["new"]
    assert await world.stored(first) == 0


async def test_a_redelivery_finds_its_own_decision_and_computes_nothing(world: World) -> None:
    job = await world.accept("one\ntwo", version=1)
    await world.run(job)
    rows = world.embedder.rows
    again = await world.run(job)
    assert isinstance(again, Indexed)
    assert again.result.chunks == 2
    assert world.embedder.rows == rows
    assert world.extractor.calls == 1


async def test_the_same_bytes_again_are_unchanged_and_move_the_fence(world: World) -> None:
    first = await world.accept("same", version=1)
    second = await world.accept("same", version=2)
    late = await world.accept("late", version=1, external_id="other")
    await world.run(first)
    assert isinstance(await world.run(second), Unchanged)
    assert world.extractor.calls == 1
    manifest = await world.manifest(second)
    assert (manifest.fence, manifest.outcome) == (2, Outcome.UNCHANGED)
    assert await world.texts() == ["same"]
    assert isinstance(await world.run(second), Unchanged)
    assert isinstance(await world.run(first), Superseded)
    assert await world.texts() == ["same"]
    await world.run(late)
    assert await world.texts() == ["late", "same"]


@pytest.mark.parametrize("change", [{"metadata": {"a": 1}}, {"filename": "other.txt"}], ids=str)
async def test_the_same_bytes_said_otherwise_are_written_anew_and_not_read(
    world: World, change: dict[str, Any]
) -> None:
    first = await world.accept("same\nbytes", version=1)
    second = await world.accept("same\nbytes", version=2, **change)
    await world.run(first)
    rows = world.embedder.rows
    outcome = await world.run(second)
    assert isinstance(outcome, Indexed)
    assert outcome.result.chunks == 2
    assert (world.extractor.calls, world.embedder.rows) == (1, rows)
    assert await world.texts() == ["bytes", "same"]
    (hit, _) = await world.hits()
    assert (hit.version, dict(hit.metadata), hit.filename) == (
        2,
        second.submission.metadata,
        second.submission.filename,
    )
    assert [await world.stored(first), await world.stored(second)] == [0, 2]
    assert isinstance(await world.run(second), Indexed)
    assert isinstance(await world.run(first), Superseded)


async def test_chunks_that_are_gone_are_made_from_the_body_again(world: World) -> None:
    first = await world.accept("same\nbytes", version=1)
    await world.run(first)
    await world.index.trim(
        CABINET, first.submission.document_id, Version(1), Epoch(0), chunks=1, stored=2
    )
    assert isinstance(
        await world.run(await world.accept("same\nbytes", version=2, metadata={"a": 1})), Indexed
    )
    assert world.extractor.calls == 2
    assert await world.texts() == ["bytes", "same"]


async def test_bytes_of_another_type_are_read_anew(world: World) -> None:
    await world.run(await world.accept("same", version=1))
    second = await world.accept("same", version=2, media_type="text/markdown")
    assert isinstance(await world.run(second), Indexed)
    assert world.extractor.calls == 2


async def test_another_fingerprint_makes_the_same_bytes_stale(world: World) -> None:
    await world.run(await world.accept("same", version=1))
    world.extractor.fingerprint = "words-2"
    assert isinstance(await world.run(await world.accept("same", version=2)), Indexed)


async def test_a_document_without_text_removes_what_was_searchable(world: World) -> None:
    await world.run(await world.accept("text", version=1))
    assert isinstance(await world.run(await world.accept("", version=2)), Empty)
    assert await world.texts() == []


async def test_a_verdict_leaves_the_older_version_searchable(world: World) -> None:
    await world.run(await world.accept("text", version=1))
    bad = await world.accept("!encrypted", version=2)
    outcome = await world.run(bad)
    assert isinstance(outcome, Failed)
    assert outcome.code == "encrypted"
    assert await world.texts() == ["text"]
    again = await world.run(bad)
    assert isinstance(again, Failed)
    assert (again.code, world.extractor.calls) == ("encrypted", 2)


async def test_a_passing_failure_decides_nothing(world: World) -> None:
    job = await world.accept("?timeout", version=1)
    with pytest.raises(DocumentError) as raised:
        await world.run(job)
    assert raised.value.code == "timeout"
    manifest = await world.manifest(job)
    assert (manifest.fence, manifest.outcome) == (0, None)


async def test_a_missing_body_is_said_so(world: World) -> None:
    job = await world.accept("text", version=1)
    await world.objects.delete([job.submission.body_key])
    with pytest.raises(KartotekaError) as raised:
        await world.run(job)
    assert raised.value.code == "body_missing"


@pytest.mark.parametrize("instead", ["other", "longer text"])
async def test_a_body_that_is_not_what_was_uploaded_fails_for_good(
    world: World, instead: str
) -> None:
    job = await world.accept("words", version=1)
    await world.objects.delete([job.submission.body_key])
    await world.objects.create(job.submission.body_key, instead.encode())
    with pytest.raises(KartotekaError) as raised:
        await world.run(job)
    assert raised.value.code == "body_corrupt"
    assert not raised.value.retriable
    assert world.extractor.calls == 0


class _Terse(WordExtractor):
    """Makes fewer chunks of the same body: another parser, or another release's chunker."""

    async def extract(self, body: Path, **options: Any) -> Extraction:
        found = await super().extract(body, **options)
        return replace(found, chunks=found.chunks[:2]) if isinstance(found, Parsed) else found


async def test_chunks_that_an_earlier_try_made_too_many_are_taken_away(world: World) -> None:
    job = await world.accept("one\ntwo\nthree\nfour", version=1)

    class Dies:
        def __init__(self, port: Any) -> None:
            self._port = port

        def __getattr__(self, name: str) -> Any:
            if name == "decide":
                raise Crash(name)
            return getattr(self._port, name)

    with pytest.raises(Crash):
        await world.run(job, Dies)
    assert await world.stored(job) == 4
    world.extractor = _Terse()
    outcome = await world.run(job)
    assert isinstance(outcome, Indexed)
    assert outcome.result.chunks == 2
    assert (await world.stored(job), await world.texts()) == (2, ["one", "two"])


async def test_a_lease_that_ended_removes_nothing_and_ends_nothing(world: World) -> None:
    job = await world.accept("one", version=1)
    lease = Lease()
    lease.end("the partition went to another worker")
    with pytest.raises(asyncio.CancelledError):
        await world.usecase().run(job, lease, lambda _stage, _share: None)
    assert await world.stored(job) == 1


async def test_an_older_record_that_cannot_be_read_harms_nothing(world: World) -> None:
    first = await world.accept("old", version=1)
    await world.run(first)
    key = record_key(first.event.cabinet_id, first.submission.document_id, first.submission.version)
    await world.objects.delete([key])
    await world.objects.create(key, b"{}")
    assert isinstance(await world.run(await world.accept("new", version=2)), Indexed)
    assert await world.texts() == ["new"]


async def test_a_body_whose_upload_is_under_way_is_kept(world: World) -> None:
    first = await world.accept("old", version=1)
    await world.run(first)
    key = first.submission.body_key.rpartition("/")[0] + "/0198c0de-0000-7000-8000-00000000000f"

    async def body() -> AsyncIterator[bytes]:
        yield b"not yet recorded"

    await world.objects.write(key, body())
    second = await world.accept("new", version=2)
    await world.run(second)
    assert await world.objects.keys("cabinets/7/bodies/") == sorted(
        [key, second.submission.body_key]
    )
