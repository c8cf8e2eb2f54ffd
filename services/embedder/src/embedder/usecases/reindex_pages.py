"""What a run keeps in object storage: its pages, what became of them, and its plan."""

from itertools import count
from typing import Final, TypeVar

from embedder.domain.reindex_plan import Page, PageNotes, Plan
from embedder.planner_ports import PlannerArchive
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSettings
from kartoteka_contracts.codec import decode
from kartoteka_contracts.ids import CabinetId, Epoch, TaskId, Version
from kartoteka_contracts.keys import (
    cabinet_deletions_prefix,
    cabinet_settings_key,
    cabinet_settings_prefix,
    record_version,
    run_page_key,
    run_plan_key,
)
from kartoteka_contracts.wire import Wire
from kartoteka_runtime.objects import ObjectMissingError

__all__ = ["RunPages", "settings_of"]

_ENDING: Final = ".json"
_W = TypeVar("_W", bound=Wire)


class RunPages:
    """One run's. Everything is written once: whoever comes second takes what is there.

    All calls raise UnavailableError where object storage is away.
    """

    def __init__(self, archive: PlannerArchive, cabinet: AuthorisedCabinet, run: TaskId) -> None:
        self._archive = archive
        self.cabinet = cabinet
        self.run = run

    async def plan(self) -> Plan | None:
        """Return the plan; None before it is made."""
        return await self._read(Plan, run_plan_key(self.cabinet.cabinet_id, self.run))

    async def keep_plan(self, plan: Plan) -> Plan:
        """Write the plan unless there is one; return what is there."""
        return await self._keep(plan, run_plan_key(self.cabinet.cabinet_id, self.run))

    async def page(self, n: int) -> Page | None:
        """Return a page; None before it is written."""
        return await self._read(Page, run_page_key(self.cabinet.cabinet_id, self.run, n))

    async def keep_page(self, n: int, page: Page) -> Page:
        """Write a page unless there is one; return what is there."""
        return await self._keep(page, run_page_key(self.cabinet.cabinet_id, self.run, n))

    async def notes(self, n: int) -> PageNotes:
        """Return what became of a page's entries; nothing where all were sent."""
        found, part = PageNotes(), 0
        while (more := await self._read(PageNotes, self._notes_key(n, part))) is not None:
            found, part = found.joined(more), part + 1
        return found

    async def keep_notes(self, n: int, notes: PageNotes) -> None:
        """Write what became of a page's entries, beside what earlier sends have noted."""
        if notes == PageNotes():
            return
        value = notes.model_dump_json().encode()
        for part in count():
            key = self._notes_key(n, part)
            if await self._archive.create(key, value) or await self._archive.read(key) == value:
                return

    async def is_cabinet_deleted(self, epoch: Epoch) -> bool:
        """Whether the cabinet was deleted since a run of this epoch was asked for."""
        return await self.floor() > epoch

    async def floor(self) -> Version:
        """Return up to which version the cabinet was deleted, by the newest request; or 0."""
        keys = await self._archive.keys(cabinet_deletions_prefix(self.cabinet.cabinet_id))
        return max((found for key in keys if (found := record_version(key))), default=Version(0))

    def _notes_key(self, n: int, part: int) -> str:
        page = run_page_key(self.cabinet.cabinet_id, self.run, n)
        more = f".{part}" if part else ""
        return f"{page.removesuffix(_ENDING)}.errors{more}{_ENDING}"

    async def _keep(self, value: _W, key: str) -> _W:
        if await self._archive.create(key, value.model_dump_json().encode()):
            return value
        stands = await self._read(type(value), key)
        return value if stands is None else stands

    async def _read(self, kind: type[_W], key: str) -> _W | None:
        try:
            return kind.model_validate_json(await self._archive.read(key))
        except ObjectMissingError:
            return None


async def settings_of(archive: PlannerArchive, cabinet: CabinetId) -> CabinetSettings:
    """Return a cabinet's newest settings; the defaults where it has none.

    Raises:
        UnavailableError: object storage is away.
        EventError: the settings are of another release, or damaged.
    """
    keys = await archive.keys(cabinet_settings_prefix(cabinet))
    newest = max((found for key in keys if (found := record_version(key))), default=None)
    if newest is None:
        return CabinetSettings()
    event = decode(await archive.read(cabinet_settings_key(cabinet, newest)))
    return event.settings if isinstance(event, CabinetConfigured) else CabinetSettings()
