"""What a run would do, from the embedders: each of them can plan."""

import asyncio
from typing import Final

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ingest_api.adapters.embedder_pool import Address, EmbedderPool
from ingest_api.domain.run_plan import PlanFault, RunPlan
from ingest_api.settings import EmbeddingsSettings
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import RequestError, UnavailableError
from kartoteka_contracts.ids import CabinetId
from kartoteka_contracts.reindex import ReindexMode, RunCounts
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger

__all__ = ["HttpPlanner"]

_log = get_logger(__name__)

_OK: Final = 200
_NOT_FOUND: Final = 404
_CONNECT_SECONDS: Final = 1.0


class _Fault(BaseModel):
    model_config = ConfigDict(extra="ignore")

    code: str
    message: str


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    cabinet_id: int
    mode: ReindexMode
    total: int = Field(ge=0)
    counts: RunCounts
    chunks: int | None = Field(ge=0)
    estimated_seconds: float | None = Field(ge=0)
    would_fail: _Fault | None = None


class _UnusableError(Exception):
    """An embedder's answer cannot be used; the next one is asked."""


class HttpPlanner:
    """Asks the embedders in turn.

    Args:
        settings: where they are, and how long a plan may take.
        clock: for turns.
    """

    def __init__(self, settings: EmbeddingsSettings, clock: Clock) -> None:
        self._seconds = settings.plan_timeout
        # A pool of its own: who is too busy to plan may still embed queries.
        self._pool = EmbedderPool(settings.urls, rest=settings.rest, clock=clock)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(settings.plan_timeout, connect=_CONNECT_SECONDS),
            # Embedders are neighbours; a proxy from the environment is not meant for them.
            trust_env=False,
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def plan(self, cabinet: AuthorisedCabinet, mode: ReindexMode) -> RunPlan:
        """Return what a run of the cabinet would do now.

        Raises:
            RequestError: ``not_found``: nothing was ever asked of the cabinet.
            UnavailableError: ``planner_unavailable``: no embedder answers with a plan in time.
        """
        failure = "no address of an embedder resolves"
        try:
            async with asyncio.timeout(self._seconds):
                for address in await self._pool.in_turn():
                    try:
                        plan = await self._ask(address, cabinet.cabinet_id, mode)
                    except _UnusableError as error:
                        failure = str(error)
                        self._pool.failed(address)
                        _log.warning("planner_left_out", url=address.base_url, reason=failure)
                    else:
                        self._pool.answered(address)
                        return plan
        except TimeoutError as error:
            raise UnavailableError(
                "planner_unavailable", "the plan took too long", retry_after=5.0
            ) from error
        raise UnavailableError("planner_unavailable", failure, retry_after=2.0)

    async def _ask(self, address: Address, cabinet: CabinetId, mode: ReindexMode) -> RunPlan:
        try:
            answer = await self._client.get(
                f"{address.base_url}/v1/plans/{cabinet}",
                params={"mode": mode.value},
                headers={} if address.host is None else {"Host": address.host},
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise _UnusableError(f"an embedder does not answer: {reason}") from error
        if _is_unknown(answer):
            raise RequestError("not_found")
        if answer.status_code != _OK:
            raise _UnusableError(f"an embedder answered {answer.status_code}")
        try:
            found = _Answer.model_validate_json(answer.content)
        except ValidationError as error:
            raise _UnusableError("an embedder's answer is no plan") from error
        if (found.cabinet_id, found.mode) != (cabinet, mode):
            raise _UnusableError("an embedder's plan is another one than was asked for")
        fault = found.would_fail
        return RunPlan(
            cabinet_id=cabinet,
            mode=mode,
            total=found.total,
            counts=found.counts,
            chunks=found.chunks,
            estimated_seconds=found.estimated_seconds,
            would_fail=None if fault is None else PlanFault(code=fault.code, message=fault.message),
        )


def _is_unknown(answer: httpx.Response) -> bool:
    """Whether a planner says that there is no such cabinet, not just that it knows no plans."""
    if answer.status_code != _NOT_FOUND:
        return False
    try:
        body = answer.json()
    except ValueError:
        return False
    match body:
        case {"error": {"code": "not_found"}}:
            return True
        case _:
            return False
