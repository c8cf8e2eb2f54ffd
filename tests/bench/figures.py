"""Figures and how they are shown."""

import json
import math
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

__all__ = ["Report", "machine", "percentile"]

_PACKAGES = (
    "aiokafka",
    "faust-streaming",
    "langchain-text-splitters",
    "openvino",
    "pymupdf",
    "pypdf",
    "pypdfium2",
    "qdrant-edge-py",
    "sentence-transformers",
    "torch",
)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of at least one value; ``share`` is 0 to 1."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def machine(packages: Sequence[str] = _PACKAGES) -> dict[str, Any]:
    """Return what the figures were measured on, and which versions of packages that are there."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    flags = {
        flag for line in text.splitlines() if line.startswith("flags") for flag in line.split()
    }
    model = next(
        (line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line), ""
    )
    return {
        "cpu": model or platform.processor(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "amx_bf16": "amx_bf16" in flags,
        "avx512_bf16": "avx512_bf16" in flags,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


@dataclass(slots=True, kw_only=True)
class Report:
    """What one run measured; printed as it comes, saved at the end."""

    command: str = field(default_factory=lambda: f'make bench BENCH="{" ".join(sys.argv[1:])}"')
    begun_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    machine: dict[str, Any] = field(default_factory=machine)
    data: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, value: Any, unit: str = "") -> None:
        """Keep a figure and print it."""
        self.figures[name] = value
        shown = f"{value:.4g}" if isinstance(value, float) else value
        print(f"  {name:<52} {shown} {unit}".rstrip(), flush=True)

    def add_pass(self, name: str, value: float, unit: str) -> None:
        """Keep one of several measurements of the same thing; all are saved."""
        passes = [*self.figures.get(name, []), round(value, 3)]
        self.add(name, passes, unit)

    def section(self, title: str) -> None:
        """Print a heading."""
        print(f"\n{title}", flush=True)

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", "utf-8")
