"""Tickets read whatever a job topic may hold."""

import pytest

from embedder.domain.admission import Work
from embedder.domain.delivery import Delivery
from embedder.domain.job import Origin, RawRecord
from embedder.entrypoints.ticket import Ticket
from kartoteka_contracts.errors import MalformedEventError
from kartoteka_contracts.events import IndexResult
from kartoteka_contracts.tasks import TaskKind, TaskStatus
from kartoteka_contracts.wire import Event
from kartoteka_testkit import builders
from kartoteka_testkit.run_events import reindex_requested, run_continued

UPLOAD = builders.submitted(external_id="a.pdf", version=5)


def _ticket(event: Event, topic: str = "documents.bulk") -> Ticket:
    async def acknowledge() -> None:
        raise AssertionError

    record = RawRecord(
        origin=Origin(topic=topic, partition=0, offset=0),
        key=event.key.encode(),
        value=event.model_dump_json().encode(),
    )
    return Ticket.of(Delivery(record=record, generation=1, acknowledge=acknowledge))


@pytest.mark.parametrize(
    ("event", "kind", "filename"),
    [
        (UPLOAD, TaskKind.INDEX, "a.pdf"),
        (builders.cancellation(UPLOAD), TaskKind.INDEX, "a.pdf"),
        (builders.deletion(external_id="a.pdf"), TaskKind.DELETE, None),
        (builders.cabinet_deletion(), TaskKind.DELETE, None),
    ],
    ids=lambda value: getattr(value, "type", None),
)
def test_all_four_kinds_of_document_work_are_read(
    event: Event, kind: TaskKind, filename: str | None
) -> None:
    job = _ticket(event).job
    assert job.event == event
    assert (job.kind, job.filename) == (kind, filename)


def test_work_on_a_whole_cabinet_has_a_key_of_its_own_and_names_no_document() -> None:
    ticket = _ticket(builders.cabinet_deletion(cabinet=7))
    assert ticket.job.event.key == "7/*"
    assert (ticket.job.document_id, ticket.context["document_id"]) == (None, "")


@pytest.mark.parametrize("event", [reindex_requested(cabinet=7), run_continued(cabinet=7)])
def test_a_step_of_a_run_is_work_on_a_cabinet_and_has_no_version(event: Event) -> None:
    ticket = _ticket(event, "cabinets.reindex")
    job = ticket.job
    assert (ticket.work, job.kind, job.event.key) == (Work.REINDEX, TaskKind.REINDEX, "7")
    assert (job.document_id, job.external_id, job.filename, job.version) == (None,) * 4
    assert job.order == (0, 0)
    assert ticket.context["version"] == 0


def test_an_event_of_another_topic_is_no_work() -> None:
    status = builders.status_changed(UPLOAD, TaskStatus.SUCCEEDED, result=IndexResult())
    ticket = _ticket(status)
    assert isinstance(ticket.read, MalformedEventError)
    with pytest.raises(TypeError):
        _ = ticket.job
