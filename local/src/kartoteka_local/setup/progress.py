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

    def attempt(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> bool:
        """Run a talkative tool that may fail; whether it succeeded.

        Its words go to the log, a sign of life to the screen, and the last lines of a failure.
        """
        code, said = self._logged(argv, env)
        if code != 0:
            self.say(_tail(said))
        return code == 0

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, advice: str
    ) -> None:
        """Run a talkative tool: its words go to the log, a sign of life to the screen.

        Raises:
            SetupError: it failed; with its last lines and the advice.
        """
        code, said = self._logged(argv, env)
        if code != 0:
            raise SetupError(
                f"{Path(argv[0]).name} failed with {code}:\n{_tail(said)}\n{advice}\n"
                f"All it said: {self.log}"
            )

    def _logged(self, argv: Sequence[str], env: Mapping[str, str] | None) -> tuple[int, list[str]]:
        """Return the exit code and the lines of a tool."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log, self._signs_of_life():
            log.write(f"\n$ {' '.join(argv)}\n".encode())
            log.flush()
            start = log.tell()
            code = subprocess.run(
                argv, env=env, check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            ).returncode
        with self.log.open("rb") as log:
            log.seek(start)
            return code, log.read().decode(errors="replace").splitlines()

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


def _tail(said: Sequence[str]) -> str:
    return "\n".join(f"    | {line}" for line in said[-_LINES_OF_A_FAILURE:])
