"""A gauge whose values are known all together, or not at all."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

__all__ = ["Rows", "Table"]

Rows = Mapping[tuple[str, ...], float]
"""Values by the values of the labels."""


class Table(Collector):
    """Shows what it was last told. Hidden, it has its name and no value: unknown is not 0.

    Args:
        name: whole, with its prefix.
        about: its meaning and unit.
        labels: their names; a closed set of values each.
        registry: that it belongs to.
    """

    def __init__(
        self, name: str, about: str, labels: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._about = about
        self._labels = labels
        self._rows: Callable[[], Rows | None] = lambda: None
        registry.register(self)

    def show(self, rows: Rows) -> None:
        """Show these values in the place of all others."""
        self._rows = lambda: rows

    def hide(self) -> None:
        """Show no value."""
        self._rows = lambda: None

    def read(self, rows: Callable[[], Rows | None]) -> None:
        """Ask for the values whenever they are scraped; None hides them."""
        self._rows = rows

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the family without values; the registry asks."""
        yield self._family({})

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the family; the registry asks."""
        yield self._family(self._rows() or {})

    def _family(self, rows: Rows) -> GaugeMetricFamily:
        family = GaugeMetricFamily(self._name, self._about, labels=self._labels)
        for labels, value in rows.items():
            family.add_metric(labels, value)
        return family
