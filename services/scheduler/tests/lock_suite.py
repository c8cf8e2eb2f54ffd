"""What every lock promises."""

from abc import abstractmethod

import pytest

from kartoteka_testkit.frozen_clock import FrozenClock
from scheduler.ports import Lock, LockError

SECONDS = 60


class LockSuite:
    @pytest.fixture
    def clock(self) -> FrozenClock:
        return FrozenClock()

    @abstractmethod
    def lock(self, name: str, clock: FrozenClock) -> Lock:
        """Return one scheduler's hand on the lock of this test."""

    @abstractmethod
    def go_away(self) -> None:
        """Let whoever keeps the lock be away from now on."""

    async def test_a_free_lock_is_taken(self, clock: FrozenClock) -> None:
        lock = self.lock("one", clock)
        assert lock.seconds == SECONDS
        assert await lock.acquire()

    async def test_a_held_lock_is_refused_to_others_and_renewed_for_its_holder(
        self, clock: FrozenClock
    ) -> None:
        one, two = self.lock("one", clock), self.lock("two", clock)
        assert await one.acquire()
        assert not await two.acquire()
        clock.advance(SECONDS - 1)
        assert await one.acquire()
        clock.advance(SECONDS - 1)
        assert not await two.acquire()

    async def test_an_expired_lock_is_taken_over_and_its_holder_learns_it(
        self, clock: FrozenClock
    ) -> None:
        one, two = self.lock("one", clock), self.lock("two", clock)
        assert await one.acquire()
        clock.advance(SECONDS)
        assert await two.acquire()
        assert not await one.acquire()

    async def test_a_released_lock_is_free_at_once(self, clock: FrozenClock) -> None:
        one, two = self.lock("one", clock), self.lock("two", clock)
        assert await one.acquire()
        await one.release()
        assert await two.acquire()

    async def test_releasing_what_another_holds_changes_nothing(self, clock: FrozenClock) -> None:
        one, two, three = (self.lock(name, clock) for name in ("one", "two", "three"))
        await one.release()
        assert await one.acquire()
        await two.release()
        assert not await three.acquire()

    async def test_a_keeper_that_is_away_is_no_answer(self, clock: FrozenClock) -> None:
        one = self.lock("one", clock)
        assert await one.acquire()
        self.go_away()
        with pytest.raises(LockError):
            await one.acquire()
        with pytest.raises(LockError):
            await one.release()
