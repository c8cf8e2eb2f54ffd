"""One process of the embedding race: loads, says `ready`, waits for a line, embeds, prints JSON."""

import asyncio
import json
import sys
import time
from pathlib import Path

from embedder.adapters.inference.assembly import open_engine, prepare
from embedder.adapters.inference.model_settings import ModelSettings
from embedder.adapters.tokenizer import load_tokenizer
from tests.bench.chunks import MODEL_FOLDER
from tests.bench.sizes import MODEL_TOKENS


def _wait_for_the_start() -> float:
    """Return the CPU seconds spent until the start."""
    print("ready", flush=True)
    sys.stdin.readline()
    return time.process_time()


def _encode(texts: list[str]) -> tuple[int, float]:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - the other role has none

    model = SentenceTransformer(str(MODEL_FOLDER), device="cpu")
    model.max_seq_length = (
        MODEL_TOKENS  # as ours: the package's 128 would spare it half of the work
    )
    model.encode(texts[:32])
    before = _wait_for_the_start()
    done = len(model.encode(texts, show_progress_bar=False))
    return done, time.process_time() - before


async def _engine(texts: list[str], cache: Path) -> tuple[int, float]:
    prepared = prepare(ModelSettings(cache=cache))
    tokenizer = load_tokenizer(prepared.tokenizer)
    engine = open_engine(prepared)
    await engine.start()
    await engine.wait_loaded()
    before = _wait_for_the_start()
    vectors = await engine.embed_passages([tokenizer.encode(text).ids for text in texts])
    cpu = time.process_time() - before
    await engine.close()
    return len(vectors), cpu


def main() -> int:
    """Take the role of the first argument: ``encode``, or ``engine:n:of``."""
    role, file, cache = sys.argv[1:4]
    texts: list[str] = json.loads(Path(file).read_text("utf-8"))
    if role == "encode":
        done, cpu = _encode(texts)
    else:
        n, of = map(int, role.split(":")[1:])
        done, cpu = asyncio.run(_engine(texts[n::of], Path(cache)))
    print(json.dumps({"chunks": done, "cpu": cpu}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
