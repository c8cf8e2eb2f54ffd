"""Grafana's dashboards, as Python; `make docs` writes them into the chart."""

from dashboards.catalogue import files

__all__ = ["files"]
