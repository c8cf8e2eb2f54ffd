"""What this process sees around it, asked now and then: its dependencies, and the workers' lag."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

from kartoteka_contracts.errors import KartotekaError
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.metric_table import Table
from kartoteka_runtime.metrics import Metrics

__all__ = ["Lag", "Probe", "Surroundings"]

_log = get_logger(__name__)

_EVERY_SECONDS: Final = 15.0
_PROBE_SECONDS: Final = 5.0
_KAFKA: Final = "kafka"

Probe = Callable[[], Awaitable[object]]
"""Raises KartotekaError or OSError while a dependency is away."""


class Lag(Protocol):
    """Who asks for the lag of a consumer group."""

    async def ask(self) -> Mapping[str, int] | None:
        """Return it by topic, None while it is unknown; UnavailableError while Kafka is away."""
        ...


class _BrokenError(Exception):
    """Asking failed in a way that says nothing about whom it asked."""


@contextmanager
def _nothing_ends_it() -> Iterator[None]:
    """Make a _BrokenError of what would end the process for a gauge."""
    try:
        yield
    except (KartotekaError, OSError):
        raise
    except asyncio.CancelledError:
        # The Kafka client can hand on the cancellation of a task of its own.
        task = asyncio.current_task()
        if task is None or task.cancelling() > 0:
            raise
        raise _BrokenError("cancelled from within") from None
    except Exception as error:
        raise _BrokenError(f"{type(error).__name__}: {error}") from error


class Surroundings:
    """The gauges ``dependency_up`` and ``consumer_lag_records``.

    Args:
        metrics: of the process.
        lag: asks Kafka, which is up where it answers.
        group: whose lag that is.
        probes: of the other dependencies, by name.
        every: seconds between two rounds.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        lag: Lag,
        group: str,
        probes: Mapping[str, Probe],
        every: float = _EVERY_SECONDS,
    ) -> None:
        self._lag = lag
        self._group = group
        self._probes = probes
        self._every = every
        self._up: dict[tuple[str, ...], float] = {}
        self._broken: set[str] = set()
        self._up_table: Table = metrics.table(
            "dependency_up",
            "1 where this replica reaches a dependency, 0 where not; asked every 15 seconds",
            ("dependency",),
        )
        self._lag_table: Table = metrics.table(
            "consumer_lag_records",
            "Records of a topic that a group has not committed, of all partitions; work that runs "
            "is among them; no value while it is unknown",
            ("group", "topic"),
        )

    async def run(self) -> None:
        """Ask again and again until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._every)

    async def look(self) -> None:
        """Ask once; nothing raises, and nothing takes longer than its own limit."""
        await asyncio.gather(
            self._ask_lag(), *(self._ask(name, probe) for name, probe in self._probes.items())
        )

    async def _ask_lag(self) -> None:
        try:
            with _nothing_ends_it():
                lag = await self._lag.ask()
        except _BrokenError as error:
            self._lag_table.hide()
            self._forget(_KAFKA, error)
            return
        except (KartotekaError, OSError) as error:
            self._lag_table.hide()
            self._note(_KAFKA, error)
            return
        self._note(_KAFKA, None)
        if lag is None:
            self._lag_table.hide()
        else:
            self._lag_table.show({(self._group, topic): size for topic, size in lag.items()})

    async def _ask(self, name: str, probe: Probe) -> None:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                with _nothing_ends_it():
                    await probe()
        except _BrokenError as error:
            self._forget(name, error)
        except (KartotekaError, OSError) as error:  # a timeout is an OSError
            self._note(name, error)
        else:
            self._note(name, None)

    def _note(self, name: str, error: Exception | None) -> None:
        is_up = float(error is None)
        if self._up.get((name,), 1.0) != is_up:
            reason = "" if error is None else str(error) or type(error).__name__
            _log.warning("dependency", dependency=name, is_up=bool(is_up), reason=reason)
        self._broken.discard(name)
        self._up[name,] = is_up
        self._up_table.show(dict(self._up))

    def _forget(self, name: str, error: _BrokenError) -> None:
        if name not in self._broken:
            _log.error("dependency_cannot_be_asked", dependency=name, reason=str(error))
        self._broken.add(name)
        self._up.pop((name,), None)
        self._up_table.show(dict(self._up))
