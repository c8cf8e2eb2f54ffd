"""What commands leave behind that end before anybody could look at them."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from kartoteka_contracts.wire import Event

__all__ = ["ReconcileEnded"]

_Kind = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,39}$")]
_Counts = Annotated[Mapping[_Kind, Annotated[int, Field(ge=0)]], Field(max_length=64)]


class ReconcileEnded(Event):
    """A reconciliation of all cabinets has ended; the last one counts."""

    type: Literal["reconcile_ended"] = "reconcile_ended"
    schema_version: Literal[1] = 1
    at: AwareDatetime
    is_ok: bool
    """False where it failed: what was done by then is in the figures."""
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """How long it took."""
    seen: _Counts
    """What was looked at, by kind."""
    mended: _Counts
    """What was sent again or removed, by kind."""
    left: _Counts
    """What was left alone for this time, by why."""

    @property
    def key(self) -> str:
        """Constant: the last one counts."""
        return "reconcile"
