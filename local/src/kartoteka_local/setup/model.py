"""The embedding model: exported once, kept under KARTOTEKA_HOME."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kartoteka_local.setup.progress import Progress
from kartoteka_local.setup.stamp import Stamp, digest

__all__ = ["Model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What the embedder's export command leaves behind."""

    cache: Path
    python: Path
    lock: Path
    """The lock file that pins the exporter: other versions export anew."""
    env: Mapping[str, str]

    def prepare(self, progress: Progress) -> None:
        """Export the model, unless these settings and versions have done so.

        Raises:
            SetupError: the export failed.
        """
        settings = sorted(f"{name}={value}" for name, value in self.env.items() if _counts(name))
        stamp = Stamp(path=self.cache / ".exported", inputs=digest(self.lock, *settings))
        if stamp.fresh():
            return
        with progress.step("Exporting the embedding model, once"):
            progress.run(
                [str(self.python), "-m", "embedder", "export-model"],
                env={**self.env, "MODEL_CACHE": str(self.cache)},
                advice="If a download failed, check the network; MODEL_PATH=/folder names a model "
                "that lies on this machine.",
            )
        stamp.set()


def _counts(name: str) -> bool:
    return name.startswith("MODEL_") and name != "MODEL_CACHE"
