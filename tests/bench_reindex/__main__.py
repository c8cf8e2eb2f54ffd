"""Keep a folder indexed, once by Kartoteka and once by each peer, in one run.

Prints what each side embedded, read and needed, and which documents were wrong afterwards.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from kartoteka_testkit.stack import Stack
from tests.bench.figures import Report, machine
from tests.bench.sizes import CHUNK_TOKENS, MODEL_TOKENS, OVERLAP_TOKENS
from tests.bench_reindex.corpus import Folder, Versions, make_versions
from tests.bench_reindex.environment import peers_python, peers_versions
from tests.bench_reindex.ours import Kartoteka
from tests.bench_reindex.peers import Peer
from tests.bench_reindex.scenario import ROUNDS, go_through
from tests.bench_reindex.table import NOTES, table

ROOT = Path(__file__).resolve().parents[2]
_PEERS = {
    "LangChain, full": "langchain:full",
    "LangChain, incremental": "langchain:incremental",
    "LlamaIndex, upserts_and_delete": "llamaindex:upserts_and_delete",
}
_OURS = ("aiokafka", "faust-streaming", "openvino", "qdrant-client", "qdrant-edge-py")
"""Packages of ours whose versions matter; those of the peers stand apart."""


async def _ours(folder: Path, versions: Versions, home: Path) -> dict[str, Any]:
    documents = Folder(folder / "documents")
    env = {
        "MODEL_BACKEND": "openvino",
        "MODEL_CACHE": str(home / "models"),
        "LOG_LEVEL": "warning",
        "CHUNK_MAX_TOKENS": str(CHUNK_TOKENS),
        "CHUNK_OVERLAP_TOKENS": str(OVERLAP_TOKENS),
        "SOURCE_ALLOWED_URLS": folder.as_uri(),
        # What tests shorten is here as in production.
        "KAFKA_JOB_PARTITIONS": "24",
        "WORKER_SESSION_TIMEOUT_SECONDS": "15",
        "WORKER_HEARTBEAT_SECONDS": "3",
    }
    async with Stack(folder / "stack", env=env) as stack:
        return await go_through(Kartoteka(stack), documents, versions)


async def _peer(name: str, folder: Path, versions: Versions, python: Path) -> dict[str, Any]:
    side = Peer(name, _PEERS[name], python=python, state=folder / "state")
    return await go_through(side, Folder(folder / "documents"), versions)


async def _measure(options: argparse.Namespace, report: Report, scratch: Path) -> None:
    home = Path(os.environ.get("KARTOTEKA_HOME", ROOT / ".kartoteka"))
    versions = make_versions(options.documents, ROUNDS)
    print(versions.description, flush=True)
    python = peers_python()
    report.data |= {
        "documents": versions.description,
        "chunks": f"on all sides at most {CHUNK_TOKENS} tokens without the special ones, and "
        f"{OVERLAP_TOKENS} of overlap, each side's own splitter; the model reads {MODEL_TOKENS}",
        "peers": peers_versions(python),
        "notes": " ".join(NOTES.split()),
        "load": "1, 5 and 15 minutes before the run: "
        + ", ".join(f"{load:.1f}" for load in os.getloadavg()),
    }
    for name in options.only or ["Kartoteka", *_PEERS]:
        report.section(name)
        folder = scratch / name.replace(" ", "-").replace(",", "")
        folder.mkdir()
        report.figures[name] = (
            await _ours(folder, versions, home)
            if name == "Kartoteka"
            else await _peer(name, folder, versions, python)
        )
        report.save(options.save)
    print(f"\n{table(report.figures)}")
    print(f"\n{NOTES}")


def main() -> int:
    """Run the command; see the module's text."""
    parser = argparse.ArgumentParser(prog="make bench-reindex REINDEX=…", description=__doc__)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--only", action="append", choices=["Kartoteka", *_PEERS])
    parser.add_argument(
        "--save", type=Path, default=ROOT / ".kartoteka" / "bench-reindex.json", help="the JSON"
    )
    options = parser.parse_args()
    report = Report(
        command=f'make bench-reindex REINDEX="{" ".join(sys.argv[1:])}"', machine=machine(_OURS)
    )
    with tempfile.TemporaryDirectory(prefix="kartoteka-reindex-") as scratch:
        asyncio.run(_measure(options, report, Path(scratch).resolve()))
    print(f"\nSaved as {options.save}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
