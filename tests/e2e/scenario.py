"""Everything that is tried on one release, step by step."""

import asyncio
import hashlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.e2e.api import Api
from tests.e2e.command import Kubectl, run
from tests.e2e.documents import large_pdf, pdf
from tests.e2e.load import Load
from tests.e2e.release import Release

__all__ = ["Scenario"]

_ROOT: Final = Path(__file__).resolve().parents[2]
_CABINET: Final = 41
_LOAD_CABINET: Final = 42
_LARGE: Final = 100_000_000
_LIGHTHOUSE: Final = "The keeper of the lighthouse polishes its lens of crown glass every morning."
_GLACIER: Final = "A glacier that calves into the fjord sends long waves to the fishing village."

MAY: Final = (
    ("get", "coordination.k8s.io/leases/{name}-scheduler"),
    ("update", "coordination.k8s.io/leases/{name}-scheduler"),
    ("create", "coordination.k8s.io/leases"),
    ("create", "/events"),
)
"""All that the scheduler's account needs, as verb and group/resource/name."""
MAY_NOT: Final = (
    ("get", "coordination.k8s.io/leases/another"),
    ("update", "coordination.k8s.io/leases/another"),
    ("delete", "coordination.k8s.io/leases/{name}-scheduler"),
    ("list", "coordination.k8s.io/leases"),
    ("get", "/secrets"),
    ("list", "/secrets"),
    ("get", "/configmaps"),
    ("list", "/pods"),
    ("create", "/pods"),
    ("create", "/pods/exec"),
    ("create", "batch/jobs"),
    ("list", "/events"),
    ("impersonate", "/serviceaccounts"),
)


@dataclass(slots=True, kw_only=True)
class Scenario:
    """One release, its cluster's namespace, and the API through the ingress."""

    release: Release
    kubectl: Kubectl
    url: str
    name: str
    seed: int

    async def key(self) -> str:
        """The key that the chart made."""
        return await self.release.secret(f"{self.name}-api-keys", "admin-key")

    async def pods_are_well(self) -> dict[str, Any]:
        """Every pod is ready or done, and none was started again."""
        pods = (await self.kubectl.get("pods"))["items"]
        restarts = sum(
            status["restartCount"]
            for pod in pods
            for status in pod["status"].get("containerStatuses", [])
        )
        bad = [
            pod["metadata"]["name"]
            for pod in pods
            if pod["status"]["phase"] not in {"Running", "Succeeded"}
        ]
        _must(not bad, f"not running: {bad}")
        _must(restarts == 0, f"{restarts} restarts")
        return {"pods": len(pods)}

    async def accounts_are_bounded(self) -> dict[str, Any]:
        """What the scheduler's account may do, as the apiserver sees it; the others nothing."""
        wrong = []
        account = f"{self.name}-scheduler"
        for verbs, wanted in ((MAY, True), (MAY_NOT, False)):
            for verb, resource in verbs:
                asked = resource.format(name=self.name)
                if await self.kubectl.can(account, verb, asked) is not wanted:
                    wrong.append(f"{account}: {verb} {asked} is {not wanted}")
        for other in (f"{self.name}-ingest-api", f"{self.name}-embedder"):
            for verb, resource in MAY:
                if await self.kubectl.can(other, verb, resource.format(name=self.name)):
                    wrong.append(f"{other}: {verb} {resource}")
        _must(not wrong, "; ".join(wrong))
        return {"reviews": len(MAY) * 3 + len(MAY_NOT)}

    async def acceptance(self) -> dict[str, Any]:
        """The acceptance script, through the ingress."""
        script = str(_ROOT / "tests" / "acceptance" / "test_async_upload.py")
        env = {**os.environ, "KARTOTEKA_API_KEY": await self.key()}
        said = await run(sys.executable, script, "--url", self.url, env=env)
        return {"passed": said.count("PASS")}

    async def documents_are_found(self) -> dict[str, Any]:
        """PDFs go in and are found by what they mean."""
        async with Api.open(self.url, await self.key()) as api:
            told = [
                await api.accepted(_CABINET, "lighthouse.pdf", pdf(_LIGHTHOUSE, "Second page.")),
                await api.accepted(_CABINET, "glacier.pdf", pdf(_GLACIER)),
            ]
            for one in told:
                _must((await api.ended(one["task_id"]))["status"] == "succeeded", str(one))
            first = (await api.hits(_CABINET, "who cleans the lamp by the sea?"))[0]
            _must(first["external_id"] == "lighthouse.pdf", str(first))
            return {"found": first["external_id"], "score": round(first["score"], 3)}

    async def a_large_upload(self) -> dict[str, Any]:
        """100 MB through the ingress, followed by server-sent events through it too."""
        body = large_pdf(_LARGE, "The cartographer drew an island that nobody has found since.")
        async with Api.open(self.url, await self.key()) as api:
            began = time.monotonic()
            told = await api.accepted(_CABINET, "large.pdf", body)
            accepted = time.monotonic() - began
            followed = await api.follow(told["task_id"])
            last = followed.states[-1]
            _must(last["status"] == "succeeded", str(last))
            _must(len(followed.states) > 1, "the stream told one state only")
            hits = await api.hits(_CABINET, "an island that was never found")
            _must(hits[0]["external_id"] == "large.pdf", str(hits[0]))
        return {
            "bytes": len(body),
            "sha256": hashlib.sha256(body).hexdigest()[:12],
            "accepted_s": round(accepted, 1),
            "events": len(followed.states),
            "searchable_s": round(time.monotonic() - began, 1),
        }

    async def reindex_by_hand(self) -> dict[str, Any]:
        """``kubectl create job --from=cronjob/…``, for all cabinets and for one."""
        source = f"--from=cronjob/{self.name}-reindex"
        await self.kubectl("create", "job", "by-hand", source)
        await self._done("by-hand")
        made = await self.kubectl(
            *("create", "job", "by-hand-one", source, "--dry-run=client", "-o", "yaml")
        )
        one = await run(
            str(self.kubectl.binary),
            *("set", "env", "--local", "-f", "-", "-o", "yaml"),
            f"SCHEDULER_REINDEX_CABINETS={_CABINET}",
            "SCHEDULER_REINDEX_MODE=full",
            stdin=made,
        )
        await self.kubectl("apply", "-f", "-", stdin=one)
        await self._done("by-hand-one")
        said = await self.kubectl("logs", "job/by-hand-one")
        _must(f'"{_CABINET}"' in said, said)
        async with Api.open(self.url, await self.key()) as api:
            cabinet = (await api.http.get(f"/rag/cabinets/{_CABINET}")).json()
            run_id = cabinet["last_run"]["task_id"]
            ended = await api.ended(run_id)
        _must(ended["status"] == "succeeded", str(ended))
        _must(ended["result"]["success"] == ended["result"]["total"] > 0, str(ended))
        return {"indexed anew": ended["result"]["success"]}

    async def a_tick_fires(self) -> dict[str, Any]:
        """The CronJob's own Job comes by itself, and does its work."""
        deadline = time.monotonic() + 150
        while time.monotonic() < deadline:
            for job in (await self.kubectl.get("jobs"))["items"]:
                owners = [o["name"] for o in job["metadata"].get("ownerReferences", [])]
                by_hand = "cronjob.kubernetes.io/instantiate" in job["metadata"].get(
                    "annotations", {}
                )
                if f"{self.name}-scheduler" in owners and job["status"].get("succeeded"):
                    _must(not by_hand, str(owners))
                    return {"job": job["metadata"]["name"]}
            await asyncio.sleep(2)
        raise AssertionError("no tick has succeeded in 150 s")

    async def nothing_is_lost(self) -> dict[str, Any]:
        """Scale, restart, kill, all under load; then every 202 must be searchable."""
        async with (
            Api.open(self.url, await self.key()) as api,
            Load(api, _LOAD_CABINET, self.seed) as load,
        ):
            done = {}
            for name, harm in self._harms().items():
                await load.more(15)
                began = time.monotonic()
                await harm()
                done[name] = round(time.monotonic() - began, 1)
            await load.more(15)
            await load.stop()
            broken = await load.broken()
            _must(not broken, f"{len(broken)} of {len(load.promises)}: {broken[:5]}")
        return {
            "accepted": len(load.promises),
            "lost": 0,
            "refused": dict(load.refused),
            "harm_s": done,
        }

    def _harms(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "embedders 1 to 3": lambda: self._scale(3),
            "kill an embedder": lambda: self._kill("embedder"),
            "kill an API pod": lambda: self._kill("ingest-api"),
            "kill the broker": lambda: self._kill("kafka"),
            "restart all": self._restart,
            "embedders 3 to 1": lambda: self._scale(1),
        }

    async def _scale(self, count: int) -> None:
        name = f"deployment/{self.name}-embedder"
        await self.kubectl("scale", name, f"--replicas={count}")
        await self.kubectl("rollout", "status", name, "--timeout=300s")

    async def _kill(self, component: str) -> None:
        """SIGKILL without any grace, and wait until others are ready in its place."""
        selector = f"app.kubernetes.io/component={component}"
        before = await self.kubectl.get("pods", "-l", selector)
        victim, *_ = [pod["metadata"] for pod in before["items"]]
        await self.kubectl("delete", "pod", victim["name"], "--grace-period=0", "--force")
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            pods = (await self.kubectl.get("pods", "-l", selector))["items"]
            others = [pod for pod in pods if pod["metadata"]["uid"] != victim["uid"]]
            if len(others) == len(before["items"]) and all(_is_ready(pod) for pod in others):
                return
            await asyncio.sleep(0.5)
        raise AssertionError(f"nothing took the place of {victim['name']} in 300 s")

    async def _restart(self) -> None:
        for kind in ("deployment", "statefulset"):
            selector = f"app.kubernetes.io/instance={self.release.name}"
            for name in await self.kubectl.names(kind, selector):
                await self.kubectl("rollout", "restart", f"{kind}/{name}")
                await self.kubectl("rollout", "status", f"{kind}/{name}", "--timeout=300s")

    async def upgrade_and_back(self) -> dict[str, Any]:
        """A changed value arrives and goes again; secrets and documents stay."""
        before, keys = await self.key(), await self._keys_edited()
        level = {"log": {"level": "debug", "format": "json"}}
        await self.release.upgrade(self.release.values | level)
        _must(await self._log_level() == "debug", "the value did not arrive")
        _must(await self.key() == before, "the upgrade made another key")
        await self.release.rollback()
        _must(await self._log_level() == "info", "the rollback did not arrive")
        _must(await self.key() == before, "the rollback made another key")
        kept = await self.release.secret(f"{self.name}-api-keys", "keys.json")
        _must(kept == keys, "the rollback took back what an operator changed in the keys")
        async with Api.open(self.url, before) as api:
            hits = await api.hits(_CABINET, _LIGHTHOUSE)
            _must(hits[0]["external_id"] == "lighthouse.pdf", str(hits))
        return {"key": "the same", "documents": "still there"}

    async def _keys_edited(self) -> str:
        """Change the file of keys as an operator does; it means the same. Returns what it is."""
        name = f"{self.name}-api-keys"
        keys = await self.release.secret(name, "keys.json") + "\n"
        patch = json.dumps({"stringData": {"keys.json": keys}})
        await self.kubectl("patch", "secret", name, "--type=merge", "-p", patch)
        return keys

    async def _log_level(self) -> str:
        found = await self.kubectl.get("deployment", f"{self.name}-ingest-api")
        env = found["spec"]["template"]["spec"]["containers"][0]["env"]
        return str(next(item["value"] for item in env if item["name"] == "LOG_LEVEL"))

    async def uninstall_leaves(self) -> dict[str, Any]:
        """Exactly what the notes and the chart's README say that it leaves."""
        await self.release.uninstall()
        said = {
            f"secret/{self.name}-api-keys",
            f"secret/{self.name}-qdrant",
            f"secret/{self.name}-object-storage",
            f"configmap/{self.name}-install",
            f"pod/{self.name}-tests",
        }
        lease = f"lease.coordination.k8s.io/{self.name}-scheduler"  # there once a tick has fired
        volumes = {
            f"persistentvolumeclaim/data-{self.name}-{store}-0"
            for store in ("kafka", "qdrant", "object-storage")
        }
        deadline = time.monotonic() + 120
        while True:  # what the removed ones own goes a moment later
            left = set(await self.release.objects()) - {lease}
            if left == said | volumes or time.monotonic() > deadline:
                break
            await asyncio.sleep(2)
        _must(left <= said | volumes, f"left beside: {sorted(left - said - volumes)}")
        _must(said | volumes <= left, f"gone as well: {sorted((said | volumes) - left)}")
        return {"left": sorted(left)}

    async def found_again(self) -> dict[str, Any]:
        """The same install after an uninstall finds every document, by the same key."""
        before = await self.key()
        await self.release.install()
        _must(await self.key() == before, "the install made another key")
        async with Api.open(self.url, before) as api:
            hits = await api.hits(_CABINET, _LIGHTHOUSE)
            _must(hits[0]["external_id"] == "lighthouse.pdf", str(hits))
        return {"key": "the same", "documents": "still there"}

    async def _done(self, job: str) -> None:
        await self.kubectl("wait", "--for=condition=complete", f"job/{job}", "--timeout=120s")


def _must(holds: bool, why: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        raise AssertionError(why)


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
