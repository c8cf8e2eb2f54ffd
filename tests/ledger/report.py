"""What a run came to, in one line and as JSON."""

import json
import os
import platform
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.ledger.book import Book
from tests.ledger.findings import Findings
from tests.ledger.ledger import Verdict
from tests.ledger.nemesis import Harmed

__all__ = ["Report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures of one run."""

    book: Book
    findings: Findings
    harmed: list[Harmed]
    settings: dict[str, Any]
    more: dict[str, Any]
    """Further figures: seconds of phases, observations, restarts."""

    @property
    def operations(self) -> dict[str, int]:
        """Operations by kind."""
        ledger = self.book.ledger
        return dict(Counter(str(intent.operation) for intent in ledger.intents.values()))

    @property
    def verdicts(self) -> dict[str, int]:
        """What clients knew of them at last."""
        ledger = self.book.ledger
        found = Counter(str(ledger.outcome(n).verdict) for n in ledger.intents)
        return {str(verdict): found[str(verdict)] for verdict in Verdict}

    @property
    def faults(self) -> dict[str, int]:
        """Faults by kind."""
        return dict(sorted(Counter(harmed.kind for harmed in self.harmed).items()))

    @property
    def recovery(self) -> list[float]:
        """Seconds from each fault's begin to the first success of what was sent after it."""
        return sorted(
            harmed.recovered - harmed.begun
            for harmed in self.harmed
            if harmed.recovered is not None
        )

    def line(self) -> str:
        """Return the summary."""
        seconds = self.recovery
        recovery = (
            f"recovery p50 {median(seconds):.1f} s, max {seconds[-1]:.1f} s"
            if seconds
            else "no recovery to measure"
        )
        counts = ", ".join(f"{kind} {count}" for kind, count in self.findings.counts.items())
        faults = ", ".join(f"{kind} {count}" for kind, count in self.faults.items())
        runs, source = self.more.get("runs"), self.more.get("source")
        reindexed = ""
        if runs and source:
            ends = ", ".join(f"{end} {count}" for end, count in runs["ends"].items())
            reindexed = (
                f"{sum(runs['ends'].values())} runs, {runs['scheduled']} by schedule ({ends}), "
                f"{source['files']} source files after {sum(source['changes'].values())} changes; "
            )
        return (
            f"ledger: {'FAILED' if self.findings.all else 'passed'}, seed {self.settings['seed']}: "
            f"{len(self.book.documents)} documents, {len(self.book.tasks)} tasks accepted, "
            f"{sum(self.operations.values())} operations, {len(self.harmed)} faults "
            f"({faults}); {reindexed}{counts}; {recovery}"
        )

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        data = {
            "settings": self.settings,
            "machine": {
                "cpus": os.cpu_count(),
                "system": platform.platform(),
                "python": platform.python_version(),
            },
            "documents": len(self.book.documents),
            "tasks_accepted": len(self.book.tasks),
            "bytes_accepted": sum(task.intent.size for task in self.book.tasks.values()),
            "operations": self.operations,
            "verdicts": self.verdicts,
            "faults": self.faults,
            "findings": self.findings.counts,
            "found": [str(finding) for finding in self.findings.all],
            "recovery_seconds": {
                "p50": round(median(self.recovery), 2) if self.recovery else None,
                "max": round(self.recovery[-1], 2) if self.recovery else None,
                "not_measured": len(self.harmed) - len(self.recovery),
            },
            **self.more,
            "summary": self.line(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=2) + "\n")
