"""The documents: Python's own documentation, cut up, and the same with one in a hundred changed."""

import ast
import hashlib
import platform
import random
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Final

__all__ = ["Change", "Folder", "Versions", "make_versions"]

_CHARACTERS: Final = 3000
"""Of a document, at least; it ends with a paragraph."""
_LEFT_OUT: Final = frozenset(
    {"test", "tests", "idle_test", "idlelib", "lib2to3", "pydoc_data", "site-packages"}
)
_WORDS_ADDED: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The names of what differs between one version of the folder and the next."""

    changed: list[str]
    added: list[str]
    removed: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The folder's texts by name, one version after the other, and what changed before each."""

    texts: list[dict[str, str]]
    changes: list[Change]
    description: str


class Folder:
    """A folder of text files, brought from one version to another by touching what differs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.texts: dict[str, str] = {}
        self.before: dict[str, str] = {}
        """What they were until the last change."""
        path.mkdir(parents=True)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.texts.values()))

    def become(self, texts: Mapping[str, str]) -> None:
        """Write what is new or changed, and remove what is gone; leave every other file alone."""
        for name in self.texts.keys() - texts.keys():
            (self.path / name).unlink()
        for name, text in texts.items():
            if self.texts.get(name) != text:
                (self.path / name).write_text(text, "ascii")
        self.before, self.texts = self.texts, dict(texts)


def make_versions(documents: int, rounds: int) -> Versions:
    """Cut the documents, and change, add and remove one in a hundred, ``rounds`` times.

    No document is in two of these rounds. The same at every call with the same Python.

    Raises:
        ValueError: Python's documentation gives fewer documents.
    """
    each = max(1, documents // 100)
    bodies = list(_documents())
    needed = documents + rounds * each
    if len(bodies) < needed:
        raise ValueError(f"the texts give {len(bodies)} documents; {needed} are needed")
    names = [f"document-{n:04d}.txt" for n in range(needed)]
    spread = random.Random(11)
    touched = iter(spread.sample(names[:documents], 2 * each * rounds))
    texts = [dict(zip(names[:documents], bodies, strict=False))]
    changes: list[Change] = []
    for n in range(rounds):
        first = documents + n * each
        change = Change(
            changed=sorted(next(touched) for _ in range(each)),
            removed=sorted(next(touched) for _ in range(each)),
            added=names[first : first + each],
        )
        following = {k: text for k, text in texts[-1].items() if k not in change.removed}
        following |= {name: _edited(following[name], spread) for name in change.changed}
        following |= dict(zip(change.added, bodies[first:], strict=False))
        texts.append(following)
        changes.append(change)
    return Versions(texts=texts, changes=changes, description=_described(texts[0], each))


def _described(texts: Mapping[str, str], each: int) -> str:
    digest = hashlib.sha256("".join(texts[name] for name in sorted(texts)).encode()).hexdigest()
    return (
        f"{len(texts)} plain texts, {sum(map(len, texts.values()))} bytes in all, of at least "
        f"{_CHARACTERS} characters each, cut at paragraphs from the language reference "
        f"(pydoc_data.topics) and the docstrings of the standard library of Python "
        f"{platform.python_version()}, sha256 {digest}; each round changes {each} of them (a "
        f"paragraph of {_WORDS_ADDED} words comes in the middle), adds {each} and removes {each}"
    )


def _documents() -> Iterator[str]:
    document = ""
    for paragraph in _paragraphs():
        document += paragraph + "\n\n"
        if len(document) >= _CHARACTERS:
            yield document
            document = ""


def _paragraphs() -> Iterator[str]:
    """Every paragraph once: two documents share none."""
    seen: set[str] = set()
    for text in _texts():
        for paragraph in text.split("\n\n"):
            cleaned = paragraph.strip()
            if cleaned and cleaned.isascii() and cleaned not in seen:
                seen.add(cleaned)
                yield cleaned


def _texts() -> Iterator[str]:
    yield from (topics[name] for name in sorted(topics))
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.rglob("*.py")):
        if not _LEFT_OUT.intersection(path.relative_to(library).parts):
            yield from _docstrings(path)


def _docstrings(path: Path) -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, documented):
            yield ast.get_docstring(node) or ""


def _edited(text: str, words: random.Random) -> str:
    paragraphs = text.split("\n\n")
    own = text.split()
    sentence = " ".join(words.choice(own) for _ in range(_WORDS_ADDED))
    paragraphs.insert(len(paragraphs) // 2, f"Revised: {sentence}.")
    return "\n\n".join(paragraphs)
