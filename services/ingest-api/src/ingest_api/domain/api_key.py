"""The text of an API key: ``ktk_<id>_<secret><checksum>``.

The prefix lets secret scanners find leaked keys, the id is public and names the key in logs and
lists, the checksum lets a mistyped key be refused without a look-up.
"""

import hashlib
import secrets
import zlib
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["ApiKey"]

_PREFIX: Final = "ktk"
_ID_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"
_ID_LENGTH: Final = 10
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH: Final = 32
"""32 of 62 characters are 190 bits: too many to guess, so a fast hash is enough at rest."""
_CHECKSUM_LENGTH: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key, in the clear. It exists while it is made or checked, and is never stored."""

    key_id: str
    text: str

    def __repr__(self) -> str:
        return f"ApiKey(key_id={self.key_id!r})"

    @classmethod
    def new(cls) -> Self:
        """Make a key."""
        key_id = _random(_ID_ALPHABET, _ID_LENGTH)
        body = f"{_PREFIX}_{key_id}_{_random(_ALPHABET, _SECRET_LENGTH)}"
        return cls(key_id=key_id, text=body + _checksum(body))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what a caller sent; None where it cannot be a key of ours."""
        parts = text.split("_")
        if not text.isascii() or len(parts) != len(("prefix", "id", "secret")):
            return None
        prefix, key_id, rest = parts
        if prefix != _PREFIX or len(key_id) != _ID_LENGTH:
            return None
        body, checksum = text[:-_CHECKSUM_LENGTH], text[-_CHECKSUM_LENGTH:]
        if len(rest) != _SECRET_LENGTH + _CHECKSUM_LENGTH or _checksum(body) != checksum:
            return None
        return cls(key_id=key_id, text=text)

    @property
    def sha256(self) -> str:
        """What is kept of it."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), []
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
