"""What every side goes through: a first run, an unchanged one, a changed one, and two kills."""

from dataclasses import asdict, dataclass
from typing import Any

from tests.bench_reindex.corpus import Folder, Versions
from tests.bench_reindex.side import Kill, Ran, Side
from tests.bench_reindex.truth import Found, judge

__all__ = ["ROUNDS", "Outcome", "go_through"]

ROUNDS = 1 + len(Kill)
"""How often the folder changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run, and what the store held then."""

    ran: Ran
    found: Found

    def __str__(self) -> str:
        """For the table."""
        found = self.found
        return (
            f"{self.ran.embedded} embedded, {self.ran.read} bytes, {self.ran.seconds:.2f} s, "
            f"{self.ran.cpu:.2f} s of CPU; "
            f"missing {found.missing}, incomplete {found.incomplete}, stale {found.stale}, "
            f"duplicate {found.duplicate}, lost {found.lost}, mixed {found.mixed} "
            f"of {found.chunks} chunks"
        )


async def go_through(side: Side, folder: Folder, versions: Versions) -> dict[str, Any]:
    """Take one side through all rounds; return its outcomes by their names."""
    outcomes: dict[str, Outcome] = {}

    async def step(name: str, *, kill: Kill | None = None, half: int = 0) -> Outcome:
        ran = await side.run(folder, kill=kill, half=half)
        found = judge(folder.texts, await side.chunks(), folder.before)
        outcomes[name] = outcome = Outcome(ran=ran, found=found)
        print(f"  {name:<20} {outcome}", flush=True)
        return outcome

    folder.become(versions.texts[0])
    await step("first")
    await step("unchanged")
    folder.become(versions.texts[1])
    changed = await step("changed")
    for kill, texts in zip(Kill, versions.texts[2:], strict=True):
        folder.become(texts)
        half = max(1, changed.ran.embedded // 2)
        await step(f"killed at {kill}", kill=kill, half=half)
        await step(f"after {kill}")
    return {name: asdict(outcome) for name, outcome in outcomes.items()}
