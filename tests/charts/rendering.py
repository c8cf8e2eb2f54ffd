"""The chart as Helm renders it: objects, each checked against its schema."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from tests.charts.object_schemas import problems

__all__ = ["CHART", "NAMESPACE", "RELEASE", "ROOT", "Object", "RenderError", "Renderer", "Values"]

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "charts" / "kartoteka"
RELEASE: Final = "rag"
NAMESPACE: Final = "docs"

KINDS: Final = (
    "gateway.networking.k8s.io/v1",
    "kafka.strimzi.io/v1",
    "keda.sh/v1alpha1",
    "monitoring.coreos.com/v1",
)
"""Groups of kinds that the cluster is said to know beside Kubernetes' own."""

Object = dict[str, Any]
Values = Mapping[str, Any] | Path
"""Values, or an overlay's file."""


class RenderError(Exception):
    """Helm refused the values; the message is Helm's own."""


class _Loader(yaml.CSafeLoader):
    """YAML in which a key twice is an error, as it is for an API server."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _value in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.constructor.ConstructorError(
            None, None, f"keys are there twice: {sorted(twice)}", node.start_mark
        )
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


@dataclass(slots=True, kw_only=True)
class Renderer:
    """Renders the chart with one Helm; the same values are rendered once.

    Objects are shared between tests: nobody changes them.
    """

    name: str
    helm: Path
    folder: Path
    _done: dict[str, list[Object]] = field(default_factory=dict)

    def __call__(
        self,
        *values: Values,
        show_only: str | None = None,
        kube_version: str = "1.34",
        validate: bool = True,
    ) -> list[Object]:
        """Return the objects; later values win over earlier ones.

        Raises:
            RenderError: Helm refused.
            AssertionError: an object is not what Kubernetes takes.
        """
        options = ["--kube-version", kube_version, *_known(KINDS)]
        options += ["--show-only", show_only] if show_only else []
        key = json.dumps([[_plain(item) for item in values], options], sort_keys=True)
        if key not in self._done:
            text = self._run("template", values, options)
            self._done[key] = [item for item in yaml.load_all(text, Loader=_Loader) if item]
        objects = self._done[key]
        if validate:
            found = [problem for item in objects for problem in problems(item)]
            assert not found, "\n".join(found)
        return objects

    def upgraded(self, cluster: str, *values: Values) -> list[Object]:
        """Return the objects of an upgrade that looks into a cluster, given as its API's URL.

        Raises:
            RenderError: Helm refused.
        """
        options = ["--dry-run=server", "--is-upgrade", "--disable-openapi-validation"]
        options += ["--kube-apiserver", cluster]
        text = self._run("template", values, options)
        return [item for item in yaml.load_all(text, Loader=_Loader) if item]

    def notes(self, *values: Values) -> str:
        """Return what a user reads after the installation."""
        text = self._run("install", values, ["--dry-run=client"])
        return text.partition("\nNOTES:\n")[2]

    def lint(self, *values: Values) -> str:
        """Return what `helm lint --strict` says.

        Raises:
            RenderError: it found something.
        """
        command = [str(self.helm), "lint", str(CHART), "--strict", *self._value_options(values)]
        return self._output(command)

    def refuses(self, *values: Values, kinds: Sequence[str] = KINDS) -> str:
        """Return why Helm refuses the values.

        Args:
            values: as for rendering.
            kinds: groups of kinds that the cluster is said to know.

        Raises:
            AssertionError: it takes them.
        """
        try:
            self._run("template", values, ["--kube-version", "1.34", *_known(kinds)])
        except RenderError as error:
            return str(error)
        raise AssertionError(f"{self.name} took {[_plain(item) for item in values]}")

    def _run(self, verb: str, values: Sequence[Values], options: Sequence[str]) -> str:
        command = [str(self.helm), verb, RELEASE, str(CHART), "--namespace", NAMESPACE, *options]
        return self._output([*command, *self._value_options(values)])

    def _value_options(self, values: Sequence[Values]) -> list[str]:
        options: list[str] = []
        for number, item in enumerate(values):
            if isinstance(item, Path):
                path = item
            else:
                path = self.folder / f"values-{number}.json"
                path.write_text(json.dumps(item), "utf-8")
            options += ["--values", str(path)]
        return options

    def _output(self, command: Sequence[str]) -> str:
        # No configuration, cache or cluster of the user's: Helm's are all below HOME and XDG_*.
        env = {"HOME": str(self.folder), "KUBECONFIG": str(self.folder / "none"), "PATH": ""}
        env["GOGC"] = "off"  # it ends before garbage matters, and collecting is a fifth of its time
        run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if run.returncode:
            raise RenderError(run.stdout + run.stderr)
        return run.stdout


def _known(kinds: Sequence[str]) -> list[str]:
    return [part for kind in kinds for part in ("--api-versions", kind)]


def _plain(item: Values) -> Any:
    return item.read_text("utf-8") if isinstance(item, Path) else dict(item)
