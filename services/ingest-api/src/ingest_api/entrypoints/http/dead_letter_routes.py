"""``/rag/dlq``: list dead letters, look at one, replay or discard them."""

import re
from typing import Annotated, Final, Literal, Self

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from ingest_api.domain.access import Principal, Scope
from ingest_api.domain.dead_letter import LetterId
from ingest_api.domain.instant import microseconds, moment
from ingest_api.entrypoints.http.ages import ABOUT_AGES, moment_of
from ingest_api.entrypoints.http.letter_answers import (
    LetterAnswer,
    LetterResult,
    RawLetterAnswer,
    answer_of,
    raw_answer_of,
)
from ingest_api.entrypoints.http.path_ids import cabinet_in_path
from ingest_api.entrypoints.http.problems import responses
from ingest_api.entrypoints.http.query_parameters import only
from ingest_api.entrypoints.http.security import AUTH_CODES, require
from ingest_api.letter_ports import LetterPlace
from ingest_api.usecases.read_dead_letters import LetterWish, ReadDeadLetters
from ingest_api.usecases.resolve_dead_letters import Choice, Outcomes, ResolveDeadLetters
from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.ids import MAX_EXACT_INTEGER, CabinetId
from kartoteka_runtime.clock import Clock

__all__ = ["router"]

_MAX_LIMIT: Final = 500
_CURSOR: Final = re.compile(r"(\d{1,17})\.(\d{1,6}-\d{1,18})", re.ASCII)
_ID: Final = r"^(0|[1-9][0-9]{0,5})-(0|[1-9][0-9]{0,17})$"
_RESULT: Final[dict[str, JsonValue]] = {
    "id": "3-17",
    "task_id": "b1b0a1c2-7f0e-5d6c-9a51-2f6f0c1d2e3f",
    "error": None,
}
_REFUSED: Final[dict[str, JsonValue]] = {
    "id": "0-4",
    "task_id": None,
    "error": {"code": "replay_limit", "message": "it was replayed 3 times, of 3 that may be"},
}


class LetterList(BaseModel):
    """Dead letters, the last that died first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    letters: list[LetterAnswer]
    next_cursor: str | None
    """What to send as ``cursor`` for the next page; null at the end."""


class _Strict(BaseModel):
    # A misspelt field must not be a filter that silently does nothing.
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("true is no cabinet")  # noqa: TRY004 - what pydantic turns into a 422
    return value


class LetterFilter(_Strict):
    """Which letters. Everything that is given must hold; an empty filter means all of them."""

    cabinet_id: (
        Annotated[int, BeforeValidator(_no_boolean), Field(gt=0, le=MAX_EXACT_INTEGER)] | None
    ) = None
    reason: Annotated[str, Field(max_length=100)] | None = None
    """An error code."""
    older_than: Annotated[str, Field(max_length=50, description=ABOUT_AGES)] | None = None
    newer_than: Annotated[str, Field(max_length=50, description=ABOUT_AGES)] | None = None


class DiscardRequest(_Strict):
    """Which letters to discard: ``ids`` or ``filter``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"ids": ["3-17", "0-4"], "dry_run": True},
                {"filter": {"cabinet_id": 1, "reason": "malformed", "older_than": "7d"}},
            ]
        }
    )

    ids: list[Annotated[str, Field(pattern=_ID)]] | None = Field(
        default=None, min_length=1, max_length=_MAX_LIMIT
    )
    filter: LetterFilter | None = None
    """Only letters that nobody has dealt with are taken."""
    limit: int = Field(default=100, ge=1, le=_MAX_LIMIT)
    """Letters at most that a filter takes, the last that died first."""
    cursor: str | None = Field(default=None, max_length=100)
    """For the letters behind those of the answer that gave it."""
    dry_run: bool = False
    """Whether to change nothing and answer what would be done."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give either ids or filter")
        return self


class ReplayRequest(DiscardRequest):
    """Which letters to replay: ``ids`` or ``filter``."""

    max_replays: int = Field(default=3, ge=1, le=1000)
    """Work that was replayed as often is refused with ``replay_limit``."""


class LetterCounts(BaseModel):
    """How many letters."""

    letters: int
    done: int
    failed: int


class LettersResolved(BaseModel):
    """What became of each letter."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "dry_run": False,
                    "counts": {"letters": 2, "done": 1, "failed": 1},
                    "results": [_RESULT, _REFUSED],
                    "next_cursor": None,
                }
            ]
        },
    )

    dry_run: bool
    """Whether nothing was changed."""
    counts: LetterCounts
    results: list[LetterResult]
    next_cursor: str | None
    """What to send as ``cursor`` for the letters that ``limit`` left out; null at the end."""


_Admin = Annotated[Principal, Depends(require(Scope.ADMIN))]
_READ_CODES: Final = (*AUTH_CODES, "invalid_request", "view_behind")
_WRITE_CODES: Final = (*_READ_CODES, "event_log_unavailable")


def router(letters: ReadDeadLetters, resolve: ResolveDeadLetters, clock: Clock) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/rag/dlq", tags=["dead letters"])

    @routes.get(
        "",
        responses=responses(*_READ_CODES),
        summary="List dead letters",
        dependencies=[
            Depends(
                only(
                    "cabinet_id",
                    "reason",
                    "older_than",
                    "newer_than",
                    "resolved",
                    "cursor",
                    "limit",
                )
            )
        ],
    )
    async def list_letters(
        principal: _Admin,
        *,
        cabinet_id: Annotated[
            str | None, Query(description="Only of this cabinet; of all yours when left out.")
        ] = None,
        reason: Annotated[
            str | None, Query(max_length=100, description="Only with this error code.")
        ] = None,
        older_than: Annotated[str | None, Query(max_length=50, description=ABOUT_AGES)] = None,
        newer_than: Annotated[str | None, Query(max_length=50, description=ABOUT_AGES)] = None,
        resolved: Annotated[
            Literal["false", "true", "all"],
            Query(description="Those that nobody has dealt with, the others, or all."),
        ] = "false",
        cursor: Annotated[
            str | None, Query(description="From the page before.", max_length=100)
        ] = None,
        limit: Annotated[int, Query(ge=1, le=_MAX_LIMIT, description="Letters in a page.")] = 50,
    ) -> LetterList:
        """Return dead letters, the last that died first. They are kept for 30 days."""
        now = clock.now()
        wish = LetterWish(
            cabinet_id=None if cabinet_id is None else cabinet_in_path(cabinet_id),
            reason=reason,
            before=None if older_than is None else moment_of(older_than, now),
            since=None if newer_than is None else moment_of(newer_than, now),
            is_resolved=None if resolved == "all" else resolved == "true",
            after=None if cursor is None else _place(cursor),
            limit=limit,
        )
        page = await letters.page(principal, wish)
        is_inner = principal.cabinets is None
        return LetterList(
            letters=[answer_of(letter, is_inner=is_inner) for letter in page.letters],
            next_cursor=_cursor(page.next),
        )

    @routes.get(
        "/{letter_id}",
        responses=responses(*AUTH_CODES, "not_found", "view_behind", "event_log_unavailable"),
        summary="Look at a dead letter",
    )
    async def read_letter(letter_id: str, principal: _Admin) -> RawLetterAnswer:
        """Return a dead letter with the raw value and headers of its record."""
        place = LetterId.parse(letter_id)
        if place is None:
            raise RequestError("not_found")
        letter = await letters.find(principal, place)
        raw = await letters.raw(letter)
        return raw_answer_of(letter, raw, is_inner=principal.cabinets is None)

    @routes.post("/replay", responses=responses(*_WRITE_CODES), summary="Replay dead letters")
    async def replay_letters(body: ReplayRequest, principal: _Admin) -> LettersResolved:
        """Try work again that failed for good, as new tasks. Each letter is replayed once.

        Replaying what was replayed a moment ago, before that is known everywhere, is the same
        task again.
        """
        outcomes = await resolve.replay(
            principal,
            _choice(body, clock),
            max_replays=body.max_replays,
            is_dry=body.dry_run,
        )
        return _resolved(outcomes, is_dry=body.dry_run)

    @routes.post("/discard", responses=responses(*_WRITE_CODES), summary="Discard dead letters")
    async def discard_letters(body: DiscardRequest, principal: _Admin) -> LettersResolved:
        """Mark dead letters as dealt with. Their documents stay as they are."""
        outcomes = await resolve.discard(principal, _choice(body, clock), is_dry=body.dry_run)
        return _resolved(outcomes, is_dry=body.dry_run)

    return routes


def _choice(body: DiscardRequest, clock: Clock) -> Choice:
    if body.filter is None:
        parsed = [LetterId.parse(text) for text in body.ids or ()]
        return tuple(one for one in parsed if one is not None)
    now, given = clock.now(), body.filter
    return LetterWish(
        cabinet_id=None if given.cabinet_id is None else CabinetId(given.cabinet_id),
        reason=given.reason,
        before=None if given.older_than is None else moment_of(given.older_than, now),
        since=None if given.newer_than is None else moment_of(given.newer_than, now),
        after=None if body.cursor is None else _place(body.cursor),
        limit=body.limit,
    )


def _resolved(outcomes: Outcomes, *, is_dry: bool) -> LettersResolved:
    results = [LetterResult.of(outcome) for outcome in outcomes.letters]
    failed = sum(result.error is not None for result in results)
    return LettersResolved(
        dry_run=is_dry,
        counts=LetterCounts(letters=len(results), done=len(results) - failed, failed=failed),
        results=results,
        next_cursor=_cursor(outcomes.next),
    )


def _place(cursor: str) -> LetterPlace:
    found = _CURSOR.fullmatch(cursor)
    letter_id = None if found is None else LetterId.parse(found[2])
    if found is None or letter_id is None:
        raise RequestError("invalid_request", "the cursor is none that was given")
    return LetterPlace(dead_at=moment(int(found[1])), id=letter_id)


def _cursor(place: LetterPlace | None) -> str | None:
    return None if place is None else f"{microseconds(place.dead_at)}.{place.id}"
