"""API keys in a JSON file: hashed at rest, watched, replaced atomically."""

import asyncio
import fcntl
import hmac
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ingest_api.domain.access import Principal, Scope
from ingest_api.domain.api_key import ApiKey
from kartoteka_contracts.ids import CabinetId

__all__ = ["KeyEntry", "KeyFile", "KeyFileError", "create_key", "read_keys", "revoke_key"]

_Stamp = tuple[int, int, int] | None
_DUMMY: Final = "0" * 64
_POLL_SECONDS: Final = 0.5


class KeyFileError(Exception):
    """The file cannot be read or holds something else; the message says what to do."""


class KeyEntry(BaseModel):
    """What is kept of one key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: tuple[Scope, ...]
    cabinets: tuple[Annotated[CabinetId, Field(gt=0)], ...] | Literal["*"]
    created_at: datetime
    revoked_at: datetime | None = None

    def principal(self) -> Principal:
        """Return whom the key stands for."""
        return Principal(
            key_id=self.id,
            name=self.name,
            scopes=frozenset(self.scopes),
            cabinets=None if self.cabinets == "*" else frozenset(self.cabinets),
        )


class _Contents(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: tuple[KeyEntry, ...] = ()


class KeyFile:
    """The key ring of a running service. A broken file leaves the last good keys in force.

    Args:
        path: the file; it may appear later.
        on_change: told after each look at a changed file: None when it is good, else what to do.
    """

    def __init__(self, path: Path, *, on_change: Callable[[str | None], None]) -> None:
        self._path = path
        self._on_change = on_change
        self._stamp: _Stamp | Literal["never"] = "never"
        self._keys: dict[str, KeyEntry] = {}

    def find(self, token: str) -> Principal | None:
        """Return whose key it is.

        Every refusal after the checksum costs one comparison, whether the id is known or not.
        """
        key = ApiKey.parse(token)
        if key is None:
            return None
        entry = self._keys.get(key.key_id)
        is_right = hmac.compare_digest(key.sha256, _DUMMY if entry is None else entry.sha256)
        return entry.principal() if entry is not None and is_right else None

    def refresh(self) -> None:
        """Read the file again if it has changed."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            entries = read_keys(self._path)
        except KeyFileError as error:
            self._on_change(str(error))
            return
        self._keys = {entry.id: entry for entry in entries if entry.revoked_at is None}
        self._on_change(None)

    async def watch(self) -> None:
        """Refresh for ever; a change counts within a second."""
        while True:
            self.refresh()
            await asyncio.sleep(_POLL_SECONDS)


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def read_keys(path: Path) -> tuple[KeyEntry, ...]:
    """Return all keys of the file, revoked ones too.

    Raises:
        KeyFileError: it is not there, not readable, or no key file.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        advice = "make the first key with `python -m ingest_api keys create`"
        raise KeyFileError(f"there is no key file {path}; {advice}") from error
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be read: {error.strerror}") from error
    try:
        return _Contents.model_validate_json(text).keys
    except ValidationError as error:
        # The error's own text shows parts of the file.
        raise KeyFileError(f"the key file {path} is damaged; restore it from a copy") from error


def create_key(
    path: Path,
    *,
    name: str,
    scopes: Sequence[Scope],
    cabinets: Sequence[CabinetId] | None,
    now: datetime,
) -> ApiKey:
    """Add a key to the file, which is made if need be, and return it: the only time it is seen.

    Raises:
        KeyFileError: the file is damaged or cannot be written.
    """
    key = ApiKey.new()
    entry = KeyEntry(
        id=key.key_id,
        name=name,
        sha256=key.sha256,
        scopes=tuple(dict.fromkeys(scopes)),
        cabinets="*" if cabinets is None else tuple(sorted(set(cabinets))),
        created_at=now,
    )
    with _locked(path):
        _write(path, (*(read_keys(path) if path.exists() else ()), entry))
    return key


def revoke_key(path: Path, key_id: str, *, now: datetime) -> bool:
    """Revoke a key; False where there is no such key in force.

    Raises:
        KeyFileError: the file is damaged, absent or cannot be written.
    """
    with _locked(path):
        entries = read_keys(path)
        revoked = tuple(
            entry.model_copy(update={"revoked_at": now})
            if entry.id == key_id and entry.revoked_at is None
            else entry
            for entry in entries
        )
        if revoked == entries:
            return False
        _write(path, revoked)
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one writer at a time in. The lock lies beside the file, which is replaced."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock").open("w")
    except OSError as error:
        raise KeyFileError(f"{path.parent} cannot be written: {error.strerror}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, entries: Sequence[KeyEntry]) -> None:
    value = {"keys": [entry.model_dump(mode="json", exclude_none=True) for entry in entries]}
    try:
        # mkstemp makes the file readable by its owner alone.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(value, file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be written: {error.strerror}") from error
