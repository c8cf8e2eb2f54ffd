"""A crash at any await ends, once the job is delivered again, where it would have ended without."""

import pytest
from indexing_scenes import SCENES, Scene, opened
from indexing_world import Countdown, Crash

_REDELIVERIES = 3


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_a_crash_at_any_call_is_repaired_by_redelivery(
    scene: Scene, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """End the process before and after every call of every port, then deliver three times more."""
    crashes = 0
    while True:
        world = await opened(tmp_path_factory.mktemp("world"))
        case = await scene(world)
        ((outcome, texts),) = case.finds.items()
        countdown = Countdown(left=crashes + 1)
        try:
            assert isinstance(await world.run(case.job, countdown.around), case.ends)
        except Crash:
            crashes += 1
        place = countdown.happened_at
        assert await world.texts() in [texts, *case.visible], place
        snapshots = []
        for _ in range(_REDELIVERIES):
            assert isinstance(await world.run(case.job), case.ends), place
            assert await world.texts() == texts, place
            snapshots.append(await world.snapshot())
        assert snapshots[1:] == snapshots[:-1], place
        await world.assert_whole()
        if case.job.document_id is not None:
            manifest = await world.manifest(case.job)
            assert (manifest.fence, manifest.outcome) == (case.job.version, outcome)
            assert manifest.starts is None
        await world.index.close()
        if place is None:
            break
    assert crashes >= 2
