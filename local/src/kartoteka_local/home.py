"""The folder of a stack: what lies where."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Home"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Paths below KARTOTEKA_HOME."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held while a stack runs."""
        return self.root / "lock"

    @property
    def stack_file(self) -> Path:
        """What runs where; there only while everything is ready."""
        return self.root / "stack.json"

    @property
    def ports_file(self) -> Path:
        """The ports taken last time."""
        return self.root / "ports.json"

    @property
    def api_keys(self) -> Path:
        """Hashes of the API's keys."""
        return self.root / "api-keys.json"

    @property
    def api_key(self) -> Path:
        """The stack's own key, in plain text, for its owner only."""
        return self.root / "api-key"

    @property
    def kafka(self) -> Path:
        """The broker's folder: jars, configuration, data."""
        return self.root / "kafka"

    @property
    def kafka_data(self) -> Path:
        """The broker's log."""
        return self.kafka / "data"

    @property
    def qdrant(self) -> Path:
        """The vectors."""
        return self.root / "qdrant"

    @property
    def objects(self) -> Path:
        """Bodies and records."""
        return self.root / "objects"

    @property
    def view(self) -> Path:
        """The API's view of the tasks."""
        return self.root / "view"

    @property
    def models(self) -> Path:
        """The exported model."""
        return self.root / "models"

    def log(self, name: str) -> Path:
        """Return the file that a child's words go to."""
        return self.root / "logs" / f"{name}.log"

    def create(self) -> None:
        """Make the folders that every stack writes to, readable by their owner only.

        A broker's, and one for objects, are made where they are needed.

        Raises:
            OSError: one cannot be made.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        for folder in (self.log("x").parent, self.view):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
