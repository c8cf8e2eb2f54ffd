"""Is everything well? Backlog, freshness, failures and dependencies on one page."""

from typing import Final

from dashboards.api import SEARCH
from dashboards.page import Page, Row
from dashboards.panel import Graph, Query, Stat, Unit
from dashboards.promql import each, events, quantile, rate, ratio

__all__ = ["PAGE"]

_UP: Final = {"0": "away", "1": "up"}

_NOW: Final = Row(
    title="Now",
    panels=[
        Stat(
            title="Documents waiting",
            description="Accepted documents without an end, of all classes. Large is no trouble "
            "by itself: see their age.",
            unit=Unit.COUNT,
            queries=[Query(f"sum(max by (class) ({each('backlog_documents')}))", "documents")],
        ),
        Stat(
            title="Oldest interactive",
            description="Age of the oldest upload without an end.",
            unit=Unit.SECONDS,
            queries=[
                Query(f"max({each('backlog_oldest_age_seconds', class_='interactive')})", "oldest")
            ],
            warn=300,
            bad=900,
        ),
        Stat(
            title="Fresh within 2 minutes",
            description="Share of the uploads of the last hour that a search found within two "
            "minutes of their 202. The objective is 99 %.",
            unit=Unit.SHARE,
            queries=[
                Query(
                    ratio(
                        "sum(increase("
                        + each("searchable_seconds_bucket", work="interactive", le="120.0")
                        + "[1h]))",
                        "sum(increase("
                        + each("searchable_seconds_count", work="interactive")
                        + "[1h]))",
                    ),
                    "fresh",
                )
            ],
            warn=0.995,
            bad=0.99,
        ),
        Stat(
            title="Open dead letters",
            description="Work that failed for good and was neither replayed nor discarded.",
            unit=Unit.COUNT,
            queries=[Query(f"max({each('dead_letters_open')})", "letters")],
            warn=1,
            bad=100,
        ),
        Stat(
            title="Workers",
            description="Embedders that are scraped.",
            unit=Unit.COUNT,
            queries=[Query(f"count({each('inference_queue_rows')})", "embedders")],
            warn=2,
            bad=1,
        ),
        Stat(
            title="Scheduler behind by",
            description="Time since the newest slot up to which all runs are asked for.",
            unit=Unit.SECONDS,
            queries=[
                Query(
                    f"time() - max({each('scheduler_watermark_timestamp_seconds')} > 0)", "behind"
                )
            ],
            warn=600,
            bad=900,
        ),
    ],
)

_DEPENDENCIES: Final = Row(
    title="Dependencies",
    panels=[
        Stat(
            title="Reached by the API",
            description="What at least one replica of the API reaches.",
            unit=Unit.UP,
            queries=[Query(f"max by (dependency) ({each('dependency_up')})", "{{dependency}}")],
            warn=1,
            bad=0.5,
            width=12,
            texts=_UP,
        ),
        Stat(
            title="Missed by workers",
            description="How many workers wait for a dependency to come back.",
            unit=Unit.COUNT,
            queries=[Query(f"sum by (dependency) ({each('outage')})", "{{dependency}}")],
            bad=1,
            width=12,
        ),
    ],
)

_FLOW: Final = Row(
    title="Flow",
    panels=[
        Graph(
            title="Accepted and ended",
            description="Documents answered with 202, and tasks that ended, per second. Where "
            "the first stays above the second, the backlog grows.",
            unit=Unit.PER_SECOND,
            queries=[
                Query(f"sum({rate('documents_accepted')})", "accepted"),
                Query(
                    f"sum(max by (kind, status) ({rate('tasks_ended', kind='!reindex')}))",
                    "ended",
                ),
            ],
        ),
        Graph(
            title="Backlog",
            description="Accepted work without an end, by class.",
            unit=Unit.COUNT,
            queries=[Query(f"max by (class) ({each('backlog_documents')})", "{{class}}")],
            is_stacked=True,
        ),
        Graph(
            title="Age of the oldest",
            description="Age of the oldest work without an end, by class.",
            unit=Unit.SECONDS,
            queries=[Query(f"max by (class) ({each('backlog_oldest_age_seconds')})", "{{class}}")],
            warn=900,
        ),
        Graph(
            title="From 202 to searchable",
            description="Seconds from the answer to the upload until searches find the document.",
            unit=Unit.SECONDS,
            queries=[
                Query(quantile(share, "searchable_seconds", "work"), f"p{share:.0%} {{{{work}}}}")
                for share in (0.5, 0.95)
            ],
            warn=120,
        ),
        Graph(
            title="Ends by status",
            description="Tasks that ended, per second, by how.",
            unit=Unit.PER_SECOND,
            queries=[
                Query(
                    f"sum by (status) (max by (kind, status) ({rate('tasks_ended')}))",
                    "{{status}}",
                )
            ],
            is_stacked=True,
        ),
        Graph(
            title="Dead letters and retries",
            description="Work given up, and tries postponed, per second.",
            unit=Unit.PER_SECOND,
            queries=[
                Query(f"sum by (reason) ({rate('dead_letters')})", "dead: {{reason}}"),
                Query(f"sum by (reason) ({rate('retries')})", "retried: {{reason}}"),
            ],
        ),
    ],
)

_CALLERS: Final = Row(
    title="Callers",
    panels=[
        Graph(
            title="Requests",
            description="Requests answered per second, by class of status.",
            unit=Unit.REQUESTS_PER_SECOND,
            queries=[
                Query(f"sum({rate('http_requests', status=f'~{n}..')})", f"{n}xx")
                for n in (2, 4, 5)
            ],
        ),
        SEARCH,
        Stat(
            title="Failed in this range",
            description="Dead letters written within the shown range, by reason.",
            unit=Unit.COUNT,
            queries=[Query(f"sum by (reason) ({events('dead_letters')})", "{{reason}}")],
            warn=1,
            width=8,
        ),
    ],
)

PAGE: Final = Page(
    uid="kartoteka-overview",
    title="Overview",
    description="Whether everything is well, and if not, where to look next.",
    rows=[_NOW, _DEPENDENCIES, _FLOW, _CALLERS],
)
