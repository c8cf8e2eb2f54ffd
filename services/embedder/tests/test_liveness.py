import pytest

from embedder.domain.window import Place
from embedder.entrypoints.liveness import Liveness, LivenessLimits
from embedder.entrypoints.watchdog import LoopBeat
from kartoteka_runtime.health import Health
from kartoteka_testkit.frozen_clock import FrozenClock

HEAD = (Place("documents.bulk", 3), 17)


class Group:
    is_outside = False
    is_broker_there = True

    async def broker_answers(self) -> bool:
        return self.is_broker_there


class Work:
    stalled_seconds = 0.0
    heads: frozenset[tuple[Place, int]] = frozenset()

    def dead_heads(self) -> frozenset[tuple[Place, int]]:
        return self.heads


class Scene:
    def __init__(self) -> None:
        self.group, self.work, self.beat = Group(), Work(), LoopBeat()
        self.clock, self.health = FrozenClock(), Health()
        self.outage: str | None = None
        self.liveness = Liveness(
            self.group, self.work, self.beat, LivenessLimits(), trouble=self.ask, clock=self.clock
        )
        self.liveness.register(self.health)

    async def ask(self) -> str | None:
        return self.outage

    async def pass_time(self, seconds: float) -> None:
        await self.liveness.look()
        self.clock.advance(seconds)
        await self.liveness.look()

    @property
    def reasons(self) -> dict[str, str]:
        is_alive, reasons = self.health.live()
        assert is_alive == (not reasons)
        return reasons


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_a_worker_that_is_well_lives(scene: Scene) -> None:
    await scene.pass_time(10_000)
    assert scene.reasons == {}


async def test_a_late_loop_is_dead(scene: Scene) -> None:
    scene.beat.lag = 11
    assert list(scene.reasons) == ["loop"]


async def test_outside_of_the_group_is_dead_only_while_the_broker_answers(scene: Scene) -> None:
    scene.group.is_outside = True
    scene.group.is_broker_there = False
    await scene.pass_time(1000)
    assert scene.reasons == {}
    scene.group.is_broker_there = True
    await scene.liveness.look()
    assert list(scene.reasons) == ["group"]
    scene.group.is_outside = False
    await scene.liveness.look()
    assert scene.reasons == {}


async def test_a_short_rebalance_is_not_death(scene: Scene) -> None:
    scene.group.is_outside = True
    await scene.pass_time(170)
    assert scene.reasons == {}


async def test_a_head_that_nothing_would_end_is_death_after_a_minute(scene: Scene) -> None:
    scene.work.heads = frozenset({HEAD})
    await scene.pass_time(59)
    assert scene.reasons == {}
    await scene.pass_time(2)
    assert scene.reasons == {"heads": "nothing will ever end documents.bulk[3]@17"}


async def test_no_progress_is_death_unless_an_outage_is_to_blame(scene: Scene) -> None:
    scene.work.stalled_seconds = 500
    scene.outage = "Qdrant is away"
    await scene.pass_time(500)
    assert scene.reasons == {}
    scene.outage = None
    await scene.pass_time(400)
    assert scene.reasons == {}
    await scene.pass_time(30)
    assert list(scene.reasons) == ["progress"]
