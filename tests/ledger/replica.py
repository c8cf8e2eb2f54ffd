"""One client's way to one replica of the API: what it asks, and what it may believe afterwards."""

import json
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.ledger.ledger import Intent, Operation, Outcome, Verdict

__all__ = ["Replica"]

_SECONDS: Final = 8.0
"""As long as a process may be stopped: some answers come after nobody waits for them any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A replica behind its proxy."""

    name: str
    http: httpx.AsyncClient

    @classmethod
    def at(cls, name: str, url: str, key: str) -> "Replica":
        """Return a client; nothing is connected yet."""
        http = httpx.AsyncClient(
            base_url=url, headers={"X-API-Key": key}, timeout=httpx.Timeout(_SECONDS)
        )
        return cls(name=name, http=http)

    async def ask(self, intent: Intent, body: bytes) -> Outcome:
        """Send what an intent says. Raises nothing."""
        try:
            answer = await self._send(intent, body)
        except httpx.HTTPError as error:
            was_sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            verdict = Verdict.UNKNOWN if was_sent else Verdict.FAIL
            return Outcome(n=intent.n, verdict=verdict, code=type(error).__name__)
        found = _json(answer)
        if answer.is_success:
            return Outcome(
                n=intent.n,
                verdict=Verdict.OK,
                status=answer.status_code,
                task_id=found.get("task_id") or "",
                document_id=found.get("document_id") or "",
                version=found.get("version") or 0,
            )
        # A refusal says that nothing was done; 5xx may follow upon what was done already.
        verdict = Verdict.UNKNOWN if answer.is_server_error else Verdict.FAIL
        return Outcome(
            n=intent.n, verdict=verdict, status=answer.status_code, code=str(found.get("code", ""))
        )

    async def _send(self, intent: Intent, body: bytes) -> httpx.Response:
        match intent.operation:
            case Operation.DELETE:
                return await self.http.delete(f"/rag/documents/{intent.document_id}")
            case Operation.CANCEL:
                return await self.http.delete(f"/rag/task/{intent.task_id}")
            case _ if intent.operation.is_upload:
                return await self._upload(intent, body)
            case _:
                return await self._of_cabinet(intent)

    async def _of_cabinet(self, intent: Intent) -> httpx.Response:
        cabinet = intent.cabinet
        match intent.operation:
            case Operation.CONFIGURE:
                return await self.http.put(f"/rag/cabinets/{cabinet}", json=intent.wish)
            case Operation.DELETE_CABINET:
                confirmed = {"confirm": cabinet}
                return await self.http.delete(f"/rag/cabinets/{cabinet}", params=confirmed)
            case Operation.REPLAY:
                return await self.http.post("/rag/dlq/replay", json=intent.wish)
            case _:
                return await self.http.post(f"/rag/index/{cabinet}", json=intent.wish)

    async def _upload(self, intent: Intent, body: bytes) -> httpx.Response:
        data = {
            "cabinet_id": str(intent.cabinet),
            "external_id": intent.name,
            "metadata": json.dumps(intent.metadata),
        }
        return await self.http.post(
            "/rag/add-document",
            data=data,
            files={"file": (intent.filename, body)},
            headers={"Idempotency-Key": intent.key} if intent.key else {},
        )

    async def get(self, path: str, **params: str | int) -> httpx.Response | None:
        """Read; None where no answer came."""
        try:
            return await self.http.get(path, params=params)
        except httpx.HTTPError:
            return None

    async def search(
        self, cabinet: int, query: str, *, document: str | None = None, top_k: int = 10
    ) -> httpx.Response | None:
        """Search; None where no answer came."""
        wanted = {"cabinet_id": cabinet, "query": query, "top_k": top_k}
        if document is not None:
            wanted["filter"] = {"document_id": document}
        try:
            return await self.http.post("/rag/search", json=wanted)
        except httpx.HTTPError:
            return None


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
