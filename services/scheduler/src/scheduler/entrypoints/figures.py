"""What a command has come to: one JSON line, and a file for Prometheus."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kartoteka_runtime.metrics import Metrics
from scheduler.usecases.reindex import ReindexFigures
from scheduler.usecases.tick import TickFigures

__all__ = ["Summary", "write_metrics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of one command."""

    is_ok: bool
    seconds: float
    figures: TickFigures | ReindexFigures

    def as_json(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        shown: dict[str, Any] = {
            "ok": self.is_ok,
            "cabinets": self.figures.cabinets,
            "due": self.figures.due,
            "emitted": self.figures.emitted,
            "seconds": round(self.seconds, 3),
        }
        if isinstance(self.figures, TickFigures):
            watermark = self.figures.watermark
            return shown | {
                "watermark": None if watermark is None else watermark.isoformat(),
                "held_elsewhere": self.figures.is_held_elsewhere,
            }
        runs = {str(cabinet): task for cabinet, task in self.figures.runs.items()}
        return shown | ({"runs": runs} if runs else {})


def write_metrics(path: Path, summary: Summary) -> None:
    """Write the figures as Prometheus' node exporter reads them; replaced in one step.

    Raises:
        OSError: the file cannot be written.
    """
    metrics = Metrics()
    figures = summary.figures
    about = {
        "cabinets": ("Cabinets that the last command found", figures.cabinets),
        "due": ("Cabinets whose runs the last command was to ask for", figures.due),
        "emitted": ("Cabinets whose runs the last command asked for", figures.emitted),
        "seconds": ("How long the last command took", summary.seconds),
        "ok": ("Whether the last command came to its end", summary.is_ok),
    }
    for name, (meaning, value) in about.items():
        metrics.gauge(f"scheduler_{name}", meaning).set(value)
    metrics.gauge(
        "scheduler_ended_timestamp_seconds", "When the last command ended"
    ).set_to_current_time()
    _watermark(metrics, figures.watermark if isinstance(figures, TickFigures) else None)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(metrics.render()[0])
    partial.replace(path)


def _watermark(metrics: Metrics, at: datetime | None) -> None:
    if at is not None:
        metrics.gauge(
            "scheduler_watermark_timestamp_seconds", "Up to when all slots are emitted"
        ).set(at.timestamp())
