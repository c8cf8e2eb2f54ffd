"""Kartoteka as its users reach it: through the ingress."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx

__all__ = ["Api", "Followed"]

_OPEN = frozenset({"queued", "running", "retrying"})


@dataclass(frozen=True, slots=True)
class Followed:
    """What an event stream told: each state with the seconds since the stream began."""

    states: list[dict[str, Any]]
    seconds: list[float]


class Api:
    """The calls of one client with one key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.http = httpx.AsyncClient(
            base_url=url, headers={"X-API-Key": key}, timeout=httpx.Timeout(60)
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, key: str) -> AsyncIterator[Self]:
        """Have a client, and close it."""
        api = cls(url, key)
        async with api.http:
            yield api

    async def upload(self, cabinet: int, name: str, body: bytes) -> httpx.Response:
        """POST one document."""
        return await self.http.post(
            "/rag/add-document",
            data={"cabinet_id": str(cabinet)},
            files={"file": (name, body)},
            timeout=300,
        )

    async def accepted(self, cabinet: int, name: str, body: bytes) -> dict[str, Any]:
        """POST one document that must be accepted."""
        answer = await self.upload(cabinet, name, body)
        if answer.status_code != httpx.codes.ACCEPTED:
            raise AssertionError(f"{name}: {answer.status_code} {answer.text}")
        found: dict[str, Any] = answer.json()
        return found

    async def ended(self, task_id: str, *, within: float = 300.0) -> dict[str, Any]:
        """Follow a task to its end, over whatever restarts meanwhile.

        Raises:
            AssertionError: it is still open after ``within`` seconds.
        """
        deadline, said = time.monotonic() + within, "nothing"
        while time.monotonic() < deadline:
            try:
                answer = await self.http.get(f"/rag/task/{task_id}")
            except httpx.HTTPError as error:
                said = repr(error)
            else:
                said = answer.text
                if answer.status_code == httpx.codes.OK and answer.json()["status"] not in _OPEN:
                    found: dict[str, Any] = answer.json()
                    return found
            await asyncio.sleep(0.5)
        raise AssertionError(f"task {task_id} is open after {within:.0f} s: {said}")

    async def follow(self, task_id: str) -> Followed:
        """Read a task's event stream to its end."""
        began, states, seconds = time.monotonic(), [], []
        path = f"/rag/task/{task_id}/events"
        async with self.http.stream("GET", path, timeout=300) as stream:
            if stream.status_code != httpx.codes.OK:
                raise AssertionError(f"{path}: {stream.status_code}")
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    states.append(json.loads(line.removeprefix("data:")))
                    seconds.append(time.monotonic() - began)
        return Followed(states, seconds)

    async def hits(self, cabinet: int, query: str, top_k: int = 5) -> list[dict[str, Any]]:
        """Search; tried again while the answer is 503."""
        question = {"cabinet_id": cabinet, "query": query, "top_k": top_k}
        for _ in range(60):
            answer = await self.http.post("/rag/search", json=question)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            await asyncio.sleep(1)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["hits"]
        return found

    async def metric(self, name: str) -> list[float]:
        """Return the values of a metric that the API's metrics page has; through one replica."""
        text = (await self.http.get("/metrics")).text
        return [
            float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line.startswith((f"{name} ", f"{name}{{"))
        ]
