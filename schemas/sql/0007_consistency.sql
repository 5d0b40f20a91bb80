-- The dated meter tree: what a meter is and what stands above it. A meter without a place is of the default role of its
-- `boundary`: a tenant's (counted at every level) or a sub-meter (at none).
create table meter_place (
  meter_id text not null references meter,
  valid_from timestamptz not null,
  valid_to timestamptz not null default 'infinity',
  role text not null
    check (role in ('master', 'tenant', 'common', 'loss', 'sub', 'generation', 'export', 'green')),
  parent text references meter,
  loaded_at timestamptz not null default now(),
  primary key (meter_id, valid_from),
  check (valid_to > valid_from),
  check (parent <> meter_id)
);
create index meter_place_parent on meter_place (parent);

-- At which levels a placed meter counts, worked out from the tree by processors/metering.py: its spans cover all time.
create table meter_counting (
  meter int not null references meter (number),
  valid_from timestamptz not null,
  valid_to timestamptz not null,
  levels smallint not null check (levels between 0 and 15),  -- 1 site, 2 enterprise, 4 park, 8 class
  primary key (meter, valid_from)
);

-- Every meter with the levels at which it counts, by span of validity.
create view meter_counts as
select m.number as meter, m.meter_id, m.site_id, m.carrier, m.interval_s,
       greatest(m.valid_from, c.valid_from) as valid_from,
       nullif(least(m.valid_to, c.valid_to), 'infinity') as valid_to,
       coalesce(c.levels, case when m.boundary then 15 else 0 end)::smallint as levels
from meter m
left join meter_counting c on c.meter = m.number
where c.meter is null
  or c.valid_to > m.valid_from and (m.valid_to is null or c.valid_from < m.valid_to);

create or replace view expectation as
  select p.entity, p.class, m.carrier, m.interval_s, m.valid_from, m.valid_to, count(*)::int as meters
  from (  -- one branch a level: a condition on the entity reaches each level's own index
    select entity, class, site_id, 1 as level from site
    union all select enterprise, class, site_id, 2 from site
    union all select park, class, site_id, 4 from site where park is not null
    union all select class, class, site_id, 8 from site
  ) as p
  join meter_counts m using (site_id)
  where m.levels & p.level <> 0
  group by 1, 2, 3, 4, 5, 6;

-- A parent meter against its children, a local day each (T/CES 6.4.2; VEE sum check). Thousandths of the base unit.
create table sum_check (
  parent text not null references meter,
  day date not null,
  supplied bigint not null,        -- the parent's quantity and its children's own generation
  accounted bigint not null,       -- what the other children measured
  children int not null,
  verdict text not null check (verdict in ('within', 'short', 'over', 'incomplete')),
  at timestamptz not null,         -- the stored clock at which it was judged
  primary key (parent, day)
);
create index sum_check_day on sum_check (day);

-- The indicators of T/CES 6.4.3 table 1 and the checks of 6.4.1 and 6.4.2 they rest on, one row an entity and local day.
create table consistency (
  entity text not null references entity (id),
  indicator text not null,
  period date not null,            -- the local day it is of
  part numeric not null,           -- exact: value = part / whole, x 100 where the unit is %
  whole numeric not null,
  value numeric,                   -- rounded half-even to 4 decimals; null: nothing to judge
  unit text not null,
  target numeric not null,
  met boolean,                     -- decided exactly from part and whole; null: nothing to judge
  closed boolean not null,         -- the day is over, and what was due in it was due long enough ago
  at timestamptz not null,         -- the stored clock at which it was computed
  primary key (entity, indicator, period)
);
create index consistency_period on consistency (period, indicator);

-- Of the readings due in a local day, how many were stored when they had been due for 15 minutes (T/CES table 1).
create table timeliness (
  site int not null references entity,
  day date not null,
  due bigint not null,
  in_time bigint not null,
  primary key (site, day)
);
create table timeliness_position (one boolean primary key default true check (one), at timestamptz not null);
create index ledger_day on ledger (day);
create index reject_end on reject (end_ms);
create index correction_time on correction (time);

-- Declared amounts: a month's coal is opening + purchases - closing stock. Approved by a second person, then sent to
-- meter.readings as readings of source `declared`, one frame each.
create table declaration (
  id bigint generated always as identity primary key,
  meter_id text not null references meter,
  first_day date not null,
  last_day date not null,
  opening numeric check (opening >= 0),
  purchases numeric check (purchases >= 0),
  closing numeric check (closing >= 0),
  amount numeric not null check (amount >= 0),
  unit text not null,
  thousandths bigint not null check (thousandths >= 0),  -- of the carrier's base unit
  document text not null,
  declared_by text not null,
  declared_at timestamptz not null,
  approved_by text,
  approved_at timestamptz,
  shard smallint not null,
  seq bigint,                      -- of its frame; given with the approval
  sent_at timestamptz,
  check (last_day >= first_day),
  check (approved_by <> declared_by),
  check ((approved_by is null) = (approved_at is null) and (approved_by is null) = (seq is null)),
  check (opening is null or amount = opening + purchases - closing)
);
create unique index declaration_seq on declaration (shard, seq);
create index declaration_meter on declaration (meter_id, first_day);
create index reading_declared on reading (meter, time) where flags & 8 <> 0;
grant select on all tables in schema public to carbonstream_read;
