"""Replay dead letters, or discard them.

The work is sent first and the letter marked after it, each acknowledged by the broker. A crash
between the two leaves a letter that can be replayed again, as the same task.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from ingest_api.domain.access import Principal
from ingest_api.domain.dead_letter import LetterId, StoredLetter
from ingest_api.domain.replay import Replay, replay_of
from ingest_api.letter_ports import JobLog, LetterPlace, LetterReader
from ingest_api.usecases.read_dead_letters import LetterWish, ReadDeadLetters
from kartoteka_contracts.dead_letter import DeadLetterMark, Resolution
from kartoteka_contracts.envelope import traced
from kartoteka_contracts.errors import KartotekaError, RequestError, UnavailableError
from kartoteka_contracts.ids import TaskId
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.tracing import linked, traceparent

__all__ = ["Choice", "LetterOutcome", "Outcomes", "ResolveDeadLetters"]

_LETTERS: Final = "documents.dlq"
_AT_ONCE: Final = 16
"""Letters in memory, and records under way, at a time."""


Choice: TypeAlias = tuple[LetterId, ...] | LetterWish
"""Which letters: these, or those that are not dealt with yet and fit a wish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterOutcome:
    """What became of one letter, or would become of it."""

    id: LetterId
    task_id: TaskId | None = None
    """The task of the replay; with an error: it was sent, but the letter may not be marked."""
    error: KartotekaError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What became of each letter, and where those begin that the wish's limit left out."""

    letters: tuple[LetterOutcome, ...]
    next: LetterPlace | None = None


class ResolveDeadLetters:
    """Deals with dead letters of the caller's cabinets."""

    def __init__(self, *, letters: ReadDeadLetters, log: JobLog, clock: Clock) -> None:
        self._letters = letters
        self._log = log
        self._clock = clock

    async def replay(
        self, principal: Principal, choice: Choice, *, max_replays: int, is_dry: bool
    ) -> Outcomes:
        """Try the letters' work again, each letter once.

        Args:
            principal: who asks.
            choice: which letters.
            max_replays: work that was replayed as often is refused.
            is_dry: change nothing, and say what would happen.

        Raises:
            RequestError: ``forbidden``: the wish names a cabinet that is not the caller's.
            UnavailableError: ``view_behind``, or ``event_log_unavailable`` before anything is sent.
        """
        outcomes, open_letters, place = await self._chosen(principal, choice)
        async with self._letters.values.open() as reader:
            # In the topic's order, in which it is read fastest.
            todo = sorted(open_letters, key=lambda letter: letter.id)
            for first in range(0, len(todo), _AT_ONCE):
                some = todo[first : first + _AT_ONCE]
                plans = [await self._plan(reader, letter, max_replays) for letter in some]
                done = await asyncio.gather(
                    *(
                        self._replayed(letter, plan, is_dry=is_dry)
                        for letter, plan in zip(some, plans, strict=True)
                    )
                )
                outcomes |= {outcome.id: outcome for outcome in done}
        return await self._settled(outcomes, place, is_dry=is_dry)

    async def discard(self, principal: Principal, choice: Choice, *, is_dry: bool) -> Outcomes:
        """Mark letters as of no further use. Nothing else happens to the documents.

        Raises:
            RequestError: ``forbidden``: as :meth:`replay`.
            UnavailableError: ``view_behind``.
        """
        outcomes, todo, place = await self._chosen(principal, choice)
        for first in range(0, len(todo), _AT_ONCE):
            done = await asyncio.gather(
                *(
                    self._discarded(letter, is_dry=is_dry)
                    for letter in todo[first : first + _AT_ONCE]
                )
            )
            outcomes |= {outcome.id: outcome for outcome in done}
        return await self._settled(outcomes, place, is_dry=is_dry)

    async def _chosen(
        self, principal: Principal, choice: Choice
    ) -> tuple[dict[LetterId, LetterOutcome | None], list[StoredLetter], LetterPlace | None]:
        """Return a place for each letter's outcome, and the letters that have none yet."""
        await self._letters.freshness.catch_up()  # or marks of a moment ago would be missed
        outcomes: dict[LetterId, LetterOutcome | None] = {}
        todo: list[StoredLetter] = []
        if isinstance(choice, LetterWish):
            page = await self._letters.page(principal, replace(choice, is_resolved=False))
            return {letter.id: None for letter in page.letters}, list(page.letters), page.next
        for letter_id in dict.fromkeys(choice):
            letter = await self._letters.known(principal, letter_id)
            outcomes[letter_id] = None
            if letter is None:
                outcomes[letter_id] = LetterOutcome(id=letter_id, error=RequestError("not_found"))
            elif letter.resolved is not None:
                outcomes[letter_id] = LetterOutcome(
                    id=letter_id,
                    task_id=letter.resolved.task_id,
                    error=RequestError("dead_letter_resolved"),
                )
            else:
                todo.append(letter)
        return outcomes, todo, None

    async def _plan(
        self, reader: LetterReader, letter: StoredLetter, max_replays: int
    ) -> Replay | KartotekaError:
        if letter.content.replays >= max_replays:
            return RequestError(
                "replay_limit",
                f"it was replayed {letter.content.replays} times, of {max_replays} that may be",
            )
        try:
            raw = await reader.read(letter.id)
        except UnavailableError as error:
            return error
        if raw is None or not raw.value:
            return RequestError("dead_letter_without_value")
        return replay_of(letter, raw.value, self._clock.now())

    async def _replayed(
        self, letter: StoredLetter, plan: Replay | KartotekaError, *, is_dry: bool
    ) -> LetterOutcome:
        if isinstance(plan, KartotekaError):
            return LetterOutcome(id=letter.id, error=plan)
        if is_dry:
            return LetterOutcome(id=letter.id, task_id=plan.task_id)
        try:
            with linked("replay document", task_id=plan.task_id):
                headers = traced(plan.headers, traceparent())
                await self._log.send(plan.topic, key=plan.key, value=plan.value, headers=headers)
        except KartotekaError as error:
            return LetterOutcome(id=letter.id, error=error)
        return await self._marked(letter, Resolution.REPLAYED, plan.task_id)

    async def _discarded(self, letter: StoredLetter, *, is_dry: bool) -> LetterOutcome:
        if is_dry:
            return LetterOutcome(id=letter.id)
        return await self._marked(letter, Resolution.DISCARDED, None)

    async def _marked(
        self, letter: StoredLetter, resolution: Resolution, task_id: TaskId | None
    ) -> LetterOutcome:
        mark = DeadLetterMark(
            partition=letter.id.partition,
            offset=letter.id.offset,
            resolution=resolution,
            task_id=task_id or "",
        )
        try:
            await self._log.send(_LETTERS, key=letter.key, value=None, headers=mark.to_headers())
        except KartotekaError as error:
            return LetterOutcome(id=letter.id, task_id=task_id, error=error)
        return LetterOutcome(id=letter.id, task_id=task_id)

    async def _settled(
        self,
        outcomes: dict[LetterId, LetterOutcome | None],
        place: LetterPlace | None,
        *,
        is_dry: bool,
    ) -> Outcomes:
        """Return all outcomes once this replica's lists show them, if that is soon."""
        if not is_dry:
            with suppress(UnavailableError):
                await self._letters.freshness.catch_up()
        return Outcomes(
            letters=tuple(outcome for outcome in outcomes.values() if outcome is not None),
            next=place,
        )
