"""Events of work that somebody waits for, sent and acknowledged before the caller is answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID, uuid5

from ingest_api.ports import EventLog
from kartoteka_contracts.codec import encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import TaskId
from kartoteka_contracts.wire import Event

__all__ = ["JobEvents", "acknowledged_in_time"]

_JOBS: Final = "documents.interactive"
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
    """The topic of work that somebody waits for."""

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

    async def send(self, event: Event, task_id: TaskId, *, traceparent: str | None = None) -> None:
        """Send one event of a task; the same one again has the same event id.

        Raises:
            UnavailableError: ``event_log_unavailable`` (outcome unknown) or ``overloaded``.
        """
        event_id = uuid5(UUID(task_id), event.type)
        envelope = Envelope(event_id=str(event_id), traceparent=traceparent)
        await self._log.send(
            _JOBS, key=event.key, value=encode(event), headers=envelope.to_headers()
        )
