"""A CSV of readings for replays."""

from pathlib import Path

from carbonstream.schemas.periods import local_iso

BEGIN_MS = 1_704_038_400_000  # 2024-01-01T00:00 local
QUARTER_MS = 900_000
SITES = ("330502-0001", "330502-0002", "330503-0007")  # of three shards


def write_csv(path: Path, quarters: int) -> list[tuple[str, int, float]]:
    """(meter, end, value) of every reading written, `quarters` of each site."""
    rows = [
        (f"{site}/E01", BEGIN_MS + (q + 1) * QUARTER_MS, round(q * 0.25 + i, 2))
        for q in range(quarters)
        for i, site in enumerate(SITES)
    ]
    lines = [f"{meter},{local_iso(end)},{value}" for meter, end, value in rows]
    path.write_text("\n".join(["meter,time,value", *lines]) + "\n")
    return rows
