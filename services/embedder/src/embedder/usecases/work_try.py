from dataclasses import dataclass
from typing import Self

from embedder.domain.admission import Work, work_of
from embedder.domain.job import Job, Lease
from embedder.domain.window import Place
from embedder.ports import StageReport
from embedder.usecases.stopwatch import Stopwatch
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.ids import DocumentId, Epoch, Version
from kartoteka_index.manifest import Manifest, Starts

__all__ = ["WorkTry"]


@dataclass(slots=True, kw_only=True)
class WorkTry:
    """One try at indexing a version: what every step needs of it."""

    event: DocumentSubmitted
    queue: Work
    cabinet: AuthorisedCabinet
    lease: Lease
    report: StageReport
    watch: Stopwatch
    seen: Manifest | None = None
    """The manifest as the try has read it."""
    starts: Starts | None = None
    """What is counted with this try in it; None while it is not."""
    is_open: bool = False
    """Whether the document is known to have a manifest."""

    @classmethod
    def of(cls, job: Job, lease: Lease, report: StageReport, watch: Stopwatch) -> Self:
        """Return the try at a job.

        Raises:
            TypeError: the job is no document to index.
        """
        origin = job.record.origin
        return cls(
            event=job.submission,
            queue=work_of(Place(origin.topic, origin.partition)),
            cabinet=job.cabinet,
            lease=lease,
            report=report,
            watch=watch,
        )

    @property
    def order(self) -> tuple[Version, Epoch]:
        """(version, epoch): the higher work wins."""
        return (self.event.version, self.event.epoch)

    @property
    def chunks(self) -> tuple[AuthorisedCabinet, DocumentId, Version, Epoch]:
        """What names the chunks of this work."""
        return (self.cabinet, self.event.document_id, *self.order)
