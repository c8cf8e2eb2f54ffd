"""Why a child died, as far as its last words tell, and what to do about it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kartoteka_local.aside import aside
from kartoteka_local.program import Program

__all__ = ["Diagnosis", "damage_advice", "diagnose", "sign_of_damage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A cause and its cure."""

    advice: str
    hopeless: bool
    """No restart helps: a person must act first."""


_PORT: Final = re.compile(r"address already in use|BindException|EADDRINUSE", re.IGNORECASE)
_DISK: Final = re.compile(r"no space left on device|ENOSPC|disk quota exceeded", re.IGNORECASE)
_MEMORY: Final = re.compile(r"OutOfMemoryError|MemoryError|Cannot allocate memory")
_DAMAGE: Final = re.compile(
    r"corrupt|damaged|meta\.properties|InconsistentClusterId|InvalidRecordException"
    r"|CorruptRecordException|LogDirFailure|log dirs? .* (failed|offline)|KafkaStorageException"
    r"|quorum-state|QuorumStateStore|node ID not found|initializeLogDirs|-stray"
    r"|failed to open WAL",
    re.IGNORECASE,
)
_RUNS_DAMAGED: Final = re.compile(
    r" (ERROR|FATAL) .*(out of sync with the underlying log|CorruptRecordException"
    r"|CorruptIndexException|KafkaStorageException|Error processing (fetch|append))"
)
"""What a broker says that goes on for all that, and serves nobody well."""
_SETTINGS: Final = re.compile(r"Wrong settings:|SettingsError")
_SIGKILL: Final = -9
_FULL_BYTES: Final = 16 * 1024 * 1024


def diagnose(program: Program, code: int, words: tuple[str, ...], *, free: int) -> Diagnosis:
    """Return the likeliest cause.

    Args:
        program: what died.
        code: how: its exit code.
        words: its last lines.
        free: bytes free where its log lies; on a full disk nobody can say so in a log.
    """
    text = "\n".join(words)
    if free < _FULL_BYTES or _DISK.search(text):
        return Diagnosis(
            hopeless=False,
            advice="The disk is full. Free some space, then run the same again: what was accepted "
            "is kept.",
        )
    if _PORT.search(text):
        setting = program.port_setting
        return Diagnosis(
            hopeless=False,
            advice="Its port is taken by another program. Stop that program"
            + (f", or set {setting} to another port (0 takes a free one)." if setting else "."),
        )
    if _SETTINGS.search(text):
        return Diagnosis(hopeless=True, advice="Correct the settings named above.")
    if program.data is not None and code != _SIGKILL and _DAMAGE.search(text):
        return Diagnosis(hopeless=True, advice=damage_advice(program.data, program.advice))
    if _MEMORY.search(text) or code == _SIGKILL:
        return Diagnosis(
            hopeless=False,
            advice="It may have run out of memory: close other programs, or set EMBEDDERS=1. "
            + program.advice,
        )
    return Diagnosis(hopeless=False, advice=_unknown(program))


def _unknown(program: Program) -> str:
    if program.data is None:
        return program.advice
    return f"If its last lines name no other reason: {damage_advice(program.data, program.advice)}"


def damage_advice(data: Path, advice: str) -> str:
    """Return what to do about a folder that looks damaged, and what goes with it."""
    return f"its data folder looks damaged: {data}\n{aside(data)}\n\n{advice}"


def sign_of_damage(words: str) -> str | None:
    """Return the line of a running broker's log that says its data are damaged, if one does."""
    return next((line for line in words.splitlines() if _RUNS_DAMAGED.search(line)), None)
