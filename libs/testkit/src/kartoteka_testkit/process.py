"""A server under test: started, waited for, stopped, killed, suspended; never left behind."""

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["ServerProcess"]

_SHOWN_CHARACTERS = 3000


class ServerProcess:
    """One operating-system process whose output goes to a file."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        cwd: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        # A test run that is killed must not leave servers behind.
        setpriv = shutil.which("setpriv")
        tied = (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*tied, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=None if env is None else dict(env),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        return self._process.poll()

    def must_run(self) -> None:
        """Fail with the end of the log when the process has ended.

        Raises:
            RuntimeError: it has.
        """
        if not self.is_running:
            text = self._log.read_text(errors="replace")[-_SHOWN_CHARACTERS:]
            raise RuntimeError(f"exit status {self._process.returncode}; {self._log}:\n{text}")

    def wait(self, timeout: float) -> int:
        """Return the exit status once it ends by itself.

        Raises:
            subprocess.TimeoutExpired: it did not.
        """
        return self._process.wait(timeout)

    def terminate(self, timeout: float = 15.0) -> None:
        """SIGTERM, wait; SIGKILL when it takes longer than ``timeout`` seconds."""
        if self.is_running:
            self.resume()
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.is_running:
            self._process.kill()
        self._process.wait()

    def suspend(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)
