"""Where each sample is, live: a table on a terminal, a line per change elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.live import Live
from rich.table import Table

from kartoteka_local.api_client import TaskState
from kartoteka_local.console import Console

__all__ = ["ProgressBoard"]


@dataclass(slots=True, kw_only=True)
class _Row:
    text: str = "uploading"
    seconds: float = 0.0
    style: str = ""
    seen: list[str] = field(default_factory=list)


class ProgressBoard:
    """One row per file."""

    def __init__(self, console: Console, names: list[str]) -> None:
        self._console = console
        self._rows = {name: _Row() for name in names}
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it for the length of a block; its last state stays on the screen."""
        if not self._console.is_terminal:
            yield
            return
        with Live(self._table(), console=self._console.rich, refresh_per_second=10) as live:
            self._live = live
            yield
            live.update(self._table(), refresh=True)
        self._live = None

    def update(self, name: str, state: TaskState, seconds: float) -> None:
        """Show a file's newest state, ``seconds`` after its upload began."""
        row = self._rows[name]
        row.seconds = seconds
        text, row.style = _words(state)
        if text == row.text:
            return
        row.text = text
        row.seen.append(text)
        if self._live is not None:
            self._live.update(self._table())
        else:
            self._console.say(f"  {name:<28} {text:<24} {seconds:5.1f} s")

    def fail(self, name: str, why: str) -> None:
        """Show that a file could not be uploaded or followed."""
        self.update(name, TaskState(status="failed", stage=None, progress=1.0, error=why), 0.0)

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2))
        for title in ("document", "stage", "seconds"):
            table.add_column(title, justify="right" if title == "seconds" else "left")
        for name, row in self._rows.items():
            table.add_row(name, row.text, f"{row.seconds:.1f}", style=row.style)
        return table


def _words(state: TaskState) -> tuple[str, str]:
    """Return what to say of a state, and its colour."""
    if state.error is not None:
        return f"{state.status}: {state.error}", "red"
    if state.is_end:
        return state.status, "green" if state.status in {"succeeded", "unchanged"} else "yellow"
    return state.stage or state.status, "cyan"
