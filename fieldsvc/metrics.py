"""Metrics of one process, in OpenMetrics text. No label names a carrier, a device, an account or an event."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counters that the views and rooms move."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "fieldsvc_http_requests", "Requests answered.", ["route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "fieldsvc_http_request_seconds", "Time to answer.", ["route"], registry=self.registry, buckets=_BUCKETS
        )
        self.events = Counter(
            "fieldsvc_events", "Members of uploads by their answer.", ["status"], registry=self.registry
        )
        self.off_reasons = Counter(
            "fieldsvc_events_quarantined", "Members kept in quarantine by reason.", ["reason"], registry=self.registry
        )
        self.fixes = Counter(
            "fieldsvc_fixes", "Fixes of phones by what became of them.", ["outcome"], registry=self.registry
        )
        self.closed_early = Counter(
            "fieldsvc_connections_closed_early",
            "Connections closed by what was too slow, head, body or reply, or because there were too many: full.",
            ["why"],
            registry=self.registry,
        )
        self.limited = Counter(
            "fieldsvc_http_limited", "Requests refused by a limit of rate.", ["limit"], registry=self.registry
        )
        self.live_dropped = Counter(
            "fieldsvc_live_dropped",
            "Live streams that broke off, by why: slow or gone.",
            ["why"],
            registry=self.registry,
        )

    def watch(self, name: str, about: str, read: Callable[[], float]) -> None:
        """Show a value that is read when asked for."""
        Gauge(name, about, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """Render everything."""
        return bytes(generate_latest(self.registry))  # type: ignore[no-untyped-call]  # untyped upstream
