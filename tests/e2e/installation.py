"""Which values the run installs, and which images they name."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.e2e.command import run

__all__ = ["Images", "values"]

_OURS: Final = {
    "ingestApi": "kartoteka/ingest-api",
    "embedder": "kartoteka/embedder",
    "scheduler": "kartoteka/scheduler",
}
_STORES: Final = {
    "kafka": "kartoteka/e2e-kafka",
    "qdrant": "kartoteka/e2e-qdrant",
    "objectStorage": "kartoteka/e2e-object-storage",
}
_ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """How images come to the nodes.

    Args:
        tag: of all six.
        load: a command for each image, with ``{image}`` for its name; empty: they are there.
        registry: where ``load`` pushes to, if it does.
    """

    tag: str
    load: str
    registry: str

    async def build(self, say: Callable[[str], None]) -> None:
        """Build all six, as the environment tells images/build.sh; raises CommandError."""
        say("building images …")
        env = {**os.environ, "TAG": self.tag}
        await run("make", "-C", str(_ROOT), "images", "images-stores", env=env, within=1800)

    async def bring(self) -> list[str]:
        """Load every image; returns their names. Raises CommandError."""
        names = [f"{name}:{self.tag}" for name in (*_OURS.values(), *_STORES.values())]
        if self.load:
            for name in names:
                await run("sh", "-c", self.load.format(image=name))
        return names


def values(images: Images, *, ingress_class: str) -> dict[str, Any]:
    """Return values for a small cluster, with every store built in.

    The tick comes every minute, so that a run sees one fire. Requests are small, that all fits on
    one node of two cores together with what the tests start; limits are the chart's own.
    """
    small = {"requests": {"cpu": "50m"}}
    given: dict[str, Any] = {
        "global": {"imageRegistry": images.registry},
        "ingress": {
            "enabled": True,
            "className": ingress_class,
            "hosts": [{"host": "", "paths": [{"path": "/", "pathType": "Prefix"}]}],
        },
        "ingestApi": {"replicas": 2, "resources": small},
        "embedder": {"replicas": 1, "resources": small},
        "scheduler": {"schedule": "* * * * *", "activeDeadlineSeconds": 50, "resources": small},
        "kafka": {"jobPartitions": 6, "builtin": {"resources": small}},
        "qdrant": {"builtin": {"resources": small}},
        "objectStorage": {"builtin": {"resources": small}},
    }
    for key, repository in _OURS.items():
        given[key]["image"] = {"repository": repository, "tag": images.tag}
    for key, repository in _STORES.items():
        store = given[key]["builtin"]
        store["image"] = {"registry": "", "repository": repository, "tag": images.tag, "digest": ""}
    return given
