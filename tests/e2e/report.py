"""What was tried, how long each took, and what it showed."""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Report", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried."""

    name: str
    ok: bool
    seconds: float
    shown: dict[str, Any]


@dataclass(slots=True)
class Report:
    """All steps in order; said aloud as they end."""

    say: Callable[[str], None]
    steps: list[Step] = field(default_factory=list)

    async def step(self, name: str, work: Awaitable[dict[str, Any] | None]) -> bool:
        """Do one thing; what it raises is written down, and the run goes on.

        Returns:
            whether it went well.
        """
        began = time.monotonic()
        try:
            shown, ok = await work or {}, True
        except Exception as error:  # noqa: BLE001 - the job boundary: one failure hides no other
            shown, ok = {"error": f"{type(error).__name__}: {error}"[-6000:]}, False
        step = Step(name, ok, round(time.monotonic() - began, 1), shown)
        self.steps.append(step)
        told = ", ".join(f"{key}: {value}" for key, value in shown.items())
        self.say(f"{'ok  ' if ok else 'FAIL'} {step.seconds:6.1f} s  {name}  {told}")
        return ok

    @property
    def failed(self) -> list[str]:
        """The names of steps that failed."""
        return [step.name for step in self.steps if not step.ok]

    def save(self, path: Path, about: dict[str, Any]) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = about | {
            "failed": self.failed,
            "seconds": round(sum(step.seconds for step in self.steps), 1),
            "steps": [asdict(step) for step in self.steps],
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
