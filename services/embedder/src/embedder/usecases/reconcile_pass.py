"""What every pass of a reconciliation works with."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from embedder.reconcile_ports import Archive, Backlog, UpkeepIndex
from embedder.usecases.reconcile_mends import Mender
from embedder.usecases.reconcile_report import Report
from embedder.usecases.reconcile_rules import Ages
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_runtime.clock import Clock

__all__ = ["Pass"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass(ABC):
    """One look at everything of one kind in a cabinet. Reads here, changes by the mender only."""

    archive: Archive
    index: UpkeepIndex
    backlog: Backlog
    mender: Mender
    report: Report
    ages: Ages
    clock: Clock
    tell: Callable[[], None]
    """To be called now and then: the figures have grown."""

    @abstractmethod
    async def run(self, cabinet: AuthorisedCabinet) -> None:
        """Look, and mend.

        Raises:
            UnavailableError: a store or Kafka is away; what is done by then is done.
        """
