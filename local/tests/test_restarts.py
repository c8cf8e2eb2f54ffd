import pytest

from kartoteka_local.restarts import RestartHistory, RestartPolicy


def history() -> RestartHistory:
    return RestartHistory(policy=RestartPolicy())


def test_each_death_is_followed_by_a_longer_wait() -> None:
    deaths = history()
    waits = [deaths.died(float(n), was_ready=True) for n in range(4)]
    assert waits == [0.5, 1.0, 2.0, 4.0]


def test_five_deaths_within_a_minute_are_too_many() -> None:
    deaths = history()
    waits = [deaths.died(n * 14.9, was_ready=True) for n in range(5)]
    assert waits[-1] is None


def test_deaths_that_lie_far_apart_are_forgotten() -> None:
    deaths = history()
    waits = [deaths.died(n * 61.0, was_ready=True) for n in range(20)]
    assert waits == [0.5] * 20


def test_five_lives_without_readiness_are_too_many_however_long_they_last() -> None:
    deaths = history()
    waits = [deaths.died(n * 100.0, was_ready=False) for n in range(5)]
    assert waits[-1] is None


@pytest.mark.parametrize("ready", [True, False])
def test_no_wait_exceeds_the_limit(ready: bool) -> None:  # noqa: FBT001 - a parameter
    policy = RestartPolicy(limit=100)
    deaths = RestartHistory(policy=policy)
    waits = [deaths.died(n * 0.1, was_ready=ready) for n in range(50)]
    assert max(wait for wait in waits if wait is not None) == policy.backoff.limit
