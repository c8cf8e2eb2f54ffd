"""What a reindex run would do, and what may be asked of one."""

from dataclasses import dataclass

from kartoteka_contracts.ids import CabinetId, DocumentId
from kartoteka_contracts.reindex import ReindexMode, RunCounts

__all__ = ["PlanFault", "RunPlan", "RunWish"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFault:
    """Why a run would fail."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What a run would do now; nothing of it is done."""

    cabinet_id: CabinetId
    mode: ReindexMode
    total: int
    """Documents that it has work for."""
    counts: RunCounts
    chunks: int | None
    """How many it would embed, estimated; None where nothing tells."""
    estimated_seconds: float | None
    would_fail: PlanFault | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWish:
    """What a caller wants a run to do."""

    mode: ReindexMode = ReindexMode.CHANGED
    document_ids: tuple[DocumentId, ...] | None = None
    """Only these; None for all."""
    is_vanishing_confirmed: bool = False
    """Whether it may remove suspiciously many documents."""
