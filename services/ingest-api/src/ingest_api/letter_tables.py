"""Dead letters as text for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["letter_table", "result_table", "shown_letter"]

_LETTERS: Final = ("ID", "CABINET", "DOCUMENT", "REASON", "STAGE", "TRIES", "DIED", "BECAME")
_RESULTS: Final = ("ID", "TASK", "REFUSED")
_WIDEST: Final = 60
_RAW: Final = frozenset({"value", "encoding", "size", "is_cut", "headers"})


def letter_table(letters: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of letters, or a word where there are none."""
    if not letters:
        return "No dead letters.\n"
    return _table(
        _LETTERS,
        [
            (
                letter["id"],
                letter["cabinet_id"],
                letter["external_id"] or letter["document_id"],
                letter["reason"],
                letter["stage"],
                letter["attempts"],
                str(letter["dead_at"])[:19].replace("T", " "),
                _became(letter["resolution"]),
            )
            for letter in letters
        ],
    )


def result_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of what became of letters; nothing where there were none."""
    if not results:
        return ""
    return _table(
        _RESULTS,
        [
            (
                result["id"],
                result["task_id"],
                "" if result["error"] is None else result["error"]["code"],
            )
            for result in results
        ],
    )


def shown_letter(letter: Mapping[str, Any]) -> str:
    """Return everything about one letter, its raw record last."""
    lines = [f"{name}: {_cell(value)}" for name, value in letter.items() if name not in _RAW]
    lines += [f"header {name}: {_cell(value)}" for name, value in letter["headers"].items()]
    if letter["value"] is None:
        lines.append("value: Kafka no longer has it")
    else:
        cut = ", cut" if letter["is_cut"] else ""
        lines.append(f"value ({letter['size']} bytes, {letter['encoding']}{cut}):")
        lines += [_printable(line) for line in letter["value"].splitlines()]
    return "\n".join(lines) + "\n"


def _became(resolution: Mapping[str, Any] | None) -> str:
    if resolution is None:
        return ""
    return f"{resolution['kind']} {resolution['task_id'] or ''}".strip()


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = [list(head), *([_short(_cell(value)) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    return "-" if value is None else _printable(str(value))


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _printable(text: str) -> str:
    """Names and records are other people's: no escape sequence of theirs reaches a terminal."""
    return "".join(
        character if character.isprintable() or character == "\t" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )
