"""PromQL of our metrics, always within what the dashboard's variables select.

Matchers are keywords: ``work="bulk"`` equals, ``status="~5.."`` matches, ``kind="!reindex"``
differs; ``class_`` stands for the label ``class``.
"""

from typing import Final

__all__ = ["SELECTED", "decreasing", "each", "events", "quantile", "rate", "ratio"]

SELECTED: Final = 'namespace=~"$namespace", job=~"$job"'
_OPERATORS: Final = {"~": "=~", "!": "!="}


def each(name: str, **labels: str) -> str:
    """Return the series of a metric of ours."""
    matchers = [SELECTED, *(_matcher(label, value) for label, value in labels.items())]
    return f"kartoteka_{name}{{{', '.join(matchers)}}}"


def _matcher(label: str, value: str) -> str:
    operator = _OPERATORS.get(value[:1])
    if operator is not None:
        value = value[1:]
    return f'{label.rstrip("_")}{operator or "="}"{value}"'


def rate(name: str, **labels: str) -> str:
    """Return a counter's events per second; ``name`` is without ``_total``."""
    return f"rate({each(f'{name}_total', **labels)}[$__rate_interval])"


def events(name: str, **labels: str) -> str:
    """Return how many events a counter saw within the shown range."""
    return f"increase({each(f'{name}_total', **labels)}[$__range])"


def quantile(share: float, name: str, by: str = "", **labels: str) -> str:
    """Return a histogram's quantile, one series for each value of ``by``."""
    grouped = f"le, {by}" if by else "le"
    buckets = each(f"{name}_bucket", **labels)
    return f"histogram_quantile({share}, sum by ({grouped}) (rate({buckets}[$__rate_interval])))"


def ratio(part: str, whole: str) -> str:
    """Return a share; nothing where nothing happened."""
    return f"({part}) / ({whole} > 0)"


def decreasing(name: str, **labels: str) -> str:
    """Return how fast a gauge falls, per second, and 0 where it grows."""
    return f"clamp_min(-deriv({each(name, **labels)}[$__rate_interval]), 0)"
