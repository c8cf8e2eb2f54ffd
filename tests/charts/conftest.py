import pytest
from _pytest.mark import ParameterSet

from tests.charts.binaries import HELMS, helm_binary
from tests.charts.modes import MODES, REPRESENTATIVE
from tests.charts.rendering import Object, Renderer


@pytest.fixture(scope="session")
def renderers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Renderer]:
    """One renderer for each Helm, which remember what they rendered."""
    return {
        name: Renderer(name=name, helm=helm_binary(name), folder=tmp_path_factory.mktemp(name))
        for name in HELMS
    }


@pytest.fixture(params=sorted(HELMS))
def helm(request: pytest.FixtureRequest, renderers: dict[str, Renderer]) -> Renderer:
    """Each Helm in turn, for what may differ between them."""
    return renderers[str(request.param)]


@pytest.fixture
def render(renderers: dict[str, Renderer]) -> Renderer:
    """Helm 4, for what the templates decide alone."""
    return renderers["helm4"]


def _cases() -> list[ParameterSet]:
    """Return every mode with both Helms; without a marker only what each run affords."""
    quick = {("default", "helm3"), *((mode, "helm4") for mode in REPRESENTATIVE)}
    return [
        pytest.param(
            (mode, name),
            id=f"{mode}-{name}",
            marks=() if (mode, name) in quick else pytest.mark.chart_matrix,
        )
        for mode in MODES
        for name in sorted(HELMS)
    ]


@pytest.fixture(params=_cases())
def installed(request: pytest.FixtureRequest, renderers: dict[str, Renderer]) -> list[Object]:
    """All objects of one way to install the chart."""
    mode, name = request.param
    return renderers[name](*MODES[mode])
