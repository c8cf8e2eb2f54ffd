"""Settings that are given at the same time, or only half: the newest ends up last on the topic."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from run_records import configured

from ingest_api.adapters.settings_archive import ObjectSettings
from ingest_api.domain.access import Principal, Scope, authorise
from ingest_api.ports import StoredSettings
from ingest_api.usecases.configure_cabinet import ConfigureCabinet
from ingest_api.usecases.job_events import JobEvents
from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSettings
from kartoteka_contracts.codec import decode
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import CabinetId
from kartoteka_runtime.objects import ObjectStore, ObjectStoreSettings
from kartoteka_runtime.source_settings import SourceSettings
from kartoteka_testkit.builders import EPOCH
from kartoteka_testkit.eventually import eventually
from kartoteka_testkit.frozen_clock import FrozenClock
from kartoteka_testkit.recording_log import Appended, RecordingLog

_KEY = Principal(key_id="k", name="k", scopes=frozenset(Scope), cabinets=None)
_CABINET = authorise(_KEY, Scope.ADMIN, CabinetId(7))
SOURCES = CabinetSettings.model_validate(
    {"sources": [{"name": "a", "url": "s3://bucket/x"}]}
).sources


class HeldLog(RecordingLog):
    """A log whose sends wait until they are let go, one by one and in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[CabinetConfigured, asyncio.Event]] = []
        self.is_open = False

    async def send(
        self,
        topic: str,
        *,
        key: str,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Appended:
        event, gate = decode(value), asyncio.Event()
        assert isinstance(event, CabinetConfigured)
        if not self.is_open:
            self.held.append((event, gate))
            await gate.wait()
        return await super().send(topic, key=key, value=value, headers=headers)

    async def arrived(self, count: int) -> None:
        await eventually(lambda: len(self.held) >= count)


@dataclass
class World:
    """Some replicas over one store and one topic."""

    objects: ObjectStore
    log: HeldLog = field(default_factory=HeldLog)
    clock: FrozenClock = field(default_factory=lambda: FrozenClock(EPOCH))

    def replica(self, archive: ObjectSettings | None = None) -> ConfigureCabinet:
        return ConfigureCabinet(
            archive=archive or ObjectSettings(self.objects),
            policy=SourceSettings(allowed_urls=("s3://bucket",)),
            jobs=JobEvents(self.log),
            clock=self.clock,
        )

    def last(self) -> CabinetConfigured:
        """What compaction keeps."""
        event = self.log.on("cabinets")[-1].event
        assert isinstance(event, CabinetConfigured)
        return event

    async def newest(self) -> StoredSettings:
        found = await ObjectSettings(self.objects).newest(CabinetId(7))
        assert found is not None
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(ObjectStore.open(ObjectStoreSettings(url=f"file://{tmp_path}")))


async def test_older_settings_that_are_sent_late_are_followed_by_the_newer(world: World) -> None:
    first = asyncio.create_task(world.replica().configure(_CABINET, CabinetSettings(name="old")))
    await world.log.arrived(1)
    second = asyncio.create_task(world.replica().configure(_CABINET, CabinetSettings(name="new")))
    await world.log.arrived(2)
    (old, let_old_go), (new, let_new_go) = world.log.held
    assert new.version > old.version
    let_new_go.set()
    await second
    world.log.is_open = True
    let_old_go.set()
    assert await first == old
    assert [one.event for one in world.log.on("cabinets")] == [new, old, new]
    assert world.last() == (await world.newest()).configured


async def test_of_two_at_once_both_get_a_version_and_the_higher_ends_up_last(world: World) -> None:
    world.log.is_open = True
    given = await asyncio.gather(
        *(world.replica().configure(_CABINET, CabinetSettings(name=f"{n}")) for n in range(8))
    )
    assert len({event.version for event in given}) == 8
    assert world.last() == (await world.newest()).configured == max(given, key=_version)


def _version(event: CabinetConfigured) -> int:
    return event.version


async def test_the_same_again_is_told_again_and_is_no_new_version(world: World) -> None:
    world.log.is_open = True
    first = await world.replica().configure(_CABINET, CabinetSettings(sources=SOURCES))
    world.clock.advance(1)
    again = await world.replica().configure(_CABINET, CabinetSettings(sources=SOURCES))
    assert again == first
    told = world.log.on("cabinets")
    assert [one.event for one in told] == [first, first]
    assert told[0].headers == told[1].headers


class _Overtaken(ObjectSettings):
    """Another replica takes the version between this one's listing and its write, once."""

    is_done = False

    async def create(self, event: CabinetConfigured) -> bool:
        if not self.is_done:
            self.is_done = True
            other = event.model_copy(update={"settings": CabinetSettings(name="other")})
            assert await super().create(other)
        return await super().create(event)


async def test_a_version_that_is_taken_is_stepped_over(world: World) -> None:
    world.log.is_open = True
    mine = CabinetSettings(name="mine")
    event = await world.replica(_Overtaken(world.objects)).configure(_CABINET, mine)
    newest = await world.newest()
    assert newest.configured == event
    assert event.settings == mine


async def test_a_cabinet_that_is_retired_keeps_its_name_and_loses_what_fills_it(
    world: World,
) -> None:
    world.log.is_open = True
    settings = CabinetSettings(name="n", sources=SOURCES)
    await world.replica().configure(_CABINET, settings)
    await world.replica().retire(_CABINET)
    last = world.last()
    assert last == (await world.newest()).configured
    assert last.settings == CabinetSettings(name="n", enabled=False)


async def test_a_cabinet_without_settings_gets_none_when_it_is_retired(world: World) -> None:
    world.log.is_open = True
    await world.replica().retire(_CABINET)
    assert world.log.appended == []
    assert await ObjectSettings(world.objects).newest(CabinetId(7)) is None


async def test_a_retirement_that_was_never_told_is_told_by_the_next_one(world: World) -> None:
    await ObjectSettings(world.objects).create(configured(1000, sources=SOURCES))
    world.log.is_open = world.log.silent = True
    with pytest.raises(UnavailableError):
        await world.replica().retire(_CABINET)
    world.log.silent = False
    await world.replica().retire(_CABINET)
    assert not world.last().settings.enabled
    assert world.last() == (await world.newest()).configured


async def test_newer_settings_of_a_later_release_are_left_to_it(world: World) -> None:
    first = asyncio.create_task(world.replica().configure(_CABINET, CabinetSettings(name="old")))
    await world.log.arrived(1)
    key = "cabinets/7/settings/9000000000000000.json"
    await world.objects.create(key, b'{"type":"cabinet_configured","schema_version":2}')
    world.log.held[0][1].set()
    event = await first
    assert [one.event for one in world.log.on("cabinets")] == [event]
