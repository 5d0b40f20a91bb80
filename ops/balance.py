"""The ledger as `carbonstream ledger` prints it: accepted = stored + rejected + superseded + held + in flight."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import psycopg

from carbonstream.connectors import kafka
from carbonstream.connectors.database import connect
from carbonstream.ops.chain import Break, find_break
from carbonstream.ops.ledger_beside import beside_the_lines, kwh
from carbonstream.processors.ledger import Count
from carbonstream.schemas import topics
from carbonstream.schemas.codes import HELD_OUTCOMES, STORED_OUTCOMES, Outcome
from carbonstream.schemas.frames import SOURCE_ESTIMATOR
from carbonstream.schemas.settings import Settings
from carbonstream.streams.ledger import LedgerReader

# Sources of their own that say nothing about what customers sent: left out of the top figures.
NOT_COUNTED: Final = ("simulate/", "canary/", SOURCE_ESTIMATOR)
POLL_S: Final = 0.1
ACCEPTED: Final = """
select source, site, day, hop, outcome, readings, quantity_wh, converted from ledger where hop = 'accepted'
order by 1, 2, 3, 4, 5
"""
BECAME: Final = ACCEPTED.replace("hop = 'accepted'", "hop = 'outcome'")
Line = tuple[Any, ...]  # as the columns of ACCEPTED
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
    """Count what is in Kafka, then compare the hops; waits for readings in flight up to `wait_s`.

    What was accepted is seen as it was counted at one moment, and counted on in memory up to where the sink stands when
    it has passed that moment: so the hops are compared at the same record, also while readings come without a pause.
    """
    ends = {n: end - 1 for n, end in _ends(settings).items()}
    reader = LedgerReader(settings)
    until = time.monotonic() + wait_s
    with (
        connect(settings, application="ledger report") as counting,
        connect(settings, application="ledger report") as storing,
    ):
        for connection in (counting, storing):
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        while True:
            reader.catch_up()  # nothing to do where the ledger service is at work
            counted_at = _positions(counting, "select partition, source_offset from ledger_position")
            if _has_reached(counted_at, ends) or time.monotonic() > until:
                break
            counting.rollback()
            time.sleep(POLL_S)
        lines: list[Line] = counting.execute(ACCEPTED).fetchall()
        goal = {n: max(end, counted_at.get(n, -1)) for n, end in ends.items()}
        while True:
            positions = storing.execute(STORED_AT).fetchall()
            stored_at = {n: source for n, source, _ in positions}
            if _has_reached(stored_at, goal) or time.monotonic() > until:
                break
            storing.rollback()
            time.sleep(POLL_S)
        if reader.counted_between(counted_at, stored_at):  # mostly it is ticks
            lines += [_line(count) for count in reader.counted_on(counting, stored_at)]
        behind = reader.counted_between(stored_at, counted_at)
        lines += storing.execute(BECAME).fetchall()
        beside = beside_the_lines(storing)
    late = [row for row in positions if row[1] < ends.get(row[0], -1)]
    return summary(lines, behind, beside, _breaks(settings, late))


def _has_reached(at: Mapping[int, int], goal: Mapping[int, int]) -> bool:
    return all(at.get(n, -1) >= offset for n, offset in goal.items())


def _key(count: Count) -> tuple[str, str, date]:
    return count.source, count.site, date(1970, 1, 1) + timedelta(days=count.day)


def _line(count: Count) -> Line:
    return (*_key(count), "accepted", count.outcome, count.readings, count.quantity_wh, 0)


def summary(
    lines: Iterable[Line],
    behind: Sequence[Count] = (),
    beside: Mapping[str, Any] | None = None,
    breaks: Sequence[Break] = (),
) -> dict[str, Any]:
    """The report. behind: readings of records that the ledger has counted and the sink has not reached yet.

    Balanced: every reading, and where none is behind every Wh, is accounted for, each source, site and day by itself;
    and no partition waits at a broken chain (`breaks`). beside: what is told but not balanced.
    """
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    codes: defaultdict[str, int] = defaultdict(int)
    groups: defaultdict[tuple[str, str, Any], Hops] = defaultdict(Hops)
    by: list[dict[str, Any]] = []
    for source, site, day, hop, outcome, readings, wh, converted in lines:
        if not (readings or wh or converted):
            continue
        groups[source, site, day].add(hop, readings, wh, converted)
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
    on_the_way: Counter[tuple[str, str, Any]] = Counter()
    for count in behind:
        on_the_way[_key(count)] += count.readings
    differing = {
        group: found
        for group, hops in groups.items()
        if (found := hops.difference(on_the_way[group] if behind else None)) is not None
    }
    return {
        "accepted": _figure(counts["accepted"]),
        **{place: _figure(counts[place]) for place in PLACES},
        "in_flight": _figure(in_flight),
        "balanced": not differing and not breaks,
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

    def difference(self, on_the_way: int | None = None) -> tuple[str, int, int] | None:
        """(hop, readings, Wh) that are missing in a hop; None where all hops agree. on_the_way: of the accepted
        readings, how many the sink has not reached; then energy is not compared, as it may be on the way with others.

        accepted: the sink stored what the ledger's reader has not counted; converted: accepted and not in
        carbon.emissions, or with another quantity; stored: in carbon.emissions and not with what became of it.
        """
        wh = self.wh if on_the_way is None else 0
        accepted, missing = self.accepted - (on_the_way or 0), self.readings - (on_the_way or 0)
        if accepted > self.converted:
            return "converted", accepted - self.converted, wh
        if accepted < self.converted:
            return "accepted", self.converted - accepted, -wh
        if missing:
            return "stored", missing, wh
        return ("converted", 0, wh) if wh else None


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
