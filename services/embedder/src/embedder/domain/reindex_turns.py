"""Whose turn it is: what a request for a run comes to, given the cabinet's current or last run."""

from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum, auto, unique
from typing import Final

from embedder.domain.reindex_verdict import microseconds
from kartoteka_contracts.ids import Epoch
from kartoteka_contracts.reindex import ReindexMode, ReindexRequested
from kartoteka_index.run_state import RunState, RunStep

__all__ = ["Turn", "closed", "epoch_of", "is_stalled", "opened", "turn_of", "waited_for"]

_MOST_ENDED: Final = 20
"""Ended runs that are known by name: of older ones only the times below are."""
_SOONEST: Final = timedelta(seconds=2)
_LATEST: Final = timedelta(seconds=30)
_STALLED_AFTER: Final = timedelta(minutes=10)
"""A run writes its state at each step, and waits half a minute between two at most."""


@unique
class Turn(Enum):
    """What a request comes to."""

    OWN = auto()
    """It is the current run, or the last one."""
    JOIN = auto()
    """Another run does its work, or has done it; or it has ended long ago."""
    WAIT = auto()
    """Another run is open that does less than it asks for."""
    BEGIN = auto()
    """It becomes the current run."""


def turn_of(event: ReindexRequested, seen: RunState | None) -> Turn:
    """Return what a request comes to.

    A run of some documents only never stands for one of all. What asks for a part joins whatever
    is open: who asks is told so, and may ask again.
    """
    if seen is None:
        return Turn.BEGIN
    if seen.run_id == event.task_id:
        return Turn.OWN
    if event.task_id in seen.ended:
        return Turn.JOIN
    if seen.is_open:
        return Turn.JOIN if _reach(event) <= _reach(seen.request) else Turn.WAIT
    return Turn.JOIN if _is_old(event, seen) else Turn.BEGIN


def opened(event: ReindexRequested, seen: RunState | None, now: datetime) -> RunState:
    """Return the state in which a run begins. Its epoch is above those of all runs before."""
    epoch = microseconds(event.accepted_at)
    return RunState(
        cabinet_id=event.cabinet_id,
        run_id=event.task_id,
        accepted_at=event.accepted_at,
        request=event,
        phase=RunStep.PLANNING,
        changed_at=now,
        epoch=epoch if seen is None else max(epoch, epoch_of(seen) + 1),
        pace=None if seen is None else seen.pace,
        whole_at=None if seen is None else seen.whole_at,
        full_at=None if seen is None else seen.full_at,
        ended=() if seen is None else seen.ended,
    )


def closed(state: RunState) -> RunState:
    """Return the state of a run that has ended, with what later requests are compared to."""
    request, at = state.request, state.accepted_at
    is_whole = state.fault is None and _reach(request) > 0
    is_full = is_whole and request.mode is ReindexMode.FULL
    return replace(
        state,
        whole_at=_later(state.whole_at, at) if is_whole else state.whole_at,
        full_at=_later(state.full_at, at) if is_full else state.full_at,
        ended=(state.run_id, *state.ended)[:_MOST_ENDED],
    )


def epoch_of(state: RunState) -> Epoch:
    """Return the epoch of all that a run indexes anew."""
    return Epoch(microseconds(state.accepted_at) if state.epoch is None else state.epoch)


def waited_for(event: ReindexRequested, now: datetime) -> timedelta:
    """Return how long a request waits until it is looked at again: the older, the longer."""
    return min(_LATEST, max(_SOONEST, (now - event.accepted_at) / 2))


def is_stalled(seen: RunState, now: datetime) -> bool:
    """Whether an open run has not moved for so long that its next step may be lost."""
    return now - seen.changed_at > _STALLED_AFTER


def _reach(event: ReindexRequested) -> int:
    """Return how much a run does: it stands for all whose number is not higher."""
    if event.document_ids is not None or event.mode is ReindexMode.FAILED:
        return 0
    return 2 if event.mode is ReindexMode.FULL else 1


def _is_old(event: ReindexRequested, seen: RunState) -> bool:
    """Whether a later run has done what a request asks for."""
    done_at = (seen.accepted_at, seen.whole_at, seen.full_at)[_reach(event)]
    return done_at is not None and event.accepted_at <= done_at


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)
