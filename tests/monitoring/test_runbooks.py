"""Runbooks name what there is: objects, components, values, settings, error codes, metrics."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from monitoring_files import RUNBOOKS

from kartoteka_contracts.errors import ERRORS

_ROOT: Final = Path(__file__).resolve().parents[2]
_CHART: Final = _ROOT / "charts" / "kartoteka"
_VALUES: Final = yaml.safe_load((_CHART / "values.yaml").read_text("utf-8"))
_COMPONENTS: Final = {path.name for path in (_CHART / "templates").iterdir() if path.is_dir()}
_SETTINGS: Final = set(
    re.findall(
        r"^\| `([A-Z_]+)`", (_ROOT / "docs" / "settings.md").read_text("utf-8"), re.MULTILINE
    )
)

each_page = pytest.mark.parametrize(
    "page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem
)


def _is_value(path: str) -> bool:
    found: Any = _VALUES
    for key in path.split("."):
        if not isinstance(found, dict) or key not in found:
            # Below an empty map anything may stand: overrides of alerts, settings.
            return found == {}
        found = found[key]
    return True


@each_page
def test_names_of_objects_are_the_charts(page: Path) -> None:
    text = page.read_text("utf-8")
    objects = {name.removesuffix("-0") for name in re.findall(r"\bkartoteka-([a-z0-9-]+)", text)}
    assert objects <= _COMPONENTS | {"api-keys"}
    assert set(re.findall(r"/component=([a-z-]+)", text)) <= _COMPONENTS


@each_page
def test_values_and_settings_exist(page: Path) -> None:
    quoted = re.findall(r"`([^`\n]+)`", page.read_text("utf-8"))
    values = {
        word.removesuffix(": false").removesuffix(": true")
        for word in quoted
        if re.match(rf"(?:{'|'.join(_VALUES)})\.", word) and "/" not in word
    }
    topics = {word for word in values if word.startswith("scheduler.state")}
    assert {word for word in values - topics if not _is_value(word)} == set()
    settings = {word for word in quoted if re.fullmatch(r"[A-Z]+(?:_[A-Z]+)+", word)}
    assert settings <= _SETTINGS | {"DATA", "BACKUP"}


@each_page
def test_codes_are_those_of_the_contracts(page: Path) -> None:
    reasons = re.findall(r"--reason ([a-z_]+)", page.read_text("utf-8"))
    assert set(reasons) <= set(ERRORS)


@each_page
def test_what_deletes_by_labels_names_the_instance(page: Path) -> None:
    deletes = re.findall(
        r"kubectl[^\n`|]* delete [^\n`]*(?:-l|--selector)[ =][^\n`]*", page.read_text("utf-8")
    )
    assert [line for line in deletes if "app.kubernetes.io/instance=" not in line] == []


@each_page
def test_workers_are_scaled_by_what_owns_their_number(page: Path) -> None:
    """What `kubectl scale` has set, the next upgrade conflicts with, until it is forced."""
    text = page.read_text("utf-8")
    assert "kubectl -n $NS scale" not in text or "--force-conflicts" in text


@each_page
def test_what_keda_scales_is_paused_before_it_is_stopped(page: Path) -> None:
    text = page.read_text("utf-8")
    stops = re.search(r"scale deployment [^\n]*kartoteka-embedder --replicas=0", text)
    if stops is not None:
        pauses = "autoscaling.keda.sh/paused-replicas"
        assert f"{pauses}=0" in text[: stops.start()]
        assert f"{pauses}-" in text[stops.end() :]
