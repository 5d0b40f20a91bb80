"""What the consistency indicators are computed from: one local day, read in the caller's snapshot."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import numpy as np
import psycopg

from carbonstream.connectors.holidays import packaged_calendar
from carbonstream.processors.calendar_cn import local_day as local_days
from carbonstream.processors.consistency import LATE_MS, Comparison, Counts, Figures, Kind
from carbonstream.processors.expectation import Span, readings_due, until
from carbonstream.processors.metering import Level
from carbonstream.processors.rows import NOT_DUE
from carbonstream.processors.sum_check import Metered, SumCheck, Verdict, sum_check
from carbonstream.processors.swing import Swing, days_alike
from carbonstream.schemas.codes import (
    ESTIMATED_QUALITIES,
    REJECTED_OUTCOMES,
    STORED_OUTCOMES,
    Grain,
    MeterRole,
    Outcome,
    Quality,
    RowFlag,
)
from carbonstream.schemas.periods import (
    DAY_MS,
    SECOND_MS,
    SHANGHAI,
    bucket_start,
    next_bucket,
    to_datetime,
    to_ms,
)

Connection = psycopg.Connection[Any]
NATION: Final = "region:CN"  # everything: all classes are part of it
RESPONSE_DAYS: Final = 30  # warnings raised in so many days before the end of the day judged
PART: Final = int(
    RowFlag.APPORTIONED | RowFlag.BASELINE | RowFlag.VOID
)  # rows that are no reading of their own
ESTIMATES: Final = [int(q) for q in ESTIMATED_QUALITIES]
REDUNDANT: Final = (Outcome.DUPLICATE, Outcome.SUPERSEDED)

SITES: Final = """
select s.entity, s.site_id, s.enterprise, s.park, s.class,
       array(select e.number from unnest(array[c.county, c.city, c.province, c.grid, 'CN']) as code
             join entity e on e.id = 'region:' || code group by 1)
from site s join class c on c.entity = s.class
"""
REGION_PARTS: Final = """
select p.entity, p.part from entity_part p join entity e on e.number = p.entity where e.kind = 'region'
"""
ROWS: Final = """
select s.entity, m.carrier, coalesce(c.levels, case when m.boundary then 15 else 0 end) as levels,
       sum(r.quantity)::bigint,
       count(*) filter (where r.flags & %(part)s = 0),
       count(*) filter (where r.flags & %(part)s = 0 and r.quality = %(questionable)s),
       count(*) filter (where r.flags & %(not_due)s = 0 and r.quality <> all (%(estimates)s) and r.time <= %(late)s)
from reading r
join meter m on m.number = r.meter
join site s using (site_id)
left join meter_counting c on c.meter = r.meter and r.start >= c.valid_from and r.start < c.valid_to
where r.time > %(start)s and r.time <= %(end)s
group by 1, 2, 3
"""
EXPECTED: Final = """
select x.entity, x.interval_s, x.valid_from, x.valid_to, sum(x.meters)::int
from site s join expectation x on x.entity = s.entity
where x.valid_from < %(end)s and (x.valid_to is null or x.valid_to > %(start)s)
group by 1, 2, 3, 4
"""
# Hours of the day; months with their days, a site's with its hours.
SUMS: Final = """
with hours as (
  select entity, carrier, sum(quantity) filter (where bucket >= %(start)s and bucket < %(end)s) as of_day,
         sum(quantity) as of_month
  from total_hour where bucket >= %(month)s and bucket < %(next)s group by 1, 2
), periods as (
  select entity, carrier, sum(quantity) filter (where grain = 2 and bucket = %(start)s) as day,
         sum(quantity) filter (where grain = 2) as days, sum(quantity) filter (where grain = 3) as month
  from total_period where grain in (2, 3) and bucket >= %(month)s and bucket < %(next)s group by 1, 2
)
select e.number, e.kind, h.of_day::bigint, h.of_month::bigint, p.day::bigint, p.days::bigint, p.month::bigint, carrier
from hours h full join periods p using (entity, carrier) join entity e on e.number = entity
"""
OUTCOMES: Final = """
select site, outcome, sum(readings)::bigint from ledger where hop = 'outcome' and day = %(day)s group by 1, 2
"""
CORRECTED: Final = """
select s.entity, count(*) from (
  select distinct meter, time from correction where time > %(start)s and time <= %(end)s
) k join meter m on m.number = k.meter join site s using (site_id) group by 1
"""
# Rejected readings that have a row in their place.
REPAIRED: Final = """
select s.entity, count(*) from (
  select distinct partition, source_offset, row, meter_id, end_ms from reject
  where code = any (%(rejected)s) and end_ms > %(start_ms)s and end_ms <= %(end_ms)s
) j join meter m using (meter_id) join site s using (site_id)
where exists (select from reading r where r.time = to_timestamp(j.end_ms / 1000.0) and r.meter = m.number)
group by 1
"""
TIMELINESS: Final = "select site, due, in_time from timeliness where day = %(day)s"
RESPONSES: Final = """
select e.number, raised.at, least(
         (select min(changed_at) from warning_history h
          where h.id = w.id and h.state = 'cleared' and h.changed_at >= raised.at),
         (select min(p.at) from warning_operation p
          where p.warning = w.id and p.operation = 'acknowledge' and p.at >= raised.at))
from warning w join entity e on e.id = w.entity
cross join lateral (select min(changed_at) as at from warning_history h where h.id = w.id) raised
where w.rule = 'consistency' and raised.at >= %(since)s and raised.at < %(end)s
"""
SWINGS: Final = """
select ep.entity, coalesce(sum(t.quantity) filter (where t.bucket = %(start)s), 0)::bigint,
       coalesce(sum(t.quantity) filter (where t.bucket <> %(start)s), 0)::bigint,
       count(distinct t.bucket) filter (where t.bucket <> %(start)s)
from entity_part ep join total_period t on t.entity = ep.part
where t.grain = 2 and t.carrier = 1 and t.bucket = any (%(alike)s) group by 1
"""
FAMILIES: Final = """
select parent, meter_id, role from meter_place p
where parent is not null and valid_from <= %(start)s and valid_to >= %(end)s
  and not exists (select from meter_place q where q.parent = p.parent and q.valid_from < %(end)s
                  and q.valid_to > %(start)s and not (q.valid_from <= %(start)s and q.valid_to >= %(end)s))
order by 1, 2
"""
METERED: Final = """
select m.meter_id, s.entity, m.interval_s, m.valid_from, m.valid_to, coalesce(r.quantity, 0), coalesce(r.measured, 0)
from meter m join site s using (site_id)
left join (
  select meter, sum(quantity)::bigint as quantity,
         count(*) filter (where flags & %(not_due)s = 0 and quality <> all (%(estimates)s)) as measured
  from reading where time > %(start)s and time <= %(end)s group by 1
) r on r.meter = m.number
where m.meter_id = any (%(meters)s)
"""


def read_day(connection: Connection, start: int, now: int) -> tuple[Figures, dict[str, SumCheck]]:
    """Figures of the local day that starts at `start`, and sum checks by parent meter once the day is closed.

    start, now: UTC ms; now is the stored clock. Nothing of a day to come: `start` must be before `now`.
    """
    end, late = start + DAY_MS, min(now - LATE_MS, start + DAY_MS)
    month = int(bucket_start(Grain.MONTH, np.array([start]))[0])
    span: dict[str, Any] = {
        "start": to_datetime(start), "end": to_datetime(end), "late": to_datetime(late), "day": local_day(start),
        "month": to_datetime(month), "next": to_datetime(next_bucket(Grain.MONTH, month)),
        "start_ms": start, "end_ms": end, "part": PART, "not_due": NOT_DUE, "estimates": ESTIMATES,
        "questionable": int(Quality.QUESTIONABLE), "since": to_datetime(end - RESPONSE_DAYS * DAY_MS),
        "rejected": [int(o) for o in REJECTED_OUTCOMES if o not in REDUNDANT],
    }  # fmt: skip
    sites = connection.execute(SITES).fetchall()
    scopes = {
        site: [n for n in (enterprise, park, *regions) if n]
        for site, _, enterprise, park, _, regions in sites
    }
    counts: defaultdict[int, Counts] = defaultdict(Counts)
    rows = connection.execute(ROWS, span).fetchall()
    for site, _, levels, _, stored, questionable, measured in rows:
        counted = measured if levels & Level.SITE else 0
        counts[site] += Counts(stored=stored, questionable=questionable, measured=counted)
    for site, due in due_of_sites(spans_of_sites(connection, start, end), start, late).items():
        counts[site] += Counts(due=due)
    nowhere = _outcomes(connection, span, {site_id: site for site, site_id, *_ in sites}, counts)
    for site, due, in_time in connection.execute(TIMELINESS, span):
        counts[site] += Counts(due_in_time=due, in_time=in_time)
    for site, corrected in connection.execute(CORRECTED, span):
        counts[site] += Counts(corrected=corrected)
    nation = connection.execute("select number from entity where id = %s", (NATION,)).fetchone()
    checks, agreeing = _sum_checks(connection, span, start) if late == end else ({}, [])
    responses = [
        (entity, (now if answered is None else to_ms(answered)) - to_ms(raised))
        for entity, raised, answered in connection.execute(RESPONSES, span)
    ]
    figures = Figures(
        dict(counts), _comparisons(connection, span, sites, rows), agreeing, responses, scopes,
        nation[0] if nation else 0, nowhere, _swings(connection, span, start) if late == end else {},
    )  # fmt: skip
    return figures, checks


def local_day(start: int) -> date:
    """The date of a local day by its start (UTC ms)."""
    return to_datetime(start).astimezone(SHANGHAI).date()


def spans_of_sites(connection: Connection, start: int, end: int) -> dict[int, list[Span]]:
    """What each site expects of meters in service in [start, end), UTC ms."""
    found: defaultdict[int, list[Span]] = defaultdict(list)
    bounds = {"start": to_datetime(start), "end": to_datetime(end)}
    for site, interval_s, valid_from, valid_to, meters in connection.execute(EXPECTED, bounds):
        to = None if valid_to is None else to_ms(valid_to)
        found[site].append(Span(interval_s * SECOND_MS, to_ms(valid_from), to, meters))
    return found


def due_of_sites(spans: Mapping[int, list[Span]], start: int, late: int) -> dict[int, int]:
    """Readings of the local day that starts at `start` that are due by `late`, by site."""
    day = np.array([start]), np.array([start + DAY_MS])
    return {site: int(readings_due(*day, until(of_site, late))[0]) for site, of_site in spans.items()}


def _outcomes(
    connection: Connection, span: dict[str, Any], sites: Mapping[str, int], counts: defaultdict[int, Counts]
) -> Counts:
    """Add what became of readings to `counts`; returns those of no known site."""
    nowhere = Counts()
    for site_id, outcome, readings in connection.execute(OUTCOMES, span):
        redundant = readings if outcome in REDUNDANT else 0
        passed = readings if outcome in STORED_OUTCOMES or outcome == Outcome.SUPERSEDED else 0
        faulty = 0 if outcome in STORED_OUTCOMES else readings
        checked = 0 if outcome == Outcome.DUPLICATE else readings
        found = Counts(checked=checked, passed=passed, faulty=faulty, cleaned=redundant)
        if site_id in sites:
            counts[sites[site_id]] += found
        else:
            nowhere += found
    for site, repaired in connection.execute(REPAIRED, span):
        counts[site] += Counts(cleaned=repaired)
    return nowhere


def _comparisons(
    connection: Connection,
    span: dict[str, Any],
    sites: Sequence[tuple[Any, ...]],
    rows: Sequence[tuple[Any, ...]],
) -> list[Comparison]:
    """Stored totals against hours and days (time), against the meters that count in them (space), and a site's
    against its rows (repeat)."""
    found: list[Comparison] = []
    days: Counter[tuple[int, int]] = Counter()  # (entity, carrier) -> stored total of the day
    for entity, kind, of_day, of_month, day, in_days, month, carrier in connection.execute(SUMS, span):
        total = (of_day if kind == "site" else day) or 0
        days[entity, carrier] = total
        found.append(
            Comparison(entity, Kind.TIME, month or 0, (of_month if kind == "site" else in_days) or 0)
        )
        if kind != "site":
            found.append(Comparison(entity, Kind.TIME, total, of_day or 0))
    measured: Counter[tuple[int, int]] = Counter()  # the same from rows
    above = {
        site: (enterprise, park, class_, regions) for site, _, enterprise, park, class_, regions in sites
    }
    for site, carrier, levels, quantity, *_ in rows:
        enterprise, park, class_, regions = above[site]
        at = {
            Level.SITE: [site],
            Level.ENTERPRISE: [enterprise],
            Level.PARK: [park],
            Level.CLASS: [class_, *regions],
        }
        for level, entities in at.items():
            if levels & level:
                for entity in filter(None, entities):
                    measured[entity, carrier] += quantity
    # a region's total is the sum of its classes': what a reader of it is given
    of_part: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for (entity, carrier), quantity in days.items():
        of_part[entity].append((carrier, quantity))
    for region, part in connection.execute(REGION_PARTS):
        for carrier, quantity in of_part[part]:
            days[region, carrier] += quantity
    known = set(above)
    for entity, carrier in sorted({*days, *measured}):
        kind = Kind.REPEAT if entity in known else Kind.SPACE
        found.append(Comparison(entity, kind, days[entity, carrier], measured[entity, carrier]))
    return found


def _swings(connection: Connection, span: dict[str, Any], start: int) -> dict[int, Swing]:
    """Each entity's day and the days like it, of those that have totals by day."""
    day = int(local_days(np.array([start]))[0])
    alike = [to_datetime(start + (other - day) * DAY_MS) for other in days_alike(day, packaged_calendar())]
    values = span | {"alike": [to_datetime(start), *alike]}
    return {entity: Swing(*rest) for entity, *rest in connection.execute(SWINGS, values)}


def _sum_checks(
    connection: Connection, span: dict[str, Any], start: int
) -> tuple[dict[str, SumCheck], list[tuple[int, bool]]]:
    """Sum checks by parent meter, and (site of the parent, whether it agrees) of those that can be judged."""
    families: defaultdict[str, list[tuple[str, MeterRole]]] = defaultdict(list)
    for parent, child, role in connection.execute(FAMILIES, span):
        families[parent].append((child, MeterRole(role)))
    named = sorted({*families, *(child for children in families.values() for child, _ in children)})
    metered: dict[str, Metered] = {}
    site_of: dict[str, int] = {}
    for meter, site, interval_s, valid_from, valid_to, quantity, measured in connection.execute(
        METERED, span | {"meters": named}
    ):
        to = None if valid_to is None else to_ms(valid_to)
        due = due_of_sites(
            {0: [Span(interval_s * SECOND_MS, to_ms(valid_from), to, 1)]}, start, start + DAY_MS
        )[0]
        metered[meter], site_of[meter] = Metered(quantity, measured >= due), site
    checks = {
        parent: sum_check(metered[parent], [(role, metered[child]) for child, role in children])
        for parent, children in families.items()
    }
    agreeing = [
        (site_of[parent], check.verdict is Verdict.WITHIN)
        for parent, check in checks.items()
        if check.verdict is not Verdict.INCOMPLETE
    ]
    return checks, agreeing
