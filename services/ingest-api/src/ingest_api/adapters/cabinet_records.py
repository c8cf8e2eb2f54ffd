"""Records of the cabinets' topic as what a view sees in them: first uploads and settings."""

import re
from typing import Final

from ingest_api.adapters.log_record import LogRecord
from ingest_api.domain.log_batch import CabinetSettled, CabinetSighting
from kartoteka_contracts.cabinets import CabinetConfigured, CabinetSeen
from kartoteka_contracts.codec import decode
from kartoteka_contracts.errors import MalformedEventError
from kartoteka_contracts.ids import MAX_EXACT_INTEGER, CabinetId

__all__ = ["cabinet_record"]

_KEY: Final = re.compile(r"(?P<cabinet>[1-9]\d{0,15})(?P<seen>#seen)?", re.ASCII)


def cabinet_record(record: LogRecord) -> CabinetSighting | CabinetSettled:
    """Read a record; one without a value takes back what its key is for.

    Raises:
        MalformedEventError: it names no cabinet, or tells of something else.
        UnsupportedSchemaError: its event is of a later release.
    """
    if record.value is None:
        return _taken_back(record.key)
    event = decode(record.value)
    match event:
        case CabinetSeen():
            return CabinetSighting(cabinet_id=event.cabinet_id, seen_at=event.at)
        case CabinetConfigured():
            return CabinetSettled(cabinet_id=event.cabinet_id, configured=event)
        case _:
            raise MalformedEventError(f"{event.type} does not belong on {record.topic}")


def _taken_back(key: bytes | None) -> CabinetSighting | CabinetSettled:
    found = _KEY.fullmatch("" if key is None else key.decode("utf-8", "replace"))
    if found is None or int(found["cabinet"]) > MAX_EXACT_INTEGER:
        raise MalformedEventError("the key names no cabinet")
    cabinet = CabinetId(int(found["cabinet"]))
    if found["seen"] is not None:
        return CabinetSighting(cabinet_id=cabinet, seen_at=None)
    return CabinetSettled(cabinet_id=cabinet, configured=None)
