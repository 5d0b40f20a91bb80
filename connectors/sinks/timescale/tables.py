"""What a batch writes beside its rows: totals, change marks, ledger, kept readings, findings, corrections,
positions."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from typing import Any, Final, LiteralString

import numpy as np
import orjson
import psycopg
from numpy.typing import NDArray

from carbonstream.connectors.database import COPY_HEADER, COPY_TRAILER, binary_rows, integers, pg_time, texts
from carbonstream.processors.grouping import grouped
from carbonstream.processors.ledger import Count
from carbonstream.processors.release import Moved, Origin, is_release
from carbonstream.processors.rows import STORED_BEFORE, Folded, Position, Readings
from carbonstream.processors.totals import TotalChanges
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import to_datetime

Ints = NDArray[np.int64]
Cursor = psycopg.Cursor[Any]
Frames = Sequence[dict[str, Any]]

STAGE_TOTAL: Final = """
create temporary table if not exists stage_total
  (bucket timestamptz, entity int, class int, grain smallint, carrier smallint, shard smallint,
   readings bigint, quantity bigint, estimated bigint) on commit delete rows
"""
TOTAL_HOUR: Final = """
insert into total_hour as t (bucket, entity, class, carrier, shard, readings, quantity, estimated)
select bucket, entity, class, carrier, shard, readings, quantity, estimated from stage_total where grain = 1
on conflict (entity, bucket, class, carrier, shard) do update set readings = t.readings + excluded.readings,
  quantity = t.quantity + excluded.quantity, estimated = t.estimated + excluded.estimated
"""
TOTAL_PERIOD: Final = """
insert into total_period as t (bucket, entity, class, grain, carrier, shard, readings, quantity, estimated)
select bucket, entity, class, grain, carrier, shard, readings, quantity, estimated from stage_total where grain > 1
on conflict (entity, grain, bucket, class, carrier, shard) do update set readings = t.readings + excluded.readings,
  quantity = t.quantity + excluded.quantity, estimated = t.estimated + excluded.estimated
"""
MARK: Final = """
insert into change_mark (entity, grain, bucket)
select %s::int[], %s::smallint[], array(select to_timestamp(b / 1000) from unnest(%s::bigint[]) b)
"""
# Each line once, as `on conflict` asks for, and in one order: two sinks may meet at the lines without a site.
LEDGER: Final = """
insert into ledger as l (source, site, day, hop, outcome, readings, quantity_wh, converted)
select source, site, date '1970-01-01' + day, %s, outcome, sum(readings), sum(wh), sum(converted)
from unnest(%s::text[], %s::text[], %s::int[], %s::smallint[], %s::bigint[], %s::bigint[], %s::bigint[])
  as t (source, site, day, outcome, readings, wh, converted)
group by source, site, day, outcome order by source, site, day, outcome
on conflict (source, site, day, hop, outcome) do update
  set readings = l.readings + excluded.readings, quantity_wh = l.quantity_wh + excluded.quantity_wh,
    converted = l.converted + excluded.converted
"""
HELD: Final = """
copy held (source_topic, partition, source_offset, row, source, mode, meter_id, start_ms, end_ms, value, unit)
from stdin
"""
# A release may be all there is: Kafka may hold it longer than what it releases. Then it leaves a mark of its own.
RELEASED: Final = """
insert into held as h (source_topic, partition, source_offset, row, source, mode, meter_id, end_ms, released_at,
  outcome)
select topic, partition, source_offset, row, source, '', meter_id, end_ms, now(), outcome
from unnest(%s::text[], %s::smallint[], %s::bigint[], %s::int[], %s::text[], %s::text[], %s::bigint[], %s::smallint[])
  as t (topic, partition, source_offset, row, source, meter_id, end_ms, outcome)
on conflict (source_topic, partition, source_offset, row) do update
  set released_at = excluded.released_at, outcome = excluded.outcome
"""
RELEASED_BEFORE: Final = """
select h.source_topic, h.partition, h.source_offset, h.row
from held h join unnest(%s::text[], %s::smallint[], %s::bigint[], %s::int[]) as t (topic, partition, source_offset, row)
  on h.source_topic = t.topic and h.partition = t.partition and h.source_offset = t.source_offset and h.row = t.row
where h.released_at is not null
"""
REJECT: Final = """
copy reject (partition, source_offset, row, code, source, meter_id, start_ms, end_ms, value, unit, detail, payload)
from stdin
"""
FINDING: Final = """
copy finding (partition, source_offset, row, "check", decision, meter, time, size, tick_ms, definition) from stdin
"""
CORRECTION: Final = """
copy correction (tick_ms, time, meter, old_quantity, old_quality, new_quantity, new_quality, source_partition,
  source_offset) from stdin
"""
POSITION: Final = """
update position p set source_offset = t.source_offset, emissions_offset = t.emissions_offset,
  tick_ms = t.tick_ms, reference = t.reference, updated_at = now()
from unnest(%s::smallint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::jsonb[])
  as t (partition, source_offset, emissions_offset, tick_ms, reference)
where p.partition = t.partition
"""


def write_totals(cursor: Cursor, totals: TotalChanges) -> None:
    """Add signed changes to the totals."""
    if not len(totals.entity):
        return
    body = binary_rows(
        [
            (pg_time(totals.bucket), 8),
            (totals.entity, 4),
            (totals.class_, 4),
            (totals.grain, 2),
            (totals.carrier, 2),
            (totals.shard, 2),
            (totals.readings, 8),
            (totals.quantity, 8),
            (totals.estimated, 8),
        ]
    )
    with cursor.copy("copy stage_total from stdin (format binary)") as copy:
        copy.write(COPY_HEADER + body + COPY_TRAILER)
    cursor.execute(TOTAL_HOUR)
    if (totals.grain > Grain.HOUR).any():
        cursor.execute(TOTAL_PERIOD)


def write_mark(cursor: Cursor, totals: TotalChanges) -> None:
    """Which (entity, grain, bucket) changed: one row of arrays, appended, for the relay."""
    if len(totals.entity):
        keys, _ = grouped([totals.entity, totals.grain, totals.bucket], [])
        cursor.execute(MARK, [integers(key) for key in keys])


def write_ledger(cursor: Cursor, hop: str, counts: Sequence[Count]) -> None:
    """Add counts to the ledger."""
    if counts:
        source, site, *numbers = zip(
            *((c.source, c.site, c.day, c.outcome, c.readings, c.quantity_wh, c.converted) for c in counts),
            strict=True,
        )
        cursor.execute(LEDGER, [hop, texts(source), texts(site), *map(integers, numbers)])


def write_kept(cursor: Cursor, frames: Frames, moved: Sequence[Moved]) -> None:
    """Held and rejected readings as they came. moved: held readings that move on in this batch; of a frame that
    releases, only what moves is kept again, where it is rejected now. And what the checks found."""
    held: list[tuple[Any, ...]] = []
    rejects: list[tuple[Any, ...]] = []
    moving = {(m.at.partition, m.at.offset, m.at.row) for m in moved}
    for d in frames:
        at = d["origin"]["partition"], d["origin"]["offset"]
        source, kept = d["source"], d["rejects"]
        if is_release(d):
            source, kept = d["release_source"], [r for r in kept if (*at, r["row"]) in moving]
        else:
            held += [
                (d["origin"]["topic_id"], *at, h["row"], source, d["mode"], h["meter"], h["start"], h["end"],
                 h["value"], h["unit"])
                for h in d["held"]
            ]  # fmt: skip
        rejects += [
            (*at, r["row"], r["code"], source, r["meter"], r["start"], r["end"], r["value"], r["unit"],
             r["detail"], b64decode(payload) if (payload := d.get("payload")) is not None else None)
            for r in kept
        ]  # fmt: skip
    findings = [
        (d["origin"]["partition"], d["origin"]["offset"], f["row"], f["check"], f["decision"],
         d["numbers"][d["meter"][f["row"]]], to_datetime(f["of"]), f["size"], d["tick"],
         f.get("definition"))
        for d in frames for f in d["findings"]
    ]  # fmt: skip
    _copy(cursor, HELD, held)
    _copy(cursor, REJECT, rejects)
    _copy(cursor, FINDING, findings)


def released_before(cursor: Cursor, origins: Sequence[Origin]) -> list[Origin]:
    """Which of these held readings an earlier batch has moved on."""
    columns = [list(column) for column in zip(*origins, strict=True)]
    return [Origin(*row) for row in cursor.execute(RELEASED_BEFORE, columns)] if origins else []


def write_released(cursor: Cursor, moved: Sequence[Moved]) -> None:
    """Mark held readings as released, with what became of them."""
    if moved:
        lines = ((*m.origin, m.source, m.meter_id, m.end, m.code) for m in moved)
        cursor.execute(RELEASED, [list(column) for column in zip(*lines, strict=True)])


def _copy(cursor: Cursor, statement: LiteralString, lines: list[tuple[Any, ...]]) -> None:
    if lines:
        with cursor.copy(statement) as copy:
            for line in lines:
                copy.write_row(line)


def write_corrections(cursor: Cursor, frames: Frames, readings: Readings, folded: Folded) -> None:
    """Every row of an earlier batch that this one replaced."""
    old = np.flatnonzero(folded.replaced.reading == STORED_BEFORE)
    if not len(old):
        return
    rows = folded.rows
    new = {key: i for i, key in enumerate(zip(rows.meter.tolist(), rows.time.tolist(), strict=True))}
    lines: list[tuple[Any, ...]] = []
    for j in old.tolist():
        before, meter, time = folded.replaced, int(folded.replaced.meter[j]), int(folded.replaced.time[j])
        i = new[meter, time]
        frame = frames[int(readings.frame[rows.reading[i]])]
        lines.append(
            (frame["tick"], to_datetime(time), meter, int(before.quantity[j]), int(before.quality[j]),
             int(rows.quantity[i]), int(rows.quality[i]), frame["origin"]["partition"],
             frame["origin"]["offset"])
        )  # fmt: skip
    _copy(cursor, CORRECTION, lines)


def write_positions(cursor: Cursor, positions: dict[int, Position]) -> None:
    """Where each partition stands now."""
    columns = zip(
        *(
            (n, p.source_offset, p.emissions_offset, p.tick, orjson.dumps(p.reference).decode())
            for n, p in positions.items()
        ),
        strict=True,
    )
    moved = cursor.execute(POSITION, [list(column) for column in columns]).rowcount
    if moved != len(positions):
        raise RuntimeError(f"{moved} of the partitions {sorted(positions)} have a row in position")
