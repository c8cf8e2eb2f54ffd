"""An exported model on disk: finding it, reading it, having it made."""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from pydantic import TypeAdapter

from embedder.adapters.inference.model_settings import ModelSettings
from embedder.adapters.inference.model_source import ModelSource, library_versions, source_of
from embedder.domain.model import ModelSpec
from embedder.domain.parsed import TokenIds

__all__ = [
    "ExportedModel",
    "ExportedModelError",
    "ModelKey",
    "ensure",
    "export_lock",
    "find",
    "with_prompts",
]

FORMAT: Final = 2
"""Raised when the folder's layout or the network's form changes: older exports are made anew."""

_META: Final = "meta.json"
_TOKENIZER: Final = "tokenizer.json"
_IR: Final = "model.xml"
_EXPORTER: Final = "sentence-transformers"
_ERROR_TAIL: Final = 2000
_SPEC: Final = TypeAdapter(ModelSpec)


class ExportedModelError(Exception):
    """There is no exported model, and it cannot be made here. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelKey:
    """What an export depends on."""

    source: ModelSource
    backend: str
    versions: Mapping[str, str]

    @classmethod
    def of(cls, settings: ModelSettings) -> Self:
        """Return the key of the model that the settings name, with this process's libraries."""
        return cls(
            source=source_of(settings), backend=settings.backend, versions=library_versions()
        )

    @property
    def identity(self) -> dict[str, Any]:
        """The key as meta.json keeps it. Holds no path: an export may move between machines."""
        return {
            "format": FORMAT,
            "name": self.source.name,
            "revision": self.source.revision,
            "digest": self.source.digest,
            "backend": self.backend,
        }

    @property
    def folder(self) -> str:
        """The folder below the cache, ``name/hash``."""
        whole = json.dumps([self.identity, dict(self.versions)], sort_keys=True)
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", self.source.name).strip("-.") or "model"
        return f"{slug}/{hashlib.sha256(whole.encode()).hexdigest()[:16]}"

    def matches(self, meta: Mapping[str, Any]) -> bool:
        """Whether an export is this one.

        Libraries that are not installed here (a worker's image holds no torch), and a source
        that is not here (a folder, or the package of a model that has one), do not matter.
        """
        wanted = self.identity
        is_absent = self.source.location != self.source.name or _EXPORTER not in self.versions
        if self.source.digest is None and is_absent:
            wanted.pop("digest")
        versions = meta.get("versions", {})
        return all(meta.get("identity", {}).get(name) == wanted[name] for name in wanted) and all(
            versions.get(name) == version for name, version in self.versions.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedModel:
    """A folder with all that a worker needs of a model."""

    folder: Path
    spec: ModelSpec

    @property
    def tokenizer(self) -> Path:
        """The model's tokenizer, truncation and padding off."""
        return self.folder / _TOKENIZER

    @property
    def ir(self) -> Path:
        """The network for OpenVINO; not there where the backend is torch."""
        return self.folder / _IR

    @property
    def meta(self) -> Path:
        """What stands beside them."""
        return self.folder / _META

    @classmethod
    def read(cls, folder: Path, key: ModelKey) -> Self | None:
        """Return the export in a folder; None where it is another one, or not whole."""
        try:
            meta = json.loads((folder / _META).read_text(encoding="utf-8"))
            sizes = {name: (folder / name).stat().st_size for name in meta["files"]}
            if sizes != meta["files"] or not key.matches(meta):
                return None
            return cls(folder=folder, spec=_SPEC.validate_python(meta["spec"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @staticmethod
    def write_meta(folder: Path, key: ModelKey, spec: ModelSpec, **more: Any) -> None:
        """Describe a folder whose other files are complete."""
        files = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
        meta = {
            "identity": key.identity,
            "versions": dict(key.versions),
            "spec": asdict(spec),
            "files": files,
            **more,
        }
        (folder / _META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def find(settings: ModelSettings) -> ExportedModel | None:
    """Return the export that fits the settings and the installed libraries, if there is one."""
    key = ModelKey.of(settings)
    exact = settings.cache_folder / key.folder
    others = sorted(exact.parent.glob("*")) if exact.parent.is_dir() else []
    for folder in (exact, *others):
        found = ExportedModel.read(folder, key)
        if found is not None:
            return found
    return None


def ensure(settings: ModelSettings) -> ExportedModel:
    """Return the export, having it made in a process of its own where it is missing. Blocks.

    Raises:
        ExportedModelError: it is missing and cannot be made.
    """
    found = find(settings)
    if found is not None:
        return found
    advice = "run: python -m embedder export-model"
    where = f"no exported model {settings.name!r} in {settings.cache_folder}"
    if importlib.util.find_spec("sentence_transformers") is None:
        raise ExportedModelError(f"{where}; where {_EXPORTER} is installed, {advice}")
    # A process of its own: torch would cost this one 500 MB for good.
    export = subprocess.run(  # noqa: S603 - our own module, by a fixed argument list
        [sys.executable, "-m", "embedder.adapters.model_export", settings.model_dump_json()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    found = find(settings)
    if found is None:
        tail = export.stdout.decode("utf-8", "replace")[-_ERROR_TAIL:].strip()
        raise ExportedModelError(f"{where}, and its export failed; to see it, {advice}\n{tail}")
    return found


@contextlib.contextmanager
def export_lock(settings: ModelSettings) -> Iterator[None]:
    """Hold the cache's lock for one model: of processes that start together, one exports."""
    parent = (settings.cache_folder / ModelKey.of(settings).folder).parent
    parent.mkdir(parents=True, exist_ok=True)
    with (parent / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing the file, or dying, lets go of it


def with_prompts(
    spec: ModelSpec, settings: ModelSettings, tokens: Callable[[str], TokenIds]
) -> ModelSpec:
    """Return the spec with the settings' prompts in place of the model's own.

    Args:
        spec: the model's.
        settings: may name prompts.
        tokens: the tokenizer's function from a text to its ids.
    """
    query = spec.query_prompt if settings.query_prompt is None else settings.query_prompt
    passage = spec.passage_prompt if settings.passage_prompt is None else settings.passage_prompt
    # Its closing space belongs to the word that follows, for tokenizers that mark it there.
    ids = tuple(int(token) for token in tokens(passage.rstrip()))
    return replace(spec, query_prompt=query, passage_prompt=passage, passage_prompt_ids=ids)
