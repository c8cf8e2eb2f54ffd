"""What the service counts. Labels are closed sets: routes, methods, codes; never an id."""

from prometheus_client import Counter, Gauge, Histogram

from kartoteka_runtime.metrics import BYTES, Metrics

__all__ = ["Telemetry"]


class Telemetry:
    """The service's own metrics, defined once in a process's registry."""

    def __init__(self, metrics: Metrics) -> None:
        self.requests: Counter = metrics.counter(
            "http_requests", "Requests answered.", ("method", "route", "status")
        )
        self.request_seconds: Histogram = metrics.histogram(
            "http_request_seconds", "From the headers to the end of the answer.", ("route",)
        )
        self.in_flight: Gauge = metrics.gauge(
            "http_in_flight", "Requests under way, probes and scrapes left out."
        )
        self.accepted: Counter = metrics.counter(
            "documents_accepted", "Documents answered with 202."
        )
        self.refused: Counter = metrics.counter(
            "documents_refused", "Documents not accepted, by error code.", ("code",)
        )
        self.upload_bytes: Histogram = metrics.histogram(
            "upload_bytes", "Sizes of accepted bodies, in bytes.", buckets=BYTES
        )
        self.uploads_in_flight: Gauge = metrics.gauge(
            "uploads_in_flight", "Upload requests under way."
        )
