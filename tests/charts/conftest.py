import pytest

from tests.charts.binaries import HELMS, helm_binary
from tests.charts.rendering import Renderer


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
