"""Events of work that somebody waits for, sent and acknowledged before the caller is answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import NAMESPACE_OID, UUID, uuid5

from ingest_api.ports import EventLog
from kartoteka_contracts.cabinets import CabinetConfigured
from kartoteka_contracts.codec import encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import TaskId
from kartoteka_contracts.wire import Event

__all__ = ["JobEvents", "acknowledged_in_time"]

_JOBS: Final = "documents.interactive"
_CABINETS: Final = "cabinets"
_ACK_SECONDS: Final = 4.8
"""For all that one piece of work sends, so that a caller has an answer within 5 s."""


@asynccontextmanager
async def acknowledged_in_time() -> AsyncIterator[None]:
    """Bound the time that the sends within may take together.

    Raises:
        UnavailableError: ``event_log_unavailable``: they took longer, so their outcome is unknown.
    """
    try:
        async with asyncio.timeout(_ACK_SECONDS):
            yield
    except TimeoutError as error:
        raise UnavailableError("event_log_unavailable") from error


class JobEvents:
    """The topics that requests end up in."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def check(self) -> None:
        """Refuse at once what could not be finished.

        Raises:
            UnavailableError: ``event_log_unavailable``.
        """
        trouble = self._log.trouble
        if trouble is not None:
            raise UnavailableError("event_log_unavailable", f"Kafka is away: {trouble}")

    async def send(
        self, event: Event, task_id: TaskId, *, topic: str = _JOBS, traceparent: str | None = None
    ) -> None:
        """Send one event of a task; the same one again has the same event id.

        Raises:
            UnavailableError: ``event_log_unavailable`` (outcome unknown) or ``overloaded``.
        """
        await self._append(topic, event, uuid5(UUID(task_id), event.type), traceparent)

    async def announce(self, event: CabinetConfigured, *, traceparent: str | None = None) -> None:
        """Send a cabinet's settings; the same version again has the same event id.

        Raises:
            UnavailableError: ``event_log_unavailable`` (outcome unknown) or ``overloaded``.
        """
        event_id = uuid5(NAMESPACE_OID, f"{event.type}/{event.key}/{event.version}")
        await self._append(_CABINETS, event, event_id, traceparent)

    async def _append(
        self, topic: str, event: Event, event_id: UUID, traceparent: str | None
    ) -> None:
        envelope = Envelope(event_id=str(event_id), traceparent=traceparent)
        await self._log.send(
            topic, key=event.key, value=encode(event), headers=envelope.to_headers()
        )
