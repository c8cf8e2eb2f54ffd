"""List dead letters, and look one up with its raw value."""

from dataclasses import dataclass
from datetime import datetime

from ingest_api.domain.access import Principal, Scope, authorise
from ingest_api.domain.dead_letter import LetterId, StoredLetter
from ingest_api.letter_ports import (
    LetterCatalogue,
    LetterPlace,
    LetterQuery,
    LetterValues,
    RawLetter,
)
from ingest_api.read_ports import Freshness
from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.ids import CabinetId

__all__ = ["LetterPage", "LetterWish", "ReadDeadLetters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterWish:
    """Which letters a caller wants."""

    cabinet_id: CabinetId | None = None
    reason: str | None = None
    before: datetime | None = None
    """Only those that died before."""
    since: datetime | None = None
    """Only those that died then or later."""
    is_resolved: bool | None = False
    """None: both."""
    after: LetterPlace | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterPage:
    """Some letters, and where the next ones begin; None at the end."""

    letters: tuple[StoredLetter, ...]
    next: LetterPlace | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDeadLetters:
    """What callers may ask of dead letters: those of their cabinets.

    A letter of which no cabinet can be read is for keys of all cabinets only.
    """

    catalogue: LetterCatalogue
    freshness: Freshness
    values: LetterValues

    async def page(self, principal: Principal, wish: LetterWish) -> LetterPage:
        """Return letters, the last that died first.

        Raises:
            RequestError: ``forbidden``: the named cabinet is not the caller's.
        """
        cabinets = principal.cabinets
        if wish.cabinet_id is not None:
            cabinet = authorise(principal, Scope.ADMIN, wish.cabinet_id)
            cabinets = frozenset({cabinet.cabinet_id})
        found = await self.catalogue.letters(
            LetterQuery(
                cabinets=cabinets,
                reason=wish.reason,
                is_resolved=wish.is_resolved,
                before=wish.before,
                since=wish.since,
                after=wish.after,
                limit=wish.limit + 1,
            )
        )
        page = tuple(found[: wish.limit])
        return LetterPage(letters=page, next=_place(page[-1]) if len(found) > len(page) else None)

    async def find(self, principal: Principal, letter_id: LetterId) -> StoredLetter:
        """Return a letter of one of the caller's cabinets.

        A foreign letter takes the way of an unknown one, so that not even the time differs.

        Raises:
            RequestError: ``not_found``.
            UnavailableError: ``view_behind``: whether it exists is not known here yet.
        """
        letter = await self.known(principal, letter_id)
        if letter is None:
            await self.freshness.catch_up()
            letter = await self.known(principal, letter_id)
        if letter is None:
            raise RequestError("not_found")
        return letter

    async def known(self, principal: Principal, letter_id: LetterId) -> StoredLetter | None:
        """Return a letter of the caller's that the view has already."""
        letter = await self.catalogue.letter(letter_id)
        return letter if letter is not None and _sees(principal, letter) else None

    async def raw(self, letter: StoredLetter) -> RawLetter | None:
        """Return a letter's value and headers; None where Kafka has them no more.

        Raises:
            UnavailableError: ``event_log_unavailable``.
        """
        async with self.values.open() as reader:
            return await reader.read(letter.id)


def _sees(principal: Principal, letter: StoredLetter) -> bool:
    cabinet = letter.content.cabinet_id
    return principal.cabinets is None if cabinet is None else principal.sees(cabinet)


def _place(letter: StoredLetter) -> LetterPlace:
    return LetterPlace(dead_at=letter.dead_at, id=letter.id)
