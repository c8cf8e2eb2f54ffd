"""How long an upload takes to its 202, and a page from its 202 to its first hit."""

import asyncio
import time

import pypdfium2

from kartoteka_testkit.stack import Stack, StackClient
from tests.bench.corpus import Corpus
from tests.bench.figures import Report, percentile

__all__ = ["measure_accept", "measure_searchable", "measure_start"]

_UPLOADS = 200
_BODY = b"A short note of a few dozen bytes, as small as uploads come.\n"


async def _one_client(client: StackClient, name: str, count: int) -> list[float]:
    seconds: list[float] = []
    for n in range(count):
        begun = time.perf_counter()
        await client.accepted(f"{name}-{n}.txt", _BODY + name.encode(), cabinet=2)
        seconds.append(time.perf_counter() - begun)
    return seconds


async def measure_accept(stack: Stack, report: Report) -> None:
    """Upload from 1, 16 and 64 clients at once."""
    report.section("Accept: POST to 202, notes of 60 bytes")
    for clients in (1, 16, 64):
        count = max(_UPLOADS // clients, 4)
        await _one_client(stack.client, f"warm-{clients}", 4)
        results = await asyncio.gather(
            *(_one_client(stack.client, f"accept-{clients}-{n}", count) for n in range(clients))
        )
        seconds = [value for values in results for value in values]
        report.add(f"accept_ms_p50_{clients}_clients", percentile(seconds, 0.5) * 1000, "ms")
        report.add(f"accept_ms_p99_{clients}_clients", percentile(seconds, 0.99) * 1000, "ms")


async def measure_searchable(stack: Stack, report: Report, pages: Corpus) -> None:
    """Upload one page at a time to an idle system; follow each until a search finds it."""
    report.section("202 to searchable: PDFs of one page, idle system")
    report.data["pages"] = pages.description
    seconds: list[float] = []
    for name, body in pages.documents.items():
        query = _words_within(body)
        task = await stack.client.accepted(name, body, cabinet=3)
        begun = time.perf_counter()
        while task["document_id"] not in await _documents_found(stack.client, query):
            pass  # a search takes some milliseconds: that is the resolution
        seconds.append(time.perf_counter() - begun)
        await stack.client.ended(task["task_id"])
    report.add("searchable_ms_p50", percentile(seconds, 0.5) * 1000, "ms")
    report.add("searchable_ms_p99", percentile(seconds, 0.99) * 1000, "ms")


def _words_within(body: bytes) -> str:
    """Some words from within a page, to search for it."""
    document = pypdfium2.PdfDocument(body)
    words = str(document[0].get_textpage().get_text_range()).split()
    document.close()
    return " ".join(words[len(words) // 2 :][:20])


async def measure_start(stack: Stack, report: Report) -> None:
    """Stop the first embedder and start it again, with a cached model, until it is ready."""
    await asyncio.to_thread(stack.embedders[0].stop)
    begun = time.perf_counter()
    await stack.start_embedder(0)
    report.add("embedder_start_to_ready_seconds", time.perf_counter() - begun, "s")


async def _documents_found(client: StackClient, query: str) -> set[str]:
    return {hit["document_id"] for hit in await client.found(query, cabinet=3, top_k=100)}
