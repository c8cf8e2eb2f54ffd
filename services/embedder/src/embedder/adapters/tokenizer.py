"""Tokenizers: the model's own, from its ``tokenizer.json``, and one that needs no model."""

import hashlib
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final, Literal, TypeAlias
from zlib import crc32

import numpy as np
import tokenizers

from embedder.domain.tokens import Tokenized, Tokenizer

__all__ = [
    "HASH_VOCABULARY",
    "MAX_TOKEN_CHARACTERS",
    "FileTokenizer",
    "HashTokenizer",
    "TokenizerSource",
    "load_tokenizer",
]

TokenizerSource: TypeAlias = Path | Literal["hash"]
"""A ``tokenizer.json``, or ``"hash"`` for :class:`HashTokenizer`."""

HASH_VOCABULARY: Final = 30_000
"""Ids of :class:`HashTokenizer` lie in ``[0, HASH_VOCABULARY)``."""

MAX_TOKEN_CHARACTERS: Final = 4096
"""No token spans more characters: longer texts are tokenized in pieces of this size.

Long inputs cost a tokenizer more than their share of time and memory (twice the time at 1 MB), and
a word without end would otherwise become one token.
"""

_WORD_SEARCH: Final = 512
"""How far back from the end of a piece a space is looked for."""

_HASH_WORD: Final = re.compile(r"\w{1,64}|[^\w\s]")


class FileTokenizer:
    """The tokenizer of a model, as its ``tokenizer.json`` defines it.

    Truncation and padding that the file may ask for are switched off, and text that reads like a
    special token (``[SEP]``) is tokenized as text.

    Raises:
        ValueError: the file is missing or no tokenizer.
    """

    def __init__(self, path: Path) -> None:
        try:
            raw = path.read_bytes()
            self._inner = tokenizers.Tokenizer.from_buffer(raw)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} cannot be read as a tokenizer.json: {error}") from error
        self._inner.no_truncation()
        self._inner.no_padding()
        self._inner.encode_special_tokens = True
        self._fingerprint = hashlib.sha256(raw).hexdigest()[:16]

    @property
    def fingerprint(self) -> str:
        """Hash of the file."""
        return self._fingerprint

    def token_id(self, token: str) -> int | None:
        """Return the id of a token such as ``[CLS]``; None where the vocabulary has none."""
        found = self._inner.token_to_id(token)
        return None if found is None else int(found)

    def encode(self, text: str) -> Tokenized:
        """Return all tokens of a text."""
        ids: list[np.ndarray[tuple[int], np.dtype[np.int32]]] = []
        spans: list[np.ndarray[tuple[int], np.dtype[np.int32]]] = []
        for offset, piece in _pieces(text):
            encoding = self._inner.encode(piece, add_special_tokens=False)
            count = len(encoding)
            ids.append(np.fromiter(encoding.ids, np.int32, count))
            flat = chain.from_iterable(encoding.offsets)
            spans.append(np.fromiter(flat, np.int32, 2 * count) + np.int32(offset))
        if not ids:
            return _nothing()
        joined = np.concatenate(spans)
        return Tokenized(
            ids=np.concatenate(ids),
            starts=np.maximum.accumulate(joined[0::2]) if joined.size else joined,
            ends=np.ascontiguousarray(joined[1::2]),
        )


class HashTokenizer:
    """Words and punctuation marks, hashed: for the backend without a model.

    Equal words have equal ids, also between processes and machines.
    """

    fingerprint: Final = "hash-1"

    def encode(self, text: str) -> Tokenized:
        """Return all tokens of a text."""
        found = list(_HASH_WORD.finditer(text))
        if not found:
            return _nothing()
        return Tokenized(
            ids=np.array([_hashed(match[0]) for match in found], dtype=np.int32),
            starts=np.array([match.start() for match in found], dtype=np.int32),
            ends=np.array([match.end() for match in found], dtype=np.int32),
        )


def load_tokenizer(source: TokenizerSource) -> Tokenizer:
    """Return the tokenizer that a source names.

    Raises:
        ValueError: the file is missing or no tokenizer.
    """
    return FileTokenizer(source) if isinstance(source, Path) else HashTokenizer()


def _hashed(word: str) -> int:
    return crc32(word.lower().encode("utf-8", "surrogatepass")) % HASH_VOCABULARY


def _nothing() -> Tokenized:
    empty = np.empty(0, dtype=np.int32)
    return Tokenized(ids=empty, starts=empty, ends=empty)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    while start < len(text):
        end = _piece_end(text, start)
        yield start, text[start:end]
        start = end


def _piece_end(text: str, start: int) -> int:
    # A piece starts with the space before its first word: tokenizers that mark the start of words
    # by that space then give the same ids as for the whole text.
    end = start + MAX_TOKEN_CHARACTERS
    if end >= len(text):
        return len(text)
    for here in range(end, end - _WORD_SEARCH, -1):
        if text[here].isspace() and not text[here - 1].isspace():
            return here
    return end
