"""Requests to delete a cabinet are kept: what was accepted before one may come long after it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from indexing_world import delivered
from reconcile_world import DAY, HOUR, ReconcileWorld

from embedder.usecases.reconcile_report import Mend
from kartoteka_contracts.events import CabinetDeletionRequested
from kartoteka_contracts.ids import Version
from kartoteka_contracts.keys import cabinet_deletion_key, cabinet_deletions_prefix


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ReconcileWorld]:
    world = ReconcileWorld(tmp_path)
    await world.index.ensure()
    yield world
    await world.index.close()


async def _finished(world: ReconcileWorld) -> tuple[CabinetDeletionRequested, Version]:
    """Delete the cabinet to the end; return also a version from before."""
    await world.run(await world.upload("one", external_id="a"))
    before = world.version()
    event = await world.delete_cabinet()
    await world.settle(delivered(event))
    world.later(2 * HOUR)
    assert (await world.reconcile()).mended == {Mend.FINISHED_CABINET_DELETIONS: 1}
    world.later(DAY)
    return event, before


async def test_a_finished_delete_of_a_cabinet_is_kept_for_45_days_and_costs_no_look(
    world: ReconcileWorld,
) -> None:
    event, _ = await _finished(world)
    plain, listings = world.index.documents, 0

    async def documents(*args: Any, **kwargs: Any) -> Any:
        nonlocal listings
        listings += kwargs.get("state") is None
        return await plain(*args, **kwargs)

    world.index.documents = documents  # type: ignore[method-assign]  # counts
    looks = world.topics.looks
    world.later(40 * DAY)
    assert (await world.reconcile()).mended == {}
    assert (listings, world.topics.looks) == (0, looks)
    key = cabinet_deletion_key(event.cabinet_id, event.version)
    assert await world.objects.exists(key)
    world.later(6 * DAY)
    report = await world.reconcile()
    assert report.mended[Mend.OLD_CABINET_DELETIONS] == 2
    assert await world.objects.keys(cabinet_deletions_prefix(event.cabinet_id)) == []


@pytest.mark.parametrize("come", ["indexed", "recorded"])
async def test_an_upload_from_before_that_comes_after_a_cabinets_delete_is_deleted(
    world: ReconcileWorld, come: str
) -> None:
    event, before = await _finished(world)
    late = await world.accept("late", version=before, external_id="late")
    if come == "indexed":
        await world.run(late)
    world.later(HOUR)
    report = await world.reconcile()
    assert report.mended == {Mend.REOPENED_CABINET_DELETIONS: 1}
    world.later(HOUR)
    await world.reconcile()
    assert world.emitted() == [event]
    await world.settle(delivered(event))
    assert await world.texts() == []
    assert await world.objects.keys("cabinets/7/bodies/") == []
    world.later(HOUR)
    assert (await world.reconcile()).mended == {Mend.FINISHED_CABINET_DELETIONS: 1}


async def test_an_upload_after_a_finished_delete_is_sent_where_its_event_was_lost(
    world: ReconcileWorld,
) -> None:
    await _finished(world)
    await world.upload("two", external_id="a")
    world.later(HOUR)
    assert (await world.reconcile()).mended == {Mend.SUBMITTED: 1}
    await world.process_emitted()
    assert await world.texts() == ["two"]
