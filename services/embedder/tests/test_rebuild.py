"""What object storage holds is enough to make the index anew."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid5

import pytest
from indexing_world import delivered
from rebuild_world import QUICK, RebuildWorld, WorkingLog

from embedder.domain.job import Job, JobEvent
from embedder.usecases.rebuild_report import Sent
from embedder.usecases.rebuild_window import Limits
from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSettings
from kartoteka_contracts.codec import decode, encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.events import (
    CabinetDeletionRequested,
    DocumentDeletionRequested,
    DocumentSubmitted,
)
from kartoteka_contracts.ids import CabinetId, Version
from kartoteka_contracts.keys import cabinet_settings_key, record_key
from kartoteka_index.manifest import Outcome

_PATIENT = Limits(shortest_seconds=0.001, longest_seconds=0.001)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[RebuildWorld]:
    world = RebuildWorld(tmp_path)
    await world.index.ensure()
    yield world
    await world.index.close()


async def test_a_lost_index_answers_as_before(world: RebuildWorld) -> None:
    for n in range(5):
        await world.run(await world.upload(f"one {n}\ntwo {n}", external_id=f"d{n}"))
    before, after = await world.lost_and_rebuilt()
    assert after == before
    assert len(after["hits"]) == 10


async def test_events_have_the_ids_and_versions_of_the_records(world: RebuildWorld) -> None:
    job = await world.upload("one", metadata={"kept": True})
    await world.rebuild()
    topic, key, value, headers = world.log.sent[-1]
    assert (topic, key, decode(value)) == ("documents.bulk", job.event.key, job.event)
    assert Envelope.from_headers(headers).event_id == str(
        uuid5(UUID(job.event.task_id), "document_submitted")
    )


async def test_what_is_decided_costs_nothing(world: RebuildWorld) -> None:
    await world.run(await world.upload("one"))
    await world.run(await world.upload("two", external_id="gone"))
    await world.run(await world.delete(external_id="gone"))
    report = await world.rebuild()
    assert [topic for topic, *_ in world.log.sent] == ["cabinets"]
    assert (report.documents, report.todo, report.done) == (2, 0, 0)


async def test_a_newest_version_that_fails_leaves_the_one_before_it(world: RebuildWorld) -> None:
    await world.run(await world.upload("kept"))
    await world.run(await world.upload("!encrypted"))
    before, after = await world.lost_and_rebuilt()
    assert after == before
    assert await world.texts() == ["kept"]


async def test_versions_that_failed_in_a_row_follow_each_other(world: RebuildWorld) -> None:
    await world.run(await world.upload("kept"))
    jobs = [await world.upload("!encrypted") for _ in range(3)]
    for job in jobs:
        await world.run(job)
    before = await world.answers()
    await world.wipe()
    report = await world.rebuild()
    assert await world.answers() == before
    assert report.sent[Sent.SUBMITTED] == 4
    assert (report.todo, report.done, report.outcomes) == (1, 1, {Outcome.FAILED: 1})
    assert [(one.version, one.code) for one in report.failures] == [
        (jobs[-1].submission.version, "encrypted")
    ]


async def test_older_versions_whose_bodies_are_gone_are_not_sent(world: RebuildWorld) -> None:
    for n in range(4):
        await world.run(await world.upload(f"text {n}"))
    await world.wipe()
    report = await world.rebuild()
    assert report.sent[Sent.SUBMITTED] == 1
    assert await world.texts() == ["text 3"]


async def test_the_version_that_newer_metadata_went_with_is_found(world: RebuildWorld) -> None:
    await world.run(await world.upload("one", metadata={"a": 1}))
    await world.run(await world.upload("one", metadata={"a": 2}))
    await world.run(await world.upload("one", metadata={"a": 2}))  # unchanged
    before, after = await world.lost_and_rebuilt()
    assert after == before
    assert [hit.metadata for hit in await world.hits()] == [{"a": 2}]


async def test_deleted_documents_stay_deleted_and_a_late_event_changes_nothing(
    world: RebuildWorld,
) -> None:
    job = await world.upload("gone")
    await world.run(job)
    await world.run(await world.delete())
    before, after = await world.lost_and_rebuilt()
    assert after == before
    await world.settle(job)
    assert await world.texts() == []
    assert (await world.manifest(job)).outcome is Outcome.DELETED


async def test_an_upload_after_a_delete_is_there_again(world: RebuildWorld) -> None:
    await world.run(await world.upload("old"))
    await world.run(await world.delete())
    await world.run(await world.upload("new"))
    await world.run(await world.upload("!encrypted"))
    before, after = await world.lost_and_rebuilt()
    assert after == before
    assert await world.texts() == ["new"]


async def test_what_a_delete_left_behind_is_not_indexed(world: RebuildWorld) -> None:
    await world.upload("old")  # its body is there still: the delete was not carried out
    await world.delete()
    report = await world.rebuild()
    assert report.sent[Sent.SUBMITTED] == 0
    assert world.extractor.calls == 0
    assert await world.texts() == []


async def test_a_cancelled_version_stays_cancelled_over_the_one_before_it(
    world: RebuildWorld,
) -> None:
    await world.run(await world.upload("kept"))
    job = await world.upload("taken back")
    await world.cancel(job)
    await world.run(job)
    before, after = await world.lost_and_rebuilt()
    assert after == before
    assert await world.texts() == ["kept"]
    assert (await world.manifest(job)).outcome is Outcome.CANCELLED


async def test_a_cancelled_version_below_one_that_fails_is_not_sent(world: RebuildWorld) -> None:
    job = await world.upload("taken back")
    await world.cancel(job)
    await world.run(job)
    await world.run(await world.upload("!encrypted"))
    before = await world.answers()
    await world.wipe()
    report = await world.rebuild()
    assert report.sent[Sent.SUBMITTED] == 1
    assert await world.answers() == before


async def test_a_newer_upload_meanwhile_wins(world: RebuildWorld) -> None:
    await world.run(await world.upload("old"))
    await world.wipe()

    async def upload(_event: JobEvent) -> bool:
        if not uploaded:
            uploaded.append(await world.upload("new"))
            await world.run(uploaded[0])
        return True

    uploaded: list[Job] = []
    report = await world.rebuild(log=WorkingLog(world, upload))
    assert await world.texts() == ["new"]
    assert report.done == 1


@pytest.mark.parametrize("lost", range(1, 5))
async def test_what_is_lost_on_the_way_is_sent_again(world: RebuildWorld, lost: int) -> None:
    await world.run(await world.upload("kept"))
    await world.run(await world.upload("!encrypted"))
    await world.run(await world.upload("two", external_id="other"))
    await world.wipe()
    count = 0

    async def arrives(_event: JobEvent) -> bool:
        nonlocal count
        count += 1
        return count != lost

    report = await world.rebuild(log=WorkingLog(world, arrives))
    assert await world.texts() == ["kept", "two"]
    assert report.again == (1 if lost < 4 else 0)
    assert report.is_complete


async def test_what_waits_in_a_topic_is_waited_for(world: RebuildWorld) -> None:
    job = await world.upload("slow")

    async def waits(_event: JobEvent) -> bool:
        world.topics.put(job)
        return False

    async def work() -> None:
        while world.topics.looks < 3:  # noqa: ASYNC110 - a count, no event
            await asyncio.sleep(0.001)
        await world.settle(job)

    worker = asyncio.create_task(work())
    report = await world.rebuild(log=WorkingLog(world, waits))
    await worker
    assert (report.done, report.again, len(world.log.on("documents.bulk"))) == (1, 0, 1)


async def test_a_work_that_is_never_decided_is_named_and_newer_ones_follow(
    world: RebuildWorld,
) -> None:
    first = await world.upload("!encrypted")
    second = await world.upload("two")

    async def arrives(event: JobEvent) -> bool:
        return event.task_id != first.event.task_id

    report = await world.rebuild(log=WorkingLog(world, arrives))
    assert (report.given_up, report.is_complete) == (1, False)
    assert [(one.version, one.code) for one in report.failures] == [
        (first.submission.version, "undecided")
    ]
    assert (await world.manifest(second)).fence == second.submission.version


async def test_without_a_worker_it_ends_and_says_so(world: RebuildWorld) -> None:
    job = await world.upload("one")

    async def never(_event: JobEvent) -> bool:
        world.topics.put(job)
        return False

    limits = replace(_PATIENT, patience_seconds=0.05)
    with pytest.raises(TimeoutError, match="is a worker running"):
        await world.rebuild(log=WorkingLog(world, never), limits=limits)


@pytest.mark.parametrize("sends", range(1, 9))
async def test_ended_anywhere_the_next_one_goes_on(world: RebuildWorld, sends: int) -> None:
    for n in range(3):
        await world.run(await world.upload(f"kept {n}", external_id=f"d{n}"))
        await world.run(await world.upload("!encrypted", external_id=f"d{n}"))
    before = await world.answers()
    await world.wipe()
    left = sends

    async def ends(_event: JobEvent) -> bool:
        nonlocal left
        left -= 1
        if left <= 0:
            raise UnavailableError("event_log_unavailable")
        return True

    try:
        await world.rebuild(log=WorkingLog(world, ends))
    except UnavailableError:
        await world.rebuild()
    assert await world.answers() == before


async def test_no_more_than_the_window_is_under_way(world: RebuildWorld) -> None:
    for n in range(30):
        await world.upload(f"text {n}", external_id=f"d{n}")
    undecided: list[JobEvent] = []
    sizes: list[int] = []

    async def hold(event: JobEvent) -> bool:
        undecided.append(event)
        sizes.append(len(undecided))
        return False

    async def work() -> None:
        while True:
            await asyncio.sleep(0.002)
            for event in list(undecided):
                undecided.remove(event)  # before: once it is decided, the next one may come
                await world.settle(delivered(event))

    worker = asyncio.create_task(work())
    await world.rebuild(log=WorkingLog(world, hold), limits=replace(_PATIENT, documents=4))
    worker.cancel()
    assert len(await world.texts()) == 30
    assert max(sizes) <= 4
    assert len(sizes) == 30


async def test_unfinished_deletes_of_a_cabinet_come_before_its_documents(
    world: RebuildWorld,
) -> None:
    await world.upload("old", external_id="old")
    await world.delete_cabinet()
    await world.upload("new", external_id="new")
    report = await world.rebuild()
    assert await world.texts() == ["new"]
    assert world.extractor.calls == 1
    assert report.sent[Sent.CABINET_DELETION] == 1
    kinds = [type(decode(value)) for value in world.log.on("documents.bulk")]
    assert kinds == [CabinetDeletionRequested, DocumentSubmitted]


async def test_a_cabinet_delete_that_is_finished_is_not_sent_again(world: RebuildWorld) -> None:
    await world.run(await world.upload("old"))
    await world.run(delivered(await world.delete_cabinet()))
    report = await world.rebuild()
    assert report.sent[Sent.CABINET_DELETION] == 0
    before, after = await world.lost_and_rebuilt()
    assert after == before


def _settings(version: int) -> CabinetConfigured:
    return CabinetConfigured(
        cabinet_id=CabinetId(7),
        version=Version(version),
        settings=CabinetSettings(name=f"version {version}"),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        at=datetime(2026, 1, 2, tzinfo=UTC),
    )


async def test_settings_and_the_cabinet_itself_are_made_known(world: RebuildWorld) -> None:
    for version in (5, 9, 7):
        event = _settings(version)
        key = cabinet_settings_key(CabinetId(7), Version(version))
        await world.objects.create(key, encode(event))
    await world.upload("one")
    report = await world.rebuild()
    assert [decode(value).type for value in world.log.on("cabinets")] == [
        "cabinet_configured",
        "cabinet_seen",
    ]
    configured = decode(world.log.on("cabinets")[0])
    assert getattr(configured, "version", None) == 9
    assert (report.sent[Sent.SETTINGS], report.sent[Sent.SEEN]) == (1, 1)


async def test_settings_that_cannot_be_read_are_counted_and_older_ones_not_sent(
    world: RebuildWorld,
) -> None:
    event = _settings(5)
    await world.objects.create(cabinet_settings_key(CabinetId(7), Version(5)), encode(event))
    await world.objects.create(cabinet_settings_key(CabinetId(7), Version(6)), b"{}")
    report = await world.rebuild()
    assert world.log.on("cabinets") == []
    assert report.unreadable == 1


async def test_a_damaged_record_is_counted_and_left_out(world: RebuildWorld) -> None:
    await world.run(await world.upload("one"))
    job = await world.upload("two", external_id="other")
    document = job.submission.document_id
    version = Version(job.submission.version + 1)
    await world.objects.create(record_key(CabinetId(7), document, version), b"damaged")
    await world.wipe()
    report = await world.rebuild()
    assert await world.texts() == ["one", "two"]
    assert report.unreadable > 0
    assert report.is_complete


async def test_a_dry_run_counts_and_sends_nothing(world: RebuildWorld) -> None:
    await world.upload("one")
    await world.delete(external_id="gone")
    await world.delete_cabinet()
    report = await world.rebuild(is_dry=True)
    assert world.log.sent == []
    assert (report.documents, report.todo, report.done) == (2, 2, 0)
    assert report.sent == {Sent.SEEN: 1, Sent.CABINET_DELETION: 1}


async def test_only_the_cabinet_that_was_asked_for_is_rebuilt(world: RebuildWorld) -> None:
    await world.upload("one")
    report = await world.rebuild(cabinet=CabinetId(8))
    assert world.log.on("documents.bulk") == []
    assert report.documents == 0
    report = await world.rebuild(cabinet=CabinetId(7), limits=QUICK)
    assert report.done == 1


async def test_deletions_are_sent_as_such(world: RebuildWorld) -> None:
    job = await world.delete(external_id="gone")
    await world.rebuild()
    event = decode(world.log.on("documents.bulk")[0])
    assert isinstance(event, DocumentDeletionRequested)
    assert event == job.event
