"""What all events are made of."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from kartoteka_contracts.ids import (
    MAX_EXACT_INTEGER,
    CabinetId,
    DocumentId,
    Epoch,
    TaskId,
    Version,
)

__all__ = [
    "CabinetField",
    "DocumentField",
    "EpochField",
    "Event",
    "Metadata",
    "NameField",
    "Sha256Field",
    "TaskField",
    "VersionField",
    "Wire",
]

_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

CabinetField = Annotated[CabinetId, Field(gt=0, le=MAX_EXACT_INTEGER, description="The tenant.")]
DocumentField = Annotated[
    DocumentId, Field(pattern=_UUID, description="uuid5 of cabinet and name.")
]
TaskField = Annotated[
    TaskId, Field(pattern=_UUID, description="The task that this work belongs to.")
]
VersionField = Annotated[
    Version, Field(gt=0, le=MAX_EXACT_INTEGER, description="Microseconds; the newest wins.")
]
EpochField = Annotated[
    Epoch, Field(ge=0, le=MAX_EXACT_INTEGER, description="0, or microseconds of a reindex.")
]
Sha256Field = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
NameField = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Metadata = dict[str, Any]
"""What the caller said of the document: a JSON object of at most 64 KiB."""


class Wire(BaseModel):
    """What crosses a boundary: immutable, and open to fields that a newer release adds."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", use_attribute_docstrings=True, ser_json_inf_nan="null"
    )


class Event(Wire):
    """What every event has."""

    type: str
    schema_version: int

    key_fields: ClassVar[tuple[str, ...]] = ()

    @property
    def key(self) -> str:
        """The Kafka key: equal keys are delivered in order, to one worker."""
        return "/".join(str(getattr(self, field)) for field in self.key_fields)
