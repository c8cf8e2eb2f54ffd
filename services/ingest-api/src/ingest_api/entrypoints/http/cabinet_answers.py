"""Cabinets as callers see them, and as callers want them."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ingest_api.domain.task import Task
from ingest_api.entrypoints.http.run_answers import run_result
from ingest_api.usecases.read_cabinets import CabinetState
from kartoteka_contracts.cabinets import CabinetSettings, Source
from kartoteka_contracts.reindex import RunResult
from kartoteka_contracts.schedule import Schedule
from kartoteka_contracts.tasks import TaskStatus

__all__ = ["COUNTS_EXAMPLE", "CabinetAnswer", "CabinetList", "SettingsBody", "cabinet_answer"]

_SETTINGS: Final[dict[str, JsonValue]] = {
    "name": "Contracts",
    "enabled": True,
    "schedule": {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"},
    "sources": [
        {
            "name": "archive",
            "url": "s3://company-documents/contracts",
            "include": ["**/*.pdf"],
            "exclude": ["drafts/**"],
            "credentials": "archive-reader",
        }
    ],
}
_MOST_SOURCES: Final = 50
_RUN: Final = "0198f2c4-b7a9-7d0e-8f5c-2a1b3d4e5f60"
COUNTS_EXAMPLE: Final[dict[str, JsonValue]] = {
    "seen": 1000,
    "new": 2,
    "changed": 9,
    "stale": 0,
    "forced": 0,
    "vanished": 1,
    "unchanged": 988,
    "pending": 0,
    "failed_before": 0,
}
_RESULT: Final[dict[str, JsonValue]] = {
    "success": 12,
    "errors": [],
    "failed": 0,
    "overtaken": 0,
    "total": 12,
    "counts": COUNTS_EXAMPLE,
    "eta_seconds": None,
    "joined": None,
}
_EXAMPLE: Final[dict[str, JsonValue]] = {
    "cabinet_id": 1,
    **_SETTINGS,
    "version": 1795000000000000,
    "created_at": "2026-01-02T03:04:05Z",
    "next_run_at": "2026-01-03T01:41:07Z",
    "last_run": {
        "task_id": _RUN,
        "status": "succeeded",
        "ended_at": "2026-01-02T01:52:11Z",
        "result": _RESULT,
    },
    "open_run": None,
}


class ScheduleBody(Schedule):
    """A cron expression in a time zone."""

    # A misspelt field must not leave a setting at its default in silence.
    model_config = ConfigDict(extra="forbid")


class SourceBody(Source):
    """A prefix outside whose objects are to be the cabinet's documents."""

    model_config = ConfigDict(extra="forbid")


class SettingsBody(CabinetSettings):
    """What a cabinet is to be. What is left out gets its default, whatever it was before."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_SETTINGS]})

    schedule: ScheduleBody = ScheduleBody()
    """When it is compared with its sources: every six hours unless said otherwise."""
    sources: Annotated[tuple[SourceBody, ...], Field(max_length=_MOST_SOURCES)] = ()
    """Besides what is uploaded."""

    def settings(self) -> CabinetSettings:
        """Return them as everybody else knows them."""
        return CabinetSettings.model_validate(self.model_dump())


class LastRun(BaseModel):
    """A run that has ended."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    task_id: str
    status: TaskStatus
    ended_at: datetime
    result: RunResult | None
    """What it came to; null where it failed before that could be told."""


class CabinetAnswer(BaseModel):
    """A cabinet."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, json_schema_extra={"examples": [_EXAMPLE]}
    )

    cabinet_id: int
    name: str | None
    """For people."""
    enabled: bool
    """Whether its schedule starts runs; a request by hand does either way."""
    schedule: Schedule
    sources: list[Source]
    """Besides what is uploaded."""
    version: int | None
    """Of the settings; null while they are the defaults that a first upload brings."""
    created_at: datetime
    """When it was first uploaded to or configured."""
    next_run_at: datetime | None
    """When its schedule asks for the next run: within half an hour of the schedule's time, always
    by the same delay. Null while it is not enabled."""
    last_run: LastRun | None
    """The last run of the past 7 days that ended; one that only joined another is left out."""
    open_run: str | None
    """The task of the run that is under way."""


class CabinetList(BaseModel):
    """Cabinets in the order of their ids."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"cabinets": [_EXAMPLE], "next_cursor": None}]},
    )

    cabinets: list[CabinetAnswer]
    next_cursor: str | None
    """What to send as ``cursor`` for the next page; null at the end."""


def cabinet_answer(state: CabinetState) -> CabinetAnswer:
    """Return what a caller is told of a cabinet."""
    cabinet, run = state.cabinet, state.open_run
    settings = cabinet.settings
    return CabinetAnswer(
        cabinet_id=cabinet.cabinet_id,
        name=settings.name,
        enabled=settings.enabled,
        schedule=settings.schedule,
        sources=list(settings.sources),
        version=None if cabinet.configured is None else cabinet.configured.version,
        created_at=cabinet.created_at,
        next_run_at=state.next_run_at,
        last_run=None if state.last_run is None else _last_run(state.last_run),
        open_run=None if run is None else run.task_id,
    )


def _last_run(task: Task) -> LastRun:
    return LastRun(
        task_id=task.task_id,
        status=task.status,
        ended_at=task.updated_at,
        result=run_result(task),
    )
