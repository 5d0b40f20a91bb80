"""What a load has changed, written to the outbox as records of ref.*: the only place that publishes.

Loaders note what they changed with `note`; `publish` runs once, last, and writes what others refer to first.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, LiteralString

from psycopg import Cursor

from carbonstream.schemas import topics
from carbonstream.schemas.carriers import THOUSANDTHS

Rows = Cursor[tuple[Any, ...]]

# Kinds of `changed`, in the order in which they are published: a meter names its class, a site too.
CLASS: Final = "class"
COEFFICIENT: Final = "coefficient"
SITE: Final = "site"
METER: Final = "meter"
TARGET: Final = "target"
ACTIVITY: Final = "activity"
CHECK: Final = "check"
WARNING_RULE: Final = "warning rule"
CHECK_PARAMETERS: Final = "check parameters"

RECORDS: Final[dict[str, tuple[str, LiteralString]]] = {
    CLASS: (
        topics.REF_SITES,
        """
        select 'class:' || c.entity, jsonb_build_object('record', 'class', 'class', c.entity,
          'scopes', c.scopes, 'county', c.county, 'city', c.city, 'province', c.province, 'grid', c.grid,
          'industry', c.industry, 'domain', c.domain, 'enterprise', c.enterprise)
        from (select distinct id from changed where kind = 'class') x join class c on c.entity = x.id::int
        order by c.entity
        """,
    ),
    COEFFICIENT: (
        topics.REF_COEFFICIENTS,
        """
        select r.id::text, r.record
        from (select distinct id from changed where kind = 'coefficient') x
        join coefficient_record r on r.id = x.id::bigint
        order by r.id
        """,
    ),
    SITE: (
        topics.REF_SITES,
        """
        select s.site_id, jsonb_build_object('record', 'site', 'site_id', s.site_id, 'shard', s.shard,
          'class', s.class, 'name_zh', s.name_zh, 'name_en', s.name_en, 'enterprise', e.id, 'park', p.id,
          'county', c.county, 'industry', c.industry)
        from (select distinct id from changed where kind = 'site') x join site s on s.site_id = x.id
        join entity e on e.number = s.enterprise join class c on c.entity = s.class
        left join entity p on p.number = s.park
        order by s.entity
        """,
    ),
    METER: (
        topics.REF_METERS,
        """
        select m.meter_id, jsonb_build_object('meter_id', m.meter_id, 'number', m.number, 'shard', s.shard,
          'carrier', m.carrier, 'kind', m.kind, 'unit', m.unit,
          'multiplier_milli', (coalesce((select v.multiplier from meter_multiplier v
             where v.meter_id = m.meter_id and v.superseded_by is null
             order by v.valid_from desc nulls last limit 1), m.multiplier) * 1000)::bigint,
          'multipliers', (select coalesce(jsonb_agg(jsonb_build_object('version', v.version,
             'valid_from_ms', (extract(epoch from v.valid_from) * 1000)::bigint,
             'milli', (v.multiplier * 1000)::bigint) order by v.valid_from nulls first), '[]')
             from meter_multiplier v where v.meter_id = m.meter_id and v.superseded_by is null),
          'exchanges', (select coalesce(jsonb_agg(jsonb_build_object(
             'at_ms', (extract(epoch from x.at) * 1000)::bigint,
             'final', (x.final_index * u.thousandths)::bigint,
             'initial', (x.initial_index * u.thousandths)::bigint,
             'modulus', (x.modulus * u.thousandths)::bigint) order by x.at), '[]')
             from register_exchange x where x.meter_id = m.meter_id),
          'modulus', (m.modulus * u.thousandths)::bigint, 'interval_ms', m.interval_s::bigint * 1000,
          'boundary', m.boundary, 'valid_from_ms', (extract(epoch from m.valid_from) * 1000)::bigint,
          'valid_to_ms', (extract(epoch from m.valid_to) * 1000)::bigint, 'class', s.class)
        from (select distinct id from changed where kind = 'meter') x join meter m on m.meter_id = x.id
        join site s using (site_id) join base_unit u on u.unit = m.unit
        order by m.number
        """,
    ),
    TARGET: (
        topics.REF_TARGETS,
        """
        select x.id, jsonb_build_object('entity', t.entity, 'indicator', t.indicator, 'grain', t.grain,
          'period', t.period, 'value', t.value::text, 'levels', t.levels::text[], 'price_year', t.price_year,
          'phases', (select coalesce(jsonb_agg(jsonb_build_object('part', p.part, 'days', p.days,
             'value', p.value::text) order by p.part), '[]') from target_phase p
             where (p.entity, p.indicator, p.grain, p.period) = (t.entity, t.indicator, t.grain, t.period)))
        from (select distinct id from changed where kind = 'target') x
        join target t on concat_ws('|', t.entity, t.indicator, t.grain, t.period) = x.id
        order by x.id
        """,
    ),
    ACTIVITY: (
        topics.REF_ACTIVITY,
        """
        select x.id, jsonb_build_object('entity', a.entity, 'month', to_char(a.month, 'YYYY-MM'),
          'indicator', a.indicator, 'value', a.value::text, 'unit', a.unit, 'provisional', a.provisional)
        from (select distinct id from changed where kind = 'activity') x
        join activity a on concat_ws('|', a.entity, to_char(a.month, 'YYYY-MM'), a.indicator) = x.id
        order by x.id
        """,
    ),
    CHECK: (
        topics.REF_RULES,
        """
        select 'check:' || r.rule, jsonb_build_object('record', 'check', 'rule', r.rule, 'number', r.number,
          'version', r.version, 'carrier', c.number, 'kind', r.kind, 'meter', r.meter, 'test', r.test,
          'field', r.field, 'low', r.low::text, 'high', r.high::text, 'decision', r.decision)
        from (select distinct id from changed where kind = 'check') x join check_rule r on r.rule = x.id
        left join carrier c on c.id = r.carrier
        order by r.number
        """,
    ),
    WARNING_RULE: (
        topics.REF_RULES,
        """
        select distinct on (r.rule) 'warning:' || r.rule, jsonb_build_object('record', 'warning', 'rule', r.rule,
          'version', r.version, 'kind', r.kind, 'scope', r.scope, 'parameters', r.parameters, 'class', r.class,
          'priority', r.priority, 'owner', r.owner, 'cause', r.cause, 'consequence', r.consequence,
          'action', r.action, 'respond_s', r.respond_s, 'state', r.state,
          'valid_from_ms', (extract(epoch from r.valid_from) * 1000)::bigint)
        from (select distinct id from changed where kind = 'warning rule') x join warning_rule r on r.rule = x.id
        order by r.rule, r.version desc
        """,
    ),
    CHECK_PARAMETERS: (
        topics.REF_RULES,
        """
        select 'parameters:' || x.id, jsonb_build_object('record', 'parameters', 'name', p.name,
          'version', p.version, 'carrier', c.number, 'kind', p.kind, 'interval_s', p.interval_s,
          'parameters', p.parameters, 'state', p.state)
        from (select distinct id from changed where kind = 'check parameters') x
        join check_parameters p on p.name || '@' || p.version = x.id left join carrier c on c.id = p.carrier
        order by p.name, p.version
        """,
    ),
}


def begin(cursor: Rows) -> None:
    """Take this load's turn (loads run one after the other; readers are not held up) and open its notes."""
    cursor.execute("lock table slot in share row exclusive mode")
    cursor.execute("create temporary table changed (kind text not null, id text not null) on commit drop")
    cursor.execute(
        "create temporary table base_unit (unit text primary key, thousandths numeric not null) "
        "on commit drop"
    )
    cursor.executemany(
        "insert into base_unit values (%s, %s)",
        [(unit, Decimal(str(scale))) for unit, (_, scale) in THOUSANDTHS.items()],
    )


def note(cursor: Rows, kind: str, ids: list[str]) -> None:
    """These rows are new or differ from what was there."""
    cursor.execute("insert into changed select %s, unnest(%s::text[])", [kind, ids])


def publish(cursor: Rows) -> int:
    """Write one outbox row for each noted change; returns how many."""
    published = 0
    for topic, select in RECORDS.values():
        cursor.execute(
            b"insert into outbox (topic, shard_key, key, value) select %s, r.key, r.key, r.value from ("
            + select.encode()
            + b") r (key, value)",
            [topic],
        )
        published += cursor.rowcount
    cursor.execute("drop table changed, base_unit")  # another load may follow in the same transaction
    return published
