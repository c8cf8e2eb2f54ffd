"""Install the chart on a real cluster, use it, break it, upgrade it, remove it. ``make e2e``.

It works on the cluster of the current kubeconfig, in one namespace that it makes and removes, which
enforces the Pod Security profile ``restricted``. The cluster needs an ingress controller, and its
nodes must get the images: --load is run for each, as `kind load docker-image {image}`.
"""

import argparse
import asyncio
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.charts.binaries import HELMS, helm_binary, kubectl_binary
from tests.e2e.command import CommandError, Kubectl, run
from tests.e2e.installation import Images, values
from tests.e2e.release import Release
from tests.e2e.report import Report
from tests.e2e.scenario import Scenario

_ROOT: Final = Path(__file__).resolve().parents[2]
_NAME: Final = "kartoteka"
_MADE_HERE: Final = "kartoteka.test/e2e=yes"
"""The label without which no namespace is removed."""


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make e2e",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--url", required=True, help="where the ingress controller listens")
    parser.add_argument("--ingress-class", default="", help="default: the cluster's own")
    parser.add_argument("--tag", default="e2e", help="of the images (default: %(default)s)")
    parser.add_argument("--no-build", action="store_true", help="the images are built already")
    parser.add_argument("--load", default="", help="a shell command that brings {image} to nodes")
    parser.add_argument("--registry", default="", help="where nodes pull from, if they do")
    parser.add_argument("--namespace", default="kartoteka-e2e")
    parser.add_argument("--helm", choices=sorted(HELMS), action="append", help="default: both")
    parser.add_argument("--seed", type=int, default=1, help="of the texts that are uploaded")
    parser.add_argument("--keep", action="store_true", help="leave the last release as it is")
    parser.add_argument("--save", type=Path, default=_ROOT / ".kartoteka" / "e2e.json")
    return parser.parse_args()


async def _namespace(kubectl: Kubectl) -> None:
    """Make the namespace anew, with Pod Security enforced.

    Raises:
        CommandError: there is one of this name that no run of this made.
    """
    name = kubectl.namespace
    if await kubectl("get", "namespace", name, "--ignore-not-found", "-o", "name"):
        made = await kubectl("get", "namespace", "-l", _MADE_HERE, "-o", "name")
        if f"namespace/{name}" not in made.split():
            raise CommandError(f"namespace {name} is somebody else's: name another --namespace")
        await kubectl("delete", "namespace", name, "--wait")
    await kubectl("create", "namespace", name)
    enforced = (f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn"))
    await kubectl("label", "namespace", name, _MADE_HERE, *enforced)


async def _with(helm: str, options: argparse.Namespace, images: Images, report: Report) -> None:
    kubectl = Kubectl(binary=kubectl_binary(), namespace=options.namespace)
    await _namespace(kubectl)
    release = Release(
        helm=helm_binary(helm),
        kubectl=kubectl,
        name=_NAME,
        folder=Path(tempfile.mkdtemp(prefix="kartoteka-e2e-")),
        values=values(images, ingress_class=options.ingress_class),
    )
    scenario = Scenario(
        release=release, kubectl=kubectl, url=options.url, name=_NAME, seed=options.seed
    )

    async def install() -> dict[str, str]:
        await release.install()
        return {}

    async def test() -> dict[str, str]:
        said = await release.test()
        return {"phase": "Succeeded" if "Succeeded" in said else said[-500:]}

    if not await report.step(f"{helm}: install --wait", install()):
        return
    await report.step(f"{helm}: pods are well", scenario.pods_are_well())
    await report.step(f"{helm}: helm test", test())
    await report.step(f"{helm}: PDFs are found", scenario.documents_are_found())
    if helm == "helm4":
        await report.step("accounts may do what they need", scenario.accounts_are_bounded())
        await report.step("acceptance script", scenario.acceptance())
        await report.step("100 MB and its events", scenario.a_large_upload())
        await report.step("a tick fires", scenario.a_tick_fires())
        await report.step("reindexing by hand", scenario.reindex_by_hand())
        await report.step("nothing is lost", scenario.nothing_is_lost())
    await report.step(f"{helm}: upgrade and rollback", scenario.upgrade_and_back())
    if not options.keep:
        await report.step(f"{helm}: uninstall", scenario.uninstall_leaves())
        await report.step(f"{helm}: install again", scenario.found_again())
        await report.step(f"{helm}: uninstall again", scenario.uninstall_leaves())
        await kubectl("delete", "namespace", options.namespace, "--wait")


async def _main() -> int:
    options = _options()
    images = Images(tag=options.tag, load=options.load, registry=options.registry)
    kubectl = kubectl_binary()
    try:
        version = await run(str(kubectl), "version", "-o", "json", within=30)
        if not options.no_build:
            await images.build(_say)
        loaded = await images.bring()
    except CommandError as error:
        _say(f"{error}\nThe run needs a kubeconfig whose cluster answers; see make e2e E2E=--help")
        return 1
    _say(f"images: {', '.join(loaded)}")
    report = Report(_say)
    try:
        for helm in options.helm or sorted(HELMS, reverse=True):
            await _with(helm, options, images, report)
    except CommandError as error:
        _say(f"{error}")
        return 1
    about = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "cluster": version}
    report.save(options.save, about)
    _say(f"{len(report.steps) - len(report.failed)} of {len(report.steps)} steps well")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
