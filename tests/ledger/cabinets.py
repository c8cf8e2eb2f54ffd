"""Which cabinet is for what, beside those that clients upload to."""

from datetime import timedelta
from typing import Final

from kartoteka_contracts.ids import CabinetId, document_id
from kartoteka_contracts.schedule import spread

__all__ = ["DOOMED", "FOLDER", "SOURCE", "id_of_file", "name_of_file"]

_SOON: Final = timedelta(seconds=10)
DOOMED: Final = 5
"""Is deleted as a whole now and then."""
FOLDER: Final = next(n for n in range(6, 10_000) if spread(CabinetId(n)) < _SOON)
"""Fed by a folder alone, and by a schedule: one of which runs come soon after their slots."""
SOURCE: Final = "folder"
"""The name of its source."""


def name_of_file(path: str) -> str:
    """Return the name of the document that a file of the folder becomes."""
    return f"{SOURCE}://{path}"


def id_of_file(path: str) -> str:
    """Return its id."""
    return document_id(CabinetId(FOLDER), name_of_file(path))
