"""Kafka, Qdrant, object storage and their disks, as our services see them."""

from typing import Final

from dashboards.page import Page, Row
from dashboards.panel import Graph, Query, Unit
from dashboards.promql import decreasing, each, quantile, rate

__all__ = ["PAGE"]

_VOLUMES: Final = 'namespace=~"$namespace", persistentvolumeclaim=~".+"'

_KAFKA: Final = Row(
    title="Kafka",
    panels=[
        Graph(
            title="Lag by topic",
            description="Records between the committed and the end offsets.",
            unit=Unit.COUNT,
            queries=[
                Query(
                    f"max by (group, topic) ({each('consumer_lag_records')})",
                    "{{group}} {{topic}}",
                )
            ],
        ),
        Graph(
            title="Lag worked off",
            description="Records per second by which the lag falls; 0 where it grows.",
            unit=Unit.PER_SECOND,
            queries=[
                Query(
                    f"max by (group, topic) ({decreasing('consumer_lag_records')})",
                    "{{group}} {{topic}}",
                )
            ],
        ),
        Graph(
            title="Records sent",
            description="Records sent to Kafka, per second, by outcome.",
            unit=Unit.PER_SECOND,
            queries=[Query(f"sum by (outcome) ({rate('producer_sends')})", "{{outcome}}")],
            is_stacked=True,
        ),
        Graph(
            title="Acknowledgements",
            description="Seconds until a record was acknowledged by all replicas in sync.",
            unit=Unit.SECONDS,
            queries=[
                Query(
                    quantile(share, "producer_ack_seconds", by="job"), f"p{share:.0%} {{{{job}}}}"
                )
                for share in (0.5, 0.99)
            ],
            warn=1,
            bad=5,
        ),
        Graph(
            title="Clients replaced",
            description="Kafka clients that were made anew since nothing was acknowledged, per "
            "second.",
            unit=Unit.PER_SECOND,
            queries=[Query(f"sum by (job) ({rate('producer_rebuilds')})", "{{job}}")],
        ),
        Graph(
            title="Kafka reached",
            description="Whether replicas of the API reach the brokers, by replica.",
            unit=Unit.UP,
            queries=[
                Query(f"max by (pod) ({each('dependency_up', dependency='kafka')})", "{{pod}}")
            ],
        ),
    ],
)

_QDRANT: Final = Row(
    title="Qdrant and object storage",
    panels=[
        Graph(
            title="Writing stage",
            description="Seconds of the stage in which a document's points are written to Qdrant "
            "and published.",
            unit=Unit.SECONDS,
            queries=[
                Query(quantile(share, "stage_seconds", stage="writing"), f"p{share:.0%}")
                for share in (0.5, 0.95)
            ],
        ),
        Graph(
            title="Fetching stage",
            description="Seconds of the stage in which a body is read from object storage.",
            unit=Unit.SECONDS,
            queries=[
                Query(quantile(share, "stage_seconds", stage="fetching"), f"p{share:.0%}")
                for share in (0.5, 0.95)
            ],
        ),
        Graph(
            title="Reached by the API",
            description="Whether at least one replica of the API reaches it.",
            unit=Unit.UP,
            queries=[Query(f"max by (dependency) ({each('dependency_up')})", "{{dependency}}")],
        ),
        Graph(
            title="Missed by workers",
            description="How many workers wait for a dependency to come back.",
            unit=Unit.COUNT,
            queries=[Query(f"sum by (dependency) ({each('outage')})", "{{dependency}}")],
            bad=1,
        ),
    ],
)

_DISKS: Final = Row(
    title="Disks",
    panels=[
        Graph(
            title="Free",
            description="Share of each volume that is free, as the kubelets tell.",
            unit=Unit.SHARE,
            queries=[
                Query(
                    "min by (persistentvolumeclaim) ("
                    f"kubelet_volume_stats_available_bytes{{{_VOLUMES}}} / "
                    f"kubelet_volume_stats_capacity_bytes{{{_VOLUMES}}})",
                    "{{persistentvolumeclaim}}",
                )
            ],
            warn=0.15,
            bad=0.05,
            width=12,
        ),
        Graph(
            title="Used",
            description="Bytes used of each volume, as the kubelets tell.",
            unit=Unit.BYTES,
            queries=[
                Query(
                    "max by (persistentvolumeclaim) "
                    f"(kubelet_volume_stats_used_bytes{{{_VOLUMES}}})",
                    "{{persistentvolumeclaim}}",
                )
            ],
            width=12,
        ),
    ],
)

PAGE: Final = Page(
    uid="kartoteka-stores",
    title="Kafka and Qdrant",
    description="Kafka, Qdrant, object storage and their disks, as our services see them.",
    rows=[_KAFKA, _QDRANT, _DISKS],
)
