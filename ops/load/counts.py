"""What a load did to one table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """`rows` were read; the rest of them stood there already, equal."""

    rows: int
    added: int
    changed: int
