"""A real Prometheus on loopback that scrapes a stack every second."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from kartoteka_testkit.ports import free_ports
from kartoteka_testkit.process import ServerProcess

__all__ = ["PrometheusServer", "Target"]

_START_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A process that is scraped, with the labels that Kubernetes' operator would give it."""

    url: str
    job: str
    pod: str


class PrometheusServer:
    """Prometheus as a process, while the context is open.

    Args:
        folder: its data and its log.
        targets: what it scrapes.
        rules: files of rules that it evaluates.
    """

    def __init__(self, folder: Path, targets: Sequence[Target], rules: Sequence[Path]) -> None:
        (port,) = free_ports(1)
        folder.mkdir()
        self._folder = folder
        self._address = f"127.0.0.1:{port}"
        self._targets = targets
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [
                {"job_name": target.pod, "static_configs": [_static(target)]} for target in targets
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
        self._http = httpx.AsyncClient(base_url=f"http://{self._address}", timeout=10)
        self._process: ServerProcess | None = None

    async def __aenter__(self) -> Self:
        self._process = ServerProcess(
            [
                "prometheus",
                f"--config.file={self._folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address={self._address}",
            ],
            log=self._folder / "prometheus.log",
            cwd=self._folder,
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not await self._scrapes():
                    self._process.must_run()
                    await asyncio.sleep(0.1)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
        if self._process is not None:
            await asyncio.to_thread(self._process.terminate, timeout=30)

    async def value(self, expr: str) -> list[dict[str, Any]]:
        """Return the series that an expression has now.

        Raises:
            AssertionError: it is no expression.
        """
        answer = await self._http.post("/api/v1/query", data={"query": expr})
        assert answer.status_code == 200, f"{expr}: {answer.text}"
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    async def rules(self) -> list[Mapping[str, Any]]:
        """Return the rules with what became of their evaluation."""
        answer = await self._http.get("/api/v1/rules")
        groups = json.loads(answer.text)["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def scraped(self) -> None:
        """Wait until every target was scraped after this call.

        Raises:
            TimeoutError: one is not.
        """
        called = time.time()
        async with asyncio.timeout(_START_SECONDS):
            while not await self.value(f"min(timestamp(up)) > {called}"):  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.1)

    async def until(self, expr: str, *, within: float = 60.0) -> None:
        """Wait until an expression has a value.

        Raises:
            TimeoutError: it has none.
        """
        async with asyncio.timeout(within):
            while not await self.value(expr):  # noqa: ASYNC110 - another process is asked
                await asyncio.sleep(0.1)

    async def _scrapes(self) -> bool:
        try:
            ready = await self._http.get("/-/ready")
        except httpx.HTTPError:
            return False
        return ready.is_success and len(await self.value("up == 1")) == len(self._targets)


def _static(target: Target) -> dict[str, Any]:
    labels = {"job": target.job, "pod": target.pod, "namespace": "kartoteka"}
    return {"targets": [target.url.removeprefix("http://")], "labels": labels}
