"""What the chart's other tests stand on."""

import pytest

from tests.charts.object_schemas import MINORS, problems
from tests.charts.rendering import Renderer, RenderError


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


def test_the_chart_renders_for_each_minor_and_for_no_older_one(helm: Renderer) -> None:
    for minor in MINORS:
        assert helm(kube_version=minor)
    with pytest.raises(RenderError, match="incompatible with Kubernetes"):
        helm(kube_version="1.30")
