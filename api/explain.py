"""GET /v1/explain/reading and /v1/explain/total: where a figure comes from, recomputed beside the stored one.

Rows, totals and coefficients of one answer are read in one snapshot.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from carbonstream.api import explain_rows as sql
from carbonstream.api.database import Database, Snapshot
from carbonstream.api.explain_edits import edits_of
from carbonstream.api.explain_indexes import indexes_of
from carbonstream.api.explain_rows import (
    Correction,
    KnownEntity,
    KnownMeter,
    Ladder,
    RowSum,
    StoredRow,
    StoredTotal,
)
from carbonstream.api.parameters import Here, Parameters, Text, parse_as_of
from carbonstream.api.problems import RESPONSES, Problem, invalid
from carbonstream.api.ranges import FORMS, parse_time, period_of
from carbonstream.api.totals import GRAINS
from carbonstream.processors.explanation import (
    Document,
    Library,
    Part,
    base_units,
    recompute,
)
from carbonstream.processors.total_records import text
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.codes import ESTIMATED_QUALITIES, Grain, Quality, RowFlag
from carbonstream.schemas.periods import HOUR_MS, local_iso, local_text, to_datetime, to_ms

router = APIRouter(prefix="/explain", tags=["explain"], responses=RESPONSES)
METERS_SHOWN: Final = 200
CORRECTIONS_SHOWN: Final = 100


class ReadingQuery(Parameters):
    """Which reading."""

    meter: Text = Field(examples=["330502-steel/E01"])
    time: Text = Field(
        description="an instant within the interval, or its end", examples=["2024-03-05T08:15:00+08:00"]
    )
    indicator: Literal["co2", "energy"] = "co2"
    as_of: Text | None = Field(None, description="coefficients as published by then")


class TotalQuery(Parameters):
    """Which total."""

    entity: Text = Field(examples=["enterprise:ENT-1"])
    grain: Literal["hour", "day", "month", "quarter", "year"]
    bucket: Text = Field(description="a local period or an instant in it", examples=["2024-03"])
    indicator: Literal["co2", "energy"] = "co2"
    as_of: Text | None = Field(None, description="coefficients published and corrections recorded by then")


@router.get("/reading")
async def reading(query: Annotated[ReadingQuery, Query()], here: Here) -> dict[str, Any]:
    """One stored interval: indexes, multiplier, quality, coefficient with its document, and its figure recomputed."""
    return await explain_reading(here.database, query)


@router.get("/total")
async def total(query: Annotated[TotalQuery, Query()], here: Here) -> dict[str, Any]:
    """One total: the rows it sums by meter, the coefficients of each class and carrier, and it recomputed from them."""
    return await explain_total(here.database, query)


async def explain_reading(database: Database, query: ReadingQuery) -> dict[str, Any]:
    """As the route. Raises Problem 404 where there is no such meter or no stored interval at that time."""
    at = parse_time(query.time, "time")
    if at.end > at.start:
        raise invalid("time", f"{query.time!r} is a period, not an instant", FORMS)
    as_of = parse_as_of(query.as_of)
    async with database.snapshot() as snapshot:
        values = {"meter": query.meter, "at": to_datetime(at.start), "as_of": as_of}
        # a stored interval is cut at local hours
        found = await snapshot.rows(StoredRow, sql.ROW, values | {"latest": to_datetime(at.start + HOUR_MS)})
        if not found:
            if not await snapshot.rows(KnownMeter, sql.METER, values):
                raise Problem(
                    404, f"no meter {query.meter!r}", field="meter", remedy="a meter's id is SITE/METER"
                )
            raise Problem(404, f"no stored interval of {query.meter} at {query.time}", field="time")
        row = found[0]
        indexes = await indexes_of(snapshot, row)
        span = {"meters": [row.number], "from": row.start, "to": row.end, "limit": CORRECTIONS_SHOWN}
        corrections = await snapshot.rows(Correction, sql.CORRECTIONS, span)
        edits = await edits_of(snapshot, row.number, row.start, row.end)
        library, ladders = await _library(snapshot, {row.carrier}, {row.class_})
    estimated = row.quantity if row.quality in ESTIMATED_QUALITIES else 0
    part = Part(row.class_, row.carrier, row.month, 1, Decimal(row.quantity), Decimal(estimated))
    figure = recompute([part], library, ladders, query.indicator, _ms(query.as_of, as_of))
    judged = _judged(query.indicator, query.as_of, as_of, row.co2_kg, row.kgce, figure)
    return {
        "meter": row.meter_id,
        "site": row.site_id,
        "kind": row.kind,
        "boundary": row.boundary,
        "start": local_text(row.start),
        "end": local_text(row.end),
        "quantity": base_units(row.quantity),
        "quality": _quality(row.quality),
        "flags": [flag.name.lower() for flag in RowFlag if row.flags & flag],
        "multiplier": text(row.multiplier),
        "multiplier_version": row.multiplier_version,
        "indexes": indexes,
        "corrections": [_correction(c) for c in corrections],
        **edits,
        **judged,
        "equal": judged["equal"] and (indexes is None or indexes["equal"] is not False),
    }


async def explain_total(database: Database, query: TotalQuery) -> dict[str, Any]:
    """As the route. Raises Problem 404 where there is no such entity."""
    grain = GRAINS[query.grain]
    at = parse_time(query.bucket, "bucket")
    bucket = period_of(grain, at.start)
    if at.end > bucket.end:
        raise invalid("bucket", f"{query.bucket!r} is longer than one {query.grain}", "name one bucket")
    as_of = parse_as_of(query.as_of)
    async with database.snapshot() as snapshot:
        entities = await snapshot.rows(KnownEntity, sql.ENTITY, {"entity": query.entity})
        if not entities:
            raise Problem(
                404, f"no entity {query.entity!r}", field="entity", remedy="GET /v1/entities lists them"
            )
        span = {
            "number": entities[0].number,
            "grain": min(grain, Grain.MONTH),
            "from": to_datetime(bucket.start),
            "to": to_datetime(bucket.end),
            "as_of": as_of,
        }
        stored = (await snapshot.rows(StoredTotal, sql.STORED, span))[0]
        sums = await snapshot.rows(RowSum, sql.ROWS, span)
        library, ladders = await _library(snapshot, {s.carrier for s in sums}, {s.class_ for s in sums})
        numbers = sorted({s.number for s in sums})
        corrections = await snapshot.rows(
            Correction, sql.CORRECTIONS, span | {"meters": numbers, "limit": CORRECTIONS_SHOWN}
        )
    parts = [
        Part(s.class_, s.carrier, s.month, s.readings, s.quantity,
             s.quantity if s.quality in ESTIMATED_QUALITIES else Decimal(0))
        for s in sums
    ]  # fmt: skip
    figure = recompute(parts, library, ladders, query.indicator, _ms(query.as_of, as_of))
    meters = _meters(sums)
    return {
        "entity": query.entity,
        "grain": query.grain,
        "bucket": local_iso(bucket.start),
        "readings": stored.readings,
        "rows": sum(s.readings for s in sums),
        "meters": meters[:METERS_SHOWN],
        "meters_left_out": max(0, len(meters) - METERS_SHOWN),
        "corrections": [_correction(c) for c in corrections],
        **_judged(query.indicator, query.as_of, as_of, stored.co2_kg, stored.kgce, figure),
    }


async def _library(
    snapshot: Snapshot, carriers: set[int], classes: set[int]
) -> tuple[Library, dict[int, tuple[str, ...]]]:
    documents = await snapshot.rows(Document, sql.LIBRARY, {"carriers": sorted(carriers)})
    ladders = await snapshot.rows(Ladder, sql.LADDERS, {"classes": sorted(classes)})
    return Library(documents), {ladder.class_: tuple(ladder.scopes) for ladder in ladders}


def _judged(
    indicator: str,
    asked: str | None,
    as_of: datetime,
    co2_kg: Decimal | None,
    kgce: Decimal | None,
    figure: dict[str, Any],
) -> dict[str, Any]:
    stored = text(co2_kg if indicator == "co2" else kgce)
    return {
        "indicator": indicator,
        "as_of": None if asked is None else local_text(as_of),
        **figure,
        "stored": stored,
        "equal": stored == figure["recomputed"],
    }


def _meters(sums: list[RowSum]) -> list[dict[str, Any]]:
    """What each meter adds, its rows by quality code."""
    found: dict[int, dict[str, Any]] = {}
    quantities: dict[int, Decimal] = {}
    for s in sums:
        meter = found.setdefault(
            s.number,
            {
                "meter": s.meter_id,
                "kind": s.kind,
                "carrier": CARRIER_BY_NUMBER[s.carrier].id,
                "multiplier": text(s.multiplier),
                "rows": 0,
                "rows_by_quality": {},
            },
        )
        meter["rows"] += s.readings
        by_quality = meter["rows_by_quality"]
        by_quality[str(s.quality)] = by_quality.get(str(s.quality), 0) + s.readings
        quantities[s.number] = quantities.get(s.number, Decimal(0)) + s.quantity
        meter["quantity"] = base_units(quantities[s.number])
        for name, index, choose in (
            ("lowest_index", s.first_index, min),
            ("highest_index", s.last_index, max),
        ):
            if index is not None:
                known = meter.get(name)
                meter[name] = index if known is None else choose(known, index)
    for meter in found.values():
        for name in ("lowest_index", "highest_index"):
            meter[name] = None if meter.get(name) is None else base_units(meter[name])
    return list(found.values())


def _correction(c: Correction) -> dict[str, Any]:
    return {
        "recorded_at": local_text(c.recorded_at),
        "meter": c.meter_id,
        "end": local_text(c.end),
        "old_quantity": base_units(c.old_quantity),
        "old_quality": c.old_quality,
        "new_quantity": base_units(c.new_quantity),
        "new_quality": c.new_quality,
    }


def _quality(code: int) -> dict[str, Any]:
    name = Quality(code).name.lower() if code in set(Quality) else "unknown"
    return {"code": code, "name": name, "estimated": code in ESTIMATED_QUALITIES}


def _ms(asked: str | None, as_of: datetime) -> int | None:
    return None if asked is None else to_ms(as_of)
