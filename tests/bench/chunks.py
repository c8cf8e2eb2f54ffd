"""Texts of a chunk's length: English, cut at sentence ends, 50 to 250 tokens."""

import random
import re
from pydoc_data.topics import topics

__all__ = ["bench_chunks"]


def bench_chunks(count: int) -> list[str]:
    """Return ``count`` texts of 35 to 170 words, the same ones at every call."""
    text = " ".join(topics[name] for name in sorted(topics))
    sentences = re.split(r"(?<=[.!?])\s+", re.sub(r"\s+", " ", text))
    sizes = random.Random(7)
    chunks: list[str] = []
    current: list[str] = []
    wanted = sizes.randint(35, 170)
    while len(chunks) < count:
        for sentence in sentences:
            current += sentence.split()[:170]
            if len(current) >= wanted:
                chunks.append(" ".join(current[:170]))
                current, wanted = [], sizes.randint(35, 170)
                if len(chunks) == count:
                    break
    return chunks
