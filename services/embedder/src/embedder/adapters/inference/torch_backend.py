"""Runs the model as sentence-transformers defines it: the reference, and what exports start from.

Imported only where this backend is chosen, or by the export: it costs ten seconds and 500 MB.
"""

from collections.abc import Sequence

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from embedder.adapters.inference.model_source import ModelSource
from embedder.domain.batching import ModelInput
from embedder.domain.vectors import Vectors

__all__ = ["SentenceVectors", "TorchBackend", "load_sentence_transformer"]


class SentenceVectors(torch.nn.Module):
    """Transformer, pooling and normalisation as one function of two tensors."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return vectors of length 1, whether or not the model normalises by itself."""
        features = {"input_ids": input_ids, "attention_mask": attention_mask}
        vectors = self.model(features)["sentence_embedding"]
        return torch.nn.functional.normalize(vectors.float(), dim=-1)


def load_sentence_transformer(source: ModelSource, *, device: str = "cpu") -> SentenceTransformer:
    """Load a model from its folder, or from the hub or its cache."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = SentenceTransformer(source.location, revision=source.revision, device=device)
    return model.eval()


class TorchBackend:
    """The reference. Uses a GPU where torch sees one.

    Args:
        source: where the model comes from.
        threads: cores of one matrix product.
    """

    width = 1

    def __init__(self, source: ModelSource, *, threads: int = 1) -> None:
        self._source = source
        self._threads = threads
        self._module: SentenceVectors | None = None
        self._device = "cpu"

    def load(self) -> None:
        """Load the weights."""
        torch.set_num_threads(self._threads)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._module = SentenceVectors(load_sentence_transformer(self._source, device=self._device))

    def run(self, batches: Sequence[ModelInput]) -> list[Vectors]:
        """Run one batch after the other."""
        if self._module is None:
            raise RuntimeError("the model is not loaded")
        with torch.inference_mode():
            return [self._vectors(self._module, batch) for batch in batches]

    def close(self) -> None:
        """Let go of the weights."""
        self._module = None

    def _vectors(self, module: SentenceVectors, batch: ModelInput) -> Vectors:
        ids = torch.from_numpy(batch.ids).to(self._device)
        mask = torch.from_numpy(batch.mask).to(self._device)
        return np.ascontiguousarray(module(ids, mask).cpu().numpy(), dtype=np.float32)
