"""Qdrant calls that tests hold, by what they mean."""

from kartoteka_testkit.fault_proxy import Match

__all__ = ["chunks_of", "decision"]

_DOCUMENTS = "-documents"


def chunks_of(text: str) -> Match:
    """Match the write of chunks that hold a word."""

    def matches(method: str, path: str, body: bytes) -> bool:
        is_chunks = path.endswith("/points") and _DOCUMENTS not in path
        return method == "PUT" and is_chunks and text.encode() in body

    return matches


def decision(method: str, path: str, _body: bytes) -> bool:
    """Match the conditional write of any manifest."""
    return method == "POST" and path.endswith(f"{_DOCUMENTS}/points/payload")
