"""The view's figures, counted in its file: from indexes only, whatever it holds."""

from typing import Final

from ingest_api.adapters.sqlite_catalogue import SqliteCatalogue
from ingest_api.domain.figures import Backlog, ViewFigures, Waiting
from ingest_api.domain.instant import moment

__all__ = ["SqliteFigures"]

_WAITING: Final = (
    "SELECT backlog, count(*), min(since_us) FROM tasks WHERE backlog IS NOT NULL GROUP BY backlog"
)
_OPEN_LETTERS: Final = (
    "SELECT (SELECT count(*) FROM dead_letters) - (SELECT count(*) FROM letter_marks m "
    "WHERE EXISTS (SELECT 1 FROM dead_letters l WHERE l.number = m.number AND l.offset = m.offset))"
)


class SqliteFigures:
    """Counts in a catalogue.

    Args:
        catalogue: whose file it reads.
    """

    def __init__(self, catalogue: SqliteCatalogue) -> None:
        self._catalogue = catalogue

    async def figures(self) -> ViewFigures:
        """Return the figures. Raises UnavailableError where the file cannot be read."""
        rows = await self._catalogue.read(_WAITING)
        ((letters,),) = await self._catalogue.read(_OPEN_LETTERS)
        found = {
            Backlog(sort): Waiting(count=count, since=moment(since)) for sort, count, since in rows
        }
        return ViewFigures(
            waiting={sort: found.get(sort, Waiting()) for sort in Backlog}, letters_open=letters
        )
