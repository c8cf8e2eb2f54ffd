"""What callers are told of a reindex run's outcome."""

from ingest_api.domain.task import Task
from ingest_api.entrypoints.http.wording import public_words
from kartoteka_contracts.reindex import RunError, RunResult

__all__ = ["run_result"]


def run_result(task: Task) -> RunResult | None:
    """Return what a run came to, or has come to so far; None where nothing is known of that."""
    found = task.run if task.result is None else task.result.run
    if found is None:
        return None
    return found.model_copy(update={"errors": [_in_public(error) for error in found.errors]})


def _in_public(error: RunError) -> RunError:
    return error.model_copy(update={"message": public_words(error.code, error.message)})
