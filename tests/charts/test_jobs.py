"""CronJobs, the Job that makes topics, and what `helm test` starts."""

from typing import Final

import pytest

from tests.charts.objects import Pod, of_kind, one, pods
from tests.charts.rendering import Object, Renderer

PERIODS: Final = {"scheduler": 300, "reconcile": 3600}
"""Seconds from one run to the next, by the default schedules."""


def job_specs(objects: list[Object]) -> dict[str, Object]:
    """Return the Jobs that are made, by component."""
    found = {}
    for item in of_kind(objects, "CronJob", "Job"):
        spec = item["spec"]
        component = item["metadata"]["labels"]["app.kubernetes.io/component"]
        found[component] = spec.get("jobTemplate", {}).get("spec", spec)
    return found


def main_of(job: Object) -> Object:
    container: Object = job["template"]["spec"]["containers"][0]
    return container


@pytest.mark.parametrize("name", sorted(PERIODS))
def test_a_cronjob_neither_piles_up_nor_runs_late_for_ever(render: Renderer, name: str) -> None:
    spec = one(render(), "CronJob", name)["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert 10 <= spec["startingDeadlineSeconds"] <= PERIODS[name]
    assert spec["timeZone"] == "Etc/UTC"
    assert 1 <= spec["successfulJobsHistoryLimit"] <= 3
    assert spec["failedJobsHistoryLimit"] == 3
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < PERIODS[name]


def test_every_job_ends_goes_and_tries_again_only_what_may_help(render: Renderer) -> None:
    jobs = job_specs(render())
    assert jobs.keys() == {"scheduler", "reconcile", "reindex", "topics"}
    for component, job in jobs.items():
        assert job["activeDeadlineSeconds"] > 0
        assert job["ttlSecondsAfterFinished"] >= 3600
        assert 1 <= job["backoffLimit"] <= 3
        assert job["template"]["spec"]["restartPolicy"] == "Never"
        disruption, settings = job["podFailurePolicy"]["rules"]
        assert disruption == {
            "action": "Ignore",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
        }
        assert settings["action"] == "FailJob"
        assert settings["onExitCodes"]["values"] == [2]
        assert settings["onExitCodes"]["containerName"] == main_of(job)["name"] == component


def test_names_leave_room_for_what_kubernetes_adds(render: Renderer) -> None:
    objects = render({"fullnameOverride": "a" * 63})
    for item in of_kind(objects, "CronJob"):
        assert len(item["metadata"]["name"]) <= 52
    assert all(len(item["metadata"]["name"]) <= 63 for item in of_kind(objects, "Job"))


def test_the_scheduler_may_hold_its_lease_and_tell_of_it_and_nothing_else(
    render: Renderer,
) -> None:
    objects = render()
    (role,) = of_kind(objects, "Role")
    (pod,) = [pod for pod in pods(objects) if pod.component == "scheduler"]
    env = {entry["name"]: entry.get("value") for entry in pod.main["env"]}
    lease = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    assert role["rules"] == [
        lease | {"resourceNames": [env["SCHEDULER_LEASE_NAME"]], "verbs": ["get", "update"]},
        lease | {"verbs": ["create"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
    ]
    (binding,) = of_kind(objects, "RoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [subject["name"] for subject in binding["subjects"]] == [pod.spec["serviceAccountName"]]
    assert pod.spec["automountServiceAccountToken"] is True
    assert of_kind(objects, "ClusterRole", "ClusterRoleBinding") == []


def test_without_rights_or_without_a_scheduler_there_are_no_roles(render: Renderer) -> None:
    for scheduler in ({"enabled": False}, {"rbac": {"create": False}}):
        assert of_kind(render({"scheduler": scheduler}), "Role", "RoleBinding") == []


def test_runs_by_hand_have_a_pattern_that_never_runs_by_itself(render: Renderer) -> None:
    objects = render({"scheduler": {"enabled": False}, "reindex": {"mode": "failed"}})
    item = one(objects, "CronJob", "reindex")
    assert item["spec"]["suspend"] is True
    main = main_of(item["spec"]["jobTemplate"]["spec"])
    env = {entry["name"]: entry.get("value") for entry in main["env"]}
    assert [*main["command"], *main["args"]] == ["python", "-m", "scheduler", "reindex"]
    assert (env["SCHEDULER_REINDEX_CABINETS"], env["SCHEDULER_REINDEX_MODE"]) == ("", "failed")


def test_topics_are_made_by_a_job_of_each_revision(render: Renderer) -> None:
    (job,) = of_kind(render({"topics": {"waitSeconds": 120}}), "Job")
    assert job["metadata"]["name"].endswith("-topics-1")
    annotations = job["metadata"]["annotations"]
    assert annotations == {"argocd.argoproj.io/sync-options": "Force=true,Replace=true"}
    assert main_of(job["spec"])["args"] == ["provision", "--wait", "120"]
    assert job["spec"]["activeDeadlineSeconds"] > 120
    assert of_kind(render({"topics": {"provision": False}}), "Job") == []


def test_reconcile_takes_an_embedders_settings_and_its_own(render: Renderer) -> None:
    embedder = {"settings": {"WORKER_GROUP": "ours", "CHUNK_OVERLAP_TOKENS": "16"}}
    reconcile = {"settings": {"CHUNK_OVERLAP_TOKENS": "8"}}
    jobs = job_specs(render({"embedder": embedder, "reconcile": reconcile}))
    env = {entry["name"]: entry.get("value") for entry in main_of(jobs["reconcile"])["env"]}
    assert (env["WORKER_GROUP"], env["CHUNK_OVERLAP_TOKENS"]) == ("ours", "8")


def pod_of_helm_test(objects: list[Object]) -> Pod:
    (pod,) = [pod for pod in pods(objects) if pod.owner["kind"] == "Pod"]
    return pod


def test_helm_test_runs_the_script_with_the_charts_key(render: Renderer) -> None:
    objects = render()
    pod = pod_of_helm_test(objects)
    assert pod.owner["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (config,) = [item for item in of_kind(objects, "ConfigMap") if "helm_test.py" in item["data"]]
    (script,) = [item for item in pod.spec["volumes"] if "configMap" in item]
    assert script["configMap"]["name"] == config["metadata"]["name"]
    compile(config["data"]["helm_test.py"], "helm_test.py", "exec")
    assert _key(pod) == ("rag-kartoteka-api-keys", "admin-key")


def test_helm_test_can_be_given_a_key(render: Renderer) -> None:
    values = {"tests": {"existingSecret": "other", "existingSecretKey": "k"}}
    assert _key(pod_of_helm_test(render(values))) == ("other", "k")


def test_without_tests_there_is_neither_pod_nor_script(render: Renderer) -> None:
    objects = render({"tests": {"enabled": False}})
    assert of_kind(objects, "Pod") == []
    assert not [item for item in of_kind(objects, "ConfigMap") if "helm_test.py" in item["data"]]


def _key(pod: Pod) -> tuple[str, str]:
    (entry,) = [item for item in pod.main["env"] if item["name"] == "KARTOTEKA_KEY"]
    ref = entry["valueFrom"]["secretKeyRef"]
    return ref["name"], ref["key"]
