"""The real stack, with everything in between that can be broken."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from kartoteka_testkit.stack import Service, Stack
from kartoteka_testkit.tcp_proxy import TcpProxy
from tests.ledger.disk import SmallDisk
from tests.ledger.folder import SourceFolder
from tests.ledger.ledger import Ledger

__all__ = ["SESSION_SECONDS", "Plant", "running_plant"]

SESSION_SECONDS: Final = 4
"""After which a silent worker counts as dead. The stack's own setting for tests."""

_OBJECTS_BYTES: Final = 2 << 30
_SCRATCH_BYTES: Final = 512 << 20
_KEEP_SECONDS: Final = 0.5
_PROBE_EVERY: Final = 10
_PROBE_SECONDS: Final = 5.0
_FAILED_PROBES: Final = 3


@dataclass(slots=True, kw_only=True)
class Plant:
    """A running stack. ``held`` names what a fault has in its hands just now."""

    stack: Stack
    apis: list[TcpProxy]
    """Between clients and the replicas, in their order."""
    links: dict[str, TcpProxy]
    """All proxies by name."""
    disks: dict[str, SmallDisk]
    folder: SourceFolder
    ledger: Ledger
    held: set[str] = field(default_factory=set)
    restarts: list[str] = field(default_factory=list)
    """What ended by itself or failed its liveness probe, as an orchestrator would see it."""

    @property
    def services(self) -> dict[str, Service]:
        """Everything that runs but the broker, by name."""
        stack = self.stack
        services = (*stack.apis, *stack.embedders, *stack.schedulers, stack.qdrant)
        return {service.name: service for service in services}

    async def keep(self) -> None:
        """Start again what ends by itself, as an orchestrator does, until cancelled."""
        failed: dict[str, int] = {}
        rounds = 0
        while True:
            await asyncio.sleep(_KEEP_SECONDS)
            rounds += 1
            for name, service in self.services.items():
                if name not in self.held and not service.process.is_running:
                    self._note_end(f"{name} ended with {service.process.exit_code}")
                    service.start()
            broker = self.stack.broker
            if "broker" not in self.held and not broker._running().is_running:
                self._note_end("broker ended")
                broker.spawn()
            if rounds % _PROBE_EVERY == 0:
                await asyncio.gather(
                    *(self._probe(name, url, failed) for name, url in self._live())
                )

    def _live(self) -> list[tuple[str, str]]:
        stack = self.stack
        names = [service.name for service in (*stack.apis, *stack.embedders)]
        return list(zip(names, (*stack.api_urls, *stack.embedder_urls), strict=True))

    async def _probe(self, name: str, url: str, failed: dict[str, int]) -> None:
        async with httpx.AsyncClient(timeout=_PROBE_SECONDS) as client:
            try:
                answer = await client.get(f"{url}/healthz/live")
                is_well, said = answer.is_success, answer.text
            except httpx.ConnectError:
                return  # it starts, or is away by our own hand
            except httpx.HTTPError as error:
                is_well, said = False, type(error).__name__
        failed[name] = 0 if is_well or name in self.held else failed.get(name, 0) + 1
        if failed[name] >= _FAILED_PROBES:
            failed[name] = 0
            self._note_end(f"{name} is not live: {said[:200]}")
            self.services[name].process.kill()

    def _note_end(self, text: str) -> None:
        self.restarts.append(text)
        self.ledger.note("restart", text=text)

    async def stop_schedules(self) -> None:
        """End the scheduler for good: from now on runs are asked for by hand alone."""
        for scheduler in self.stack.schedulers:
            self.held.add(scheduler.name)
            await asyncio.to_thread(scheduler.stop)

    async def heal(self, within: float) -> float:
        """Undo all faults and wait until everything is ready; returns the seconds."""
        begun = time.monotonic()
        for link in self.links.values():
            link.unblock()
        for disk in self.disks.values():
            disk.free()
        while True:
            left = within - (time.monotonic() - begun)
            try:
                await self.stack.broker.ready(max(1.0, left))
                await self.stack.all_ready(within=max(1.0, left))
            except RuntimeError:  # it has just ended; the keeper starts it again
                if left < 0:
                    raise
                await asyncio.sleep(1)
            else:
                return time.monotonic() - begun


@asynccontextmanager
async def running_plant(
    folder: Path, ledger: Ledger, *, env: Mapping[str, str], has_disks: bool
) -> AsyncIterator[Plant]:
    """Start everything; stop it at the end."""
    async with AsyncExitStack() as stack:
        disks: dict[str, SmallDisk] = {}
        if has_disks:
            sizes = {"objects": _OBJECTS_BYTES, "scratch": _SCRATCH_BYTES}
            for name, size in sizes.items():
                disks[name] = SmallDisk(folder / "stack" / name, size=size)
                stack.callback(disks[name].close)
        kafka = await stack.enter_async_context(TcpProxy())
        names = ("embedder-0", "embedder-1", "apis")
        qdrant = {name: await stack.enter_async_context(TcpProxy()) for name in names}
        sources = SourceFolder(folder / "sources")
        system = Stack(
            folder / "stack",
            embedders=2,
            apis=2,
            schedulers=1,
            env={
                "KAFKA_BOOTSTRAP_SERVERS": kafka.address,
                "SOURCE_ALLOWED_URLS": f"file://{sources.allowed}",
                "WORKER_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
                **env,
            },
            # Clients go where the broker says it is, so it names the proxy.
            broker_properties={"advertised.listeners": f"PLAINTEXT://{kafka.address}"},
        )
        kafka.target = system.broker.bootstrap_servers
        for link in qdrant.values():
            link.target = system.qdrant_url.removeprefix("http://")
        for embedder in system.embedders:
            embedder.env["QDRANT_URL"] = qdrant[embedder.name].url
            if "scratch" in disks:
                embedder.env["TMPDIR"] = str(disks["scratch"].folder)
        for api in system.apis:
            api.env["QDRANT_URL"] = qdrant["apis"].url
        apis = [
            await stack.enter_async_context(TcpProxy(url.removeprefix("http://")))
            for url in system.api_urls
        ]
        links = {"kafka": kafka}
        links |= {f"qdrant of {name}": link for name, link in qdrant.items()}
        links |= {
            f"clients of {api.name}": link for api, link in zip(system.apis, apis, strict=True)
        }
        await stack.enter_async_context(system)
        yield Plant(
            stack=system, apis=apis, links=links, disks=disks, folder=sources, ledger=ledger
        )
