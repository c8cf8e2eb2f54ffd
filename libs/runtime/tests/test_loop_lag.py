import asyncio
import time

from kartoteka_runtime.loop_lag import LoopLag
from kartoteka_runtime.metrics import Metrics


async def test_a_blocked_loop_is_late_by_as_much() -> None:
    metrics = Metrics()
    lag = LoopLag(metrics, every=0.01)
    measuring = asyncio.create_task(lag.run())
    await asyncio.sleep(0.02)
    time.sleep(0.2)  # noqa: ASYNC251 - the very thing that is to be seen
    await asyncio.sleep(0.02)
    measuring.cancel()
    assert 0.15 < lag.worst < 5
    shown = metrics.registry.get_sample_value("kartoteka_event_loop_lag_seconds")
    assert shown == lag.worst


def test_nothing_measured_is_no_lag() -> None:
    assert LoopLag(Metrics()).worst == 0.0
