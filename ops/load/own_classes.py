"""An enterprise's first own coefficient moves its sites and their totals to classes of their own.

Totals are kept by class, so that a coefficient restates them without touching them; what was summed with
other enterprises' sites must be taken apart once.
"""

from __future__ import annotations

from typing import Final

from carbonstream.connectors.sinks.timescale.ownership import APPLICATION
from carbonstream.ops.load import outbox
from carbonstream.ops.load.chains import Chain, Place
from carbonstream.ops.load.entities import Names, classes_of
from carbonstream.ops.load.outbox import Rows


def move_to_own_classes(cursor: Rows) -> int:
    """Move the sites of enterprises that have got coefficients of their own; returns how many sites moved."""
    cursor.execute(
        """
        select s.site_id, s.entity, c.entity, c.county, c.city, c.province, c.grid, c.industry, c.domain,
               substr(e.id, 12)
        from site s join entity e on e.number = s.enterprise join class c on c.entity = s.class
        where c.enterprise is null and exists (select from coefficient k where k.scope = e.id)
        """
    )
    moving = {
        (site_id, site, old): Chain(Place(*place), industry, domain, enterprise)
        for site_id, site, old, *place, industry, domain, enterprise in cursor
    }
    if not moving:
        return 0
    numbers = classes_of(cursor, Names.read(cursor), moving.values())
    cursor.execute(
        "create temporary table moving (site int primary key, old int not null, new int not null) "
        "on commit drop"
    )
    cursor.executemany(
        "insert into moving values (%s, %s, %s)",
        [(site, old, numbers[chain]) for (_, site, old), chain in moving.items()],
    )
    fence_sinks(cursor)
    for statement in (*COLLECT, *MOVE):
        cursor.execute(statement)
    outbox.note(cursor, outbox.SITE, [site_id for site_id, _, _ in moving])
    cursor.execute(
        "insert into changed select 'meter', meter_id from meter m join site s using (site_id) "
        "join moving v on v.site = s.entity"
    )
    return len(moving)


def fence_sinks(cursor: Rows) -> None:
    """No sink may add to totals by what it read of classes and of the meter tree after this.

    Each keeps what it read, so its session is ended; it begins a new one and waits at the lock on
    `site` until the change is committed. Nothing is lost: what it had not committed it reads again.
    """
    cursor.execute("lock table site in access exclusive mode")
    cursor.execute(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
        "where application_name = %s and datname = current_database() and pid <> pg_backend_pid()",
        [APPLICATION],
    )
    cursor.execute("lock table total_hour, total_period in share row exclusive mode")


# Contributions of the moving sites by old class. Sites have no totals by day: days are sums of their hours.
COLLECT: Final = (
    b"""
    create temporary table contribution on commit drop as
    select s.entity as site, s.enterprise, s.park, v.old, v.new, 1::smallint as grain, t.bucket,
           t.carrier, t.shard, t.readings, t.quantity, t.estimated
    from moving v join site s on s.entity = v.site join total_hour t on t.entity = v.site and t.class = v.old
    union all
    select s.entity, s.enterprise, s.park, v.old, v.new, t.grain, t.bucket,
           t.carrier, t.shard, t.readings, t.quantity, t.estimated
    from moving v join site s on s.entity = v.site
    join total_period t on t.entity = v.site and t.class = v.old
    """,
    b"""
    insert into contribution
    select site, enterprise, park, old, new, 2, date_trunc('day', bucket, 'Asia/Shanghai'), carrier, shard,
           sum(readings), sum(quantity), sum(estimated)
    from contribution where grain = 1 group by 1, 2, 3, 4, 5, 7, 8, 9
    """,
    # sites with meters that count at some levels only: what they give to park and class comes from their rows, which
    # are readings that were due unless they have a flag of processors.rows.NOT_DUE, 101
    b"""
    create temporary table mixed on commit drop as
    select distinct v.site from moving v join site s on s.entity = v.site join meter_counts m using (site_id)
    where m.levels not in (0, 15)
    """,
    # to each entity that sums it: from (entity, old) to (entity, new); a class from itself to the new one
    b"""
    create temporary table shift on commit drop as
    select entity_from, old, entity_to, new, grain, bucket, carrier, shard,
           sum(readings)::int readings, sum(quantity)::bigint quantity, sum(estimated)::bigint estimated
    from (
      select e.entity_from, c.old, e.entity_to, c.new, c.grain, c.bucket, c.carrier, c.shard,
             c.readings, c.quantity, c.estimated
      from contribution c
      cross join lateral (values (c.park, c.park), (c.old, c.new)) e (entity_from, entity_to)
      where c.site not in (select site from mixed)
      union all
      select e.entity_from, v.old, e.entity_to, v.new, g.grain, date_trunc(g.unit, r.start, 'Asia/Shanghai'),
             m.carrier, s.shard, case when r.flags & 101 = 0 then 1 else 0 end, r.quantity,
             case when r.quality in (8, 9) then r.quantity else 0 end
      from mixed x
      join moving v using (site)
      join site s on s.entity = v.site
      join meter_counts m using (site_id)
      join reading r on r.meter = m.meter and r.start >= m.valid_from
        and (m.valid_to is null or r.start < m.valid_to)
      cross join lateral (values (s.park, s.park, 4), (v.old, v.new, 8)) e (entity_from, entity_to, level)
      cross join (values (1, 'hour'), (2, 'day'), (3, 'month')) g (grain, unit)
      where m.levels & e.level <> 0
    ) c
    where entity_from is not null
    group by 1, 2, 3, 4, 5, 6, 7, 8
    """,
)

MOVE: Final = (
    # sites and enterprises move whole
    b"""
    update total_hour t set class = v.new from moving v
    where t.class = v.old and t.entity in (v.site, (select enterprise from site where entity = v.site))
    """,
    b"""
    update total_period t set class = v.new from moving v
    where t.class = v.old and t.entity in (v.site, (select enterprise from site where entity = v.site))
    """,
    b"""
    update total_hour t set readings = t.readings - s.readings, quantity = t.quantity - s.quantity,
      estimated = t.estimated - s.estimated
    from shift s where s.grain = 1
      and (t.entity, t.bucket, t.class, t.carrier, t.shard) =
          (s.entity_from, s.bucket, s.old, s.carrier, s.shard)
    """,
    b"""
    update total_period t set readings = t.readings - s.readings, quantity = t.quantity - s.quantity,
      estimated = t.estimated - s.estimated
    from shift s where s.grain > 1
      and (t.entity, t.grain, t.bucket, t.class, t.carrier, t.shard) =
          (s.entity_from, s.grain, s.bucket, s.old, s.carrier, s.shard)
    """,
    b"""
    insert into total_hour (bucket, entity, class, carrier, shard, readings, quantity, estimated)
    select bucket, entity_to, new, carrier, shard, readings, quantity, estimated from shift where grain = 1
    """,
    b"""
    insert into total_period (bucket, entity, class, grain, carrier, shard, readings, quantity, estimated)
    select bucket, entity_to, new, grain, carrier, shard, readings, quantity, estimated
    from shift where grain > 1
    """,
    # what nothing is left of goes, as if it had never been summed there
    b"""
    delete from total_hour t using shift s
    where (t.entity, t.bucket, t.class, t.carrier, t.shard) =
          (s.entity_from, s.bucket, s.old, s.carrier, s.shard)
      and s.grain = 1 and (t.readings, t.quantity, t.estimated) = (0, 0, 0)
    """,
    b"""
    delete from total_period t using shift s
    where (t.entity, t.grain, t.bucket, t.class, t.carrier, t.shard) =
          (s.entity_from, s.grain, s.bucket, s.old, s.carrier, s.shard)
      and s.grain > 1 and (t.readings, t.quantity, t.estimated) = (0, 0, 0)
    """,
    b"update site s set class = v.new from moving v where s.entity = v.site",
    # the relay tells anew what these count to; the new class counts to the same entities as the old one
    b"""
    insert into change_mark (entity, grain, bucket)
    select array_agg(entity), array_agg(grain), array_agg(bucket) from (
      select distinct e.entity, c.grain, c.bucket from contribution c
      cross join lateral (values (c.site), (c.enterprise), (c.park), (c.old)) e (entity)
      where e.entity is not null
    ) m having count(*) > 0
    """,
)
