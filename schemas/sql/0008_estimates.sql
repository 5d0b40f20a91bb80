-- What interval meters miss, as the estimator has followed them: runs of due intervals without a measured reading.
create table gap (
  meter int not null,
  start timestamptz not null,      -- of the first missing interval
  until timestamptz,               -- end of the last; null: no reading has come behind it yet
  primary key (meter, start)
);

-- Up to where intervals have been looked for; moves once all that was missing is estimated. One row.
create table estimator_position (
  id smallint primary key default 1 check (id = 1),
  looked_to timestamptz not null
);

-- The start of the oldest missing interval of each entity within [p_from, p_to); no row where none is known.
create function oldest_missing(p_entities int[], p_from timestamptz[], p_to timestamptz[])
returns table (entity int, since timestamptz, start timestamptz) language sql stable as $$
  with missing as materialized (
    select g.start, coalesce(g.until, p.looked_to) as until, s.entity as site, s.enterprise, s.park, s.class
    from gap g
    join meter m on m.number = g.meter
    join site s using (site_id)
    cross join estimator_position p
    where m.boundary
  )
  select a.entity, a.since, min(greatest(g.start, a.since))
  from unnest(p_entities, p_from, p_to) as a (entity, since, upto)
  join entity_part e on e.entity = a.entity
  join missing g on e.part in (g.site, g.enterprise, g.park, g.class)
  where g.start < a.upto and g.until > a.since
  group by 1, 2
$$;
-- How many sites an entity's parts hold, by the span in which they were metered; valid_from null: never.
create view metering as
  select p.entity, d.valid_from, d.valid_to, count(*)::int as sites
  from (  -- one branch a level, as in view expectation
    select entity, site_id from site
    union all select enterprise, site_id from site
    union all select park, site_id from site where park is not null
    union all select class, site_id from site
  ) as p
  left join (
    select site_id, min(valid_from) as valid_from,
           case when bool_and(valid_to is not null) then max(valid_to) end as valid_to
    from meter where boundary group by site_id
  ) as d using (site_id)
  group by 1, 2, 3;
grant select on all tables in schema public to carbonstream_read;
