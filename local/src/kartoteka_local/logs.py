"""Log files: one of this start, one of the start before."""

from kartoteka_local.home import Home

__all__ = ["rotate"]


def rotate(home: Home) -> None:
    """Put each log of the last start aside, in place of the one before it."""
    for log in home.log("x").parent.glob("*.log"):
        if log.name != "setup.log" and log.stat().st_size:
            log.replace(log.with_name(f"{log.name}.1"))
