"""docs/metrics.md: every metric, from the objects that services define; nothing is connected."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from embedder import telemetry as worker
from embedder.adapters.inference.meter import PrometheusInferenceMeter
from ingest_api.observing import Observing
from ingest_api.reading import Reading
from ingest_api.settings import Settings as IngestSettings
from ingest_api.telemetry import Telemetry
from kartoteka_runtime.clock import SystemClock
from kartoteka_runtime.health import Health
from kartoteka_runtime.loop_lag import LoopLag
from kartoteka_runtime.metrics import Definition, Metrics
from kartoteka_runtime.objects import ObjectStore
from kartoteka_runtime.producer import Producer
from kartoteka_runtime.producer_metrics import ProducerMetrics

__all__ = ["definitions", "metrics_page"]

_WORKER: Final = (
    worker.DispatchMetrics,
    worker.SettleMetrics,
    worker.IndexingMetrics,
    PrometheusInferenceMeter,
    worker.ParserMetrics,
    worker.StoreMetrics,
    worker.PlanMetrics,
    worker.OutageMetrics,
    ProducerMetrics.define,
    LoopLag,
)
_NOWHERE: Final = "127.0.0.1:1"
_ABOUT: Final = """\
At `/metrics` of each service (ingest-api: port 8080, embedder: port 8081), without a key, in \
Prometheus' text format. Labels are closed sets of values, never an id. Times are seconds, sizes \
are bytes. A metric that is unknown just now has no value; it is never 0 for that. Beside these \
each process has `process_*` and `python_info`.

Every replica of ingest-api has a view of its own of the same log, so what it tells of the view, \
of the workers' lag and of the schedule is told by each of them: take the maximum, not the sum.
"""


def definitions() -> Mapping[str, tuple[Definition, ...]]:
    """Return the metrics of every service that is scraped."""
    of_worker = Metrics()
    for define in _WORKER:
        define(of_worker)
    return {
        "ingest-api": asyncio.run(_ingest_api()),
        "embedder": tuple(of_worker.definitions),
    }


def metrics_page(notice: str) -> str:
    """Return the page."""
    lines = [notice, "# Metrics\n", _ABOUT]
    for service, metrics in definitions().items():
        lines += [f"## {service}\n", *_table(metrics), ""]
    return "\n".join(lines)


def _table(metrics: Iterable[Definition]) -> Iterable[str]:
    yield "| metric | type | labels | meaning |"
    yield "|---|---|---|---|"
    for one in sorted(metrics, key=lambda metric: metric.name):
        labels = ", ".join(f"`{label}`" for label in one.labels)
        yield f"| `{one.name}` | {one.kind} | {labels} | {one.about.rstrip('.')} |"


async def _ingest_api() -> tuple[Definition, ...]:
    metrics = Metrics()
    with TemporaryDirectory() as folder:
        settings = IngestSettings.load(_settings(Path(folder)))
        objects = ObjectStore.open(settings.objects)
        producer = Producer(
            settings.kafka,
            settings.producer,
            client_id="docs",
            metrics=ProducerMetrics.define(metrics),
        )
        Telemetry(metrics)
        reading = Reading.build(
            settings,
            log=producer,
            objects=objects,
            clock=SystemClock(),
            health=Health(),
            metrics=metrics,
        )
        observing = Observing.build(settings, reading=reading, objects=objects, metrics=metrics)
        await observing.close()
        await reading.close()
    return tuple(metrics.definitions)


def _settings(folder: Path) -> Mapping[str, str]:
    """Return settings with which everything can be put together, and nothing reached."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": _NOWHERE,
        "QDRANT_URL": f"http://{_NOWHERE}",
        "EMBEDDINGS_URLS": f"http://{_NOWHERE}",
        "OBJECT_STORE_URL": f"file://{folder}/objects",
        "API_KEYS_FILE": f"{folder}/keys.json",
        "VIEW_PATH": f"{folder}/view",
    }
