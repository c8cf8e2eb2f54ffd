"""What an embedding model is, apart from its weights."""

from dataclasses import dataclass

import numpy as np

from embedder.domain.parsed import TokenIds

__all__ = ["ModelSpec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """How texts become a model's input, and what comes out.

    Raises:
        ValueError: nothing of a text would fit beside the special tokens and the prompt.
    """

    name: str
    """Names the collection; never a path."""
    dimension: int
    """Length of a vector."""
    max_tokens: int
    """The most tokens of one input, specials and prompt included."""
    prefix: tuple[int, ...] = ()
    """Special tokens before every text."""
    suffix: tuple[int, ...] = ()
    """Special tokens behind every text."""
    pad: int = 0
    """Fills the shorter rows of a batch; masked, so its value does not matter to most models."""
    query_prompt: str = ""
    """Put before the text of a query."""
    passage_prompt: str = ""
    """Put before the text of a passage."""
    passage_prompt_ids: tuple[int, ...] = ()
    """The tokens of the passage prompt, without specials."""

    def __post_init__(self) -> None:
        if self.passage_room < 1:
            raise ValueError(f"{self.name}: the prompt leaves no room for a passage")

    @property
    def query_room(self) -> int:
        """The most tokens of a query, its prompt included, without specials."""
        return self.max_tokens - len(self.prefix) - len(self.suffix)

    @property
    def passage_room(self) -> int:
        """The most tokens of a passage, without prompt and specials: the limit of a chunk."""
        return self.query_room - len(self.passage_prompt_ids)

    def query(self, tokens: TokenIds) -> TokenIds:
        """Return the model's input for a query whose tokens hold the prompt; its tail is cut."""
        return self._input((), tokens[: self.query_room])

    def passage(self, tokens: TokenIds) -> TokenIds:
        """Return the model's input for a passage.

        Raises:
            ValueError: it is longer than :attr:`passage_room`. Cutting it off silently would make
                the tail of a chunk unfindable.
        """
        if len(tokens) > self.passage_room:
            raise ValueError(
                f"a passage of {len(tokens)} tokens; {self.name} takes {self.passage_room}"
            )
        return self._input(self.passage_prompt_ids, tokens)

    def _input(self, prompt: tuple[int, ...], tokens: TokenIds) -> TokenIds:
        head = self.prefix + prompt
        if not head and not len(tokens) and not self.suffix:
            return np.array([self.pad], dtype=np.int32)  # a model must see something
        row = np.empty(len(head) + len(tokens) + len(self.suffix), dtype=np.int32)
        row[: len(head)] = head
        row[len(head) : len(head) + len(tokens)] = tokens
        row[len(head) + len(tokens) :] = self.suffix
        return row
