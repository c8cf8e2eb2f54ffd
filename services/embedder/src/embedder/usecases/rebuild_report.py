"""What a rebuild found, sent and came to."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any, Final

from kartoteka_contracts.ids import CabinetId, DocumentId, Version
from kartoteka_index.manifest import Manifest, Outcome

__all__ = ["Failure", "RebuildReport", "Sent"]

_MOST_NAMED: Final = 100


@unique
class Sent(StrEnum):
    """Events of a rebuild."""

    SETTINGS = "cabinet_configured"
    SEEN = "cabinet_seen"
    CABINET_DELETION = "cabinet_deletion_requested"
    SUBMITTED = "document_submitted"
    DELETION = "document_deletion_requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A document that has failed, or about which nothing was decided."""

    cabinet_id: CabinetId
    document_id: DocumentId
    version: Version
    code: str
    """An error code of the contracts; ``undecided`` where its events led to no decision."""

    def as_json(self) -> dict[str, Any]:
        """Return it as the summary shows it."""
        return {
            "cabinet_id": self.cabinet_id,
            "document_id": self.document_id,
            "version": self.version,
            "code": self.code,
        }


@dataclass(slots=True, kw_only=True)
class RebuildReport:
    """Figures of one run, which grow as it goes on."""

    is_dry: bool = False
    seconds: float = 0.0
    survey_seconds: float | None = None
    """How long counting took; None while it goes on."""
    cabinets: int = 0
    documents: int = 0
    """Documents that have records, all in all."""
    todo: int = 0
    """Those of them about which something was undecided when they were counted."""
    done: int = 0
    """Those of them that were brought to a decision, by this rebuild or beside it."""
    waiting: int = 0
    """Works that are sent and not decided now."""
    sent: Counter[Sent] = field(default_factory=Counter)
    again: int = 0
    """Of the events sent those that were lost, so that they were sent once more."""
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    """What was decided last about the documents that are done."""
    unreadable: int = 0
    """Records and settings that are damaged, or of another release."""
    given_up: int = 0
    """Works that were sent as often as is sensible, and not decided."""
    failures: list[Failure] = field(default_factory=list)
    """The first hundred."""

    @property
    def rate(self) -> float | None:
        """Documents a second; None before there is one."""
        sending = 0.0 if self.survey_seconds is None else self.seconds - self.survey_seconds
        return None if self.done == 0 or sending <= 0 else self.done / sending

    @property
    def eta_seconds(self) -> float | None:
        """Estimated seconds until the end; None before there is an estimate."""
        rate = self.rate
        return None if rate is None else max(0, self.todo - self.done) / rate

    @property
    def is_complete(self) -> bool:
        """Whether everything that can be read is decided."""
        return self.given_up == 0

    def finished(self, manifest: Manifest) -> None:
        """Count a document of which nothing is left to send."""
        self.done += 1
        if manifest.outcome is not None:
            self.outcomes[manifest.outcome] += 1
        if manifest.error is not None and manifest.outcome is Outcome.FAILED:
            self._name(
                manifest.cabinet_id, manifest.document_id, manifest.fence, manifest.error.code
            )

    def gave_up(self, cabinet: CabinetId, document: DocumentId, version: Version) -> None:
        """Count a work about which nothing is decided, however often it is sent."""
        self.given_up += 1
        self._name(cabinet, document, version, "undecided")

    def _name(self, cabinet: CabinetId, document: DocumentId, version: Version, code: str) -> None:
        if len(self.failures) < _MOST_NAMED:
            self.failures.append(
                Failure(cabinet_id=cabinet, document_id=document, version=version, code=code)
            )

    def as_json(self) -> dict[str, Any]:
        """Return the summary; every kind is there, also where there was nothing of it."""
        return {
            "dry_run": self.is_dry,
            "seconds": round(self.seconds, 3),
            "cabinets": self.cabinets,
            "documents": self.documents,
            "todo": self.todo,
            "done": self.done,
            "sent": {str(kind): self.sent[kind] for kind in Sent},
            "sent_again": self.again,
            "outcomes": {str(kind): self.outcomes[kind] for kind in Outcome},
            "unreadable": self.unreadable,
            "undecided": self.given_up,
            "failures": [failure.as_json() for failure in self.failures],
        }
