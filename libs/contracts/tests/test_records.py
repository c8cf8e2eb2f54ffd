"""Records: read back as what they are, whatever else lies there."""

from kartoteka_contracts.dead_letter import DeadLetterMark, Resolution
from kartoteka_contracts.events import DocumentDeletionRequested, DocumentSubmitted
from kartoteka_contracts.ids import CabinetId, new_task_id
from kartoteka_contracts.keys import cancel_key, claim_key, record_key, record_version
from kartoteka_contracts.records import encode_record, read_record
from kartoteka_testkit import builders


def test_records_of_both_kinds_are_read_back() -> None:
    for record in (builders.record(metadata={"a": [1, None]}), builders.deletion_record()):
        assert read_record(encode_record(record)) == record


def test_what_is_no_record_reads_as_none() -> None:
    assert read_record(b"{}") is None
    assert read_record(b"\x00") is None
    assert read_record(b'{"kind": "compress"}') is None


def test_the_events_of_records_carry_what_they_say() -> None:
    record, deletion = builders.record(), builders.deletion_record()
    assert (
        DocumentSubmitted.of(record).model_dump().items()
        >= record.model_dump(exclude={"kind"}).items()
    )
    assert (
        DocumentDeletionRequested.of(deletion).model_dump().items()
        >= deletion.model_dump(exclude={"kind", "is_vanished"}).items()
    )


def test_a_cancel_mark_lies_beside_the_record_and_is_none() -> None:
    record = builders.record()
    mark = cancel_key(record.cabinet_id, record.document_id, record.version, record.task_id)
    beside = record_key(record.cabinet_id, record.document_id, record.version)
    assert mark.rpartition("/")[0] == beside.rpartition("/")[0]
    assert record_version(beside) == record.version
    assert record_version(mark) is None


def test_claims_of_two_callers_two_cabinets_or_two_keys_never_meet() -> None:
    claims = {
        claim_key(caller, CabinetId(cabinet), key, n)
        for caller in ("a", "b")
        for cabinet in (1, 2)
        for key in ("x", "1/x")
        for n in (0, 1)
    }
    assert len(claims) == 16


def test_a_mark_is_told_from_a_letter() -> None:
    task = new_task_id()
    mark = DeadLetterMark(partition=3, offset=2**40, resolution=Resolution.REPLAYED, task_id=task)
    assert DeadLetterMark.from_headers(mark.to_headers()) == mark
    assert DeadLetterMark.from_headers([("x-reason", b"poison")]) is None
