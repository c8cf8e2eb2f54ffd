"""What dead letters need from the world."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ingest_api.domain.dead_letter import LetterId, StoredLetter
from kartoteka_contracts.ids import CabinetId

__all__ = [
    "JobLog",
    "LetterCatalogue",
    "LetterPlace",
    "LetterQuery",
    "LetterReader",
    "LetterValues",
    "RawLetter",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterPlace:
    """Where in a list of letters one stands."""

    dead_at: datetime
    id: LetterId


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterQuery:
    """Which letters to list, the last that died first."""

    cabinets: frozenset[CabinetId] | None
    """Only of these; None: of all, and those of which no cabinet can be read."""
    limit: int
    reason: str | None = None
    is_resolved: bool | None = False
    """None: both."""
    before: datetime | None = None
    """Only those that died before."""
    since: datetime | None = None
    """Only those that died then or later."""
    after: LetterPlace | None = None
    """Begin behind this one."""


class LetterCatalogue(Protocol):
    """The view's dead letters. Every call raises UnavailableError while they cannot be read."""

    async def letter(self, letter_id: LetterId) -> StoredLetter | None:
        """Return a letter of any cabinet; None where it is not known here."""
        ...

    async def letters(self, query: LetterQuery) -> list[StoredLetter]:
        """Return letters, the last that died first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RawLetter:
    """A letter as it lies on its topic."""

    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class LetterReader(Protocol):
    """Reads letters from their topic."""

    async def read(self, letter_id: LetterId) -> RawLetter | None:
        """Return a letter; None where the topic no longer has it.

        Raises:
            UnavailableError: ``event_log_unavailable``: Kafka does not answer.
        """
        ...


class LetterValues(Protocol):
    """The dead letters' topic, as far as their raw values go."""

    def open(self) -> AbstractAsyncContextManager[LetterReader]:
        """Connect; raises as the reader does."""
        ...


class JobLog(Protocol):
    """Kafka, as replaying uses it."""

    async def send(
        self,
        topic: str,
        *,
        key: str,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> object:
        """Append one record; returns once the broker has acknowledged it.

        Raises:
            UnavailableError: ``event_log_unavailable`` (outcome unknown) or ``overloaded``.
            RequestError: ``body_too_large``: Kafka takes no record of this size.
        """
        ...
