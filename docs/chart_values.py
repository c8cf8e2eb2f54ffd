"""The chart's values as a tree: what each key is by default, and what its comment says."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent.parent / "charts" / "kartoteka"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One key of values.yaml.

    Args:
        path: names from the root, joined by dots.
        default: what stands there.
        about: the comment above it, in one line; empty where there is none.
        children: the keys below it; none where it is no map, or an empty one.
        is_written_in_one: whether it stands in one line with all its keys, as {a: 1, b: 2}.
    """

    path: str
    default: Any
    about: str
    children: tuple["Value", ...]
    is_written_in_one: bool

    @property
    def name(self) -> str:
        """The last name of the path."""
        return self.path.rpartition(".")[2]

    def walk(self) -> Iterator["Value"]:
        """Yield the key and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def read_values(text: str) -> Value:
    """Return the root of values.yaml."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return _value("", node, yaml.safe_load(text), "", text.splitlines())


def _value(path: str, node: Any, default: Any, about: str, lines: list[str]) -> Value:
    children: list[Value] = []
    is_map = isinstance(node, yaml.MappingNode)
    if is_map:
        for key, child in node.value:
            name = key.value
            below = f"{path}.{name}" if path else name
            text = "" if node.flow_style else _comment(lines, key.start_mark.line)
            children.append(_value(below, child, default[name], text, lines))
    return Value(
        path=path,
        default=default,
        about=about,
        children=tuple(children),
        is_written_in_one=not is_map or bool(node.flow_style),
    )


def _comment(lines: list[str], number: int) -> str:
    """Return the comment that ends right above a line, at the line's own depth."""
    depth = len(lines[number]) - len(lines[number].lstrip())
    found: list[str] = []
    for line in reversed(lines[:number]):
        if not re.match(rf"^ {{{depth}}}#", line):
            break
        found.insert(0, line.strip().removeprefix("#").strip())
    return " ".join(found).removeprefix("-- ").strip()
