"""Which encoding a text is in, and its characters."""

import codecs
from collections import Counter
from typing import Final

from charset_normalizer import from_bytes

__all__ = ["decode", "detect"]

_SAMPLE: Final = 64 * 1024

_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_CYRILLIC: Final = ("cp1251", "koi8-r", "cp866", "iso8859-5", "mac_cyrillic")
"""In order of preference where two read the same text as well as each other."""

_FREQUENCY: Final = dict(
    zip(
        "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъёіїєґў",
        (
            *(110, 85, 80, 74, 67, 63, 55, 47, 45, 44, 35, 32, 30, 28, 26, 20, 19, 17, 17, 16),
            *(16, 14, 12, 10, 9, 7, 6, 5, 4, 3, 3, 1, 1, 40, 8, 5, 1, 4),
        ),
        strict=True,
    )
)
"""Letters per thousand of ordinary text."""
_LIKELY: Final = 38
"""Mean frequency from which text counts as Cyrillic: real text has 50 to 60, noise about 30."""

_TYPOGRAPHY: Final = frozenset("«»—–„“”‘’№…·•©®°§\u00a0")  # noqa: RUF001 - marks meant
_WESTERN: Final = _TYPOGRAPHY | frozenset(
    "àâäáãåæçèéêëìíîïñòóôöõøœùúûüýÿßÀÂÄÁÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÖÕØŒÙÚÛÜÝŸ¿¡€£ªº"
)
_MOSTLY: Final = 0.95

_MIN_UNITS: Final = 4
_NUL_SHARE: Final = 0.04
_HIGH_SHARE: Final = 0.8


def decode(data: bytes) -> str:
    """Return the characters of a text in any encoding; what cannot be decoded is replaced."""
    return data.decode(detect(data), "replace")


def detect(data: bytes, declared: str | None = None) -> str:
    """Return the name of the codec that reads a text.

    A byte order mark counts first, then what only UTF-16 or UTF-32 can be, then UTF-8 where it fits
    and says something, then what the text declares, then what its letters make most likely.

    Args:
        data: the text, or its beginning.
        declared: the encoding that the text names, already known to be one.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    sample = data[:_SAMPLE]
    wide = _wide(sample) if b"\0" in sample else None
    if wide:
        return wide
    if _is_utf8(data) and not (declared and data.isascii()):
        return "utf-8"
    if declared and declared != "utf-8":
        return declared
    return _cyrillic(sample) or _western(sample) or _guessed(sample)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        # Cut in the middle of a character, or a few bad bytes in much good text.
        good = data[: error.start]
        bad = data.decode("utf-8", "replace").count("\ufffd")
        wide = sum(byte >= 0xC0 for byte in data[:_SAMPLE])  # noqa: PLR2004 - lead bytes
        cut_off = len(data) - error.start < 4 and not good.isascii()  # noqa: PLR2004 - one character
        return cut_off or (bad * 50 < wide)
    return True


def _wide(sample: bytes) -> str | None:
    """UTF-32 or UTF-16 without a byte order mark."""
    whole = sample[: len(sample) // 4 * 4]
    for name in ("utf-32-le", "utf-32-be"):
        if whole and _decodes(whole, name):
            return name
    units = len(sample) // 2
    if units < _MIN_UNITS:
        return None
    high_be, high_le = sample[0 : 2 * units : 2], sample[1 : 2 * units : 2]
    for name, high, low in (("utf-16-le", high_le, high_be), ("utf-16-be", high_be, high_le)):
        zeros = high.count(0)
        common = sum(n for _, n in Counter(high).most_common(2))
        if (
            zeros >= _NUL_SHARE * units
            and common >= _HIGH_SHARE * units
            and low.count(0) * 10 <= zeros
            and _decodes(sample[: 2 * units - 2], name)
        ):
            return name
    return None


def _decodes(data: bytes, name: str) -> bool:
    try:
        data.decode(name)
    except UnicodeDecodeError:
        return False
    return True


def _cyrillic(sample: bytes) -> str | None:
    scores = {name: _cyrillic_score(sample.decode(name, "replace")) for name in _CYRILLIC}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] >= _LIKELY else None


def _cyrillic_score(text: str) -> float:
    """Mean letter frequency, less what no Cyrillic text has: Latin neighbours, capitals inside."""
    total = seen = 0
    before = " "
    for character in text:
        if character.isascii() or character in _TYPOGRAPHY:
            before = character
            continue
        seen += 1
        small = character.lower()
        is_odd = (before.isascii() and before.isalpha()) or (
            character != small and before.islower()
        )
        total += -_LIKELY if is_odd else _FREQUENCY.get(small, -_LIKELY)
        before = character
    return total / seen if seen else 0.0


def _western(sample: bytes) -> str | None:
    high = [c for c in sample.decode("cp1252", "replace") if not c.isascii()]
    known = sum(c in _WESTERN for c in high)
    return "cp1252" if known >= _MOSTLY * len(high) else None


def _guessed(sample: bytes) -> str:
    best = from_bytes(sample).best()
    return best.encoding if best is not None else "cp1252"
