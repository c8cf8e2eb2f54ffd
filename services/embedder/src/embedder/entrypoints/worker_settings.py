"""What can be set about a worker's life and its place in the group."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from kartoteka_runtime.env import Fragment

__all__ = ["HttpSettings", "PlannerSettings", "WorkerSettings"]


class HttpSettings(Fragment):
    """Where probes, metrics and query embeddings are served."""

    prefix: ClassVar[str] = "EMBEDDER_HTTP_"

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 in a container."""
    port: int = Field(default=8081, ge=0, le=65535)
    """TCP port; 0 takes a free one, which is logged."""


class PlannerSettings(Fragment):
    """How reindex runs send their documents."""

    prefix: ClassVar[str] = "PLANNER_"

    max_bulk_lag: int = Field(default=2000, ge=1)
    """Unprocessed records of documents.bulk beyond which a run waits with its next page."""


class WorkerSettings(Fragment):
    """How a worker takes part in its group, how much it takes on, and when it gives up."""

    prefix: ClassVar[str] = "WORKER_"

    group: str = Field(default="kartoteka-embedder", min_length=1)
    """Kafka consumer group. Workers of one group share the work."""
    session_timeout_seconds: float = Field(default=15, ge=1, le=300)
    """Seconds without a heartbeat after which a worker counts as dead and its work moves."""
    heartbeat_seconds: float = Field(default=3, gt=0, le=60)
    """Seconds between heartbeats; at most a third of the session timeout."""
    rebalance_timeout_seconds: float = Field(default=60, ge=1, le=600)
    """Seconds that the group waits for a member to join again."""
    commit_interval_seconds: float = Field(default=0.5, gt=0, le=60)
    """Seconds between offset commits. A crash redoes what ended since the last."""
    max_poll_records: int = Field(default=16, ge=1, le=500)
    """Records fetched at once, per partition."""
    max_running: int = Field(default=64, ge=1, le=1024)
    """Documents in flight in this process."""
    reserved_interactive: int = Field(default=16, ge=0)
    """Of those, kept for interactive work; must be below WORKER_MAX_RUNNING."""
    admit_interactive: int = Field(default=256, ge=1)
    """Interactive records in memory; beyond it the topic is paused."""
    admit_bulk: int = Field(default=128, ge=1)
    """Bulk records in memory; beyond it the topic is paused."""
    admit_retry: int = Field(default=128, ge=1)
    """Due retries in memory; beyond it the topic is paused."""
    admit_reindex: int = Field(default=16, ge=1)
    """Due steps of reindex runs in memory; beyond it the topic is paused."""
    max_planning: int = Field(default=2, ge=1, le=64)
    """Steps of reindex runs at once in this process, beside the documents in flight."""
    max_held_retries: int = Field(default=10_000, ge=1)
    """Retries in memory that wait for their time, and as many steps of reindex runs; beyond it
    the topic is paused."""
    max_unacknowledged: int = Field(default=20_000, ge=1)
    """Records of a topic that may end before an older one of their partition does."""
    max_unacknowledged_bytes: int = Field(default=64 * 1024**2, ge=1)
    """Bytes that those records may have, for each topic; beyond it the topic is paused."""
    scratch_bytes: int = Field(default=4 * 1024**3, ge=2)
    """Bytes of fetched bodies on the disk for temporary files, half of them for interactive work. A
    body larger than a half is fetched all the same, alone in its half: give the disk as much as
    this, or twice the largest upload if that is more."""
    max_dead_letters_in_a_row: int = Field(default=20, ge=1)
    """Dead letters without a success between, for reasons that may be the worker's own, after which
    it ends itself (exit code 1) instead of writing another one."""
    drain_seconds: float = Field(default=45, ge=0, le=3600)
    """Seconds that a stopping worker gives to running documents. Keep it, plus about 30, below
    the pod's grace period."""
    lag_seconds: float = Field(default=10, gt=0)
    """Event loop lag at which the liveness probe fails."""
    watchdog_seconds: float = Field(default=60, gt=0)
    """Event loop lag at which the process ends itself with exit code 70."""
    zombie_seconds: float = Field(default=180, gt=0)
    """Seconds outside of the group, while the broker answers, at which liveness fails."""
    stall_seconds: float = Field(default=420, gt=0)
    """Seconds without progress, while work waits, at which liveness fails; more than the hard
    limit of a parse."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.heartbeat_seconds * 3 > self.session_timeout_seconds:
            raise ValueError(
                "WORKER_HEARTBEAT_SECONDS must be at most a third of WORKER_SESSION_TIMEOUT_SECONDS"
            )
        if self.reserved_interactive >= self.max_running:
            raise ValueError(
                "WORKER_RESERVED_INTERACTIVE must be below WORKER_MAX_RUNNING, "
                "or bulk work would never start"
            )
        return self
