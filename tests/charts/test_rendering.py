"""What the chart's other tests stand on."""

import pytest

from tests.charts.object_schemas import problems
from tests.charts.rendering import Renderer


def test_the_chart_renders_with_both_helms(helm: Renderer) -> None:
    assert helm() is not None


@pytest.mark.parametrize("minor", ["1.32", "1.33", "1.34"])
def test_a_misspelt_field_of_an_object_is_found(minor: str) -> None:
    pod = {"containers": [{"name": "a", "image": "b:1", "imagePullPolcy": "Always"}]}
    item = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": pod}
    assert "imagePullPolcy" in problems(item, [minor])[0]


def test_an_object_of_an_unknown_kind_is_found() -> None:
    item = {"apiVersion": "v1", "kind": "Podd", "metadata": {"name": "a"}}
    assert "unknown" in problems(item)[0]
