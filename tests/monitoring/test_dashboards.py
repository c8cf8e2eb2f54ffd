"""The rules that every dashboard keeps, so that they read alike and show what is."""

import re
from typing import Any

import pytest
from monitoring_files import DASHBOARDS, asked, dashboards, metric_names, panels

from dashboards import files

_COUNTER = re.compile(r"\w+_(?:total|bucket|sum|count)\b")
_IN_RATE = re.compile(r"\b(?:rate|increase)\((\w+)\{[^}]*\}\[(\$__rate_interval|\$__range|1h)\]\)")
_SELECTED = 'namespace=~"$namespace", job=~"$job"'
_DATASOURCE = {"type": "prometheus", "uid": "$datasource"}

Json = dict[str, Any]
each_dashboard = pytest.mark.parametrize(
    "dashboard", dashboards().values(), ids=lambda dashboard: dashboard["uid"]
)


def test_the_chart_has_exactly_the_dashboards_that_are_drawn() -> None:
    assert {path.name for path in DASHBOARDS.glob("*.json")} == set(files())


@each_dashboard
def test_a_dashboard_is_found_and_leads_to_the_others(dashboard: Json) -> None:
    assert re.fullmatch(r"kartoteka-[a-z]+", dashboard["uid"])
    assert dashboard["title"].startswith("Kartoteka / ")
    assert dashboard["description"]
    assert dashboard["tags"] == ["kartoteka"]
    (link,) = dashboard["links"]
    assert (link["type"], link["tags"]) == ("dashboards", ["kartoteka"])
    assert link["includeVars"]
    assert link["keepTime"]


@each_dashboard
def test_source_namespace_and_job_are_chosen_above_it(dashboard: Json) -> None:
    source, namespace, job = dashboard["templating"]["list"]
    assert (source["name"], source["type"]) == ("datasource", "datasource")
    assert (namespace["name"], job["name"]) == ("namespace", "job")
    for variable in (namespace, job):
        assert variable["datasource"] == _DATASOURCE
        assert variable["includeAll"]
    assert "$namespace" in job["query"]


@each_dashboard
def test_panels_lie_in_rows_and_none_upon_another(dashboard: Json) -> None:
    assert dashboard["panels"][0]["type"] == "row"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


@each_dashboard
def test_a_panel_says_what_it_shows_in_which_unit(dashboard: Json) -> None:
    titles = [panel["title"] for panel in panels(dashboard)]
    assert len(set(titles)) == len(titles)
    for panel in panels(dashboard):
        title = panel["title"]
        assert len(panel["description"]) > 20, title
        assert panel["description"].endswith("."), title
        assert panel["fieldConfig"]["defaults"]["unit"], title
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], title
        assert panel["datasource"] == _DATASOURCE, title
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["showLegend"], title
        for target in panel["targets"]:
            assert target["datasource"] == _DATASOURCE, title
            assert target["legendFormat"], title


@each_dashboard
def test_colours_change_in_the_order_of_their_values(dashboard: Json) -> None:
    for panel in panels(dashboard):
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        values = [step["value"] for step in steps[1:]]
        assert steps[0]["value"] is None, panel["title"]
        assert values == sorted(values), panel["title"]


def test_counters_are_asked_within_rates_over_grafanas_intervals() -> None:
    for each in asked():
        rated = {found[1] for found in _IN_RATE.finditer(each.expr)}
        counters = set(_COUNTER.findall(each.expr))
        assert counters == rated, each
        assert _COUNTER.search(_IN_RATE.sub("", each.expr)) is None, each


def test_every_series_is_of_the_chosen_namespace_and_job() -> None:
    for each in asked():
        selectors = re.findall(r"(\w+)(\{[^}]*\})", re.sub(r'"[^"]*"', "", each.expr))
        assert {name for name, _ in selectors} == metric_names(each.expr), each
        for matchers in re.findall(r"\{[^}]*\}", each.expr):
            assert matchers.startswith(
                f"{{{_SELECTED}" if "persistentvolumeclaim" not in matchers else '{namespace=~"$'
            ), each


def test_a_legend_names_only_labels_that_the_expression_keeps() -> None:
    for panel in (panel for each in dashboards().values() for panel in panels(each)):
        for target in panel["targets"]:
            kept = {
                label.strip()
                for group in re.findall(r"\bby \(([^)]*)\)", target["expr"])
                for label in group.split(",")
            }
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert shown <= kept, (panel["title"], target)
            several = len(panel["targets"]) > 1
            legends = [each["legendFormat"] for each in panel["targets"]]
            assert not several or len(set(legends)) == len(legends), panel["title"]
