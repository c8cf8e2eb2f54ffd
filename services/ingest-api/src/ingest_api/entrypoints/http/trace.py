"""The trace that a request belongs to."""

import re
from typing import Final

from fastapi import Request

__all__ = ["traceparent_of"]

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_of(request: Request) -> str | None:
    """Return the W3C trace context that came with a request; None where it cannot be read."""
    text = request.headers.get("traceparent", "")
    return text if _TRACEPARENT.fullmatch(text) else None
