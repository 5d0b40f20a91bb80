-- Rows: quantities only, no factor. Emissions are a join.
create table reading (
  time timestamptz not null,       -- the interval's end
  start timestamptz not null,
  quantity bigint not null,        -- thousandths of the carrier's base unit
  raw_index bigint,                -- a register's index at `time`, in thousandths, before the multiplier
  meter int not null,
  multiplier_version smallint not null,
  quality smallint not null,
  flags smallint not null
);
select create_hypertable('reading', by_range('time', interval '1 day'), create_default_indexes => false);
create unique index reading_time_meter on reading (time, meter);

-- One table a tier: hours are kept three years, days and months for ever (T/CEPPC 14-2023 8.7).
create table total_hour (
  bucket timestamptz not null,
  entity int not null,
  class int not null,
  carrier smallint not null,
  shard smallint not null,
  readings int not null,
  quantity bigint not null,
  estimated bigint not null
) with (fillfactor = 70);          -- an hour is updated in place many times: leave room for HOT updates
select create_hypertable('total_hour', by_range('bucket', interval '30 days'), create_default_indexes => false);
create unique index total_hour_key on total_hour (entity, bucket, class, carrier, shard);

create table total_period (
  bucket timestamptz not null,
  entity int not null,
  class int not null,
  grain smallint not null,         -- 2 day, 3 month
  carrier smallint not null,
  shard smallint not null,
  readings int not null,
  quantity bigint not null,
  estimated bigint not null
) with (fillfactor = 70);          -- months are updated in place for weeks: leave room for HOT updates
create unique index total_period_key on total_period (entity, grain, bucket, class, carrier, shard);

-- Where each partition of carbon.emissions stands; moves in the transaction that stores the rows.
create table position (
  partition smallint primary key,
  epoch int not null default 0,
  source_topic text,               -- topic id of meter.readings
  emissions_topic text,            -- topic id of carbon.emissions
  source_offset bigint not null default -1,
  emissions_offset bigint not null default -1,
  tick_ms bigint not null default 0,
  reference jsonb not null default '{}',  -- ref.* offsets in force
  updated_at timestamptz not null default now()
);

create table layout (topic text primary key, topic_id text not null, partitions smallint not null, epoch int not null default 0);

-- Append-only: what changed since the relay last looked. One row a batch, arrays of equal length.
create table change_mark (
  id bigint generated always as identity primary key,
  entity int[] not null,
  grain smallint[] not null,
  bucket timestamptz[] not null
);

-- Append-only: every stored row that a later reading replaced.
create table correction (
  recorded_at timestamptz not null default now(),
  tick_ms bigint not null,
  time timestamptz not null,
  meter int not null,
  old_quantity bigint not null,
  old_quality smallint not null,
  new_quantity bigint not null,
  new_quality smallint not null,
  source_partition smallint not null,
  source_offset bigint not null
);
create index correction_meter on correction (meter, time);

create table held (
  partition smallint not null,
  source_offset bigint not null,
  row int not null,
  source text not null,
  mode text not null,
  meter_id text not null,
  start_ms bigint,
  end_ms bigint,
  value double precision,
  unit text,
  held_at timestamptz not null default now(),
  released_at timestamptz
);
create index held_origin on held (partition, source_offset);  -- not unique: a new epoch begins at offset 0 again

create table reject (
  partition smallint not null,
  source_offset bigint not null,
  row int not null,                -- -1: the whole record
  code smallint not null,
  source text not null,
  meter_id text,
  start_ms bigint,
  end_ms bigint,
  value text,
  unit text,
  detail text,
  payload bytea,                   -- a record that could not be read, its first 64 kB
  rejected_at timestamptz not null default now()
);
create index reject_origin on reject (partition, source_offset);
create index reject_code on reject (code, rejected_at);

-- Counts by source, site, day of the reading's start, hop. Hop `accepted` is written by a reader of meter.readings
-- of its own; hop `outcome` by the sink in the transaction of the rows. Quantities are Wh of electricity.
create table ledger (
  source text not null,
  site text not null,
  day date not null,
  hop text not null check (hop in ('accepted', 'outcome')),
  outcome smallint not null,
  readings bigint not null,
  quantity_wh bigint not null,
  primary key (source, site, day, hop, outcome)
);
create table ledger_position (
  partition smallint primary key,
  source_topic text not null,
  source_offset bigint not null,   -- the last one counted
  tick_ms bigint not null,
  reference jsonb not null,        -- ref.* offsets in force
  sequences jsonb not null         -- newest frame number by source|mode|shard
);
create table ledger_register (
  meter int primary key,           -- dense number
  partition smallint not null,
  end_ms bigint not null,
  raw_index bigint not null        -- thousandths, before the multiplier
) with (fillfactor = 50);          -- every index moves its row: leave room for HOT updates

-- What the edge refused: answered with 4xx, never accepted.
create table edge_refusal (
  source text not null,
  code text not null,
  day date not null,
  requests bigint not null,
  primary key (source, code, day)
);

create table outbox (
  id bigint generated always as identity primary key,
  topic text not null,
  shard_key text not null,         -- decides the partition
  key text not null,
  value jsonb                      -- null: a tombstone
);

-- How many readings an entity expects, by span of validity.
create view expectation as
  select p.entity, p.class, m.carrier, m.interval_s, m.valid_from, m.valid_to, count(*)::int as meters
  from (  -- one branch a level: a condition on the entity reaches each level's own index
    select entity, class, site_id from site
    union all select enterprise, class, site_id from site
    union all select park, class, site_id from site where park is not null
    union all select class, class, site_id from site
  ) as p
  join meter m using (site_id)
  where m.boundary
  group by 1, 2, 3, 4, 5, 6;

-- Totals of entities with CO2 and standard coal, by stored grain (hour, day, month); days of a site are sums of
-- hours. Quarters and years are sums of months.
create function totals_of(
  p_entities int[], p_grain smallint, p_from timestamptz, p_to timestamptz, p_as_of timestamptz default 'infinity')
returns table (
  entity int, bucket timestamptz, class int, carrier smallint, readings bigint, quantity numeric, estimated numeric,
  co2_kg numeric, kgce numeric, coefficient bigint, coefficient_month date, kgce_coefficient bigint)
language sql stable as $$
  with part as materialized (
    select ep.entity, ep.part, e.kind from entity_part ep join entity e on e.number = ep.part
    where ep.entity = any (p_entities)
  ), summed as (
    select p.entity, t.bucket, t.class, t.carrier, sum(t.readings) readings, sum(t.quantity) quantity,
           sum(t.estimated) estimated
    from part p join total_period t on t.entity = p.part
    where (p_grain = 3 or p.kind <> 'site' and p_grain = 2) and t.grain = p_grain
      and t.bucket >= p_from and t.bucket < p_to
    group by 1, 2, 3, 4
    union all
    select p.entity, date_trunc(case p_grain when 1 then 'hour' else 'day' end, t.bucket, 'Asia/Shanghai'), t.class,
           t.carrier, sum(t.readings), sum(t.quantity), sum(t.estimated)
    from part p join total_hour t on t.entity = p.part
    where (p_grain = 1 or p_grain = 2 and p.kind = 'site') and t.bucket >= p_from and t.bucket < p_to
    group by 1, 2, 3, 4
  ), month as materialized (
    select distinct s.class, s.carrier, date_trunc('month', s.bucket at time zone 'Asia/Shanghai')::date as month
    from summed s
  ), resolved as materialized (
    select m.*, k.id, k.value, k.month as coefficient_month, e.value as kgce_value, e.id as kgce_coefficient
    from month m
    join carrier c on c.number = m.carrier
    left join lateral coefficient_for(m.class, m.carrier, c.co2_kind, m.month, p_as_of) k on true
    left join lateral coefficient_for(m.class, m.carrier, 'calorific', m.month, p_as_of) e on true
  )
  select s.entity, s.bucket, s.class, s.carrier, s.readings::bigint, s.quantity, s.estimated,
         -- a product is exact in numeric, a quotient is rounded to the scale the server chooses
         s.quantity * r.value * 0.001, s.quantity * r.kgce_value * 0.001, r.id, r.coefficient_month, r.kgce_coefficient
  from summed s
  join resolved r on r.class = s.class and r.carrier = s.carrier
    and r.month = date_trunc('month', s.bucket at time zone 'Asia/Shanghai')::date
$$;

grant usage on schema public to carbonstream_read, carbonstream_command;
grant select on all tables in schema public to carbonstream_read;
alter default privileges in schema public grant select on tables to carbonstream_read;
