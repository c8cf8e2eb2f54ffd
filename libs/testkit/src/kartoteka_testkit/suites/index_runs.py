"""What holds of the state of runs, and of what decisions keep for them, whatever Qdrant it is."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from qdrant_client.models import ExtendedPointId

from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.events import SourceObject
from kartoteka_contracts.ids import TaskId, new_task_id
from kartoteka_contracts.reindex import RunCounts, RunError, RunResult
from kartoteka_index import Index, Outcome, RunFault, RunState, RunStep
from kartoteka_testkit.index_cases import Case, cabinet
from kartoteka_testkit.run_events import reindex_requested

__all__ = ["IndexRunsSuite"]

_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
_OBJECT = SourceObject(source="docs", path="a/b.txt", stamp="etag|3|5")


def _state(of: AuthorisedCabinet, run: TaskId | None = None, **fields: Any) -> RunState:
    request = reindex_requested(cabinet=of.cabinet_id, task_id=run, accepted_at=_AT)
    values: dict[str, Any] = {"phase": RunStep.PLANNING, "changed_at": _AT}
    return RunState(
        cabinet_id=of.cabinet_id,
        run_id=request.task_id,
        accepted_at=_AT,
        request=request,
        **(values | fields),
    )


class RunStateSuite:
    """One run of a cabinet stands, and only who has seen it replaces it."""

    async def test_a_cabinet_without_runs_has_no_state(self, index: Index) -> None:
        assert await index.run_state(cabinet()) is None

    async def test_a_state_is_read_back_as_written(self, index: Index) -> None:
        result = RunResult(
            success=3,
            failed=1,
            total=9,
            counts=RunCounts(seen=9, new=9),
            errors=[RunError(external_id="\u00e9.txt", code="poison", message="m")],
            eta_seconds=1.25,
        )
        state = _state(
            cabinet(),
            phase=RunStep.WATCHING,
            step=7,
            page=3,
            waits=2,
            begun_at=_AT + timedelta(seconds=1),
            result=result,
            fault=RunFault(code="vanish_guard", message="m"),
            pace=40.5,
        )
        stands = await index.write_run_state(cabinet(), state, seen=None)
        assert stands == replace(state, revision=1)
        assert await index.run_state(cabinet()) == stands

    async def test_only_who_has_seen_what_stands_replaces_it(self, index: Index) -> None:
        first = await index.write_run_state(cabinet(), _state(cabinet()), seen=None)
        assert first is not None
        second = await index.write_run_state(cabinet(), replace(first, step=1), seen=first)
        assert second is not None
        assert second.revision == 2
        late = replace(first, step=5)
        assert await index.write_run_state(cabinet(), late, seen=first) is None
        other = _state(cabinet())
        assert await index.write_run_state(cabinet(), other, seen=None) is None
        assert await index.run_state(cabinet()) == second

    async def test_the_same_state_twice_is_one(self, index: Index) -> None:
        state = _state(cabinet())
        first = await index.write_run_state(cabinet(), state, seen=None)
        assert await index.write_run_state(cabinet(), state, seen=None) == first

    async def test_what_a_later_state_leaves_out_is_gone(self, index: Index) -> None:
        begun = _state(cabinet(), begun_at=_AT, pace=2.0)
        first = await index.write_run_state(cabinet(), begun, seen=None)
        assert first is not None
        plain = replace(first, begun_at=None, pace=None)
        await index.write_run_state(cabinet(), plain, seen=first)
        stands = await index.run_state(cabinet())
        assert stands is not None
        assert (stands.begun_at, stands.pace) == (None, None)

    async def test_cabinets_have_their_own(self, index: Index) -> None:
        await index.write_run_state(cabinet(7), _state(cabinet(7)), seen=None)
        assert await index.run_state(cabinet(8)) is None
        await index.write_run_state(cabinet(8), _state(cabinet(8)), seen=None)
        for number in (7, 8):
            stands = await index.run_state(cabinet(number))
            assert stands is not None
            assert stands.cabinet_id == number

    async def test_open_runs_are_found_and_others_are_not(self, index: Index) -> None:
        for number, phase in enumerate(RunStep, start=1):
            state = _state(cabinet(number), phase=phase)
            await index.write_run_state(cabinet(number), state, seen=None)
        await Case(index, cabinet(1)).publish(5)
        found = [state async for state in index.open_runs()]
        assert sorted((state.cabinet_id, state.phase) for state in found) == [
            (1, RunStep.PLANNING),
            (2, RunStep.EMITTING),
            (3, RunStep.WATCHING),
        ]

    async def test_a_run_is_no_document(self, index: Index) -> None:
        await index.write_run_state(cabinet(), _state(cabinet()), seen=None)
        assert (await index.documents(cabinet())).manifests == ()
        (point,), _ = await index._client.scroll(index._documents)  # noqa: SLF001 - no call lists it
        assert await index.manifests(cabinet(), [str(point.id)]) == {}  # type: ignore[list-item]
        asked: list[int] = []
        assert await index.locate(str(point.id), asked.append) is None  # type: ignore[arg-type]
        assert asked == []

    async def test_of_many_who_begin_a_run_one_does(self, index: Index) -> None:
        states = [_state(cabinet(), new_task_id()) for _ in range(8)]
        ends = await asyncio.gather(
            *(index.write_run_state(cabinet(), state, seen=None) for state in states)
        )
        winners = [end for end in ends if end is not None]
        assert winners == [await index.run_state(cabinet())]


class ProvenanceSuite:
    """A decision keeps what it was copied from and read with; the next one forgets it."""

    @pytest.mark.parametrize("outcome", list(Outcome))
    async def test_a_decision_keeps_source_and_fingerprint(
        self, index: Index, outcome: Outcome
    ) -> None:
        case = Case(index, cabinet())
        decision = replace(case.decision(5, outcome=outcome), source=_OBJECT, fingerprint="f1")
        found = await index.decide(case.cabinet, decision)
        assert found is not None
        assert (found.source, found.fingerprint) == (_OBJECT, "f1")
        assert found == await index.manifest(case.cabinet, case.document_id)

    @pytest.mark.parametrize("outcome", list(Outcome))
    async def test_the_next_decision_forgets_them(self, index: Index, outcome: Outcome) -> None:
        case = Case(index, cabinet())
        decision = replace(case.decision(5), source=_OBJECT, fingerprint="f1")
        await index.decide(case.cabinet, decision)
        found = await index.decide(case.cabinet, case.decision(6, outcome=outcome))
        assert found is not None
        assert (found.source, found.fingerprint) == (None, None)

    async def test_a_manifest_of_an_older_release_has_neither(self, index: Index) -> None:
        case = Case(index, cabinet())
        await index.decide(case.cabinet, case.decision(5))
        own: list[ExtendedPointId] = [case.document_id]
        client, collection = index._client, index._documents  # noqa: SLF001 - as it was written then
        await client.delete_payload(collection, ["source", "fingerprint"], points=own)
        found = await index.manifest(case.cabinet, case.document_id)
        assert found is not None
        assert (found.source, found.fingerprint, found.fence) == (None, None, 5)


class IndexRunsSuite(RunStateSuite, ProvenanceSuite):
    """All of it."""
