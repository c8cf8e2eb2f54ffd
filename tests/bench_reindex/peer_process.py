"""One run of a peer, in a process and an environment of its own."""

import argparse
import json
import sys
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType

from tests.bench_reindex.boundary import Counts, Death, Model


def _side(name: str) -> ModuleType:
    """Import one peer only: the other's packages are no part of its figures."""
    return import_module(f"tests.bench_reindex.{name}")


def main() -> int:
    """Take ``peer:way``, the folders of documents and of its state, and the file to write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("peer")
    parser.add_argument("folder", type=Path)
    parser.add_argument("state", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--die-at-embedding", type=int)
    parser.add_argument("--die-at-write", action="store_true")
    options = parser.parse_args()
    peer, way = options.peer.split(":")
    side = _side(peer)
    options.state.mkdir(parents=True, exist_ok=True)
    counts = Counts(file=options.state / "counts")
    counts.keep()
    death = Death(embeddings=options.die_at_embedding, at_write=options.die_at_write)
    model = Model(counts, death)
    begun, cpu = time.perf_counter(), time.process_time()
    side.run(options.folder, options.state, way, model=model, counts=counts, death=death)
    took = {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - cpu}
    options.output.write_text(json.dumps(took), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
