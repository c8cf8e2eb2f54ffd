"""What a Dockerfile says, as far as tests ask."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["Instruction", "Stage", "stages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction, its continued lines joined."""

    word: str
    rest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """From one FROM to the next."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    @classmethod
    def of(cls, start: Instruction, instructions: list[Instruction]) -> Self:
        """Return the stage that a FROM begins."""
        base, _, name = start.rest.partition(" AS ")
        return cls(name=name, base=base, instructions=tuple(instructions))

    def all(self, word: str) -> list[str]:
        """Return what follows each instruction of a kind."""
        return [each.rest for each in self.instructions if each.word == word]


def stages(file: Path) -> dict[str, Stage]:
    """Return the stages by name; the last one also as ``""`` where it has none."""
    found: dict[str, Stage] = {}
    start: Instruction | None = None
    inside: list[Instruction] = []
    for instruction in [*_instructions(file), Instruction(word="FROM", rest="")]:
        if instruction.word != "FROM":
            inside.append(instruction)
            continue
        if start is not None:
            stage = Stage.of(start, inside)
            found[stage.name] = stage
        start, inside = instruction, []
    return found


def _instructions(file: Path) -> list[Instruction]:
    lines = [
        line for line in file.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")
    ]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    words = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [Instruction(word=pair[0].upper(), rest=pair[1]) for pair in words]
