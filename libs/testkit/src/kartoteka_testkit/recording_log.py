"""An event log that remembers what was appended, and can be away."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from kartoteka_contracts.codec import decode
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.wire import Event

__all__ = ["Appended", "RecordingLog"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """One record."""

    topic: str
    key: str
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def event(self) -> Event:
        """The value, decoded."""
        return decode(self.value)


class RecordingLog:
    """Stands in for the producer.

    ``trouble`` is what a broker that is away looks like before a send; ``silent`` makes sends fail
    as without an acknowledgement.
    """

    def __init__(self) -> None:
        self.appended: list[Appended] = []
        self.trouble: str | None = None
        self.silent = False

    async def send(
        self,
        topic: str,
        *,
        key: str,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Appended:
        await asyncio.sleep(0)
        if self.silent:
            raise UnavailableError("event_log_unavailable")
        record = Appended(topic=topic, key=key, value=value, headers=tuple(headers))
        self.appended.append(record)
        return record

    def post(
        self, topic: str, *, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        if not self.silent:
            self.appended.append(
                Appended(topic=topic, key=key, value=value, headers=tuple(headers))
            )

    def on(self, topic: str) -> list[Appended]:
        """Return what was appended to a topic, in order."""
        return [record for record in self.appended if record.topic == topic]
