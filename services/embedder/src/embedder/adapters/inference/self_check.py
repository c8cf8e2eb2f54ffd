"""Whether an exported model says what the original says."""

import random
from collections.abc import Sequence
from typing import Final

import numpy as np

from embedder.adapters.inference.backend import Backend
from embedder.domain.batching import BatchPolicy, fill, plan
from embedder.domain.model import ModelSpec
from embedder.domain.parsed import TokenIds
from embedder.domain.vectors import Vectors

__all__ = ["MINIMUM_COSINE", "check_texts", "cosines", "run_rows"]

MINIMUM_COSINE: Final = 0.999
"""Below it an export is refused."""

_SENTENCES: Final = (
    "The quick brown fox jumps over the lazy dog.",
    "Invoices are due within thirty days of receipt, unless agreed otherwise in writing.",
    "def fibonacci(n): return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)",
    "Der Vertrag endet mit Ablauf des 31. Dezember, ohne dass es einer Kündigung bedarf.",
    "La réunion aura lieu à l'hôtel de ville, à côté de l'église, à 18 h 30.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "東京は日本の首都であり、世界最大の都市圏の一つである。",
    "مرحبا بالعالم، هذه جملة قصيرة باللغة العربية.",
    "नमस्ते दुनिया, यह एक छोटा वाक्य है।",
    "E = mc², and ∑ over i of xᵢ is ≥ 0 → q.e.d.",
    "Order #4711: 3 * 19,99 € = 59,97 € (VAT 19 %).",
    "See https://example.org/a/b?c=d&e=f#g for details :-) 🎉🚀",
    "| id | name | price |\n|---|---|---|\n| 1 | bolt M6 | 0.12 |",
    "Photosynthesis converts light energy into chemical energy that is stored in glucose.",
    "To be, or not to be, that is the question.",
    "Temperatures below -40 °C void the warranty; store it dry and upright.",
)
_ODD: Final = (
    "",
    " ",
    "\n\t",
    ".",
    "a",
    "?!",
    "0",
    "é",
    "e\u0301",
    "字",
    "\u200b",
    "🎉",
    "\u00a0x",
)
_REPEATS: Final = (1, 1, 2, 3, 5, 8, 13, 40)


def check_texts() -> tuple[str, ...]:
    """Return more than 64 texts: from none to more than any model takes, in many scripts."""
    chance = random.Random(20_240_229)  # noqa: S311 - the same texts everywhere
    mixed = [" ".join(chance.choices(_SENTENCES, k=times)) for times in _REPEATS for _ in range(5)]
    words = " ".join(_SENTENCES).split()
    shuffled = [" ".join(chance.sample(words, k=n)) for n in (2, 4, 7, 12, 20, 33, 60, 110)]
    return (*_SENTENCES, *_ODD, *mixed, *shuffled)


def run_rows(
    backend: Backend, spec: ModelSpec, rows: Sequence[TokenIds], policy: BatchPolicy
) -> Vectors:
    """Return one vector a row, batched as the engine batches them."""
    out = np.empty((len(rows), spec.dimension), dtype=np.float32)
    for batch in plan([len(row) for row in rows], policy, longest=spec.max_tokens):
        inputs = fill([rows[n] for n in batch.rows], batch.length, pad=spec.pad)
        (out[list(batch.rows)],) = backend.run([inputs])
    return out


def cosines(ours: Vectors, reference: Vectors) -> Vectors:
    """Return the cosine of each pair of rows."""
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(reference, axis=1)
    return np.asarray((ours * reference).sum(axis=1) / norms, dtype=np.float32)
