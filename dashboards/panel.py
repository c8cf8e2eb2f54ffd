"""One panel of a dashboard: what it asks, in which unit, from where on it is bad."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

__all__ = ["DATASOURCE", "Graph", "Panel", "Query", "Stat", "Unit"]

DATASOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="$datasource")
_LEGEND_VALUES: Final = ["lastNotNull", "max"]


class Unit(StrEnum):
    """Grafana's names of the units that we have."""

    SECONDS = "s"
    BYTES = "bytes"
    BYTES_PER_SECOND = "Bps"
    PER_SECOND = "ops"
    REQUESTS_PER_SECOND = "reqps"
    COUNT = "short"
    SHARE = "percentunit"
    UP = "bool_on_off"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and what its series are called: ``{{label}}`` stands for a label."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """What all panels have."""

    title: str
    description: str
    unit: Unit
    queries: Sequence[Query]
    warn: float | None = None
    """From here on it is yellow; below it, where ``warn`` is above ``bad``."""
    bad: float | None = None
    width: int = 8

    def steps(self) -> list[models.Threshold]:
        """Return the colours by value."""
        if self.warn is not None and self.bad is not None and self.warn > self.bad:
            return [
                models.Threshold(color="red", value=None),
                models.Threshold(color="yellow", value=self.bad),
                models.Threshold(color="green", value=self.warn),
            ]
        found = [models.Threshold(color="green", value=None)]
        if self.warn is not None:
            found.append(models.Threshold(color="yellow", value=self.warn))
        if self.bad is not None:
            found.append(models.Threshold(color="red", value=self.bad))
        return found

    def thresholds(self) -> ThresholdsConfig:
        """Return the colours as Grafana has them."""
        return ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(self.steps())

    def targets(self) -> list[prometheus.Dataquery]:
        """Return the queries as Grafana has them."""
        return [
            prometheus.Dataquery()
            .ref_id(chr(ord("A") + n))
            .datasource(DATASOURCE)
            .expr(query.expr)
            .legend_format(query.legend)
            for n, query in enumerate(self.queries)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph(_Asking):
    """Lines over time."""

    is_stacked: bool = False

    def builder(self) -> timeseries.Panel:
        """Return Grafana's builder of it."""
        legend = (
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.TABLE)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs(_LEGEND_VALUES)
        )
        panel = (
            timeseries.Panel()
            .title(self.title)
            .description(self.description)
            .unit(self.unit)
            .datasource(DATASOURCE)
            .span(self.width)
            .height(8)
            .min(0)
            .legend(legend)
            .tooltip(
                common.VizTooltipOptions()
                .mode(common_models.TooltipDisplayMode.MULTI)
                .sort(common_models.SortOrder.DESCENDING)
            )
            .thresholds(self.thresholds())
            .fill_opacity(20 if self.is_stacked else 5)
            .show_points(common_models.VisibilityMode.NEVER)
        )
        if self.is_stacked:
            panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
        if self.warn is not None or self.bad is not None:
            panel.thresholds_style(
                common.GraphThresholdsStyleConfig().mode(
                    common_models.GraphThresholdsStyleMode.DASHED
                )
            )
        for target in self.targets():
            panel.with_target(target)
        return panel


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat(_Asking):
    """The figure as it is now, coloured."""

    width: int = 4
    texts: Mapping[str, str] = field(default_factory=dict)
    """What is shown instead of a value, as {"1": "up"}."""

    def builder(self) -> stat.Panel:
        """Return Grafana's builder of it."""
        panel = (
            stat.Panel()
            .title(self.title)
            .description(self.description)
            .unit(self.unit)
            .datasource(DATASOURCE)
            .span(self.width)
            .height(4)
            .thresholds(self.thresholds())
            .color_mode(common_models.BigValueColorMode.VALUE)
            .graph_mode(common_models.BigValueGraphMode.AREA)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        )
        if self.texts:
            panel.mappings(
                [
                    models.ValueMap(
                        options={
                            value: models.ValueMappingResult(text=text)
                            for value, text in self.texts.items()
                        }
                    )
                ]
            )
        for target in self.targets():
            panel.with_target(target)
        return panel


Panel = Graph | Stat
