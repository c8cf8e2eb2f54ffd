"""The table of all sides, and what has to be said of it."""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["NOTES", "table"]

NOTES: Final = """\
Wrong documents: m missing, i incomplete, s stale (of a removed file too), d duplicate. In the line
of a kill these are also those whose turn had not come, so it says as well: l lost, neither the old
nor the new text is whole; x mixed, one is whole, with pieces of the other beside it.

Seconds: of a peer without imports and loading the model; of Kartoteka from the request to the run's
end as a caller sees it, by one embedder, over HTTP, Kafka and object storage; its CPU is that of
all services, of Kafka and Qdrant too, where the peers have one process and a store within it.

The model is the same, all-MiniLM-L6-v2; the peers run it by sentence-transformers in float32 on the
CPU, Kartoteka by OpenVINO.

Bytes: of the folder's files. Kartoteka copies what changed and then reads its own copy, which is
not counted.

Killed at model: SIGKILL when half of the texts that such a run embeds were embedded; killed at
write: when the store had its first write. Kartoteka's embedder is watched from outside, so it is
killed some milliseconds later, and started again before its store is looked at; what a search
finds is what counts.

LangChain's incremental cleanup removes nothing of files that are gone, and embeds anew what
straddles two of its batches: its documentation says both. Batches are of the default size.

LlamaIndex keeps its docstore in a file that is written after a run, as its guide shows; docstores
that are written during one need a database server, and are not measured.

The splitters differ, so one text is not the same number of chunks on all sides."""
_RUNS: Final = (
    "first",
    "unchanged",
    "changed",
    "killed at model",
    "after model",
    "killed at write",
    "after write",
)
_LETTERS: Final = {
    "missing": "m",
    "incomplete": "i",
    "stale": "s",
    "duplicate": "d",
    "lost": "l",
    "mixed": "x",
}


def table(sides: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table in Markdown: a line for each run of each side."""
    lines = [
        "| side | run | embedded | bytes read | seconds | of CPU | wrong documents | chunks |",
        "|---|---|---:|---:|---:|---:|---|---:|",
    ]
    for side, outcomes in sides.items():
        for run in _RUNS:
            outcome = outcomes[run]
            ran, found = outcome["ran"], outcome["found"]
            times = (ran["seconds"], ran["cpu"])
            seconds, cpu = ("" if ran["was_killed"] else f"{time:.2f}" for time in times)
            lines.append(
                f"| {side} | {run} | {ran['embedded']} | {ran['read']} | {seconds} | {cpu} | "
                f"{_wrong(found)} | {found['chunks']} |"
            )
    return "\n".join(lines)


def _wrong(found: Mapping[str, int]) -> str:
    wrong = (f"{letter}{found[kind]}" for kind, letter in _LETTERS.items() if found[kind])
    return " ".join(wrong) or "0"
