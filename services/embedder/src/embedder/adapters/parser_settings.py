"""What can be set about reading and cutting documents."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from embedder.domain.chunking import ChunkPolicy
from kartoteka_runtime.env import Fragment, SettingsError

__all__ = ["ChunkSettings", "ParserSettings"]


class ParserSettings(Fragment):
    """The processes that read documents, and how far each may go."""

    prefix: ClassVar[str] = "PARSER_"

    children: int = Field(default=2, ge=1, le=64)
    """Processes that read, one document at a time each."""
    soft_limit_seconds: float = Field(default=240, gt=0, le=86_400)
    """Seconds after which a document is asked to stop; it is tried again later."""
    hard_limit_seconds: float = Field(default=300, gt=0, le=86_400)
    """Seconds after which its process is killed; more than the soft limit."""
    start_limit_seconds: float = Field(default=60, gt=0, le=600)
    """Seconds within which a process must have started."""
    memory_bytes: int = Field(default=2 * 1024**3, ge=256 * 1024**2)
    """Address space of each process. Together they must stay below the container's limit."""
    recycle_after: int = Field(default=200, ge=1)
    """Documents that one process reads before a fresh one takes its place."""
    max_text_characters: int = Field(default=20_000_000, ge=1)
    """A document with more extracted text is rejected."""
    max_pages: int = Field(default=5_000, ge=1)
    """A PDF with more pages is rejected."""
    max_chunks: int = Field(default=50_000, ge=1)
    """A document that makes more chunks is rejected."""

    @model_validator(mode="after")
    def _soft_below_hard(self) -> Self:
        if self.soft_limit_seconds >= self.hard_limit_seconds:
            raise ValueError(
                "PARSER_SOFT_LIMIT_SECONDS must be below PARSER_HARD_LIMIT_SECONDS, "
                "or no document could stop by itself"
            )
        return self


class ChunkSettings(Fragment):
    """How documents are cut. Another value means that every document is stale."""

    prefix: ClassVar[str] = "CHUNK_"

    max_tokens: int | None = Field(default=None, ge=16)
    """Tokens of a chunk at most; left out, as many as the model takes."""
    overlap_tokens: int = Field(default=32, ge=0)
    """Tokens that a chunk repeats of the one before, at most, in whole sentences."""

    def policy(self, room: int) -> ChunkPolicy:
        """Return how to cut for a model.

        Args:
            room: tokens that a passage may have there, special ones and prompt not counted.

        Raises:
            SettingsError: the settings do not fit the model.
        """
        size = room if self.max_tokens is None else self.max_tokens
        if size > room:
            raise SettingsError(
                (f"CHUNK_MAX_TOKENS must be at most {room}: the model cuts off what is longer",)
            )
        if self.overlap_tokens > size // 2:
            raise SettingsError(
                (f"CHUNK_OVERLAP_TOKENS must be at most {size // 2}, half of a chunk",)
            )
        return ChunkPolicy(max_tokens=size, overlap_tokens=self.overlap_tokens)
