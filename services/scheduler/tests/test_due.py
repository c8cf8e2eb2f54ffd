from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from scheduler_world import LONG_AGO, NOON, configured, seen

from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSeen
from kartoteka_contracts.ids import CabinetId, run_task_id
from kartoteka_contracts.schedule import SPREAD, spread
from scheduler.domain.due import Due, due
from scheduler.domain.register import Register

BY = spread(CabinetId(7))
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def registered(*events: CabinetConfigured | CabinetSeen) -> Register:
    register = Register()
    for event in events:
        if isinstance(event, CabinetConfigured):
            register.configured(event)
        else:
            register.seen(event)
    return register


def slots(found: Iterable[Due]) -> list[datetime]:
    return [one.slot for one in found]


def test_a_cabinet_is_due_at_its_slot_and_its_spread_and_not_before() -> None:
    register = registered(configured(7))
    at = NOON + BY
    assert due(register, after=NOON - HOUR, up_to=at - timedelta(seconds=1)) == []
    (found,) = due(register, after=NOON - HOUR, up_to=at)
    assert (found.cabinet_id, found.slot, found.at) == (7, NOON, at)
    assert found.run == run_task_id(CabinetId(7), NOON)
    assert due(register, after=at, up_to=at + 5 * HOUR) == []


def test_of_missed_slots_the_last_one_is_due_once() -> None:
    register = registered(configured(7))
    found = due(register, after=NOON - timedelta(days=3), up_to=NOON + HOUR)
    assert slots(found) == [NOON]


def test_a_cabinet_without_settings_has_the_default_schedule_from_when_it_was_seen() -> None:
    begin = NOON - HOUR
    for at, expected in ((begin, [NOON]), (NOON + MINUTE, []), (NOON, [NOON])):
        assert slots(due(registered(seen(7, at)), after=begin, up_to=NOON + HOUR)) == expected


def test_slots_before_a_cabinet_was_there_are_not_made_up_for() -> None:
    register = registered(configured(7, at=NOON - HOUR))
    assert due(register, after=LONG_AGO, up_to=NOON - MINUTE) == []
    assert slots(due(register, after=LONG_AGO, up_to=NOON + HOUR)) == [NOON]


def test_settings_for_a_cabinet_with_uploads_cost_it_no_slot() -> None:
    register = registered(seen(7), configured(7, at=NOON + timedelta(seconds=1)))
    assert slots(due(register, after=NOON - HOUR, up_to=NOON + HOUR)) == [NOON]


def test_a_disabled_cabinet_is_never_due() -> None:
    register = registered(seen(7), configured(7, enabled=False))
    assert due(register, after=NOON - HOUR, up_to=NOON + HOUR) == []
    assert len(register) == 1


def test_a_changed_schedule_counts_at_once() -> None:
    later = configured(7, cron="30 11 * * *", version=2)
    register = registered(configured(7), later)
    assert slots(due(register, after=NOON - HOUR, up_to=NOON + HOUR)) == [NOON - 30 * MINUTE]


def test_older_settings_that_come_late_change_nothing() -> None:
    register = registered(configured(7, enabled=False, version=2), configured(7, version=1))
    assert due(register, after=NOON - HOUR, up_to=NOON + HOUR) == []


def test_a_time_zone_of_its_own_counts() -> None:
    register = registered(configured(7, cron="0 18 * * *", time_zone="Asia/Kathmandu"))
    (found,) = due(register, after=NOON - HOUR, up_to=NOON + HOUR)
    assert (
        found.slot
        == NOON + 15 * MINUTE
        == datetime(2026, 6, 1, 18, tzinfo=ZoneInfo("Asia/Kathmandu"))
    )


def test_the_oldest_comes_first() -> None:
    register = registered(*(configured(n) for n in range(1, 200)))
    found = due(register, after=NOON - HOUR, up_to=NOON + HOUR)
    assert len(found) == 199
    assert [one.at for one in found] == sorted(one.at for one in found)


@settings(deadline=None)  # other processes may have the cores
@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=5, unique=True),
    st.sampled_from(["0 */6 * * *", "*/20 * * * *", "15 3 * * *", "0 0 1 * *"]),
    st.lists(st.integers(1, 3 * 3600), min_size=1, max_size=40),
)
def test_ticks_at_any_times_ask_for_each_slot_at_most_once_and_never_skip_the_last(
    cabinets: list[int], cron: str, pauses: list[int]
) -> None:
    register = registered(*(configured(n, cron=cron) for n in cabinets))
    asked: Counter[tuple[int, datetime]] = Counter()
    after = NOON - timedelta(days=1)
    first = after
    for pause in pauses:
        up_to = after + timedelta(seconds=pause)
        asked.update((one.cabinet_id, one.slot) for one in due(register, after=after, up_to=up_to))
        after = up_to
    assert set(asked.values()) <= {1}
    schedule = configured(1, cron=cron).settings.schedule
    for cabinet in cabinets:
        by = spread(CabinetId(cabinet))
        last = schedule.last_slot(after=first - SPREAD, up_to=after - by)
        if last is not None and last + by > first:
            assert asked[cabinet, last] == 1


def test_100_000_cabinets_of_one_schedule_are_computed_in_a_moment() -> None:
    register = registered(*(seen(n) for n in range(1, 100_001)))
    found = due(register, after=NOON - HOUR, up_to=NOON + HOUR)
    assert len(found) == 100_000
    busiest = Counter(one.at for one in found).most_common(1)[0][1]
    assert busiest < 2 * 100_000 / SPREAD.total_seconds()
