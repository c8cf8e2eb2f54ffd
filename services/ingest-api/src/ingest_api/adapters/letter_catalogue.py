"""The dead letters of the view's file."""

from ingest_api.adapters.letter_rows import READ_LETTERS, letter_conditions, letter_of
from ingest_api.adapters.sqlite_catalogue import SqliteCatalogue
from ingest_api.domain.dead_letter import LetterId, StoredLetter
from ingest_api.letter_ports import LetterQuery

__all__ = ["SqliteLetters"]


class SqliteLetters:
    """Reads dead letters. Every call raises UnavailableError where the file cannot be read."""

    def __init__(self, catalogue: SqliteCatalogue) -> None:
        self._catalogue = catalogue

    async def letter(self, letter_id: LetterId) -> StoredLetter | None:
        """Return a letter of any cabinet."""
        rows = await self._catalogue.read(
            f"{READ_LETTERS} WHERE l.number = ? AND l.offset = ?", *letter_id
        )
        return letter_of(rows[0]) if rows else None

    async def letters(self, query: LetterQuery) -> list[StoredLetter]:
        """Return letters, the last that died first."""
        where, values = letter_conditions(query)
        rows = await self._catalogue.read(
            f"{READ_LETTERS} WHERE {where} "
            "ORDER BY l.logged_us DESC, l.number DESC, l.offset DESC LIMIT ?",
            *values,
            query.limit,
        )
        return [letter_of(row) for row in rows]
