"""What the probes of one process answer, and why."""

from collections.abc import Callable, Mapping

__all__ = ["Health"]


class Health:
    """Holds and needs keep a process from being ready; watches say whether it is still alive.

    A dependency that is away is a hold or a need, never a watch: to restart us would not bring it
    back.
    """

    def __init__(self) -> None:
        self.started = False
        """Whether start-up is over. Set once by the composition root."""
        self._holds: dict[str, str] = {}
        self._needs: dict[str, Callable[[], str | None]] = {}
        self._watches: dict[str, Callable[[], str | None]] = {}

    @property
    def holds(self) -> Mapping[str, str]:
        """What keeps the process from being ready now."""
        return dict(self._holds)

    def hold(self, name: str, reason: str) -> None:
        """Make the process not ready for a reason; the same name again replaces the reason."""
        self._holds[name] = reason

    def clear(self, name: str) -> None:
        """Take a hold away; one that is not there is fine."""
        self._holds.pop(name, None)

    def need(self, name: str, check: Callable[[], str | None]) -> None:
        """Add a readiness check, asked at every probe: it answers None, or why we are not ready.

        For what knows its own state, as a producer its ``trouble``. It must not block.
        """
        self._needs[name] = check

    def watch(self, name: str, check: Callable[[], str | None]) -> None:
        """Add a liveness check: it answers None, or why the process must be restarted.

        A check that raises makes the probe fail, too: the error is the caller's to show.
        """
        self._watches[name] = check

    def ready(self) -> tuple[bool, dict[str, str]]:
        """Return whether work may be sent here, and the reasons why not."""
        reasons = self._reasons(self._needs) | self._holds
        if not self.started:
            reasons["startup"] = "start-up is not over"
        return not reasons, reasons

    def live(self) -> tuple[bool, dict[str, str]]:
        """Return whether the process should live on, and the reasons why not."""
        reasons = self._reasons(self._watches)
        return not reasons, reasons

    @staticmethod
    def _reasons(checks: Mapping[str, Callable[[], str | None]]) -> dict[str, str]:
        verdicts = {name: check() for name, check in checks.items()}
        return {name: reason for name, reason in verdicts.items() if reason is not None}
