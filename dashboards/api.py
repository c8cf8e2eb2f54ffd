"""The HTTP service: requests, errors, durations; uploads; the view of tasks."""

from typing import Final

from dashboards.page import Page, Row
from dashboards.panel import Graph, Query, Unit
from dashboards.promql import each, quantile, rate, ratio

__all__ = ["PAGE", "SEARCH"]

SEARCH: Final = Graph(
    title="Search",
    description="Seconds that searches take.",
    unit=Unit.SECONDS,
    queries=[
        Query(
            quantile(share, "http_request_seconds", route="/rag/search"),
            f"p{share:.0%}",
        )
        for share in (0.5, 0.95, 0.99)
    ],
    warn=1,
)
"""How long searches take: on this page and on the overview."""

_REQUESTS: Final = Row(
    title="Requests, errors, durations",
    panels=[
        Graph(
            title="Requests by route",
            description="Requests answered per second.",
            unit=Unit.REQUESTS_PER_SECOND,
            queries=[
                Query(f"sum by (method, route) ({rate('http_requests')})", "{{method}} {{route}}")
            ],
        ),
        Graph(
            title="Refused and failed",
            description="Answers of 400 and above, per second, by status.",
            unit=Unit.REQUESTS_PER_SECOND,
            queries=[
                Query(f"sum by (status) ({rate('http_requests', status='~[45]..')})", "{{status}}")
            ],
            is_stacked=True,
        ),
        Graph(
            title="Share of 5xx",
            description="Share of answers that are the service's fault.",
            unit=Unit.SHARE,
            queries=[
                Query(
                    ratio(
                        f"sum({rate('http_requests', status='~5..')}) or vector(0)",
                        f"sum({rate('http_requests')})",
                    ),
                    "5xx",
                )
            ],
            warn=0.01,
            bad=0.05,
        ),
        Graph(
            title="95 % by route",
            description="Seconds from a request's headers to the end of its answer. Event streams "
            "last as long as they are listened to.",
            unit=Unit.SECONDS,
            queries=[Query(quantile(0.95, "http_request_seconds", "route"), "{{route}}")],
        ),
        SEARCH,
        Graph(
            title="In flight",
            description="Requests and uploads under way, by replica.",
            unit=Unit.COUNT,
            queries=[
                Query(f"sum by (pod) ({each('http_in_flight')})", "{{pod}} requests"),
                Query(f"sum by (pod) ({each('uploads_in_flight')})", "{{pod}} uploads"),
            ],
        ),
    ],
)

_UPLOADS: Final = Row(
    title="Uploads",
    panels=[
        Graph(
            title="Accepted and refused",
            description="Documents answered with 202, and those refused, by error code.",
            unit=Unit.PER_SECOND,
            queries=[
                Query(f"sum({rate('documents_accepted')})", "accepted"),
                Query(f"sum by (code) ({rate('documents_refused')})", "{{code}}"),
            ],
        ),
        Graph(
            title="Sizes",
            description="Sizes of accepted bodies.",
            unit=Unit.BYTES,
            queries=[
                Query(quantile(share, "upload_bytes"), f"p{share:.0%}") for share in (0.5, 0.95)
            ],
        ),
        Graph(
            title="Kafka's acknowledgement",
            description="Seconds until a record was acknowledged; 5 s at most, then the answer "
            "is 503.",
            unit=Unit.SECONDS,
            queries=[
                Query(quantile(share, "producer_ack_seconds"), f"p{share:.0%}")
                for share in (0.5, 0.99)
            ],
            warn=1,
            bad=5,
        ),
    ],
)

_VIEW: Final = Row(
    title="View of tasks",
    panels=[
        Graph(
            title="Behind, in time",
            description="Seconds since a replica's view had all that Kafka has.",
            unit=Unit.SECONDS,
            queries=[Query(f"max by (pod) ({each('view_stale_seconds')})", "{{pod}}")],
            warn=30,
            bad=60,
        ),
        Graph(
            title="Behind, in records",
            description="Records on the log that a replica's view has not applied yet.",
            unit=Unit.COUNT,
            queries=[Query(f"max by (pod) ({each('view_lag_records')})", "{{pod}}")],
        ),
        Graph(
            title="Records applied",
            description="Records that the views took in, per second, by topic.",
            unit=Unit.PER_SECOND,
            queries=[Query(f"sum by (topic) ({rate('view_applied_records')})", "{{topic}}")],
            is_stacked=True,
        ),
        Graph(
            title="Lookups of unknown ids",
            description="Lookups of ids that were not in the view, per second, by how they ended: "
            "found once it caught up, absent (404), behind (503).",
            unit=Unit.PER_SECOND,
            queries=[Query(f"sum by (outcome) ({rate('view_misses')})", "{{outcome}}")],
        ),
        Graph(
            title="Left out, mended, begun anew",
            description="Records that changed nothing or could not be read, states written again, "
            "and views begun from nothing, per second.",
            unit=Unit.PER_SECOND,
            queries=[
                Query(f"sum({rate('view_dropped_records')})", "changed nothing"),
                Query(f"sum({rate('view_unreadable_records')})", "unreadable"),
                Query(f"sum({rate('view_repairs')})", "written again"),
                Query(f"sum by (reason) ({rate('view_rebuilds')})", "begun anew: {{reason}}"),
            ],
        ),
        Graph(
            title="Event loop lag",
            description="How late the event loop is, by replica.",
            unit=Unit.SECONDS,
            queries=[Query(f"max by (pod) ({each('event_loop_lag_seconds')})", "{{pod}}")],
            warn=0.5,
            bad=5,
        ),
    ],
)

PAGE: Final = Page(
    uid="kartoteka-api",
    title="API",
    description="Requests, errors and durations of the HTTP service; uploads; the view of tasks.",
    rows=[_REQUESTS, _UPLOADS, _VIEW],
)
