"""What was accepted and is in no topic is sent again; nothing else is."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
from indexing_world import CABINET, delivered
from reconcile_world import DAY, HOUR, ReconcileWorld

from embedder.usecases.reconcile_report import Left, Mend
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.events import (
    CabinetDeletionRequested,
    DocumentDeletionRequested,
    DocumentSubmitted,
    TaskCancellationRequested,
)
from kartoteka_contracts.keys import cabinet_deletions_prefix, record_key
from kartoteka_index.manifest import Outcome


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ReconcileWorld]:
    world = ReconcileWorld(tmp_path)
    await world.index.ensure()
    yield world
    await world.index.close()


async def test_a_record_without_its_event_is_sent_again_with_the_same_ids(
    world: ReconcileWorld,
) -> None:
    job = await world.upload("one\ntwo", metadata={"kept": True})
    world.later(HOUR)
    report = await world.reconcile()
    topic, key, _, headers = world.log.sent[-1]
    assert (topic, key) == ("documents.bulk", job.event.key)
    assert Envelope.from_headers(headers).event_id == str(
        uuid5(UUID(job.event.task_id), "document_submitted")
    )
    assert world.emitted() == [job.event]
    assert report.mended == {Mend.SUBMITTED: 1}


async def test_what_is_sent_again_is_done(world: ReconcileWorld) -> None:
    await world.upload("one\ntwo")
    world.later(HOUR)
    await world.reconcile()
    assert await world.process_emitted() == 1
    assert await world.texts() == ["one", "two"]
    assert (await world.reconcile()).mended == {}


async def test_a_cabinet_is_made_known_again_before_its_work(world: ReconcileWorld) -> None:
    await world.upload("one", external_id="a")
    await world.upload("one", external_id="b")
    world.later(HOUR)
    await world.reconcile()
    assert [topic for topic, *_ in world.log.sent] == [
        "cabinets",
        "documents.bulk",
        "documents.bulk",
    ]


async def test_a_record_is_left_alone_while_its_event_may_be_on_its_way(
    world: ReconcileWorld,
) -> None:
    await world.upload("one")
    report = await world.reconcile()
    assert world.log.sent == []
    assert +report.left == {Left.YOUNG: 1}


async def test_a_record_is_left_alone_while_its_event_waits(world: ReconcileWorld) -> None:
    job = await world.upload("one")
    world.later(HOUR)
    world.topics.put(job)  # as a retry is: sent much later than its record was written
    report = await world.reconcile()
    assert world.log.sent == []
    assert +report.left == {Left.WAITING: 1}


async def test_what_was_sent_again_is_not_sent_a_third_time_while_it_waits(
    world: ReconcileWorld,
) -> None:
    await world.upload("one")
    world.later(HOUR)
    await world.reconcile()
    world.topics.put(*(delivered(event) for event in world.emitted()))
    world.later(HOUR)
    await world.reconcile()
    assert world.log.sent == []


async def test_a_record_is_left_alone_while_older_events_wait(world: ReconcileWorld) -> None:
    world.topics.put(await world.upload("one", external_id="slow"))
    world.topics.waiting_events[0] = (
        world.topics.waiting_events[0][0],
        world.clock.now() - HOUR,
    )
    await world.upload("two", external_id="behind")
    world.later(HOUR)
    report = await world.reconcile()
    assert world.log.sent == []
    assert +report.left == {Left.YOUNG: 2}


async def test_topics_are_not_read_where_nothing_is_undecided(world: ReconcileWorld) -> None:
    await world.run(await world.upload("one"))
    world.later(HOUR)
    await world.reconcile()
    assert world.topics.looks == 0


@pytest.mark.parametrize("text", ["one", "", "!encrypted"], ids=["published", "empty", "failed"])
async def test_decided_work_is_not_sent_again(world: ReconcileWorld, text: str) -> None:
    await world.run(await world.upload(text or " "))
    world.later(HOUR)
    await world.reconcile()
    assert world.log.sent == []


async def test_only_the_newest_version_is_sent_again(world: ReconcileWorld) -> None:
    await world.upload("old")
    newest = await world.upload("new")
    world.later(HOUR)
    await world.reconcile()
    assert world.emitted() == [newest.event]


async def test_a_lost_delete_is_done(world: ReconcileWorld) -> None:
    await world.run(await world.upload("one"))
    job = await world.delete()
    world.later(HOUR)
    report = await world.reconcile()
    assert report.mended == {Mend.DELETION: 1}
    (event,) = world.emitted()
    assert isinstance(event, DocumentDeletionRequested)
    assert event == job.event
    await world.settle(delivered(event))
    assert await world.texts() == []


@pytest.mark.parametrize("content", [None, b""], ids=["as sent", "damaged"])
async def test_a_lost_cancellation_is_sent_behind_the_work_that_it_ends(
    world: ReconcileWorld, content: bytes | None
) -> None:
    job = await world.upload("one")
    await world.cancel(job, content)
    world.later(HOUR)
    report = await world.reconcile()
    assert report.mended == {Mend.SUBMITTED: 1, Mend.CANCELLATION: 1}
    submitted, cancellation = world.emitted()
    assert isinstance(submitted, DocumentSubmitted)
    assert isinstance(cancellation, TaskCancellationRequested)
    assert cancellation.task_id == submitted.task_id
    for event in (submitted, cancellation):
        await world.settle(delivered(event))
    assert (await world.manifest(job)).outcome is Outcome.CANCELLED
    assert await world.texts() == []


async def test_a_newer_record_that_comes_meanwhile_is_left_to_its_own_event(
    world: ReconcileWorld,
) -> None:
    await world.upload("old")
    world.later(HOUR)
    looked = world.topics.waiting

    async def waiting(keys: Any, **_: Any) -> frozenset[str]:
        await world.upload("new")
        return await looked(keys)

    world.topics.waiting = waiting  # type: ignore[method-assign]  # something happens in between
    await world.reconcile()
    assert world.log.sent == []


async def test_work_that_ends_meanwhile_is_not_sent_again(world: ReconcileWorld) -> None:
    job = await world.upload("one")
    world.later(HOUR)
    looked = world.topics.waiting

    async def waiting(keys: Any, **_: Any) -> frozenset[str]:
        await world.run(job)
        return await looked(keys)

    world.topics.waiting = waiting  # type: ignore[method-assign]  # something happens in between
    await world.reconcile()
    assert world.log.sent == []


async def test_a_damaged_record_is_counted_and_stops_nothing(world: ReconcileWorld) -> None:
    broken = delivered((await world.upload("one", external_id="a")).event).submission
    whole = await world.upload("two", external_id="b")
    key = record_key(broken.cabinet_id, broken.document_id, broken.version)
    await world.objects.delete([key])
    await world.objects.create(key, b"{}")
    world.later(HOUR)
    report = await world.reconcile()
    assert world.emitted() == [whole.event]
    assert +report.left == {Left.UNREADABLE: 1}


async def test_a_log_that_is_away_ends_the_run(world: ReconcileWorld) -> None:
    class Away:
        async def send(self, *_: Any, **__: Any) -> Any:
            raise UnavailableError("event_log_unavailable")

    await world.upload("one")
    world.later(HOUR)
    with pytest.raises(UnavailableError):
        await world.reconcile(log=Away())


async def test_a_lost_delete_of_a_cabinet_is_done_and_then_finished(world: ReconcileWorld) -> None:
    for name in ("a", "b"):
        await world.run(await world.upload(name, external_id=name))
    event = await world.delete_cabinet()
    kept = await world.upload("kept", external_id="c")
    world.later(2 * HOUR)
    report = await world.reconcile()
    assert len(await world.objects.keys(cabinet_deletions_prefix(event.cabinet_id))) == 1
    assert report.mended == {Mend.CABINET_DELETION: 1, Mend.SUBMITTED: 1}
    assert await world.process_emitted() == 2
    assert await world.texts() == ["kept"]
    world.later(2 * HOUR)
    report = await world.reconcile()
    assert report.mended == {Mend.FINISHED_CABINET_DELETIONS: 1}
    assert (await world.manifest(kept)).published is not None


@pytest.mark.parametrize("place", ["waits", "young", "behind"])
async def test_a_delete_of_a_cabinet_is_left_alone_while_its_event_may_come(
    world: ReconcileWorld, place: str
) -> None:
    await world.run(await world.upload("a"))
    event = await world.delete_cabinet()
    match place:
        case "waits":
            world.later(HOUR)
            world.topics.put(delivered(event))
        case "behind":
            other = delivered((await world.upload("b", external_id="b")).event)
            world.topics.waiting_events = [(other.event, world.clock.now() - HOUR)]
            world.later(HOUR)
        case _:
            pass
    report = await world.reconcile()
    assert Mend.CABINET_DELETION not in report.mended
    assert world.log.sent == []


async def test_a_delete_of_a_cabinet_is_finished_where_it_died_half_way(
    world: ReconcileWorld,
) -> None:
    first, second = [await world.upload(name, external_id=name) for name in ("a", "b")]
    await world.run(first)
    await world.run(second)
    event = await world.delete_cabinet()
    await world.accept_delete(version=event.version, external_id="a")
    world.later(HOUR)
    await world.reconcile()
    assert any(isinstance(sent, CabinetDeletionRequested) for sent in world.emitted())
    await world.settle(delivered(event))
    assert await world.texts() == []
    world.later(DAY)
    await world.reconcile()
    assert world.emitted() == []


async def test_a_delete_of_a_cabinet_is_due_while_a_document_without_record_is_there(
    world: ReconcileWorld,
) -> None:
    await world.run(await world.upload("one"))
    await world.objects.delete(await world.objects.keys("cabinets/7/records/"))
    event = await world.delete_cabinet()
    world.later(HOUR)
    await world.reconcile()
    assert world.emitted() == [event]


async def test_every_cabinet_is_reconciled_or_only_the_one_that_is_asked_for(
    world: ReconcileWorld,
) -> None:
    await world.upload("seven")
    await world.upload("eight", cabinet=8)
    world.later(HOUR)
    await world.reconcile()
    assert {event.cabinet_id for event in world.emitted()} == {CABINET.cabinet_id, 8}
