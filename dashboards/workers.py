"""The embedders: what they hold, how the model does, how their parsers do."""

from typing import Final

from dashboards.page import Page, Row
from dashboards.panel import Graph, Query, Unit
from dashboards.promql import each, quantile, rate

__all__ = ["PAGE"]

_HELD: Final = Row(
    title="What workers hold",
    panels=[
        Graph(
            title="Documents in flight",
            description="Documents that are worked on, by class.",
            unit=Unit.COUNT,
            queries=[Query(f"sum by (work) ({each('running')})", "{{work}}")],
            is_stacked=True,
        ),
        Graph(
            title="Records let in",
            description="Records in workers' memory and not ended, by class. At the limit "
            "(WORKER_ADMIT_*) the topic is paused.",
            unit=Unit.COUNT,
            queries=[Query(f"sum by (work) ({each('admitted')})", "{{work}}")],
        ),
        Graph(
            title="Not released to the commit",
            description="Records delivered whose offsets are not released: what a crash redoes.",
            unit=Unit.COUNT,
            queries=[
                Query(f"sum by (work) ({each('unacknowledged')})", "{{work}}"),
                Query(f"sum({each('held_retries')})", "retries that wait"),
            ],
        ),
        Graph(
            title="Deliveries by fate",
            description="Records that came from Kafka, per second, by what became of them at the "
            "door.",
            unit=Unit.PER_SECOND,
            queries=[Query(f"sum by (work, fate) ({rate('deliveries')})", "{{work}} {{fate}}")],
        ),
        Graph(
            title="Offsets released",
            description="Offsets released to the commit, per second.",
            unit=Unit.PER_SECOND,
            queries=[Query(f"sum({rate('acknowledged')})", "released")],
        ),
        Graph(
            title="Rebalances",
            description="Rebalances that ended, and running tasks that were cancelled with their "
            "partition, per second.",
            unit=Unit.PER_SECOND,
            queries=[
                Query(f"sum({rate('generations')})", "rebalances"),
                Query(f"sum({rate('lost_tasks')})", "tasks cancelled"),
            ],
        ),
    ],
)

_MODEL: Final = Row(
    title="Model",
    panels=[
        Graph(
            title="Texts and tokens",
            description="Texts, and tokens without padding, embedded per second.",
            unit=Unit.PER_SECOND,
            queries=[
                Query(f"sum({rate('inference_rows')})", "texts"),
                Query(f"sum({rate('inference_tokens')})", "tokens"),
            ],
        ),
        Graph(
            title="Waiting for the model",
            description="Texts that wait for inference, by worker.",
            unit=Unit.COUNT,
            queries=[Query(f"max by (pod) ({each('inference_queue_rows')})", "{{pod}}")],
        ),
        Graph(
            title="One call of the model",
            description="Seconds of one batch. A search waits for at most one.",
            unit=Unit.SECONDS,
            queries=[
                Query(quantile(share, "inference_seconds"), f"p{share:.0%}")
                for share in (0.5, 0.95)
            ],
        ),
        Graph(
            title="Batch fill",
            description="Share of batches that is text, not padding. Low means that time is "
            "spent on nothing.",
            unit=Unit.SHARE,
            queries=[
                Query(
                    f"sum(rate({each('inference_fill_sum')}[$__rate_interval])) / "
                    f"(sum(rate({each('inference_fill_count')}[$__rate_interval])) > 0)",
                    "mean",
                ),
                Query(quantile(0.1, "inference_fill"), "worst tenth"),
            ],
        ),
        Graph(
            title="Failed calls",
            description="Calls of the model that raised, per second.",
            unit=Unit.PER_SECOND,
            queries=[Query(f"sum({rate('inference_failures')})", "failed")],
            bad=0.01,
        ),
        Graph(
            title="Bodies on disk",
            description="Bytes of bodies fetched and not yet read, by worker.",
            unit=Unit.BYTES,
            queries=[Query(f"max by (pod) ({each('scratch_bytes')})", "{{pod}}")],
        ),
    ],
)

_PARSERS: Final = Row(
    title="Parsers and processes",
    panels=[
        Graph(
            title="Parser children",
            description="Child processes that parse, by worker.",
            unit=Unit.COUNT,
            queries=[Query(f"max by (pod) ({each('parser_children')})", "{{pod}}")],
        ),
        Graph(
            title="Children killed",
            description="Parser children that were killed, per second, by reason.",
            unit=Unit.PER_SECOND,
            queries=[Query(f"sum by (reason) ({rate('parser_kills')})", "{{reason}}")],
        ),
        Graph(
            title="Event loop lag",
            description="How late the event loop is, by worker. At 10 s a worker is no longer "
            "alive.",
            unit=Unit.SECONDS,
            queries=[Query(f"max by (pod) ({each('event_loop_lag_seconds')})", "{{pod}}")],
            warn=0.5,
            bad=5,
        ),
        Graph(
            title="CPU",
            description="Cores in use, by process.",
            unit=Unit.COUNT,
            queries=[
                Query(
                    'sum by (pod) (rate(process_cpu_seconds_total{namespace=~"$namespace", '
                    'job=~"$job"}[$__rate_interval]))',
                    "{{pod}}",
                )
            ],
        ),
        Graph(
            title="Memory",
            description="Resident memory, by process, without parser children.",
            unit=Unit.BYTES,
            queries=[
                Query(
                    "sum by (pod) (process_resident_memory_bytes"
                    '{namespace=~"$namespace", job=~"$job"})',
                    "{{pod}}",
                )
            ],
        ),
        Graph(
            title="Dead letters in a row",
            description="Dead letters that may be a worker's own fault, since its last success. "
            "At the limit it ends itself instead of writing another one.",
            unit=Unit.COUNT,
            queries=[Query(f"max by (pod) ({each('dead_letters_in_a_row')})", "{{pod}}")],
            warn=3,
        ),
    ],
)

PAGE: Final = Page(
    uid="kartoteka-workers",
    title="Workers",
    description="The embedders: what they hold, the model, the parsers, the processes.",
    rows=[_HELD, _MODEL, _PARSERS],
)
