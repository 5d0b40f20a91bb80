-- Reference data: the masters of the ref.* topics.
create extension if not exists timescaledb;

do $$
begin
  if not exists (select from pg_roles where rolname = 'carbonstream_read') then
    create role carbonstream_read nologin;
  end if;
  if not exists (select from pg_roles where rolname = 'carbonstream_command') then
    create role carbonstream_command nologin;
  end if;
exception when duplicate_object or unique_violation then null;  -- roles belong to the server: another database made them
end $$;

create table carrier (
  number smallint primary key,
  id text not null unique,
  name_zh text not null,
  name_en text not null,
  base_unit text not null,
  ghg_scope smallint not null,
  co2_kind text not null
);

create table region (
  code text primary key,           -- GB/T 2260, CN, or GRID-xx
  level text not null check (level in ('nation', 'grid', 'province', 'city', 'county')),
  name_zh text not null,
  name_en text not null,
  parent text references region,   -- county -> city -> province -> nation
  grid text references region      -- of a province, or of a city where the province lies in two grids
);

create table industry (
  code text primary key,           -- GB/T 4754-2017
  name_zh text not null,
  name_en text not null,
  domain text not null             -- T/ZJSEE 6.3.1.1 a
);

-- Everything a total can be of. A class is an entity too: the set of sites that share one chain of scopes.
create table entity (
  number int generated always as identity primary key,
  id text not null unique,         -- site:..., enterprise:..., park:..., region:..., industry:..., domain:..., class:...
  kind text not null,
  name_zh text not null,
  name_en text not null
);

create table class (
  entity int primary key references entity,
  county text not null references region,
  city text not null references region,
  province text not null references region,
  grid text not null references region,
  industry text not null references industry,
  domain text not null,
  enterprise text,                 -- only where the enterprise has coefficients of its own
  scopes text[] not null           -- nearest first: where coefficients are looked for
);
create unique index class_chain on class (county, industry, domain, coalesce(enterprise, ''));

-- Which stored totals add up to an entity's: itself for site, enterprise and park; its classes for the others.
create table entity_part (
  entity int not null references entity,
  part int not null references entity,
  primary key (entity, part)
);
create index entity_part_of on entity_part (part);

create table site (
  site_id text primary key,
  entity int not null unique references entity,
  shard smallint not null,
  name_zh text not null,
  name_en text not null,
  enterprise int not null references entity,
  park int references entity,
  class int not null references class,
  loaded_at timestamptz not null default now()
);
create index site_enterprise on site (enterprise);

create table meter (
  meter_id text primary key,
  number int not null unique,      -- slot * 64 + shard, never reused
  site_id text not null references site,
  carrier smallint not null references carrier,
  kind text not null check (kind in ('register', 'interval')),
  unit text not null,              -- the unit meant where a reading names none
  multiplier numeric(12, 3) not null check (multiplier > 0),  -- CT x PT
  modulus numeric,                 -- a register rolls over at this index
  interval_s int not null check (interval_s > 0),
  boundary boolean not null,       -- false: a sub-meter, watched but not summed
  valid_from timestamptz not null,
  valid_to timestamptz,
  loaded_at timestamptz not null default now(),
  check (valid_to is null or valid_to > valid_from)
);
create index meter_site on meter (site_id);

create table slot (shard smallint primary key, next int not null);
insert into slot select s, 0 from generate_series(0, 63) s;

-- One coefficient: kg (CO2 or standard coal) per base unit of a carrier, in a scope, for a month.
create table coefficient (
  id bigint generated always as identity primary key,
  carrier smallint not null references carrier,
  scope text not null,
  month date not null check (extract(day from month) = 1),
  kind text not null,
  value numeric not null check (value >= 0),
  unit text not null,
  components jsonb not null default '{}',
  document text not null,
  data_year smallint,
  published_at timestamptz not null,
  approver text not null,
  loaded_at timestamptz not null default now(),
  unique (carrier, kind, scope, month, published_at)
);

create table target (
  entity text not null references entity (id),
  indicator text not null check (indicator in ('co2', 'energy')),
  grain smallint not null,
  period date not null,
  value numeric not null check (value > 0),  -- kg CO2 or kgce
  levels numeric[] not null,
  loaded_at timestamptz not null default now(),
  primary key (entity, indicator, grain, period)
);

create table activity (
  entity text not null references entity (id),
  month date not null,
  indicator text not null,
  value numeric not null,
  unit text not null,
  provisional boolean not null,
  loaded_at timestamptz not null default now(),
  primary key (entity, month, indicator)
);

-- The latest monthly coefficient: nearest scope with any published month <= M, however old; of it the newest
-- such month; of that the newest revision. The same thing stands in processors/coefficients.py.
create function coefficient_for(p_class int, p_carrier smallint, p_kind text, p_month date, p_as_of timestamptz)
returns setof coefficient language sql stable parallel safe rows 1 as $$
  select k.*
  from class c
  cross join lateral unnest(c.scopes) with ordinality as s (scope, rank)
  cross join lateral (
    select k.* from coefficient k
    where k.carrier = p_carrier and k.kind = p_kind and k.scope = s.scope
      and k.month <= p_month and k.published_at <= p_as_of
    order by k.month desc, k.published_at desc
    limit 1
  ) k
  where c.entity = p_class
  order by s.rank
  limit 1
$$;
