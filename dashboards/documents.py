"""What becomes of documents, and in which stage their time goes."""

from typing import Final

from dashboards.page import Page, Row
from dashboards.panel import Graph, Query, Unit
from dashboards.promql import each, quantile, rate, ratio

__all__ = ["PAGE"]

_STAGE: Final = "stage_seconds"

_FRESHNESS: Final = Row(
    title="Freshness",
    panels=[
        Graph(
            title="From 202 to searchable, interactive",
            description="Seconds from the answer to the upload until searches find it.",
            unit=Unit.SECONDS,
            queries=[
                Query(quantile(share, "searchable_seconds", work="interactive"), f"p{share:.0%}")
                for share in (0.5, 0.95, 0.99)
            ],
            warn=120,
        ),
        Graph(
            title="Published",
            description="Documents that became searchable, per second.",
            unit=Unit.PER_SECOND,
            queries=[
                Query(
                    "sum by (work) (rate("
                    + each("searchable_seconds_count")
                    + "[$__rate_interval]))",
                    "{{work}}",
                )
            ],
            is_stacked=True,
        ),
        Graph(
            title="Work on a document",
            description="Seconds from the start to the end of one try, waiting in queues of the "
            "worker included, by class of work.",
            unit=Unit.SECONDS,
            queries=[
                Query(quantile(share, "document_seconds", "work"), f"p{share:.0%} {{{{work}}}}")
                for share in (0.5, 0.95)
            ],
        ),
    ],
)

_STAGES: Final = Row(
    title="Stages",
    panels=[
        Graph(
            title="Median by stage",
            description="Seconds that half of the documents stay below in each stage.",
            unit=Unit.SECONDS,
            queries=[Query(quantile(0.5, _STAGE, "stage"), "{{stage}}")],
        ),
        Graph(
            title="95 % by stage",
            description="Seconds that 95 % of the documents stay below in each stage.",
            unit=Unit.SECONDS,
            queries=[Query(quantile(0.95, _STAGE, "stage"), "{{stage}}")],
        ),
        Graph(
            title="Where the time goes",
            description="Seconds of documents in each stage, per second: how many documents are "
            "in it on average.",
            unit=Unit.COUNT,
            queries=[
                Query(
                    f"sum by (stage) (rate({each(f'{_STAGE}_sum')}[$__rate_interval]))", "{{stage}}"
                )
            ],
            is_stacked=True,
        ),
    ],
)

_OUTCOMES: Final = Row(
    title="Outcomes",
    panels=[
        Graph(
            title="Ends of tasks",
            description="Tasks that ended, per second, by kind and status.",
            unit=Unit.PER_SECOND,
            queries=[
                Query(
                    f"max by (kind, status) ({rate('tasks_ended')})",
                    "{{kind}} {{status}}",
                )
            ],
            is_stacked=True,
        ),
        Graph(
            title="Tries by outcome",
            description="Tries of workers per second. A task may take several.",
            unit=Unit.PER_SECOND,
            queries=[Query(f"sum by (work, outcome) ({rate('attempts')})", "{{work}} {{outcome}}")],
        ),
        Graph(
            title="Share that fails",
            description="Share of ended document tasks that failed for good.",
            unit=Unit.SHARE,
            queries=[
                Query(
                    ratio(
                        "sum(max by (kind, status) ("
                        + rate("tasks_ended", kind="!reindex", status="failed")
                        + "))",
                        "sum(max by (kind, status) (" + rate("tasks_ended", kind="!reindex") + "))",
                    ),
                    "failed",
                )
            ],
            warn=0.05,
            bad=0.25,
        ),
        Graph(
            title="Dead letters by reason",
            description="Work given up for good, per second. The reasons are codes of "
            "docs/errors.md.",
            unit=Unit.PER_SECOND,
            queries=[Query(f"sum by (reason) ({rate('dead_letters')})", "{{reason}}")],
            is_stacked=True,
        ),
        Graph(
            title="Retries by reason",
            description="Tries handed to the retry topic, per second.",
            unit=Unit.PER_SECOND,
            queries=[Query(f"sum by (reason) ({rate('retries')})", "{{reason}}")],
            is_stacked=True,
        ),
        Graph(
            title="Open dead letters",
            description="Dead letters that were neither replayed nor discarded.",
            unit=Unit.COUNT,
            queries=[Query(f"max({each('dead_letters_open')})", "open")],
            warn=1,
            bad=100,
        ),
    ],
)

PAGE: Final = Page(
    uid="kartoteka-documents",
    title="Documents and stages",
    description="How long documents take, where, and how they end.",
    rows=[_FRESHNESS, _STAGES, _OUTCOMES],
)
