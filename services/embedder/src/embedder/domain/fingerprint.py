"""One short hash that says whether a document would be read and cut the same way again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

from embedder.domain.chunking import CHUNKING_REVISION, ChunkPolicy
from embedder.domain.text import TEXT_REVISION

__all__ = ["fingerprint"]


def fingerprint(*, parsers: Mapping[str, str], tokenizer: str, policy: ChunkPolicy) -> str:
    """Return the hash of everything that decides how a body becomes chunks.

    Args:
        parsers: version of each parser, by name.
        tokenizer: the tokenizer's own fingerprint: chunks are cut by its tokens.
        policy: how chunks are cut.
    """
    parts = {
        "text": TEXT_REVISION,
        "chunking": CHUNKING_REVISION,
        "parsers": dict(parsers),
        "tokenizer": tokenizer,
        "policy": asdict(policy),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
