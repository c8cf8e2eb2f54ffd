import asyncio
import threading
import time

from embedder.entrypoints.watchdog import EXIT_LATE, EXIT_STUCK, LoopBeat, Watchdog


class Ending:
    def __init__(self) -> None:
        self.codes: list[int] = []
        self.happened = threading.Event()

    def __call__(self, code: int) -> None:
        self.codes.append(code)
        self.happened.set()


def test_a_loop_that_stands_still_ends_the_process() -> None:
    ending = Ending()
    watchdog = Watchdog(LoopBeat(), seconds=0.1, end=ending)
    watchdog.start()
    assert ending.happened.wait(5)
    watchdog.stop()
    assert ending.codes[0] == EXIT_STUCK


async def test_a_beating_loop_is_left_alone_and_a_blocked_one_is_not() -> None:
    ending, beat = Ending(), LoopBeat()
    task = asyncio.create_task(beat.run())
    watchdog = Watchdog(beat, seconds=1.2, end=ending)
    watchdog.start()
    await asyncio.sleep(2.5)
    assert ending.codes == []
    time.sleep(2.5)  # noqa: ASYNC251 - the fault that is under test
    assert ending.codes[0] == EXIT_STUCK
    watchdog.stop()
    await asyncio.sleep(0.1)
    assert beat.lag > 1
    task.cancel()


async def test_a_stop_that_takes_too_long_ends_the_process() -> None:
    ending, beat = Ending(), LoopBeat()
    task = asyncio.create_task(beat.run())
    watchdog = Watchdog(beat, seconds=4, end=ending)
    watchdog.start()
    watchdog.expect_end(0.1)
    await asyncio.to_thread(ending.happened.wait, 5)
    watchdog.stop()
    assert ending.codes[0] == EXIT_LATE
    task.cancel()
