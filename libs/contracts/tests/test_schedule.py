"""Schedules by properties: any time of day, in zones whose clocks change in every known way."""

import itertools
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.schedule import DEFAULT_CRON, SPREAD, Schedule, spread

ZONES = (
    "UTC",
    "Europe/Berlin",  # an hour, at night
    "America/New_York",
    "America/Havana",  # at midnight: the day begins at 01:00
    "America/Santiago",  # back at midnight: the day before has 23:00 twice
    "Africa/Cairo",
    "Asia/Beirut",
    "Africa/Casablanca",  # an hour back for Ramadan
    "Antarctica/Troll",  # two hours
    "Australia/Lord_Howe",  # half an hour
    "Asia/Kathmandu",  # off the hour by 45 minutes
    "Pacific/Chatham",
    "Pacific/Apia",
)
DEFAULT = Schedule()

zones = st.sampled_from(ZONES)
minutes = st.integers(0, 59)
hours = st.integers(0, 23)
moments = st.datetimes(
    datetime(2024, 1, 1),  # noqa: DTZ001 - the strategy wants naive bounds, and adds the zone
    datetime(2031, 1, 1),  # noqa: DTZ001 - likewise
    timezones=st.just(UTC),
)


@st.composite
def crons(draw: st.DrawFn) -> str:
    minute = draw(st.one_of(minutes.map(str), st.sampled_from(["*", "*/5", "*/17", "0,30", "5-9"])))
    hour = draw(st.one_of(hours.map(str), st.sampled_from(["*", "*/6", "1-3", "0,2,23"])))
    day = draw(st.sampled_from(["*", "*", "1", "*/10", "L"]))
    month = draw(st.sampled_from(["*", "*", "3", "10,11"]))
    weekday = draw(st.sampled_from(["*", "*", "0", "1-5", "sun"]))
    return f"{minute} {hour} {day} {month} {weekday}"


schedules = st.builds(Schedule, cron=crons(), time_zone=zones)


def changes(zone: str, year: int) -> list[date]:
    """Return the civil days on which a zone's clock changes."""
    found = []
    for n in range(366):
        noon = datetime(year, 1, 1, 12, tzinfo=UTC) + timedelta(days=n)
        before = (noon - timedelta(days=1)).astimezone(ZoneInfo(zone))
        after = noon.astimezone(ZoneInfo(zone))
        if before.utcoffset() != after.utcoffset():
            found += [before.date(), after.date()]
    return found


@settings(deadline=None)
@given(schedules, moments)
def test_the_next_slot_is_later_on_a_full_minute_and_in_utc(
    schedule: Schedule, moment: datetime
) -> None:
    slot = schedule.next_slot(moment)
    assert slot > moment
    assert (slot.second, slot.microsecond) == (0, 0)
    assert slot.tzinfo is UTC


@settings(deadline=None)
@given(schedules, moments, st.timedeltas(timedelta(0), timedelta(hours=30)))
def test_no_slot_lies_between_a_moment_and_the_next_slot(
    schedule: Schedule, moment: datetime, before: timedelta
) -> None:
    slot = schedule.next_slot(moment)
    assert schedule.next_slot(max(moment, slot - before - timedelta(seconds=1))) == slot


@settings(deadline=None)
@given(schedules, moments, st.timedeltas(timedelta(0), timedelta(hours=60)))
def test_the_last_slot_is_the_last_that_going_forward_finds(
    schedule: Schedule, after: datetime, length: timedelta
) -> None:
    up_to, last, slot = after + length, None, schedule.next_slot(after)
    while slot <= up_to:
        last, slot = slot, schedule.next_slot(slot)
    assert schedule.last_slot(after=after, up_to=up_to) == last


@settings(deadline=None, max_examples=60)
@given(zones, st.integers(2024, 2030), hours, minutes, st.data())
def test_a_time_of_day_comes_once_each_civil_day_whatever_the_clock_does(
    zone: str, year: int, hour: int, minute: int, data: st.DataObject
) -> None:
    schedule = Schedule(cron=f"{minute} {hour} * * *", time_zone=zone)
    some = st.dates(date(year, 1, 5), date(year, 12, 25))
    middle = data.draw(st.sampled_from(changes(zone, year) or [date(year, 7, 1)]) | some)
    first, last = middle - timedelta(days=3), middle + timedelta(days=3)
    begin = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    days: Counter[date] = Counter()
    slot = schedule.next_slot(begin - timedelta(seconds=1))
    while (day := slot.astimezone(ZoneInfo(zone)).date()) <= last:
        days[day] += 1
        slot = schedule.next_slot(slot)
    assert days == Counter(first + timedelta(days=n) for n in range(7))


@pytest.mark.parametrize(
    ("zone", "cron", "day", "fires"),
    [
        ("Europe/Berlin", "30 2 * * *", "2026-03-29", "01:00"),  # skipped: right after the change
        ("Europe/Berlin", "30 2 * * *", "2026-10-25", "00:30"),  # twice: the first time
        ("America/New_York", "30 1 * * *", "2026-11-01", "05:30"),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-04", "15:30"),
        ("Asia/Kathmandu", "0 6 * * *", "2026-05-01", "00:15"),
    ],
    ids=["skipped", "repeated", "repeated-in-new-york", "half-an-hour", "no-full-hour"],
)
def test_known_days(zone: str, cron: str, day: str, fires: str) -> None:
    begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    schedule = Schedule(cron=cron, time_zone=zone)
    slot = schedule.next_slot(begin - timedelta(seconds=1))
    assert f"{slot:%H:%M}" == fires
    assert slot.astimezone(ZoneInfo(zone)).date() == date.fromisoformat(day)


@settings(deadline=None)
@given(moments)
def test_the_default_comes_four_times_a_day_at_minute_0(moment: datetime) -> None:
    slots = [DEFAULT.next_slot(moment)]
    while len(slots) < 5:
        slots.append(DEFAULT.next_slot(slots[-1]))
    assert {(slot.minute, slot.second) for slot in slots} == {(0, 0)}
    assert {slot.hour for slot in slots} == {0, 6, 12, 18}
    assert {b - a for a, b in itertools.pairwise(slots)} == {timedelta(hours=6)}


def test_the_default_is_not_the_one_that_fires_every_minute_of_its_hours() -> None:
    every_minute = Schedule(cron="* */6 * * *")
    begin = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(seconds=1)
    assert every_minute.next_slot(begin + timedelta(minutes=1)).minute == 1
    assert DEFAULT.next_slot(begin + timedelta(minutes=1)).hour == 6
    assert DEFAULT.cron == DEFAULT_CRON


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "0 0 30 2 *", "60 * * * *", "0 0 * * * *", "@daily", "TZ=UTC * * * *", "soon"],
)
def test_what_never_comes_or_is_no_cron_expression_is_refused(cron: str) -> None:
    with pytest.raises(ValidationError):
        Schedule(cron=cron)


@pytest.mark.parametrize("zone", ["", "Berlin", "../etc/passwd", "Europe/Atlantis"])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValidationError):
        Schedule(time_zone=zone)


@settings(deadline=None)
@given(st.integers(1, 2**53 - 1))
def test_a_cabinets_spread_is_always_the_same_and_below_half_an_hour(cabinet: int) -> None:
    found = spread(CabinetId(cabinet))
    assert found == spread(CabinetId(cabinet))
    assert timedelta(0) <= found < SPREAD == timedelta(minutes=30)
    assert found.microseconds == 0


def test_the_spread_of_a_cabinet_never_changes() -> None:
    assert [spread(CabinetId(n)).seconds for n in (1, 2, 7, 100_000)] == [313, 1246, 830, 911]


def test_100_000_cabinets_are_spread_evenly() -> None:
    seconds = Counter(spread(CabinetId(n)).seconds for n in range(1, 100_001))
    mean = 100_000 / SPREAD.total_seconds()
    assert len(seconds) == SPREAD.total_seconds()
    assert max(seconds.values()) < 2 * mean
    assert min(seconds.values()) > mean / 3
