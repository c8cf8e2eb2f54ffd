"""Reindexing and reconciliation: whether every cabinet is kept true to its sources."""

from typing import Final

from dashboards.page import Page, Row
from dashboards.panel import Graph, Query, Stat, Unit
from dashboards.promql import each, rate

__all__ = ["PAGE"]

_RUNS: Final = Row(
    title="Reindex runs",
    panels=[
        Stat(
            title="Scheduler behind by",
            description="Time since the newest slot up to which all runs are asked for. The "
            "scheduler ticks every 5 minutes.",
            unit=Unit.SECONDS,
            queries=[
                Query(
                    f"time() - max({each('scheduler_watermark_timestamp_seconds')} > 0)", "behind"
                )
            ],
            warn=600,
            bad=900,
            width=8,
        ),
        Stat(
            title="Open runs",
            description="Runs that were asked for and have not ended.",
            unit=Unit.COUNT,
            queries=[Query(f"max({each('reindex_runs_open')})", "runs")],
            width=8,
        ),
        Stat(
            title="Oldest run",
            description="Age of the oldest open run.",
            unit=Unit.SECONDS,
            queries=[Query(f"max({each('reindex_oldest_run_age_seconds')})", "age")],
            warn=21600,
            bad=86400,
            width=8,
        ),
        Graph(
            title="Runs ended",
            description="Runs that ended, per second, by status. `unchanged` runs cost nothing.",
            unit=Unit.PER_SECOND,
            queries=[Query(f"max by (status) ({rate('reindex_runs_ended')})", "{{status}}")],
            is_stacked=True,
        ),
        Graph(
            title="Documents planned",
            description="Documents that runs sent to be indexed, per second, by why.",
            unit=Unit.PER_SECOND,
            queries=[Query(f"sum by (why) ({rate('reindex_planned_documents')})", "{{why}}")],
            is_stacked=True,
        ),
        Graph(
            title="Read of sources",
            description="Bytes read of the objects of sources, per second.",
            unit=Unit.BYTES_PER_SECOND,
            queries=[Query(f"sum({rate('source_read_bytes')})", "read")],
        ),
        Graph(
            title="Bulk backlog",
            description="Work of runs and replays that waits.",
            unit=Unit.COUNT,
            queries=[
                Query(f"max by (class) ({each('backlog_documents', class_='bulk')})", "{{class}}")
            ],
        ),
        Graph(
            title="Oldest of bulk",
            description="Age of the oldest work of runs and replays that waits.",
            unit=Unit.SECONDS,
            queries=[
                Query(
                    f"max by (class) ({each('backlog_oldest_age_seconds', class_='bulk')})",
                    "{{class}}",
                )
            ],
            warn=21600,
        ),
        Graph(
            title="Steps of runs under way",
            description="Steps of runs that workers carry out now.",
            unit=Unit.COUNT,
            queries=[Query(f"sum({each('running', work='reindex')})", "steps")],
        ),
    ],
)

_RECONCILE: Final = Row(
    title="Reconciliation",
    panels=[
        Stat(
            title="Last one ended",
            description="Time since the last reconciliation ended. It runs every hour.",
            unit=Unit.SECONDS,
            queries=[
                Query(f"time() - max({each('reconcile_ended_timestamp_seconds')} > 0)", "ago")
            ],
            warn=5400,
            bad=10800,
            width=8,
        ),
        Stat(
            title="Came to its end",
            description="Whether the last reconciliation did all that it had to.",
            unit=Unit.UP,
            queries=[Query(f"min({each('reconcile_ok')})", "ok")],
            warn=1,
            bad=0.5,
            width=8,
            texts={"0": "failed", "1": "ok"},
        ),
        Stat(
            title="It took",
            description="How long the last reconciliation took.",
            unit=Unit.SECONDS,
            queries=[Query(f"max({each('reconcile_seconds')})", "duration")],
            warn=1800,
            bad=3300,
            width=8,
        ),
        Graph(
            title="Mended",
            description="Differences that the last reconciliation mended, by kind. More than a "
            "few again and again means that something loses work.",
            unit=Unit.COUNT,
            queries=[Query(f"max by (kind) ({each('reconcile_mended')})", "{{kind}}")],
        ),
        Graph(
            title="Left alone",
            description="Differences that the last reconciliation left for a later one, by kind.",
            unit=Unit.COUNT,
            queries=[Query(f"max by (kind) ({each('reconcile_left')})", "{{kind}}")],
        ),
        Graph(
            title="Looked at",
            description="What the last reconciliation looked at, by kind.",
            unit=Unit.COUNT,
            queries=[Query(f"max by (kind) ({each('reconcile_seen')})", "{{kind}}")],
        ),
    ],
)

PAGE: Final = Page(
    uid="kartoteka-cabinets",
    title="Cabinets and reindex",
    description="Whether every cabinet is kept true to its sources, and the stores to each other.",
    rows=[_RUNS, _RECONCILE],
)
