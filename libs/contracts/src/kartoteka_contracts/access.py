"""The proof that a caller may use a cabinet, without which no query can be built."""

from dataclasses import InitVar, dataclass
from typing import Final

from kartoteka_contracts.ids import CabinetId

__all__ = ["AuthorisedCabinet", "grant"]

_GRANT: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorisedCabinet:
    """A cabinet that an access check has granted. Only :func:`grant` makes one.

    Raises:
        TypeError: when constructed directly.
    """

    cabinet_id: CabinetId
    proof: InitVar[object]

    def __post_init__(self, proof: object) -> None:
        if proof is not _GRANT:
            raise TypeError("an AuthorisedCabinet comes from an access check, not from a call")


def grant(cabinet_id: CabinetId) -> AuthorisedCabinet:
    """Return the proof. Called by the access check of a service's edge and by nothing else.

    The architecture tests hold the list of modules that may call this.
    """
    return AuthorisedCabinet(cabinet_id=cabinet_id, proof=_GRANT)
