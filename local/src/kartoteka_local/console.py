"""What the stack says to a person: a table where there is a terminal, plain lines elsewhere."""

import sys

from rich.console import Console as RichConsole

__all__ = ["Console"]


class Console:
    """Standard output for news, standard error for what went wrong."""

    def __init__(self, rich: RichConsole | None = None) -> None:
        self.rich = rich or RichConsole(highlight=False, markup=False, soft_wrap=True)

    @property
    def is_terminal(self) -> bool:
        """Whether a table can be drawn and redrawn."""
        return self.rich.is_terminal

    def say(self, line: str = "") -> None:
        """Print a line as it is, at once."""
        self.rich.print(line)
        self.rich.file.flush()

    def head(self, line: str) -> None:
        """Print the title of what follows."""
        self.rich.print()
        self.rich.print(line, style="bold")
        self.rich.file.flush()

    def warn(self, line: str) -> None:
        """Print a line that should be noticed."""
        self.rich.print(f"! {line}", style="yellow")
        self.rich.file.flush()

    def error(self, text: str) -> None:
        """Print why it ends, to standard error."""
        self.rich.file.flush()
        print(f"\n{text}", file=sys.stderr, flush=True)
