"""Sending many requests: awaited, many under way at once."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID, uuid5

from kartoteka_contracts.codec import encode
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.reindex import ReindexRequested
from scheduler.ports import EventLog

__all__ = ["TOPIC", "Emission"]

TOPIC = "cabinets.reindex"


@dataclass(slots=True, kw_only=True)
class Emission:
    """One batch of requests on its way.

    Args:
        log: where to.
        in_flight: requests that await their acknowledgement, at most.
    """

    log: EventLog
    in_flight: int
    emitted: int = 0
    """Acknowledged so far; true after a failure, too."""

    async def send(
        self, requests: Iterable[ReindexRequested], check: Callable[[], None] = lambda: None
    ) -> None:
        """Send all, and return when each is acknowledged.

        Args:
            requests: taken one by one, as places under way come free.
            check: called before each; what it raises ends the sending.

        Raises:
            UnavailableError: one was not acknowledged; others may be.
        """
        left = iter(requests)
        senders = [asyncio.create_task(self._send(left, check)) for _ in range(self.in_flight)]
        try:
            done, _ = await asyncio.wait(senders, return_when=asyncio.FIRST_EXCEPTION)
            for sender in done:
                await sender
        finally:
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)

    async def _send(self, left: Iterable[ReindexRequested], check: Callable[[], None]) -> None:
        for request in left:
            check()
            event_id = uuid5(UUID(request.task_id), request.type)
            await self.log.send(
                TOPIC,
                key=request.key,
                value=encode(request),
                headers=Envelope(event_id=str(event_id)).to_headers(),
            )
            self.emitted += 1
