"""Which calls the stack has: a release before them is tried without them."""

from dataclasses import dataclass, replace

from tests.ledger.ledger import Operation
from tests.ledger.plant import Plant
from tests.ledger.workload import WorkloadPlan

__all__ = ["Features", "find_features"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What there is."""

    delete: bool
    cancel: bool
    keys: bool
    reconcile: bool
    reindex: bool

    @property
    def missing(self) -> list[str]:
        """What is left out."""
        names = ("delete", "cancel", "keys", "reconcile", "reindex")
        return [name for name in names if not getattr(self, name)]

    def fit(self, plan: WorkloadPlan) -> WorkloadPlan:
        """Return a workload without what is missing."""
        absent = set[Operation]()
        if not self.delete:
            absent.add(Operation.DELETE)
        if not self.cancel:
            absent.add(Operation.CANCEL)
        weights = {kind: weight for kind, weight in plan.weights.items() if kind not in absent}
        return replace(plan, weights=weights, has_keys=plan.has_keys and self.keys)


async def find_features(plant: Plant) -> Features:
    """Ask the API for its description, and the embedder for its commands."""
    answer = await plant.stack.client.http.get("/openapi.json")
    paths = answer.raise_for_status().json()["paths"]
    upload = str(paths["/rag/add-document"]["post"])
    commands = await plant.stack.run(["embedder", "--help"])
    return Features(
        delete="delete" in paths.get("/rag/documents/{document_id}", {}),
        cancel="delete" in paths.get("/rag/task/{task_id}", {}),
        keys="idempotency" in upload.lower(),
        reconcile="reconcile" in commands,
        reindex="post" in paths.get("/rag/index/{cabinet_id}", {}),
    )
