"""Kartoteka on its real stack: a cabinet with the folder as its source."""

import asyncio
import json
import os
import re
import time
from typing import Any, Final

import httpx
from qdrant_client import AsyncQdrantClient

from kartoteka_testkit.stack import Stack
from tests.bench.cpu import CpuMeter
from tests.bench_reindex.corpus import Folder
from tests.bench_reindex.side import Kill, Ran
from tests.bench_reindex.truth import Chunk

__all__ = ["Kartoteka"]

_CABINET: Final = 1
_SOURCE: Final = "folder"
_PAGE: Final = 1000
_RUN_SECONDS: Final = 900.0

_Work = tuple[str, int, int]


class Kartoteka:
    """Runs are asked for by HTTP and followed to their end.

    Args:
        stack: started, with one embedder, which may have the folder as a source.
    """

    name = "Kartoteka"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._is_configured = False
        self._at_start = (0, 0)
        self._restarted = False

    async def run(self, folder: Folder, *, kill: Kill | None = None, half: int = 0) -> Ran:
        """Run once, from the request to the run's end, or to the embedder's.

        After a kill the embedder is started again before this returns: what it was doing goes on.

        Raises:
            RuntimeError: the run did not succeed.
            TimeoutError: it did not end, or did not come to where it is to be killed.
        """
        if not self._is_configured:
            await self._configure(folder)
            self._at_start = await self._counters()
        # What goes on by itself after a kill is part of the run that follows it.
        before = self._at_start if self._restarted else await self._counters()
        self._restarted = False
        works = _works(await self._points())
        meter = CpuMeter(self._pids(), client=os.getpid())
        begun = time.perf_counter()
        answer = await self._stack.client.http.post(f"/rag/index/{_CABINET}")
        if answer.status_code != httpx.codes.ACCEPTED:
            raise RuntimeError(f"no run was started: {answer.text}")
        task_id = answer.json()["task_id"]
        if kill is None:
            end = await self._end(task_id)
            seconds = time.perf_counter() - begun
            spent = meter.spent()
            cpu = sum(part for name, part in spent.items() if name != "client")
            if end["status"] not in {"succeeded", "unchanged"} or end["result"]["errors"]:
                raise RuntimeError(f"the run did not succeed: {end}")
            embedded, read = _minus(await self._counters(), before)
            return Ran(seconds=seconds, cpu=cpu, embedded=embedded, read=read)
        embedded, read = await self._until_killed(kill, before, works, half)
        seconds = time.perf_counter() - begun
        await self._stack.start_embedder(0)
        self._restarted = True
        return Ran(seconds=seconds, embedded=embedded, read=read, was_killed=True)

    async def chunks(self) -> list[Chunk]:
        """Return every chunk that a search can find: those of what is published."""
        payloads = await self._points()
        published = {
            payload["document_id"]: (payload["published"]["version"], payload["published"]["epoch"])
            for payload in payloads
            if payload.get("published")
        }
        return [
            (payload["external_id"].removeprefix(f"{_SOURCE}://"), payload["text"])
            for payload in payloads
            if "text" in payload
            and published.get(payload["document_id"]) == (payload["version"], payload["epoch"])
        ]

    def _pids(self) -> dict[str, int]:
        stack = self._stack
        services = (*stack.apis, *stack.embedders, stack.qdrant)
        pids = {service.name: service.process.pid for service in services}
        return pids | {"kafka": stack.broker.pid}

    async def _configure(self, folder: Folder) -> None:
        source = {"name": _SOURCE, "url": folder.path.as_uri()}
        answer = await self._stack.client.http.put(
            f"/rag/cabinets/{_CABINET}", json={"enabled": False, "sources": [source]}
        )
        if answer.status_code != httpx.codes.OK:
            raise RuntimeError(f"the cabinet was not configured: {answer.text}")
        self._is_configured = True

    async def _end(self, task_id: str) -> dict[str, Any]:
        """Follow a task by its events, as a caller who waits would."""
        last: dict[str, Any] = {}
        path = f"/rag/task/{task_id}/events"
        async with (
            asyncio.timeout(_RUN_SECONDS),
            self._stack.client.http.stream("GET", path, timeout=_RUN_SECONDS) as answer,
        ):
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    last = json.loads(line.removeprefix("data:"))
        return last

    async def _until_killed(
        self, kill: Kill, before: tuple[int, int], works: set[_Work], half: int
    ) -> tuple[int, int]:
        """Kill the embedder when the time has come; return what it had embedded and read.

        Raises:
            TimeoutError: it never came.
        """
        process = self._stack.embedders[0].process
        async with asyncio.timeout(_RUN_SECONDS):
            while True:
                is_written = kill is Kill.WRITE and _works(await self._points()) - works
                so_far = _minus(await self._counters(), before)
                if is_written or (kill is Kill.MODEL and so_far[0] >= half):
                    process.kill()
                    return so_far

    async def _counters(self) -> tuple[int, int]:
        """Return the texts embedded and the bytes read since the embedder started."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{self._stack.embedder_urls[0]}/metrics")
        return _metric(answer.text, "inference_rows"), _metric(answer.text, "source_read_bytes")

    async def _points(self) -> list[dict[str, Any]]:
        """Return the payloads of all that lies in Qdrant."""
        client = AsyncQdrantClient(url=self._stack.qdrant_url)
        try:
            found: list[dict[str, Any]] = []
            for collection in (await client.get_collections()).collections:
                offset: Any = None
                while True:
                    page, offset = await client.scroll(
                        collection.name, limit=_PAGE, offset=offset, with_payload=True
                    )
                    found += [point.payload for point in page if point.payload]
                    if offset is None:
                        break
            return found
        finally:
            await client.close()


def _works(payloads: list[dict[str, Any]]) -> set[_Work]:
    """Return of which versions of documents there are chunks."""
    return {
        (payload["document_id"], payload["version"], payload["epoch"])
        for payload in payloads
        if "text" in payload
    }


def _metric(text: str, name: str) -> int:
    found = re.search(rf"^kartoteka_{name}_total (\S+)$", text, re.MULTILINE)
    return int(float(found[1])) if found else 0


def _minus(now: tuple[int, int], before: tuple[int, int]) -> tuple[int, int]:
    return now[0] - before[0], now[1] - before[1]
