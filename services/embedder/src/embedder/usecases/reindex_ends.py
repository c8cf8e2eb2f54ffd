"""What runs come to: at their begin, at their end, and where they end with work left."""

from embedder.domain.outcome import RunEnded, RunFailed
from embedder.domain.reindex_plan import Plan
from kartoteka_contracts.reindex import RunResult
from kartoteka_index.run_state import RunState

__all__ = ["ending", "left", "planned"]


def planned(plan: Plan) -> RunResult:
    """Return what a run has come to before its first page."""
    impossible = plan.total - plan.entries
    return RunResult(
        total=plan.total, counts=plan.counts, errors=list(plan.errors), failed=impossible
    )


def left(result: RunResult) -> RunResult:
    """Return the result of a run that ends with documents left: they are out of its hands."""
    missing = result.total - result.success - result.failed
    return result.model_copy(update={"overtaken": max(0, missing)})


def ending(state: RunState) -> RunEnded | RunFailed:
    """Return what a run that has ended has come to."""
    if state.fault is None:
        return RunEnded(result=state.result)
    fault = state.fault
    return RunFailed(code=fault.code, message=fault.message, result=state.result)
