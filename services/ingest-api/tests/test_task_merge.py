import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_api.domain.task import Task, is_lower, merged
from kartoteka_contracts.ids import CabinetId, DocumentId, TaskId, Version, new_task_id
from kartoteka_contracts.tasks import Stage, TaskKind, TaskStatus

_T0 = datetime(2026, 1, 1, tzinfo=UTC)
_ID = new_task_id()
_ENDS = [status for status in TaskStatus if status.is_end]


def queued(task_id: TaskId = _ID) -> Task:
    return Task(
        task_id=task_id,
        cabinet_id=CabinetId(7),
        status=TaskStatus.QUEUED,
        updated_at=_T0,
        kind=TaskKind.INDEX,
        document_id=DocumentId("0198f2c4-b7a9-5d0e-8f5c-2a1b3d4e5f60"),
        external_id="a.pdf",
        filename="a.pdf",
        version=Version(5),
        accepted_at=_T0,
    )


def running(stage: Stage, *, attempt: int = 0, progress: float = 0.5, second: int = 1) -> Task:
    return Task(
        task_id=_ID,
        cabinet_id=CabinetId(7),
        status=TaskStatus.RUNNING,
        stage=stage,
        progress=progress,
        attempt=attempt,
        updated_at=_T0 + timedelta(seconds=second),
    )


def status(to: TaskStatus, *, attempt: int = 0, second: int = 60) -> Task:
    return Task(
        task_id=_ID,
        cabinet_id=CabinetId(7),
        status=to,
        attempt=attempt,
        progress=1.0 if to.is_end else 0.0,
        updated_at=_T0 + timedelta(seconds=second),
        kind=TaskKind.INDEX,
        document_id=DocumentId("0198f2c4-b7a9-5d0e-8f5c-2a1b3d4e5f60"),
        external_id="a.pdf",
        filename="a.pdf",
        version=Version(5),
        accepted_at=_T0,
    )


def outcome(records: list[Task]) -> Task:
    state: Task | None = None
    for record in records:
        state = merged(state, record)
    assert state is not None
    return state


open_records = st.one_of(
    st.just(queued()),
    st.builds(
        running,
        st.sampled_from(list(Stage)),
        attempt=st.integers(0, 3),
        progress=st.sampled_from([0.1, 0.5, 0.9]),
    ),
    st.builds(status, st.just(TaskStatus.RETRYING), attempt=st.integers(0, 3)),
)
histories = st.builds(
    lambda records, ends: [*records, *ends],
    st.lists(open_records, min_size=1, max_size=12),
    st.lists(st.builds(status, st.sampled_from(_ENDS), attempt=st.integers(0, 3)), max_size=1),
)


@given(histories, st.randoms(use_true_random=False))
def test_order_and_repetition_of_records_do_not_matter(
    records: list[Task], chance: random.Random
) -> None:
    shuffled = [*records, *(chance.choice(records) for _ in range(len(records)))]
    chance.shuffle(shuffled)
    assert outcome(shuffled).order == outcome(records).order
    assert outcome(shuffled).status == outcome(records).status
    assert outcome([*shuffled, queued()]).accepted_at == _T0


@given(st.lists(st.one_of(open_records, st.builds(status, st.sampled_from(_ENDS))), min_size=2))
def test_a_state_never_goes_back_and_an_end_is_final(records: list[Task]) -> None:
    state = records[0]
    for record in records[1:]:
        after = merged(state, record)
        assert after.order >= state.order
        if state.status.is_end:
            assert (after.status, after.updated_at) == (state.status, state.updated_at)
        state = after


@given(histories)
def test_a_record_seen_again_changes_nothing(records: list[Task]) -> None:
    state = outcome(records)
    for record in records:
        assert merged(state, record) == state


def test_ten_thousand_shuffled_and_duplicated_records_leave_every_task_as_it_was() -> None:
    chance = random.Random(3)
    stages = [running(stage, attempt=a) for a in range(2) for stage in Stage]
    history = [queued(), *stages, status(TaskStatus.RETRYING), status(TaskStatus.SUCCEEDED)]
    stream = [chance.choice(history) for _ in range(10_000)] + [status(TaskStatus.SUCCEEDED)]
    chance.shuffle(stream)
    assert outcome(stream).status is TaskStatus.SUCCEEDED


def test_an_end_of_an_older_attempt_still_ends_the_task() -> None:
    state = merged(running(Stage.PARSING, attempt=1), status(TaskStatus.FAILED, attempt=0))
    assert state.status is TaskStatus.FAILED


def test_facts_come_from_whichever_record_has_them() -> None:
    state = merged(running(Stage.WRITING), queued())
    assert state.stage is Stage.WRITING
    assert state.filename == "a.pdf"
    assert state.is_complete


def test_a_record_of_another_cabinet_is_not_about_this_task() -> None:
    foreign = Task(task_id=_ID, cabinet_id=CabinetId(8), status=TaskStatus.FAILED, updated_at=_T0)
    assert merged(queued(), foreign) == queued()
    assert not is_lower(foreign, queued())


@pytest.mark.parametrize(
    ("seen", "stored", "lower"),
    [
        (status(TaskStatus.RETRYING), status(TaskStatus.SUCCEEDED), True),
        (status(TaskStatus.SUCCEEDED), status(TaskStatus.SUCCEEDED), False),
        (status(TaskStatus.FAILED, second=70), status(TaskStatus.SUCCEEDED, second=60), True),
        (status(TaskStatus.FAILED, second=60), status(TaskStatus.SUCCEEDED, second=70), False),
    ],
    ids=["retry below end", "the same end", "a later end", "an earlier end"],
)
def test_what_stands_below_the_stored_state(seen: Task, stored: Task, *, lower: bool) -> None:
    assert is_lower(seen, stored) is lower
