"""Which sources outside cabinets may name, and by which credentials they are read."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self
from urllib.parse import quote, unquote_to_bytes

from pydantic import Field, field_validator

from kartoteka_runtime.env import Fragment

__all__ = ["SCHEMES", "SourceSettings", "SourceUrl"]

SCHEMES: Final = ("file", "s3", "gs", "az")
"""What a source's URL may begin with."""

_SHAPE: Final = re.compile(r"([a-z][a-z0-9]*)://([^/]*)((?:/.*)?)", re.DOTALL)
_BUCKET: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?")
_LONE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MOST_CHARACTERS: Final = 2048
_FORBIDDEN: Final = frozenset("/\\%?#*")
"""What no segment may contain, as it is written or behind a percent sign.

Each of them means something else to somebody: another segment, a query, a pattern.
"""


@dataclass(frozen=True, slots=True)
class SourceUrl:
    """A source's URL in the one way to read it: whoever allows it and whoever opens it agree."""

    scheme: str
    bucket: str
    """As written; nothing for a folder."""
    segments: tuple[str, ...]
    """Of the path, decoded; none is empty, ``.`` or ``..``."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            ValueError: it cannot be used, with the reason; the reason repeats no part of it.
        """
        shape = _SHAPE.fullmatch(url)
        if shape is None or len(url) > _MOST_CHARACTERS:
            raise ValueError("it must be like s3://bucket/prefix or file:///folder")
        scheme, bucket, path = shape.groups()
        if scheme not in SCHEMES:
            raise ValueError("its scheme must be one of " + ", ".join(SCHEMES))
        if scheme == "file" and bucket:
            raise ValueError("a folder's URL has three slashes: file:///folder")
        if scheme != "file" and _BUCKET.fullmatch(bucket) is None:
            raise ValueError("it must name a bucket, without credentials and port")
        inner = path.removeprefix("/").removesuffix("/")
        segments = tuple(_segment(piece) for piece in inner.split("/")) if inner else ()
        if scheme == "file" and not segments:
            raise ValueError("it must name a folder that is not the root")
        return cls(scheme, bucket, segments)

    @property
    def path(self) -> str:
        """The folder, absolute, or the prefix in the bucket, without slashes around it."""
        joined = "/".join(self.segments)
        return f"/{joined}" if self.scheme == "file" else joined

    def contains(self, other: "SourceUrl") -> bool:
        """Return whether the other is this one or lies below it, by whole segments."""
        return (
            self.scheme == other.scheme
            and self.bucket == other.bucket
            and self.segments == other.segments[: len(self.segments)]
        )

    def __str__(self) -> str:
        path = "/".join(quote(segment, safe="") for segment in self.segments)
        return f"{self.scheme}://{self.bucket}/{path}"


class SourceSettings(Fragment):
    """Which sources outside may be cabinets' documents, and how they are read."""

    prefix: ClassVar[str] = "SOURCE_"

    allowed_urls: tuple[str, ...] = ()
    """URLs, separated by commas, at or below which a cabinet's sources may lie; unset: none."""
    credentials_file: Path | None = None
    """JSON {name: {access_key_id, secret_access_key, endpoint, region, allow_http}} of the
    credentials that sources name, the last three as needed; read again when it changes."""
    max_bytes: int = Field(default=1024**3, ge=1, le=1024**4)
    """The largest object that is copied, in bytes; larger ones are errors of the run."""
    max_objects: int = Field(default=1_000_000, ge=1)
    """The most objects that all sources of one cabinet may hold; the runs of one with more fail.
    An embedder holds some hundreds of bytes of each while it plans a run."""

    @field_validator("allowed_urls")
    @classmethod
    def _urls_are_usable(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            SourceUrl.parse(url)
        return urls

    def allowing(self, url: str) -> SourceUrl | None:
        """Return the allowed URL at or below which this one lies; None where there is none."""
        try:
            wanted = SourceUrl.parse(url)
        except ValueError:
            return None
        allowed = (SourceUrl.parse(each) for each in self.allowed_urls)
        return next((each for each in allowed if each.contains(wanted)), None)

    def allows(self, url: str) -> bool:
        """Return whether a source may have this URL; False for one that cannot be read, too."""
        return self.allowing(url) is not None


def _segment(written: str) -> str:
    if _LONE_PERCENT.search(written):
        raise ValueError("a percent sign in it is not followed by two hexadecimal digits")
    try:
        segment = unquote_to_bytes(written).decode()
    except UnicodeError:
        raise ValueError("its path must be UTF-8") from None
    if segment in {"", ".", ".."}:
        raise ValueError("its path must have no empty segments and no '.' or '..'")
    if not segment.isprintable() or not _FORBIDDEN.isdisjoint(segment):
        raise ValueError("its path must have no control characters and none of / \\ % ? # *")
    return segment
