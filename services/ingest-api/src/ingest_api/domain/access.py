"""Who may do what: keys have scopes, and cabinets to use them in."""

from dataclasses import dataclass
from enum import StrEnum, unique

from kartoteka_contracts.access import AuthorisedCabinet, grant
from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.ids import CabinetId

__all__ = ["Principal", "Scope", "authorise"]


@unique
class Scope(StrEnum):
    """What a key may be used for. None includes another: a key lists all that it has."""

    INGEST = "ingest"
    SEARCH = "search"
    READ = "read"
    DELETE = "delete"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whoever sent a valid key."""

    key_id: str
    """The public part of the key; safe in logs."""
    name: str
    """What the key's maker called it."""
    scopes: frozenset[Scope]
    cabinets: frozenset[CabinetId] | None
    """None: every cabinet, also those that do not exist yet."""

    def has(self, scope: Scope) -> bool:
        """Return whether the key carries the scope."""
        return scope in self.scopes

    def sees(self, cabinet_id: CabinetId) -> bool:
        """Return whether the cabinet is one of the key's.

        Whoever looks something up by id answers ``not_found`` where this is False, exactly as for
        an id that does not exist.
        """
        return self.cabinets is None or cabinet_id in self.cabinets


def authorise(principal: Principal, scope: Scope, cabinet_id: CabinetId) -> AuthorisedCabinet:
    """Return the proof that the key may use the scope in the cabinet.

    The answer does not depend on whether the cabinet exists, so it tells nothing of others.

    Raises:
        RequestError: ``forbidden``.
    """
    if not principal.has(scope):
        raise RequestError("forbidden", f"the key has not the scope '{scope}'")
    if not principal.sees(cabinet_id):
        raise RequestError("forbidden", f"the key is not for cabinet {cabinet_id}")
    return grant(cabinet_id)
