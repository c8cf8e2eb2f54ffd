"""What a test reads off a worker and its index from outside."""

from typing import Any

import httpx

from kartoteka_testkit.stack import Stack

__all__ = ["manifest", "metric"]


async def metric(stack: Stack, sample: str) -> float:
    """Return a sample of the first worker's metrics, named with its labels; 0 while it is unset."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{stack.embedder_urls[0]}/metrics")).text
    values = [
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith((f"kartoteka_{sample} ", f"kartoteka_{sample}{{"))
    ]
    return sum(values)


async def manifest(stack: Stack, document_id: str) -> dict[str, Any]:
    """Return the payload of a document's manifest; empty while there is none."""
    async with httpx.AsyncClient(base_url=stack.qdrant_url) as client:
        listed = (await client.get("/collections")).json()["result"]["collections"]
        name = next(one["name"] for one in listed if one["name"].endswith("-documents"))
        asked = {"limit": 1000, "with_payload": True}
        answer = await client.post(f"/collections/{name}/points/scroll", json=asked)
        points = answer.json()["result"]["points"]
    found = (point["payload"] for point in points)
    return next((one for one in found if one["document_id"] == document_id), {})
