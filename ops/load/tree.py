"""tree.csv: what each meter is (role) and which meter stands above it (parent), with dates."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from carbonstream.ops.load import fields, outbox
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.own_classes import fence_sinks
from carbonstream.ops.load.rows import Refusals, Row, read_rows, unique
from carbonstream.processors.metering import (
    EVERYWHERE,
    FOREVER,
    NOWHERE,
    Level,
    Meter,
    Place,
    Span,
    Tree,
    differences,
)
from carbonstream.schemas.codes import MeterRole
from carbonstream.schemas.periods import local_text, to_datetime, to_ms

COLUMNS: Final = ("meter_id", "role", "parent", "valid_from", "valid_to")


def load_tree(cursor: Rows, path: Path, refusals: Refusals, now: datetime) -> Counts:
    """Set places of meters in the tree; a later file replaces role, parent and end of a place that stands.

    Refused beside faulty fields: circles, overlaps, a parent in another park or of another carrier, and what
    would change where rows that are stored already were summed.
    """
    rows = _read(path, refusals)
    _refuse_unknown_meters(cursor, rows, refusals)
    rows = {place: row for place, row in rows.items() if row.sound}
    standing = _standing(cursor)
    given = {(place.meter, place.start): place for place in rows}
    places = list((standing | given).values())
    tree = Tree(places, _meters(cursor, places))
    faults = tree.faults()
    for fault in faults:
        row = rows.get(fault.place)
        if row is not None:
            row.refuse(fault.column, fault.remedy)
        else:  # a place that stands does not fit what the file says
            place = fault.place
            remedy = f"with it the place of {place.meter} cannot stand: {fault.column}: {fault.remedy}"
            _row_above(place.meter, tree, rows).refuse("meter_id", remedy)
    added = [place for key, place in given.items() if key not in standing]
    changed = [place for key, place in given.items() if key in standing and standing[key] != place]
    counts = Counts(len(rows), len(added), len(changed))
    if refusals.errors or not (added or changed):
        return counts
    fence_sinks(cursor)
    _count_anew(cursor, tree, rows, sorted({place.meter for place in places}))
    cursor.executemany(
        """
        insert into meter_place (meter_id, valid_from, valid_to, role, parent, loaded_at)
        values (%s, %s, %s, %s, %s, %s)
        on conflict (meter_id, valid_from) do update set (valid_to, role, parent, loaded_at) =
          (excluded.valid_to, excluded.role, excluded.parent, excluded.loaded_at)
        """,
        [
            (p.meter, to_datetime(p.start), _end(p.end), p.role.value, p.parent, now)
            for p in (*added, *changed)
        ],
    )
    return counts


def _read(path: Path, refusals: Refusals) -> dict[Place, Row]:
    rows: dict[Place, Row] = {}
    seen: dict[str, Row] = {}
    for row in read_rows(path, COLUMNS, refusals):
        meter = row.take("meter_id", fields.identifier)
        role = row.take("role", fields.one_of([role.value for role in MeterRole]))
        parent = row.take_optional("parent", fields.identifier)
        start, end = row.take("valid_from", fields.instant), row.take_optional("valid_to", fields.instant)
        if row.sound and end is not None and end <= start:
            row.refuse("valid_to", f"must be after valid_from, {row.values['valid_from']}")
        if row.sound and parent == meter:
            row.refuse("parent", "is the meter itself: name the meter above it, or leave it empty")
        if row.sound and unique(seen, row, "valid_from", f"{meter}|{to_ms(start)}"):
            until = FOREVER if end is None else to_ms(end)
            rows[Place(meter, MeterRole(role), parent, to_ms(start), until)] = row
    return rows


def _refuse_unknown_meters(cursor: Rows, rows: dict[Place, Row], refusals: Refusals) -> None:
    named = {place.meter for place in rows} | {place.parent for place in rows if place.parent}
    cursor.execute("select meter_id from meter where meter_id = any(%s)", [sorted(named)])
    known = {meter_id for (meter_id,) in cursor}
    for place, row in rows.items():
        for column, meter_id in (("meter_id", place.meter), ("parent", place.parent)):
            if meter_id is not None and meter_id not in known:
                row.refuse(column, "is no registered meter: load it with --meters")


def _standing(cursor: Rows) -> dict[tuple[str, int], Place]:
    cursor.execute("select meter_id, role, parent, valid_from, nullif(valid_to, 'infinity') from meter_place")
    places = [
        Place(meter, MeterRole(role), parent, to_ms(start), FOREVER if end is None else to_ms(end))
        for meter, role, parent, start, end in cursor
    ]
    return {(place.meter, place.start): place for place in places}


def _meters(cursor: Rows, places: list[Place]) -> dict[str, Meter]:
    named = {p.meter for p in places} | {p.parent for p in places if p.parent is not None}
    cursor.execute(
        """
        select m.meter_id, s.site_id, e.id, p.id, c.id, m.boundary
        from meter m join site s using (site_id) join entity e on e.number = s.enterprise
        left join entity p on p.number = s.park join carrier c on c.number = m.carrier
        where m.meter_id = any(%s)
        """,
        [sorted(named)],
    )
    return {meter_id: Meter(*rest) for meter_id, *rest in cursor}


def _row_above(meter_id: str, tree: Tree, rows: dict[Place, Row]) -> Row:
    """The line of the file that speaks of a meter: its own, else that of a meter above it, else the first."""
    above = [name for at in tree.changes(meter_id) for name in tree.above(meter_id, at)[0]]
    by_meter = {place.meter: row for place, row in reversed(rows.items())}
    return next(
        (by_meter[name] for name in (meter_id, *above) if name in by_meter), next(iter(rows.values()))
    )


def _count_anew(cursor: Rows, tree: Tree, rows: dict[Place, Row], meter_ids: list[str]) -> None:
    """Write down which meters count where; refuse what would concern rows that are summed already."""
    cursor.execute("select meter_id, number, boundary from meter where meter_id = any(%s)", [meter_ids])
    known = {meter_id: (number, boundary) for meter_id, number, boundary in cursor}
    cursor.execute(
        """
        select meter, valid_from, nullif(valid_to, 'infinity'), levels from meter_counting
        where meter = any(%s) order by 1, 2
        """,
        [[number for number, _ in known.values()]],
    )
    before: dict[int, list[Span]] = {}
    for number, start, end, levels in cursor:
        until = FOREVER if end is None else to_ms(end)
        before.setdefault(number, []).append(Span(to_ms(start), until, Level(levels)))
    changes: list[tuple[str, int, Span]] = []
    lines: list[tuple[object, ...]] = []
    for meter_id, (number, boundary) in known.items():
        old = before.get(number, [Span(0, FOREVER, EVERYWHERE if boundary else NOWHERE)])
        new = tree.counting(meter_id)
        changes += [(meter_id, number, span) for span in differences(old, new)]
        if number not in before or old != new:
            lines += [(number, to_datetime(s.start), _end(s.end), int(s.levels)) for s in new]
    for meter_id, newest in _stored(cursor, changes).items():
        at = local_text(newest)
        _row_above(meter_id, tree, rows).refuse(
            "valid_from", f"rows of {meter_id} are summed up to {at}: date the change then or later"
        )
    written = sorted({line[0] for line in lines})  # type: ignore[type-var]
    cursor.execute("delete from meter_counting where meter = any(%s)", [written])
    cursor.executemany("insert into meter_counting values (%s, %s, %s, %s)", lines)
    outbox.note(cursor, outbox.METER, sorted({meter_id for meter_id, _, _ in changes}))


def _stored(cursor: Rows, changes: list[tuple[str, int, Span]]) -> dict[str, datetime]:
    """Newest end of stored rows of the meters in the spans."""
    cursor.execute(
        """
        select c.meter_id, max(r.time)
        from unnest(%s::text[], %s::int[], %s::timestamptz[], %s::timestamptz[])
          as c (meter_id, meter, start, until)
        join reading r on r.meter = c.meter and r.time > c.start and r.start < c.until
        group by 1
        """,
        [
            [meter_id for meter_id, _, _ in changes],
            [number for _, number, _ in changes],
            [to_datetime(span.start) for _, _, span in changes],
            [_end(span.end) for _, _, span in changes],
        ],
    )
    return dict(cursor.fetchall())


def _end(end: int) -> str:
    return "infinity" if end == FOREVER else to_datetime(end).isoformat()
