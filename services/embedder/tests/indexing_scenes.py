"""Documents in every situation that a job can meet, for tests that crash and interleave."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from indexing_world import Crash, World

from embedder.domain.job import Job
from embedder.domain.outcome import (
    Cancelled,
    Deleted,
    Empty,
    EndedElsewhere,
    Failed,
    Indexed,
    Unchanged,
)
from kartoteka_index.manifest import Outcome
from kartoteka_testkit import builders


@dataclass(kw_only=True)
class Case:
    """A job, and what it comes to."""

    job: Job
    ends: type[Any] | tuple[type[Any], ...]
    """How a try at it may end."""
    finds: dict[Outcome, list[str]]
    """What stands at last, and what a search then finds."""
    visible: list[list[str]] = field(default_factory=list)
    """What else a search may find on the way."""
    others: list[Job] = field(default_factory=list)
    """What is done by other workers meanwhile."""


Scene: TypeAlias = Callable[[World], Awaitable[Case]]


async def published(world: World, text: str = "old", version: int = 1, **fields: Any) -> Job:
    job = await world.accept(text, version=version, **fields)
    assert isinstance(await world.run(job), Indexed)
    return job


async def new_version(world: World) -> Case:
    await published(world)
    job = await world.accept("one\ntwo", version=2)
    return Case(job=job, ends=Indexed, finds={Outcome.PUBLISHED: ["one", "two"]}, visible=[["old"]])


async def first_version(world: World) -> Case:
    job = await world.accept("one\ntwo", version=2)
    return Case(job=job, ends=Indexed, finds={Outcome.PUBLISHED: ["one", "two"]}, visible=[[]])


async def no_text(world: World) -> Case:
    await published(world)
    return Case(
        job=await world.accept("", version=2),
        ends=Empty,
        finds={Outcome.EMPTY: []},
        visible=[["old"]],
    )


async def verdict(world: World) -> Case:
    await published(world)
    return Case(
        job=await world.accept("!encrypted", version=2),
        ends=Failed,
        finds={Outcome.FAILED: ["old"]},
    )


async def same_bytes(world: World) -> Case:
    await published(world)
    return Case(
        job=await world.accept("old", version=2), ends=Unchanged, finds={Outcome.UNCHANGED: ["old"]}
    )


async def new_metadata(world: World) -> Case:
    await published(world, "one\ntwo")
    job = await world.accept("one\ntwo", version=2, metadata={"a": 1})
    return Case(job=job, ends=Indexed, finds={Outcome.PUBLISHED: ["one", "two"]})


async def poison(world: World) -> Case:
    await published(world)
    job = await world.accept("text", version=2)
    event = job.submission
    work = (event.version, event.epoch)
    for _ in range(5):
        seen = await world.manifest(job)
        await world.index.begin(job.cabinet, event.document_id, "a", work, seen=seen)
    return Case(job=job, ends=Failed, finds={Outcome.FAILED: ["old"]})


async def deleted(world: World) -> Case:
    await published(world, "one\ntwo")
    job = await world.accept_delete(version=2)
    return Case(job=job, ends=Deleted, finds={Outcome.DELETED: []}, visible=[["one", "two"]])


async def deleted_unknown(world: World) -> Case:
    return Case(job=await world.accept_delete(version=2), ends=Deleted, finds={Outcome.DELETED: []})


async def cancelled_by_event(world: World) -> Case:
    await published(world)
    job = await world.accept("new", version=2)
    await _half_written(world, job)
    cancellation = await world.accept_cancel(job)
    return Case(job=cancellation, ends=Cancelled, finds={Outcome.CANCELLED: ["old"]})


async def cancelled_by_mark(world: World) -> Case:
    await published(world)
    job = await world.accept("new", version=2)
    await _half_written(world, job)
    await world.accept_cancel(job)
    return Case(job=job, ends=Cancelled, finds={Outcome.CANCELLED: ["old"]})


async def cancelled_too_late(world: World) -> Case:
    job = await published(world)
    return Case(
        job=await world.accept_cancel(job), ends=EndedElsewhere, finds={Outcome.PUBLISHED: ["old"]}
    )


async def cabinet_deleted(world: World) -> Case:
    job = await published(world, "one\ntwo")
    await published(world, "other", external_id="other")
    await world.accept("never run", version=2, external_id="third")
    newer = await published(world, "newer", version=9, external_id="fourth")
    del newer
    event = builders.cabinet_deletion(version=5)
    return Case(
        job=replace(job, event=event),
        ends=Deleted,
        finds={Outcome.DELETED: ["newer"]},
        visible=[["newer", "one", "other", "two"], ["newer", "other"], ["newer", "one", "two"]],
    )


async def _half_written(world: World, job: Job) -> None:
    """Let a try at a job crash before its decision."""

    class Dies:
        def __init__(self, port: Any) -> None:
            self._port = port

        def __getattr__(self, name: str) -> Any:
            if name == "decide":
                raise Crash
            return getattr(self._port, name)

    with pytest.raises(Crash):
        await world.run(job, Dies)
    assert await world.stored(job) > 0


SCENES: list[Scene] = [
    first_version,
    new_version,
    no_text,
    verdict,
    same_bytes,
    new_metadata,
    poison,
    deleted,
    deleted_unknown,
    cancelled_by_event,
    cancelled_by_mark,
    cancelled_too_late,
    cabinet_deleted,
]


async def opened(folder: Path) -> World:
    """Return an empty world."""
    world = World(folder)
    await world.index.ensure()
    return world
