"""Programs that the run calls: kubectl, Helm, builders of images."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["CommandError", "Kubectl", "run"]


class CommandError(Exception):
    """A program ended with an error; the message has what it said."""


async def run(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    within: float = 600.0,
) -> str:
    """Run a program to its end and return what it wrote to stdout.

    Raises:
        CommandError: it failed, or took longer than ``within`` seconds.
    """
    process = await asyncio.create_subprocess_exec(
        *arguments,
        env=None if env is None else dict(env),
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate(None if stdin is None else stdin.encode())
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise CommandError(f"{_shown(arguments)} took longer than {within:.0f} s") from error
    if process.returncode != 0:
        said = (err + out).decode(errors="replace")[-4000:]
        raise CommandError(f"{_shown(arguments)} ended with {process.returncode}:\n{said}")
    return out.decode(errors="replace")


def _shown(arguments: tuple[str, ...]) -> str:
    program, *rest = arguments
    return " ".join((Path(program).name, *rest))[:300]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubectl:
    """kubectl in one namespace of the current kubeconfig's cluster."""

    binary: Path
    namespace: str

    async def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a command; raises CommandError."""
        return await run(str(self.binary), "-n", self.namespace, *arguments, stdin=stdin)

    async def get(self, *arguments: str) -> dict[str, Any]:
        """Return objects as they are; raises CommandError."""
        found: dict[str, Any] = json.loads(await self("get", *arguments, "-o", "json"))
        return found

    async def names(self, kind: str, selector: str = "") -> list[str]:
        """Return the names of objects of one kind."""
        listed = await self("get", kind, "-l", selector, "-o", "name")
        return [line.partition("/")[2] for line in listed.split()]

    async def can(self, account: str, verb: str, resource: str) -> bool:
        """Ask the apiserver what a ServiceAccount of this namespace may do."""
        subject = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{self.namespace}:{account}",
                "groups": ["system:serviceaccounts", f"system:serviceaccounts:{self.namespace}"],
                "resourceAttributes": _attributes(self.namespace, verb, resource),
            },
        }
        created = await self("create", "-f", "-", "-o", "json", stdin=json.dumps(subject))
        is_allowed: bool = json.loads(created)["status"]["allowed"]
        return is_allowed


def _attributes(namespace: str, verb: str, resource: str) -> dict[str, str]:
    """Split ``group/resource/name``; the name is optional, the core group is empty."""
    group, kind, *name = resource.split("/")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": kind}
    return attributes | ({"name": name[0]} if name else {})
