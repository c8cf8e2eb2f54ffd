import pytest
from scheduler_world import NOON, World, configured, seen

from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.reindex import ReindexMode, ReindexTrigger
from scheduler.usecases.reindex import ReindexFigures, Wanted


async def test_named_cabinets_get_one_run_each_known_or_not_enabled_or_not() -> None:
    world = World()
    world.state.events.append(configured(7, enabled=False))
    world.state.is_away = True
    wanted = Wanted(
        cabinets=(CabinetId(7), CabinetId(9), CabinetId(7)),
        mode=ReindexMode.FULL,
        is_vanishing_confirmed=True,
    )
    figures = ReindexFigures()
    await world.reindex().run(wanted, figures)
    runs = world.log.runs()
    assert {run.cabinet_id: run.task_id for run in runs} == figures.runs
    assert len(runs) == len({run.task_id for run in runs}) == figures.emitted == figures.due == 2
    for run in runs:
        assert (run.mode, run.trigger) == (ReindexMode.FULL, ReindexTrigger.MANUAL)
        assert (run.slot, run.accepted_at, run.is_vanishing_confirmed) == (None, NOON, True)
    assert world.log.watermarks() == []


async def test_without_names_all_enabled_cabinets_get_a_run() -> None:
    world = World()
    world.state.events += [seen(1), configured(2), configured(3, enabled=False)]
    figures = ReindexFigures()
    await world.reindex().run(Wanted(mode=ReindexMode.FAILED), figures)
    assert {run.cabinet_id for run in world.log.runs()} == {1, 2}
    assert {run.mode for run in world.log.runs()} == {ReindexMode.FAILED}
    assert (figures.cabinets, figures.due, figures.emitted, figures.runs) == (3, 2, 2, {})


async def test_a_failure_says_how_many_were_asked_for() -> None:
    world = World()
    world.state.events += [seen(n) for n in range(1, 11)]
    world.log.left = 4
    figures = ReindexFigures()
    with pytest.raises(UnavailableError):
        await world.reindex().run(Wanted(), figures)
    assert (figures.due, figures.emitted) == (10, 4)
