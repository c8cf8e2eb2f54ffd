"""When a cabinet's next run comes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_api.domain.cabinet import Cabinet
from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSettings
from kartoteka_contracts.ids import CabinetId, Version
from kartoteka_contracts.schedule import SPREAD, Schedule, spread

_MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_ID = CabinetId(7)


def cabinet(
    cron: str = "0 * * * *", *, created_at: datetime = _MIDNIGHT, enabled: bool = True
) -> Cabinet:
    return Cabinet(
        cabinet_id=_ID,
        configured=CabinetConfigured(
            cabinet_id=_ID,
            version=Version(1),
            settings=CabinetSettings(schedule=Schedule(cron=cron), enabled=enabled),
            created_at=created_at,
            at=created_at,
        ),
    )


def test_the_next_run_is_the_first_slot_whose_spread_has_not_passed() -> None:
    late = spread(_ID)
    assert timedelta(0) < late < SPREAD
    noon = _MIDNIGHT.replace(hour=12)
    assert cabinet().next_run_at(noon) == noon + late
    assert cabinet().next_run_at(noon + late - _SECOND) == noon + late
    assert cabinet().next_run_at(noon + late) == noon + timedelta(hours=1) + late


def test_slots_before_the_cabinet_s_begin_do_not_count() -> None:
    at = _MIDNIGHT + _SECOND
    assert cabinet(created_at=at).next_run_at(at) == _MIDNIGHT + timedelta(hours=1) + spread(_ID)
    assert cabinet().next_run_at(_MIDNIGHT) == _MIDNIGHT + spread(_ID)


def test_one_that_is_not_enabled_has_no_next_run() -> None:
    assert cabinet(enabled=False).next_run_at(_MIDNIGHT) is None


def test_one_that_was_only_uploaded_to_runs_every_six_hours() -> None:
    one = Cabinet(cabinet_id=_ID, seen_at=_MIDNIGHT + _SECOND)
    assert one.next_run_at(_MIDNIGHT + _SECOND) == _MIDNIGHT.replace(hour=6) + spread(_ID)


def test_a_cabinet_begins_with_whatever_came_first() -> None:
    settings = cabinet(created_at=_MIDNIGHT).configured
    for seen_at in (_MIDNIGHT - _SECOND, _MIDNIGHT + _SECOND):
        one = Cabinet(cabinet_id=_ID, seen_at=seen_at, configured=settings)
        assert one.created_at == min(seen_at, _MIDNIGHT)


def test_what_nobody_ever_mentioned_is_no_cabinet() -> None:
    with pytest.raises(ValueError, match="nothing says"):
        Cabinet(cabinet_id=_ID)


@given(
    minutes=st.integers(0, 60 * 24 * 400),
    seconds=st.integers(0, 59),
    cron=st.sampled_from(["0 */6 * * *", "30 2 * * *", "*/7 * * * *", "0 0 1 * *"]),
)
def test_the_next_run_is_ahead_and_behind_a_slot_by_the_spread(
    minutes: int, seconds: int, cron: str
) -> None:
    now = _MIDNIGHT + timedelta(minutes=minutes, seconds=seconds)
    found = cabinet(cron).next_run_at(now)
    assert found is not None
    assert found > now
    slot = found - spread(_ID)
    assert cabinet(cron).next_run_at(slot + spread(_ID) - _SECOND) == found
    assert slot.second == 0
