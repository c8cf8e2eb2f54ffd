"""How both sides cut: the same limits, so that both embed chunks of about the same length."""

from typing import Final

__all__ = ["CHUNK_TOKENS", "MODEL_TOKENS", "OVERLAP_TOKENS"]

MODEL_TOKENS: Final = 256
"""What the model reads of a text, special tokens included."""
CHUNK_TOKENS: Final = MODEL_TOKENS - 2
"""The most tokens of a chunk, special ones not counted: the model cuts nothing off."""
OVERLAP_TOKENS: Final = 32
"""The most tokens that a chunk repeats of the one before."""
