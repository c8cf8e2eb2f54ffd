"""Whoever keeps files in a cabinet's folder: makes, changes, touches and removes them."""

import asyncio
import time
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.ledger.book import Book
from tests.ledger.documents import File, make_file
from tests.ledger.folder import SourceFolder
from tests.ledger.ledger import Change, ChangeKind

__all__ = ["FolderClient", "FolderPlan"]

_LARGEST: Final = 200 * 1024
_WEIGHTS: Final = {
    "create": 34,
    "change": 26,
    "touch": 12,
    "remove": 16,
    "add again": 12,
}
_FEWEST: Final = 6
"""Files that are left. A source that lists as empty is not believed."""
_DRAWS: Final = 40
_FOLDERS: Final = ("", "contracts/", "contracts/old/", "letters/")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderPlan:
    """What is done, and how often."""

    seed: int
    pause: float = 1.0
    """Seconds between two changes, on average."""
    most_files: int = 250
    hostile_share: float = 0.02


class FolderClient:
    """Works until told to stop."""

    def __init__(self, plan: FolderPlan, book: Book, folder: SourceFolder) -> None:
        self._plan = plan
        self._book = book
        self._folder = folder
        self._random = Random(f"{plan.seed}/folder")
        self._is_over = asyncio.Event()
        self._there: list[str] = []
        self._gone: list[str] = []

    @property
    def files(self) -> int:
        """How many there are."""
        return len(self._there)

    def end(self) -> None:
        """Begin nothing more."""
        self._is_over.set()

    async def run(self) -> None:
        """Work until :meth:`end`."""
        for _ in range(_FEWEST):
            self._create()
        kinds, weights = zip(*_WEIGHTS.items(), strict=True)
        while not self._is_over.is_set():
            await asyncio.sleep(self._random.expovariate(1 / self._plan.pause))
            if self._folder.is_there and not self._is_over.is_set():
                # Without an await: the folder is not taken away in the middle of a change.
                self._do(self._random.choices(kinds, weights)[0])

    def _do(self, kind: str) -> None:
        random = self._random
        match kind:
            case "create" if self.files < self._plan.most_files:
                self._create()
            case "touch":
                path = random.choice(self._there)
                self._note(ChangeKind.TOUCH, path)
                self._folder.touch(path)
            case "remove" if self.files > _FEWEST:
                path = random.choice(self._there)
                self._note(ChangeKind.REMOVE, path)
                self._folder.remove(path)
                self._there.remove(path)
                self._gone.append(path)
            case "add again" if self._gone:
                path = random.choice(self._gone)
                file = self._alike(path)
                if file is not None:
                    self._gone.remove(path)
                    self._write(ChangeKind.CREATE, path, file)
                    self._there.append(path)
            case _:
                path = random.choice(self._there)
                file = self._alike(path)
                if file is not None:
                    self._write(ChangeKind.CHANGE, path, file)

    def _create(self) -> None:
        file = self._file()
        path = self._random.choice(_FOLDERS) + file.filename
        self._write(ChangeKind.CREATE, path, file)
        self._there.append(path)

    def _alike(self, path: str) -> File | None:
        """Return another file of the same kind: what its name says stays true."""
        ending = path.rpartition(".")[2]
        for _ in range(_DRAWS):
            file = self._file()
            if file.filename.rpartition(".")[2] == ending:
                return file
        return None

    def _file(self) -> File:
        number = self._book.number()
        return make_file(
            Random(f"{self._plan.seed}/file/{number}"),
            self._plan.seed,
            number,
            hostile_share=self._plan.hostile_share,
            largest=_LARGEST,
        )

    def _write(self, kind: ChangeKind, path: str, file: File) -> None:
        self._note(kind, path, file)
        self._folder.write(path, file.body)

    def _note(self, kind: ChangeKind, path: str, file: File | None = None) -> None:
        change = Change(kind=kind, path=path, at=time.time())
        if file is not None:
            change = Change(
                kind=kind,
                path=path,
                at=change.at,
                sha256=file.sha256,
                size=len(file.body),
                canary=file.canary,
                is_hostile=file.is_hostile,
            )
        self._book.ledger.change(change)
