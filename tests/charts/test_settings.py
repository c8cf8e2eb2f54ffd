"""Containers of ours get settings that their services know, and that read without a mistake."""

from typing import Any, Protocol, get_type_hints

import pytest

from embedder.settings import Settings as EmbedderSettings
from ingest_api.settings import Settings as IngestSettings
from kartoteka_runtime.env import Fragment, SettingsError, variables
from kartoteka_runtime.settings import TopicsSettings
from scheduler.settings import Settings as SchedulerSettings
from tests.charts.objects import Pod, of_kind, pods
from tests.charts.rendering import Object, Renderer


class _Settings(Protocol):
    @classmethod
    def load(cls, env: dict[str, str]) -> Any: ...


_OF: dict[str, type[_Settings]] = {
    "ingest_api": IngestSettings,
    "embedder": EmbedderSettings,
    "scheduler": SchedulerSettings,
    "kartoteka_runtime.topics_cli": TopicsSettings,
}
_CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def _ours(objects: list[Object]) -> list[tuple[Pod, type[_Settings]]]:
    found = []
    for pod in pods(objects):
        command = pod.main.get("command", [])
        if command[:2] == ["python", "-m"]:
            found.append((pod, _OF[command[2]]))
    return found


def _known(settings: type[_Settings]) -> set[str]:
    kinds = get_type_hints(settings).values()
    fragments = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Fragment)]
    return {name for fragment in fragments for name in variables(fragment)}


def test_every_variable_is_a_setting_of_the_service(installed: list[Object]) -> None:
    assert _ours(installed)
    unknown = {
        pod.name: names - _known(settings)
        for pod, settings in _ours(installed)
        if (names := {entry["name"] for entry in pod.main["env"]}) - _known(settings)
    }
    assert unknown == {}


def test_every_service_reads_its_settings(installed: list[Object]) -> None:
    for pod, settings in _ours(installed):
        try:
            settings.load(_environment(pod, installed) | _CLUSTER)
        except SettingsError as error:
            pytest.fail(f"{pod.name}: {error}")


def _environment(pod: Pod, objects: list[Object]) -> dict[str, str]:
    """Return a container's variables; one from somebody else's Secret has a made-up value."""
    secrets = {item["metadata"]["name"]: item for item in of_kind(objects, "Secret")}
    found = {}
    for entry in pod.main["env"]:
        if "value" in entry:
            found[entry["name"]] = entry["value"]
        else:
            wanted = entry["valueFrom"]["secretKeyRef"]
            if wanted["name"] in secrets:
                assert wanted["key"] in secrets[wanted["name"]]["data"], f"{pod.name}: {wanted}"
            found[entry["name"]] = "made-up"
    return found


def test_settings_are_handed_on_as_they_are_written(render: Renderer) -> None:
    values = {"ingestApi": {"settings": {"UPLOAD_MAX_BYTES": 1073741824, "API_DOCS": False}}}
    (pod,) = [pod for pod in pods(render(values)) if pod.component == "ingest-api"]
    env = {entry["name"]: entry.get("value") for entry in pod.main["env"]}
    assert (env["UPLOAD_MAX_BYTES"], env["API_DOCS"]) == ("1073741824", "false")
