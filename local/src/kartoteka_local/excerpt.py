"""A long text cut to a width, between words."""

__all__ = ["excerpt"]


def excerpt(text: str, width: int) -> str:
    """Return the text, or its beginning with ``…``, at most ``width`` characters."""
    if len(text) <= width:
        return text
    head = text[: width - 2]
    words = head.rpartition(" ")[0] if text[len(head)] != " " else head
    return f"{words or head} …"
