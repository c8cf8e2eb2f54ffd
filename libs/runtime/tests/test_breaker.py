import pytest

from kartoteka_runtime.backoff import Backoff
from kartoteka_runtime.breaker import Breaker
from kartoteka_testkit.frozen_clock import FrozenClock


def test_it_opens_at_the_limit_and_not_before() -> None:
    breaker = Breaker(failures=3, clock=FrozenClock())
    breaker.failed()
    breaker.failed()
    assert breaker.admits()
    breaker.failed()
    assert breaker.is_open
    assert not breaker.admits()


def test_a_success_between_failures_starts_the_count_anew() -> None:
    breaker = Breaker(failures=2, clock=FrozenClock())
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert not breaker.is_open


def test_while_open_one_probe_an_interval_is_admitted() -> None:
    clock = FrozenClock()
    breaker = Breaker(failures=1, probe_seconds=1.0, clock=clock)
    breaker.failed()
    clock.advance(0.4)
    assert breaker.retry_after == pytest.approx(0.6)
    clock.advance(0.6)
    assert [breaker.admits() for _ in range(3)] == [True, False, False]
    breaker.failed()
    assert breaker.is_open
    clock.advance(1.0)
    assert [breaker.admits() for _ in range(2)] == [True, False]


def test_a_probe_that_works_closes_it() -> None:
    clock = FrozenClock()
    breaker = Breaker(failures=1, clock=clock)
    breaker.failed()
    clock.advance(1.0)
    assert breaker.admits()
    breaker.succeeded()
    assert [breaker.admits() for _ in range(3)] == [True] * 3
    assert breaker.retry_after == 0


def test_delays_double_up_to_the_limit() -> None:
    backoff = Backoff(base=1.0, limit=5.0, jitter=0.0)
    assert [backoff.delay(n) for n in range(5)] == [1, 2, 4, 5, 5]
    assert backoff.delay(10_000) == 5


def test_jitter_only_shortens_and_by_its_share() -> None:
    backoff = Backoff(base=8.0, jitter=0.25)
    assert backoff.delay(0, chance=0.0) == 6
    assert backoff.delay(0, chance=1.0) == 8
    assert all(6 <= backoff.delay(0) <= 8 for _ in range(100))
