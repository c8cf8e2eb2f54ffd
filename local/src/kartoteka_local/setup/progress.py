"""Steps of a set-up, shown as they happen."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

__all__ = ["Progress", "SetupError"]

_HEARTBEAT_SECONDS: Final = 10.0
_LINES_OF_A_FAILURE: Final = 15


class SetupError(Exception):
    """The set-up cannot go on; the message says what to do."""


@dataclass(kw_only=True)
class Progress:
    """Tells a person what is being done, and keeps the tools' own words in a log."""

    log: Path
    out: TextIO = field(default_factory=lambda: sys.stdout)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Announce a step, and how long it took when it is done."""
        began = time.monotonic()
        self.say(f"==> {what}")
        yield
        self.say(f"    done in {time.monotonic() - began:.1f} s")

    def say(self, line: str) -> None:
        """Print a line at once."""
        print(line, file=self.out, flush=True)

    def show(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> bool:
        """Run a tool that reports its own progress; whether it succeeded."""
        self.out.flush()
        return subprocess.run(argv, env=env, check=False, stdin=subprocess.DEVNULL).returncode == 0

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, advice: str
    ) -> None:
        """Run a talkative tool: its words go to the log, a sign of life to the screen.

        Raises:
            SetupError: it failed; with its last lines and the advice.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log, self._signs_of_life():
            log.write(f"\n$ {' '.join(argv)}\n".encode())
            log.flush()
            start = log.tell()
            code = subprocess.run(
                argv, env=env, check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            ).returncode
        if code == 0:
            return
        with self.log.open("rb") as log:
            log.seek(start)
            said = log.read().decode(errors="replace").splitlines()
        tail = "\n".join(f"    | {line}" for line in said[-_LINES_OF_A_FAILURE:])
        raise SetupError(
            f"{Path(argv[0]).name} failed with {code}:\n{tail}\n{advice}\nAll it said: {self.log}"
        )

    @contextmanager
    def _signs_of_life(self) -> Iterator[None]:
        done = threading.Event()
        began = time.monotonic()

        def beat() -> None:
            while not done.wait(_HEARTBEAT_SECONDS):
                self.say(f"    … {time.monotonic() - began:.0f} s")

        thread = threading.Thread(target=beat)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
