"""Foreign values in messages."""

from __future__ import annotations


def shown(value: object, most: int = 60) -> str:
    """A JSON value in at most `most` characters.

    Of arrays and objects only that they are one: their text may be any size, and of a thousand levels Python has none.
    """
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
