import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kartoteka_contracts.ids import (
    CabinetId,
    DocumentId,
    Epoch,
    TaskId,
    Version,
    child_task_id,
    document_id,
    new_task_id,
    point_id,
    replay_task_id,
    run_task_id,
)
from kartoteka_contracts.keys import (
    cabinet_deletion_finished,
    cabinet_deletion_finished_key,
    cabinet_deletion_key,
    cabinet_deletions_prefix,
    record_key,
    record_prefix,
    record_version,
)
from kartoteka_contracts.tasks import Stage, TaskStatus, rank

CABINET = CabinetId(7)
DOCUMENT = document_id(CABINET, "a")


def test_two_spellings_of_a_name_are_one_document() -> None:
    composed, decomposed = (unicodedata.normalize(form, "Ёж.pdf") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert document_id(CABINET, composed) == document_id(CABINET, decomposed)


def test_a_name_is_another_document_in_another_cabinet() -> None:
    assert document_id(CabinetId(1), "1/a") != document_id(CabinetId(11), "/a")


def test_document_ids_never_change() -> None:
    assert document_id(CabinetId(7), "report.pdf") == "503e51ec-7f33-512c-8365-d85d6bb2f7b2"


def test_a_slot_of_a_cabinet_is_one_run_in_whatever_zone_it_is_written() -> None:
    slot = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    run = run_task_id(CabinetId(7), slot)
    assert run == "537b471b-5b2e-5593-af0e-f4fb2929b8da"
    assert run_task_id(CabinetId(7), slot.astimezone(timezone(timedelta(hours=5.75)))) == run
    assert run_task_id(CabinetId(7), slot + timedelta(minutes=1)) != run
    assert run_task_id(CabinetId(8), slot) != run


def test_task_ids_are_uuid7_and_distinct() -> None:
    ids = {new_task_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {UUID(task).version for task in ids} == {7}


@given(st.lists(st.integers(1, 2**53 - 1), min_size=2, max_size=5))
def test_records_sort_as_their_versions_do(versions: list[int]) -> None:
    keys = [record_key(CABINET, DOCUMENT, Version(version)) for version in versions]
    assert [record_version(key) for key in sorted(keys)] == sorted(versions)
    assert all(key.startswith(record_prefix(CABINET, DOCUMENT)) for key in keys)


@pytest.mark.parametrize("version", [1, 1_795_000_000_000_000, 2**53 - 1])
def test_a_cabinets_deletions_lie_apart_from_its_records_and_name_their_floor(version: int) -> None:
    key = cabinet_deletion_key(CABINET, Version(version))
    assert key.startswith(cabinet_deletions_prefix(CABINET))
    assert record_version(key) == version
    assert not key.startswith("cabinets/7/records/")
    mark = cabinet_deletion_finished_key(CABINET, Version(version))
    assert mark.startswith(cabinet_deletions_prefix(CABINET))
    assert (record_version(mark), cabinet_deletion_finished(mark)) == (None, version)
    assert cabinet_deletion_finished(key) is None


@pytest.mark.parametrize("key", ["a/b/12.cancelled", "a/b/x.json", "a/b/.json", "a/b/12"])
def test_what_is_no_record_has_no_version(key: str) -> None:
    assert record_version(key) is None


def test_derived_ids_differ_by_every_part() -> None:
    task = TaskId("0198c0de-0000-7000-8000-000000000001")
    other = DocumentId(document_id(CABINET, "b"))
    points = {
        point_id(CABINET, document, Version(version), Epoch(epoch), n)
        for document in (DOCUMENT, other)
        for version in (1, 2)
        for epoch in (0, 1)
        for n in (0, 1)
    }
    assert len(points) == 16
    assert len({replay_task_id(task, 1), replay_task_id(task, 2), child_task_id(task, other)}) == 3


def test_states_rank_in_the_order_of_life() -> None:
    states = [
        rank(TaskStatus.QUEUED),
        rank(TaskStatus.RUNNING),
        *(rank(TaskStatus.RUNNING, stage) for stage in Stage),
        rank(TaskStatus.RETRYING),
    ]
    ends = {rank(status) for status in TaskStatus if status.is_end}
    assert states == sorted(set(states))
    assert len(ends) == 1
    assert ends.pop() > states[-1]
