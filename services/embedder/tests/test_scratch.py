"""The disk for bodies: never more on it than was said, and a full one is nobody's fault."""

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest
from indexing_world import WordExtractor, World

from embedder.domain.admission import Work
from embedder.domain.job import Lease
from embedder.domain.outcome import Indexed
from embedder.domain.parsed import Extraction
from embedder.domain.retry import RetryPolicy
from embedder.usecases.outages import Dependency, Outages
from embedder.usecases.scratch import Scratch
from embedder.usecases.settle import SettleJobs
from kartoteka_contracts.codec import decode
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.events import TaskStatusChanged
from kartoteka_contracts.tasks import TaskStatus
from kartoteka_runtime.clock import SystemClock
from kartoteka_testkit.eventually import eventually

_SIZE = 100


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(size=2 * _SIZE, bodies=3, folder=tmp_path)


class Body:
    """A body that stays until it is told to go."""

    def __init__(self, scratch: Scratch, size: int, work: Work = Work.BULK) -> None:
        self._scratch, self._size, self._work = scratch, size, work
        self.is_in = False
        self._gone = asyncio.Event()
        self.task = asyncio.create_task(self._stay())

    async def _stay(self) -> None:
        async with self._scratch.body(self._work, self._size) as path:
            path.write_bytes(b"x")
            self.is_in = True
            await self._gone.wait()

    async def go(self) -> None:
        self._gone.set()
        await self.task
        await settled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def bodies(scratch: Scratch, *sizes: int) -> list[Body]:
    made = [Body(scratch, size) for size in sizes]
    await settled()
    return made


def inside(made: list[Body]) -> list[bool]:
    return [body.is_in for body in made]


def folders(scratch: Path) -> int:
    return len(list(scratch.iterdir()))


async def test_bodies_wait_until_there_is_room_for_their_bytes(
    scratch: Scratch, tmp_path: Path
) -> None:
    made = await bodies(scratch, 60, 60, 10)
    assert inside(made) == [True, False, False]  # the last does not overtake
    assert folders(tmp_path) == 1
    await made[0].go()
    assert inside(made) == [True, True, True]
    assert scratch.held == 70
    await made[1].go()
    await made[2].go()
    assert scratch.held == 0
    assert folders(tmp_path) == 0


async def test_small_bodies_are_counted_too(scratch: Scratch) -> None:
    made = await bodies(scratch, 1, 1, 1, 1)
    assert inside(made) == [True, True, True, False]
    for body in made:
        await body.go()


async def test_a_body_larger_than_all_room_goes_alone(scratch: Scratch) -> None:
    made = await bodies(scratch, 10, 1000, 10)
    assert inside(made) == [True, False, False]
    await made[0].go()
    assert inside(made) == [True, True, False]
    await made[1].go()
    assert made[2].is_in
    await made[2].go()


async def test_interactive_work_waits_for_no_other_and_no_other_for_it(scratch: Scratch) -> None:
    made = await bodies(scratch, 100, 100)
    interactive = [Body(scratch, 100, Work.INTERACTIVE) for _ in range(2)]
    await settled()
    assert inside(made) == [True, False]
    assert inside(interactive) == [True, False]
    await made[0].go()
    assert inside(made) == [True, True]
    await made[1].go()
    for body in interactive:
        await body.go()


@pytest.mark.parametrize("victim", [0, 1])
async def test_one_that_is_cancelled_gives_its_place_back(scratch: Scratch, victim: int) -> None:
    made = await bodies(scratch, 100, 100, 100)
    made[victim].task.cancel()
    await settled()
    others = [body for n, body in enumerate(made) if n != victim]
    assert inside(others) == [True, False]
    await others[0].go()
    await others[1].go()
    assert scratch.held == 0


async def test_one_that_is_cancelled_as_its_turn_comes_gives_it_on(scratch: Scratch) -> None:
    made = await bodies(scratch, 100, 100, 100)
    made[0]._gone.set()
    await made[0].task  # the second's turn has come, and it has not run yet
    made[1].task.cancel()
    await settled()
    assert made[2].is_in
    await made[2].go()
    assert scratch.held == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_an_outage_with_a_reason(scratch: Scratch, number: int) -> None:
    with pytest.raises(UnavailableError) as caught:
        async with scratch.body(Work.BULK, 50):
            raise OSError(number, "it is full")
    assert caught.value.code == "scratch_full"
    assert scratch.trouble is not None
    assert "50 bytes" in scratch.trouble
    async with scratch.body(Work.BULK, 50):
        pass
    assert scratch.trouble is None


async def test_another_error_of_the_disk_stays_what_it_is(scratch: Scratch) -> None:
    with pytest.raises(OSError, match="broken") as caught:
        async with scratch.body(Work.BULK, 50):
            raise OSError(errno.EIO, "broken")
    assert caught.value.errno == errno.EIO
    assert scratch.held == 0


class FullDisk:
    """Object storage whose bodies go where nothing can be written, for a while."""

    def __init__(self, port: Any, failures: int) -> None:
        self._port = port
        self._failures = failures

    async def download(self, key: str, to: Path, **checks: Any) -> int:
        if self._failures:
            self._failures -= 1
            await asyncio.to_thread(to.symlink_to, "/dev/full")
        size: int = await self._port.download(key, to, **checks)
        return size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


async def test_a_full_disk_is_waited_out_and_burns_no_attempt(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.index.ensure()
    job = await world.accept("one\ntwo", version=1)
    disk = FullDisk(world.objects, failures=1)
    settle = SettleJobs(
        work=world.work(lambda port: disk if port is world.objects else port),
        log=world.log,
        policy=RetryPolicy(retries=0),
        clock=SystemClock(),
        outages=Outages(
            [Dependency(name="scratch", code="scratch_full", probe=world.scratch.probe)]
        ),
    )
    await settle.handle(job, Lease())
    (status,) = (decode(value) for value in world.log.on("task.status"))
    assert isinstance(status, TaskStatusChanged)
    assert status.status is TaskStatus.SUCCEEDED
    assert world.log.on("documents.retry") == []
    await world.index.close()


async def test_no_more_is_fetched_than_parsers_soon_need(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.index.ensure()
    world.scratch = Scratch(size=2 << 20, bodies=2, folder=tmp_path / "scratch")
    (tmp_path / "scratch").mkdir()
    jobs = [await world.accept("one", version=1, external_id=str(n)) for n in range(6)]
    extractor, is_free = world.extractor, asyncio.Event()

    class Busy(WordExtractor):
        async def extract(self, body: Path, **options: Any) -> Extraction:
            await is_free.wait()
            return await extractor.extract(body, **options)

    world.extractor = Busy()
    works = [asyncio.create_task(world.run(job)) for job in jobs]
    await eventually(lambda: folders(tmp_path / "scratch") == 2)
    await asyncio.sleep(0.1)
    assert folders(tmp_path / "scratch") == 2
    is_free.set()
    assert all(isinstance(outcome, Indexed) for outcome in await asyncio.gather(*works))
    assert folders(tmp_path / "scratch") == 0
    await world.index.close()
