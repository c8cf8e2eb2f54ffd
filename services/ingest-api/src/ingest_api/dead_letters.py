"""How dead letters are put together: the part of the bootstrap that deals with them."""

from dataclasses import dataclass
from typing import Self

from ingest_api.adapters.letter_catalogue import SqliteLetters
from ingest_api.adapters.letter_values import KafkaLetterValues
from ingest_api.letter_ports import JobLog
from ingest_api.reading import Reading
from ingest_api.usecases.read_dead_letters import ReadDeadLetters
from ingest_api.usecases.resolve_dead_letters import ResolveDeadLetters
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.kafka import KafkaSettings

__all__ = ["DeadLetters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """The use cases of dead letters."""

    read: ReadDeadLetters
    resolve: ResolveDeadLetters

    @classmethod
    def build(cls, kafka: KafkaSettings, reading: Reading, *, log: JobLog, clock: Clock) -> Self:
        """Put it together; nothing is connected yet."""
        read = ReadDeadLetters(
            catalogue=SqliteLetters(reading.catalogue),
            freshness=reading.view,
            values=KafkaLetterValues(kafka),
        )
        return cls(read=read, resolve=ResolveDeadLetters(letters=read, log=log, clock=clock))
