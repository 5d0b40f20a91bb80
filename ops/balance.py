"""The ledger as `carbonstream ledger` prints it: accepted = stored + rejected + superseded + held + in flight."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import psycopg

from carbonstream.connectors import kafka
from carbonstream.connectors.database import connect
from carbonstream.ops.chain import Break, find_break
from carbonstream.ops.ledger_beside import beside_the_lines, kwh
from carbonstream.processors.frames import Frame, Refusal, parse_record
from carbonstream.processors.ledger import Count
from carbonstream.schemas import topics
from carbonstream.schemas.codes import HELD_OUTCOMES, STORED_OUTCOMES, Outcome
from carbonstream.schemas.frames import SOURCE_ESTIMATOR
from carbonstream.schemas.settings import Settings
from carbonstream.streams.ledger import LedgerReader

# Sources of their own that say nothing about what customers sent: left out of the top figures.
NOT_COUNTED: Final = ("simulate/", "canary/", SOURCE_ESTIMATOR)
POLL_S: Final = 0.1
LINES: Final = """
select source, site, day, hop, outcome, readings, quantity_wh, converted from ledger order by 1, 2, 3, 4, 5
"""
Line = tuple[Any, ...]  # as the columns of LINES
STORED_AT: Final = "select partition, source_offset, emissions_offset from position"
PLACES: Final = ("stored", "rejected", "superseded", "held")


def place_of(outcome: int) -> str:
    """Which figure of the ledger an outcome belongs to."""
    if outcome in STORED_OUTCOMES:
        return "stored"
    if outcome in HELD_OUTCOMES:
        return "held"
    return "superseded" if outcome == Outcome.SUPERSEDED else "rejected"


def ledger(settings: Settings, wait_s: float = 30.0) -> dict[str, Any]:
    """Count what is in Kafka, then compare the hops in one snapshot; waits for readings in flight up to `wait_s`.

    The ledger's reader commits behind the sink. What lies between is counted on in memory, so that the hops are
    compared where they stand at the same record, also while readings come.
    """
    ends = _ends(settings)
    lines: list[Line] = []
    beside: dict[str, Any] = {}
    behind = 0
    reader = LedgerReader(settings)
    until = time.monotonic() + wait_s
    with connect(settings, application="ledger report") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        while True:
            reader.catch_up()  # nothing to do where the ledger service is at work
            with connection.transaction():
                counted_at = _positions(connection, "select partition, source_offset from ledger_position")
                positions = connection.execute(STORED_AT).fetchall()
                stored_at = {n: source for n, source, _ in positions}
                is_counted = _has_reached(counted_at, {n: end - 1 for n, end in ends.items()})
                is_level = _has_reached(stored_at, {n: end - 1 for n, end in ends.items()} | counted_at)
                if (is_counted and is_level) or time.monotonic() > until:
                    lines = connection.execute(LINES).fetchall()
                    if _between(settings, counted_at, stored_at):  # mostly it is ticks
                        lines += [_line(count) for count in reader.counted_on(connection, stored_at)]
                    beside = beside_the_lines(connection)
                    behind = _between(settings, stored_at, counted_at)
                    break
            time.sleep(POLL_S)
    late = [row for row in positions if row[1] < ends.get(row[0], 0) - 1]
    return summary(lines, behind, beside, _breaks(settings, late))


def _has_reached(at: Mapping[int, int], goal: Mapping[int, int]) -> bool:
    return all(at.get(n, -1) >= offset for n, offset in goal.items())


def _line(count: Count) -> Line:
    day = date(1970, 1, 1) + timedelta(days=count.day)
    return (count.source, count.site, day, "accepted", count.outcome, count.readings, count.quantity_wh, 0)


def summary(
    lines: Iterable[Line],
    behind: int,
    beside: Mapping[str, Any] | None = None,
    breaks: Sequence[Break] = (),
) -> dict[str, Any]:
    """The report. behind: readings of records that the ledger has counted and the sink has not reached yet.

    Balanced: every reading is accounted for; where none is behind also every Wh, and both for each source, site and
    day by itself; and no partition waits at a broken chain (`breaks`). beside: what is told but not balanced.
    """
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    codes: defaultdict[str, int] = defaultdict(int)
    groups: defaultdict[tuple[str, str, Any], Hops] = defaultdict(Hops)
    missing_readings = 0
    by: list[dict[str, Any]] = []
    for source, site, day, hop, outcome, readings, wh, converted in lines:
        if not (readings or wh or converted):
            continue
        groups[source, site, day].add(hop, readings, wh, converted)
        missing_readings += readings if hop == "accepted" else -readings
        place = "accepted" if hop == "accepted" else place_of(outcome)
        code = Outcome(outcome).name.lower() if hop == "outcome" else None
        by.append(
            {"source": source, "site": site, "day": str(day), "hop": place, "code": code, "readings": readings,
             "kwh": kwh(wh)}
        )  # fmt: skip
        if source.startswith(NOT_COUNTED):
            continue
        counts[place][0] += readings
        counts[place][1] += wh
        if place == "rejected" and code is not None:
            codes[code] += readings
    by += [
        {
            "source": s,
            "site": p,
            "day": str(d),
            "hop": "converted",
            "code": None,
            "readings": hops.converted,
            "kwh": None,
        }
        for (s, p, d), hops in groups.items()
    ]
    in_flight = [max(counts["accepted"][i] - sum(counts[place][i] for place in PLACES), 0) for i in (0, 1)]
    differing = {group: found for group, hops in groups.items() if (found := hops.difference()) is not None}
    return {
        "accepted": _figure(counts["accepted"]),
        **{place: _figure(counts[place]) for place in PLACES},
        "in_flight": _figure(in_flight),
        "balanced": missing_readings == behind and (behind > 0 or not differing) and not breaks,
        "rejected_by_code": dict(sorted(codes.items())),
        "differences": [
            {
                "source": s,
                "site": p,
                "day": str(d),
                "readings": groups[s, p, d].readings,
                "kwh": kwh(groups[s, p, d].wh),
                "difference": {"hop": hop, "readings": n, "kwh": kwh(w)},
            }
            for (s, p, d), (hop, n, w) in differing.items()
        ],
        "breaks": [
            {"hop": "converted", "partition": b.partition, "from": b.first, "to": b.last, "before": b.at}
            for b in breaks
        ],
        **(beside or {}),
        "by": by,
    }


@dataclass(slots=True)
class Hops:
    """One source, site and day: what is missing between the first hop and the last, and what passed between."""

    readings: int = 0  # accepted less decided
    wh: int = 0
    accepted: int = 0
    converted: int = 0

    def add(self, hop: str, readings: int, wh: int, converted: int) -> None:
        """Add one line of the ledger."""
        sign = 1 if hop == "accepted" else -1
        self.readings += sign * readings
        self.wh += sign * wh
        self.converted += converted
        self.accepted += readings if hop == "accepted" else 0

    def difference(self) -> tuple[str, int, int] | None:
        """(hop, readings, Wh) that are missing in a hop; None where all hops agree.

        accepted: the sink stored what the ledger's reader has not counted; converted: accepted and not in
        carbon.emissions, or with another quantity; stored: in carbon.emissions and not with what became of it.
        """
        if self.accepted > self.converted:
            return "converted", self.accepted - self.converted, self.wh
        if self.accepted < self.converted:
            return "accepted", self.converted - self.accepted, -self.wh
        if self.readings:
            return "stored", self.readings, self.wh
        return ("converted", 0, self.wh) if self.wh else None


def _figure(count: list[int]) -> dict[str, Any]:
    return {"readings": count[0], "kwh": kwh(count[1])}


def _ends(settings: Settings) -> dict[int, int]:
    """End offset of each partition of meter.readings now."""
    consumer = kafka.reader(settings)
    try:
        topic = settings.topic(topics.READINGS)
        return {n: kafka.end_offsets_of(consumer, topic, n)[1] for n in range(settings.partitions)}
    finally:
        consumer.close()


def _breaks(settings: Settings, late: Sequence[tuple[int, int, int]]) -> list[Break]:
    """Broken chains among partitions that are behind: (partition, source offset, emissions offset) of each."""
    if not late:
        return []
    consumer = kafka.reader(settings)
    try:
        found = (find_break(settings, consumer, *position) for position in late)
        return [b for b in found if b is not None]
    finally:
        consumer.close()


def _positions(connection: psycopg.Connection, query: str) -> dict[int, int]:
    return dict(connection.execute(query).fetchall())


def _between(settings: Settings, first: dict[int, int], last: dict[int, int]) -> int:
    """Readings of meter.readings past the positions `first` up to `last`, counted from Kafka."""
    if all(first.get(n, -1) >= at for n, at in last.items()):
        return 0
    consumer = kafka.reader(settings)
    topic = settings.topic(topics.READINGS)
    readings = 0
    try:
        for n, at in last.items():
            for message in kafka.read_range(consumer, topic, n, first.get(n, -1) + 1, at + 1):
                record = parse_record(message.value(), kafka.type_of(message.headers()))  # type: ignore[arg-type]
                if isinstance(record, Frame):
                    readings += len(record)
                elif isinstance(record, Refusal):
                    readings += record.readings
    finally:
        consumer.close()
    return readings
