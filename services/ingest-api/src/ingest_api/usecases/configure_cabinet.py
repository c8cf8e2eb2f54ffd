"""Say what a cabinet is to be: into object storage first, then to everybody who listens."""

from dataclasses import dataclass

from ingest_api.domain.submission import next_version
from ingest_api.ports import SettingsArchive, SourcePolicy
from ingest_api.usecases.job_events import JobEvents, acknowledged_in_time
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSettings
from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.ids import CabinetId
from kartoteka_runtime.clock import Clock

__all__ = ["ConfigureCabinet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigureCabinet:
    """Takes settings in. What raises ``event_log_unavailable`` or ``overloaded`` may count."""

    archive: SettingsArchive
    policy: SourcePolicy
    jobs: JobEvents
    clock: Clock

    async def configure(
        self,
        cabinet: AuthorisedCabinet,
        settings: CabinetSettings,
        *,
        traceparent: str | None = None,
    ) -> CabinetConfigured:
        """Give a cabinet settings, in place of all that it had; the same again change nothing.

        Raises:
            RequestError: ``source_not_allowed``.
            UnavailableError: ``object_store_unavailable``, ``event_log_unavailable`` or
                ``overloaded``.
        """
        self.jobs.check()
        for source in settings.sources:
            if not self.policy.allows(source.url):
                raise RequestError(
                    "source_not_allowed",
                    f"the URL of the source '{source.name}' is not on the operators' list "
                    "(SOURCE_ALLOWED_URLS)",
                )
        event = await self._stored(cabinet.cabinet_id, settings)
        await self._announce(event, traceparent)
        return event

    async def retire(self, cabinet: AuthorisedCabinet, *, traceparent: str | None = None) -> None:
        """Take sources and schedule from a cabinet that was given any.

        Raises:
            UnavailableError: ``object_store_unavailable``, ``event_log_unavailable`` or
                ``overloaded``.
        """
        newest = await self.archive.newest(cabinet.cabinet_id)
        if newest is None:
            return
        had = CabinetSettings() if newest.configured is None else newest.configured.settings
        settings = had.model_copy(update={"enabled": False, "sources": ()})
        # Announced also where nothing changes: the one who changed it may have got no further.
        await self._announce(await self._stored(cabinet.cabinet_id, settings), traceparent)

    async def _stored(self, cabinet: CabinetId, settings: CabinetSettings) -> CabinetConfigured:
        while True:
            newest = await self.archive.newest(cabinet)
            had = None if newest is None else newest.configured
            if had is not None and had.settings == settings:
                return had
            now = self.clock.now()
            event = CabinetConfigured(
                cabinet_id=cabinet,
                version=next_version(now, None if newest is None else newest.version),
                settings=settings,
                created_at=now if had is None else had.created_at,
                at=now,
            )
            # Taken: other settings came between; the next listing shows them.
            if await self.archive.create(event):
                return event

    async def _announce(self, event: CabinetConfigured, traceparent: str | None) -> None:
        """Send settings, and after them newer ones that came meanwhile.

        The topic keeps the last record of a cabinet, not the highest. Newer settings are in object
        storage before they are sent, so whoever sends older ones behind them sees them there.
        """
        async with acknowledged_in_time():
            while True:
                await self.jobs.announce(event, traceparent=traceparent)
                newest = await self.archive.newest(event.cabinet_id)
                if (
                    newest is None
                    or newest.version <= event.version
                    or newest.configured is None  # of a later release, which sends it itself
                ):
                    return
                event = newest.configured
