"""What commands left on the log that end before anybody could look at them, as gauges."""

import asyncio
from typing import Final

from aiokafka.errors import KafkaError

from ingest_api.adapters.log_identity import describe_log
from ingest_api.adapters.log_reader import LogReader
from ingest_api.adapters.log_record import LogRecord
from kartoteka_contracts.codec import decode
from kartoteka_contracts.errors import EventError
from kartoteka_contracts.operations import ReconcileEnded
from kartoteka_contracts.reindex import SlotsEmitted
from kartoteka_runtime.backoff import Backoff
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.metrics import Metrics

__all__ = ["OperationsLog", "OperationsMetrics"]

_log = get_logger(__name__)

_TOPIC: Final = "scheduler.state"
_CLIENT: Final = "kartoteka-operations"
_RETRY: Final = Backoff(base=1.0, limit=30.0)


class OperationsMetrics:
    """The gauges; without a value until something was left."""

    def __init__(self, metrics: Metrics) -> None:
        self._watermark = metrics.table(
            "scheduler_watermark_timestamp_seconds",
            "Up to when the runs of all slots are asked for, in seconds since the epoch",
        )
        self._ended = metrics.table(
            "reconcile_ended_timestamp_seconds",
            "When the last reconciliation of everything ended, in seconds since the epoch",
        )
        self._ok = metrics.table(
            "reconcile_ok", "1 where the last reconciliation came to its end, 0 where it failed"
        )
        self._seconds = metrics.table(
            "reconcile_seconds", "Seconds that the last reconciliation took"
        )
        self._seen = metrics.table(
            "reconcile_seen", "Things that the last reconciliation looked at", ("kind",)
        )
        self._mended = metrics.table(
            "reconcile_mended", "Differences that the last reconciliation mended", ("kind",)
        )
        self._left = metrics.table(
            "reconcile_left", "Differences that the last reconciliation left alone", ("kind",)
        )

    def take(self, record: LogRecord) -> None:
        """Show what a record says; one that says nothing is left out."""
        if record.value is None:
            return
        try:
            event = decode(record.value)
        except EventError as error:
            _log.warning("operation_unreadable", offset=record.offset, reason=error.message)
            return
        match event:
            case SlotsEmitted():
                self._watermark.show({(): event.up_to.timestamp()})
            case ReconcileEnded():
                self._reconciled(event)
            case _:
                pass

    def _reconciled(self, event: ReconcileEnded) -> None:
        self._ended.show({(): event.at.timestamp()})
        self._ok.show({(): float(event.is_ok)})
        self._seconds.show({(): event.seconds})
        for table, counts in (
            (self._seen, event.seen),
            (self._mended, event.mended),
            (self._left, event.left),
        ):
            table.show({(kind,): count for kind, count in counts.items()})


class OperationsLog:
    """Follows the topic from its beginning; it is small, and compacted.

    Args:
        kafka: where it is.
        metrics: what shows it.
    """

    def __init__(self, kafka: KafkaSettings, metrics: OperationsMetrics) -> None:
        self._kafka = kafka
        self._metrics = metrics

    async def run(self) -> None:
        """Follow until cancelled, whatever becomes of Kafka."""
        failures = 0
        while True:
            try:
                log = await describe_log(self._kafka, [_TOPIC], client_id=_CLIENT)
                async with LogReader(self._kafka, client_id=_CLIENT) as reader:
                    reader.start_from(await reader.begin_offsets(log.partitions))
                    while True:
                        for record in await reader.read():
                            failures = 0
                            self._metrics.take(record)
            except (KafkaError, OSError, TimeoutError) as error:
                _log.info("operations_cannot_be_read", reason=str(error) or type(error).__name__)
            except asyncio.CancelledError:
                # The Kafka client can hand on the cancellation of a task of its own.
                task = asyncio.current_task()
                if task is None or task.cancelling() > 0:
                    raise
                _log.info("operations_cannot_be_read", reason="cancelled from within")
            await asyncio.sleep(_RETRY.delay(failures))
            failures += 1
