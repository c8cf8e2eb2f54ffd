"""What a user reads: notes, README, the guide to upgrades, and what `helm lint` says."""

import re

import yaml

from tests.charts.rendering import CHART, ROOT, Renderer


def test_helm_lint_finds_nothing(helm: Renderer) -> None:
    assert "1 chart(s) linted, 0 chart(s) failed" in helm.lint()


def test_the_readme_tells_of_every_key() -> None:
    told = (CHART / "README.md").read_text("utf-8")
    for name in yaml.safe_load((CHART / "values.yaml").read_text("utf-8")):
        assert re.search(rf"`{name}[`.]", told), name


def test_links_of_the_charts_pages_lead_somewhere() -> None:
    for page in (CHART / "README.md", CHART / "UPGRADING.md", ROOT / "docs" / "chart-scorecard.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_guide_to_upgrades_knows_this_version() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["version"]
    assert f"## {version}\n" in (CHART / "UPGRADING.md").read_text("utf-8")
