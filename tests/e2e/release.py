"""One release of the chart, by one of the two Helms."""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.command import CommandError, Kubectl, run

__all__ = ["CHART", "Release"]

CHART = Path(__file__).resolve().parents[2] / "charts" / "kartoteka"
_WAIT = "8m"


@dataclass(slots=True, kw_only=True)
class Release:
    """A name in a namespace, with the values that it was last given."""

    helm: Path
    kubectl: Kubectl
    name: str
    folder: Path
    values: dict[str, Any] = field(default_factory=dict)

    async def install(self) -> str:
        """Install and wait until everything is ready; raises CommandError."""
        return await self._apply("install", self.values)

    async def upgrade(self, values: dict[str, Any]) -> str:
        """Upgrade to other values and wait; raises CommandError."""
        return await self._apply("upgrade", values)

    async def rollback(self) -> str:
        """Go back to the revision before, and wait."""
        return await self._helm("rollback", self.name, "--wait", "--timeout", _WAIT)

    async def test(self) -> str:
        """Run the chart's own tests."""
        return await self._helm("test", self.name, "--timeout", "5m")

    async def uninstall(self) -> str:
        """Remove the release and wait until its objects are gone."""
        return await self._helm("uninstall", self.name, "--wait", "--timeout", _WAIT)

    async def exists(self) -> bool:
        """Whether the release is there."""
        listed = json.loads(await self._helm("list", "--all", "-o", "json"))
        return any(row["name"] == self.name for row in listed)

    async def secret(self, name: str, key: str) -> str:
        """Return one value of a Secret."""
        found = await self.kubectl.get("secret", name)
        return base64.b64decode(found["data"][key]).decode()

    async def objects(self) -> list[str]:
        """Return what is in the namespace now, whoever made it, as kind/name."""
        kinds = await run(
            str(self.kubectl.binary),
            *("api-resources", "--verbs=list", "--namespaced", "-o", "name"),
        )
        wanted = sorted(set(kinds.split()) - _DERIVED)
        listed = await self.kubectl("get", ",".join(wanted), "-o", "name")
        return sorted({line for line in listed.split() if line} - _OF_ANY_NAMESPACE)

    async def _apply(self, command: str, values: dict[str, Any]) -> str:
        file = self.folder / f"{command}-values.json"
        file.write_text(json.dumps(values), encoding="utf-8")
        try:
            return await self._helm(
                command, self.name, str(CHART), "-f", str(file), "--wait", "--timeout", _WAIT
            )
        except CommandError as error:
            state = await self.kubectl("get", "pods,events", "-o", "wide")
            raise CommandError(f"{error}\n{state[-6000:]}") from error

    async def _helm(self, *arguments: str) -> str:
        return await run(str(self.helm), "-n", self.kubectl.namespace, *arguments)


_DERIVED = frozenset(
    {
        "bindings",
        "endpoints",
        "endpointslices.discovery.k8s.io",
        "events",
        "events.events.k8s.io",
        "controllerrevisions.apps",
    }
)
"""What controllers make and remove by themselves."""
_OF_ANY_NAMESPACE = frozenset({"configmap/kube-root-ca.crt", "serviceaccount/default"})
"""What Kubernetes itself puts there."""
