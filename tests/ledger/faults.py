"""What can go wrong, by kind. Each does its harm, holds it for a while and undoes it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from kartoteka_testkit.stack import Service
from kartoteka_testkit.tcp_proxy import Direction
from tests.ledger.plant import SESSION_SECONDS, Plant

__all__ = ["FAULTS", "Fault", "targets_of"]

_DOWN: Final = (0.1, 3.0)
"""Seconds that what was killed stays away."""
_PAUSE: Final = (1.0, 2.0 * SESSION_SECONDS)
_BLOCK: Final = (1.0, 6.0)
_FULL: Final = (1.0, 5.0)
_LOST: Final = (0.8, 3.0)
"""Seconds that workers live on without Kafka."""
_AWAY: Final = (2.0, 10.0)
"""Seconds that a folder is not mounted: long enough for a run to meet that."""
_DECISION: Final = b"-documents/points/payload"
"""In the conditional write of every manifest."""

Harm = Callable[[Plant, str, Random], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind: on what, and how."""

    of: str
    """embedder, api, scheduler, broker, qdrant, link, disk or folder."""
    harm: Harm
    weight: int = 1
    """Times in every round of all kinds."""


def targets_of(plant: Plant, of: str) -> list[str]:
    """Return the names of what a kind can hit."""
    match of:
        case "broker":
            return ["broker"]
        case "folder":
            return ["folder"]
        case "link":
            return list(plant.links)
        case "disk":
            return list(plant.disks)
        case _:
            return [name for name in plant.services if of in name]


async def _kill(plant: Plant, target: str, random: Random) -> None:
    service = plant.services[target]
    service.process.kill()
    await asyncio.sleep(random.uniform(*_DOWN))
    service.start()


async def _terminate(plant: Plant, target: str, random: Random) -> None:
    service = plant.services[target]
    await asyncio.to_thread(service.stop)
    await asyncio.sleep(random.uniform(*_DOWN))
    service.start()


async def _pause(plant: Plant, target: str, random: Random) -> None:
    service: Service = plant.services[target]
    service.process.suspend()
    try:
        await asyncio.sleep(random.uniform(*_PAUSE))
    finally:
        service.process.resume()


async def _zombie(plant: Plant, target: str, random: Random) -> None:
    """Stop a worker amid its writes until its work is another's; then let them through."""
    link = plant.links[f"qdrant of {target}"]
    link.block()
    try:
        await asyncio.sleep(random.uniform(0.3, 1.5))
        plant.services[target].process.suspend()
        await asyncio.sleep(random.uniform(1.3, 2.0) * SESSION_SECONDS)
    finally:
        plant.services[target].process.resume()
        link.unblock()


async def _lose(plant: Plant, target: str, random: Random) -> None:
    """Cut all off from Kafka, and kill the workers while they wait for it, amid what they do."""
    link = plant.links["kafka"]
    workers = [plant.services[target]]
    workers += [other for other in plant.stack.embedders if other.name not in plant.held]
    plant.held |= {worker.name for worker in workers}
    try:
        link.block()
        try:
            await asyncio.sleep(random.uniform(*_LOST))
            for worker in workers:
                worker.process.kill()
        finally:
            link.unblock()
        await asyncio.sleep(random.uniform(*_DOWN))
        for worker in workers:
            worker.start()
    finally:
        plant.held -= {worker.name for worker in workers if worker.name != target}


async def _kill_broker(plant: Plant, _: str, random: Random) -> None:
    plant.stack.broker.kill()
    await asyncio.sleep(random.uniform(*_DOWN))
    plant.stack.broker.spawn()


async def _pause_broker(plant: Plant, _: str, random: Random) -> None:
    plant.stack.broker.suspend()
    try:
        await asyncio.sleep(random.uniform(*_PAUSE))
    finally:
        plant.stack.broker.resume()


async def _cut(plant: Plant, target: str, random: Random) -> None:
    for _ in range(random.randint(1, 4)):
        plant.links[target].cut()
        await asyncio.sleep(random.uniform(0.05, 0.5))


async def _drop(plant: Plant, target: str, random: Random) -> None:
    plant.links[target].drop_answers(random.randint(1, 6))
    await asyncio.sleep(random.uniform(*_DOWN))
    plant.links[target].drop_answers(0)


async def _block(plant: Plant, target: str, random: Random) -> None:
    link = plant.links[target]
    ways = random.choice([(), (Direction.TO_SERVER,), (Direction.TO_CLIENT,)])
    link.block(*ways)
    try:
        await asyncio.sleep(random.uniform(*_BLOCK))
    finally:
        if random.random() < 1 / 2:
            link.cut()  # what was on its way is lost, as when a route changes
        link.unblock()


async def _delay(plant: Plant, target: str, random: Random) -> None:
    """Let requests arrive late, when newer ones have long been answered."""
    link = plant.links[target]
    only_decisions = target.startswith("qdrant") and random.random() < 1 / 2
    late = link.hold_back(_DECISION if only_decisions else b"")
    try:
        await asyncio.sleep(random.uniform(0.2, 1.0))
        link.let_pass()
        await asyncio.sleep(random.uniform(1.5, 5.0))
    finally:
        link.let_pass()
        late.set()


async def _fill(plant: Plant, target: str, random: Random) -> None:
    disk = plant.disks[target]
    await asyncio.to_thread(disk.fill)
    try:
        await asyncio.sleep(random.uniform(*_FULL))
    finally:
        disk.free()


async def _unmount(plant: Plant, _: str, random: Random) -> None:
    """Take the source away: nothing is there, or the empty folder that it was mounted on."""
    plant.folder.unmount(leaves_empty=random.random() < 1 / 2)
    try:
        await asyncio.sleep(random.uniform(*_AWAY))
    finally:
        plant.folder.mount()


FAULTS: Final[Mapping[str, Fault]] = {
    "kill embedder": Fault(of="embedder", harm=_kill, weight=2),
    "terminate embedder": Fault(of="embedder", harm=_terminate),
    "pause embedder": Fault(of="embedder", harm=_pause),
    "zombie embedder": Fault(of="embedder", harm=_zombie),
    "lose embedders": Fault(of="embedder", harm=_lose),
    "kill api": Fault(of="ingest-api", harm=_kill),
    "terminate api": Fault(of="ingest-api", harm=_terminate),
    "pause api": Fault(of="ingest-api", harm=_pause),
    "kill scheduler": Fault(of="scheduler", harm=_kill),
    "terminate scheduler": Fault(of="scheduler", harm=_terminate),
    "pause scheduler": Fault(of="scheduler", harm=_pause),
    "unmount source": Fault(of="folder", harm=_unmount, weight=2),
    "kill broker": Fault(of="broker", harm=_kill_broker),
    "pause broker": Fault(of="broker", harm=_pause_broker),
    "kill qdrant": Fault(of="qdrant", harm=_kill),
    "pause qdrant": Fault(of="qdrant", harm=_pause),
    "cut connections": Fault(of="link", harm=_cut, weight=2),
    "drop answers": Fault(of="link", harm=_drop, weight=2),
    "block connections": Fault(of="link", harm=_block, weight=2),
    "delay requests": Fault(of="link", harm=_delay),
    "fill disk": Fault(of="disk", harm=_fill, weight=2),
}
