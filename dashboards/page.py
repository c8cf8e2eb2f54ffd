"""One dashboard: its variables, links, rows and panels, in the way that all of ours have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as models

from dashboards.panel import DATASOURCE, Panel

__all__ = ["TAG", "Page", "Row"]

TAG: Final = "kartoteka"

_EVERY_SERVICE: Final = "kartoteka_event_loop_lag_seconds"
"""A metric that each service of ours has: what variables choose from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under one heading, left to right, then down."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One dashboard."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]

    def build(self) -> models.Dashboard:
        """Return Grafana's model of it."""
        builder = (
            builders.Dashboard(f"Kartoteka / {self.title}")
            .uid(self.uid)
            .description(self.description)
            .tags([TAG])
            .timezone("browser")
            .time("now-3h", "now")
            .refresh("30s")
            .tooltip(models.DashboardCursorSync.CROSSHAIR)
            .readonly()
            .link(_others())
        )
        for variable in (_datasource(), _namespace(), _job()):
            builder.with_variable(variable)
        number = 1
        for row in self.rows:
            builder.with_row(builders.Row(row.title).id(number))
            for panel in row.panels:
                number += 1
                builder.with_panel(panel.builder().id(number))
            number += 1
        return builder.build()


def _others() -> builders.DashboardLink:
    return (
        builders.DashboardLink("Kartoteka")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(as_dropdown=True)
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
        .tooltip("The other dashboards, for the same namespace and time")
    )


def _datasource() -> builders.DatasourceVariable:
    return builders.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _namespace() -> builders.QueryVariable:
    return _choice("namespace", "Namespace", f"label_values({_EVERY_SERVICE}, namespace)")


def _job() -> builders.QueryVariable:
    return _choice(
        "job", "Job", f'label_values({_EVERY_SERVICE}{{namespace=~"$namespace"}}, job)'
    ).multi(multi=True)


def _choice(name: str, label: str, query: str) -> builders.QueryVariable:
    everything = models.VariableOption(selected=True, text="All", value="$__all")
    return (
        builders.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(DATASOURCE)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .include_all(include_all=True)
        .all_value(".+")
        .current(everything)
    )
