"""Runbooks name what there is: objects, components, values, settings, error codes, metrics."""

import re
import subprocess
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


def _page(name: str) -> str:
    return (RUNBOOKS / f"{name}.md").read_text("utf-8")


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


@each_page
def test_a_volume_grows_with_its_claim_template_made_anew(page: Path) -> None:
    """The template cannot be changed: the StatefulSet goes, and leaves its pod, before that."""
    lines = page.read_text("utf-8").splitlines()
    for at, line in enumerate(lines):
        if "helm upgrade" in line and "storage.size=" in line:
            name = line.partition("--set ")[2].partition(".")[0]
            deletes = f"delete statefulset kartoteka-{name} --cascade=orphan"
            assert any(deletes in earlier for earlier in lines[:at])


def test_a_key_reaches_a_pod_in_no_argument(tmp_path: Path) -> None:
    """What `kubectl exec` runs is logged by the Kubernetes API, with its arguments."""
    (defined,) = re.findall(r"^    (dlq\(\) .*)$", _page("README"), re.MULTILINE)
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        '#!/bin/sh\necho "asked: $*"\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n'
    )
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "key: $API_KEY url: $API_URL"\nprintf "[%s]" "$@"\n')
    for program in (kubectl, python):
        program.chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", "-c", f"{defined}\ndlq list --reason 'a b'"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "NS": "kartoteka", "KEY": "secret-key"},
        capture_output=True,
        text=True,
        check=True,
    )
    asked, given, arguments = done.stdout.splitlines()
    assert "secret-key" not in asked
    assert given == "key: secret-key url: http://127.0.0.1:8080"
    assert arguments == "[-m][ingest_api][dlq][list][--reason][a b]"
