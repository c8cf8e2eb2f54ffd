"""Which engines read which media type, and how they are called.

Importing this imports no engine: the parent process must never load one.
"""

from collections.abc import Callable, Mapping
from importlib import import_module, metadata
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias, cast

from embedder.domain.parsed import Rejected
from embedder.domain.reading import Reading, ReadingLimits, Unreadable

__all__ = ["ENGINES", "WARM", "Progress", "ReadBody", "engine", "parser_versions"]

Progress: TypeAlias = Callable[[float], None]
"""Takes the share of the body that is read, 0 to 1."""

ReadBody: TypeAlias = Callable[[Path, ReadingLimits, Progress], Reading | Rejected | Unreadable]
"""Reads a body. Raises TextTooLargeError; any other exception ends the process."""

ENGINES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "application/pdf": ("pdfium", "pypdf"),
        "text/plain": ("text",),
        "text/markdown": ("markdown",),
        "text/html": ("html",),
        "application/xhtml+xml": ("html",),
    }
)
"""The engines of each media type, first choice first. A type that is not here is unsupported."""

WARM: Final = ("pdfium", "text", "markdown", "html")
"""What a process loads before its first body."""

_REVISION: Final = "1"
"""Raised whenever an extractor of ours gives another text."""

_MODULES: Final = MappingProxyType(
    {
        "pdfium": "pdf",
        "pypdf": "pdf_fallback",
        "text": "text",
        "markdown": "markdown",
        "html": "html",
    }
)

_LIBRARIES: Final = ("pypdfium2", "pypdf", "lxml", "markdown-it-py", "charset-normalizer")


def engine(name: str) -> ReadBody:
    """Import an engine and return how it is called.

    Raises:
        KeyError: there is no such engine.
    """
    module = import_module(f"embedder.adapters.extractors.{_MODULES[name]}")
    return cast("ReadBody", module.read)


def parser_versions() -> dict[str, str]:
    """Return what decides a body's text, by name: our revision, and each library's minor version.

    A patch release of a library is not a reason to read every document again.
    """
    versions = {name: _minor(metadata.version(name)) for name in _LIBRARIES}
    return {"extractors": _REVISION, **versions}


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
