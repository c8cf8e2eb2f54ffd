"""Metrics, signals and the clock."""

import asyncio
import os
import signal

import pytest

from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.metrics import BYTES, Metrics, process_registry
from kartoteka_runtime.signals import stop_signal
from kartoteka_testkit.frozen_clock import FrozenClock


def test_metrics_are_rendered_under_one_prefix() -> None:
    metrics = Metrics()
    metrics.counter("tasks", "Tasks ended", ["status"]).labels(status="failed").inc()
    metrics.gauge("lag", "Records behind").set(3)
    metrics.histogram("size", "Bytes", buckets=BYTES).observe(2048)
    body, content_type = metrics.render()
    text = body.decode()
    assert content_type.startswith("text/plain")
    assert 'kartoteka_tasks_total{status="failed"} 1.0' in text
    assert "kartoteka_lag 3.0" in text
    assert 'kartoteka_size_bucket{le="4096.0"} 1.0' in text


def test_a_process_registry_tells_of_the_process() -> None:
    body, _ = Metrics(process_registry()).render()
    assert b"process_resident_memory_bytes" in body


def test_two_processes_in_one_test_do_not_meet() -> None:
    for _ in range(2):
        Metrics().counter("tasks", "Tasks ended")
    metrics = Metrics()
    metrics.counter("tasks", "Tasks ended")
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.counter("tasks", "Tasks ended")


async def test_sigterm_sets_the_event_and_old_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with stop_signal() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), 2)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_clock_is_aware_and_does_not_go_back() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() is not None
    assert clock.monotonic() <= clock.monotonic()


def test_a_frozen_clock_moves_by_hand() -> None:
    clock = FrozenClock()
    now = clock.now()
    clock.advance(1.5)
    assert (clock.now() - now).total_seconds() == clock.monotonic() == 1.5
