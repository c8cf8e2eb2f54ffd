"""Cabinets: their settings, and the events that tell of them."""

from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from kartoteka_contracts.schedule import Schedule
from kartoteka_contracts.wire import CabinetField, Event, VersionField, Wire

__all__ = ["CabinetConfigured", "CabinetSeen", "CabinetSettings", "Source"]

_MOST_SOURCES: Final = 50
_MOST_PATTERNS: Final = 100
_Pattern = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class Source(Wire):
    """A prefix outside whose objects are a cabinet's documents."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    """Unique in the cabinet; part of the documents' names, so another name is other documents."""
    url: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+://\S+$", max_length=2048)]
    """``s3://bucket/prefix`` or ``file:///folder``; no credentials in it."""
    include: Annotated[tuple[_Pattern, ...], Field(max_length=_MOST_PATTERNS)] = ("**",)
    """Patterns of paths below the URL that are taken: ``*`` in a folder, ``**`` over folders."""
    exclude: Annotated[tuple[_Pattern, ...], Field(max_length=_MOST_PATTERNS)] = ()
    """Patterns of paths that are left out, even where they are included."""
    credentials: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] | None = (
        None
    )
    """The name of credentials that the embedders' operator has configured; never a secret."""


class CabinetSettings(Wire):
    """What a cabinet is to be."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """For people."""
    enabled: bool = True
    """Whether its schedule starts runs; a request by hand does either way."""
    schedule: Schedule = Field(default_factory=Schedule)
    """When it is compared with its sources."""
    sources: Annotated[tuple[Source, ...], Field(max_length=_MOST_SOURCES)] = ()
    """Besides what is uploaded."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("two sources have the same name")
        return self


class CabinetConfigured(Event):
    """A cabinet got these settings. The last one counts; the newest is in object storage too."""

    type: Literal["cabinet_configured"] = "cabinet_configured"
    schema_version: Literal[1] = 1
    cabinet_id: CabinetField
    version: VersionField
    """Of the settings; of two records the one with the higher version counts."""
    settings: CabinetSettings
    created_at: AwareDatetime
    """When the cabinet was first configured: its schedule counts from then."""
    at: AwareDatetime

    @property
    def key(self) -> str:
        """``{cabinet}``."""
        return str(self.cabinet_id)


class CabinetSeen(Event):
    """A cabinet got its first upload. Written before that upload's event."""

    type: Literal["cabinet_seen"] = "cabinet_seen"
    schema_version: Literal[1] = 1
    cabinet_id: CabinetField
    at: AwareDatetime

    @property
    def key(self) -> str:
        """``{cabinet}#seen``: the plain key is for settings."""
        return f"{self.cabinet_id}#seen"
