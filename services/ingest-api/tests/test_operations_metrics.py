"""What scheduler and reconciliation left on the log, as gauges; the last of each counts."""

from datetime import timedelta

import pytest
from reading_world import Record

from ingest_api.adapters.operations_log import OperationsMetrics
from kartoteka_contracts.codec import encode
from kartoteka_contracts.operations import ReconcileEnded
from kartoteka_contracts.reindex import SlotsEmitted
from kartoteka_contracts.wire import Event
from kartoteka_runtime.metrics import Metrics
from kartoteka_testkit.builders import EPOCH


class World:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.operations = OperationsMetrics(self.metrics)

    def read(self, *events: Event) -> None:
        for event in events:
            self.operations.take(Record("scheduler.state", encode(event), key=event.key.encode()))

    def shown(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"kartoteka_{name}", labels)


@pytest.fixture
def world() -> World:
    return World()


def ended(**fields: object) -> ReconcileEnded:
    values: dict[str, object] = {
        "at": EPOCH,
        "is_ok": True,
        "seconds": 2.5,
        "seen": {"documents": 3},
        "mended": {"document_submitted": 1},
        "left": {"young": 2},
    }
    return ReconcileEnded.model_validate(values | fields)


def test_the_last_watermark_counts(world: World) -> None:
    assert world.shown("scheduler_watermark_timestamp_seconds") is None
    world.read(SlotsEmitted(up_to=EPOCH), SlotsEmitted(up_to=EPOCH + timedelta(seconds=9)))
    assert world.shown("scheduler_watermark_timestamp_seconds") == EPOCH.timestamp() + 9


def test_the_last_reconciliation_counts_as_a_whole(world: World) -> None:
    world.read(ended(mended={"old_records": 9}), ended(is_ok=False, seconds=1.0))
    assert world.shown("reconcile_ended_timestamp_seconds") == EPOCH.timestamp()
    assert (world.shown("reconcile_ok"), world.shown("reconcile_seconds")) == (0, 1)
    assert world.shown("reconcile_seen", kind="documents") == 3
    assert world.shown("reconcile_mended", kind="document_submitted") == 1
    assert world.shown("reconcile_mended", kind="old_records") is None
    assert world.shown("reconcile_left", kind="young") == 2


@pytest.mark.parametrize("value", [None, b"", b"{}", b'{"type":"other","schema_version":1}'])
def test_what_cannot_be_read_changes_nothing(world: World, value: bytes | None) -> None:
    world.read(SlotsEmitted(up_to=EPOCH))
    world.operations.take(Record("scheduler.state", value, key=b"x"))
    assert world.shown("scheduler_watermark_timestamp_seconds") == EPOCH.timestamp()


def test_a_kind_that_could_be_an_id_is_refused() -> None:
    with pytest.raises(ValueError, match="pattern"):
        ended(seen={"cabinet 7": 1})
