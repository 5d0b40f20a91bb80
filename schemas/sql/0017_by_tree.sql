-- Everything that asks where a meter counts asks the dated meter tree, as the sink does when it sums rows.

-- Which stored totals a meter's rows are part of, by the span in which a row starts; null: whenever it starts.
create view counted_part as
select m.number as meter, m.carrier, s.class, c.valid_from, c.valid_to, p.part
from meter m
join site s using (site_id)
left join meter_counting c on c.meter = m.number
cross join lateral (values (1, s.entity), (2, s.enterprise), (4, s.park), (8, s.class)) as p (level, part)
where p.part is not null and coalesce(c.levels, case when m.boundary then 15 else 0 end) & p.level <> 0;

create or replace function totals_as_of(
  p_entities int[], p_grain smallint, p_from timestamptz, p_to timestamptz, p_as_of timestamptz)
returns table (
  entity int, bucket timestamptz, class int, carrier smallint, readings bigint, quantity numeric, estimated numeric,
  co2_kg numeric, kgce numeric, coefficient bigint, coefficient_month date, kgce_coefficient bigint)
language sql stable as $$
  with correction_since as materialized (
    -- rows are cut at local hours, places in the tree too: the instant before a row's end tells where it counts
    select ep.entity, date_trunc((array['hour', 'day', 'month'])[p_grain], x.time - interval '1 microsecond',
             'Asia/Shanghai') as bucket, c.class, c.carrier,
           sum(x.new_quantity - x.old_quantity) as quantity,
           sum(case when x.new_quality in (8, 9) then x.new_quantity else 0 end
               - case when x.old_quality in (8, 9) then x.old_quantity else 0 end) as estimated
    from correction x
    join counted_part c on c.meter = x.meter
      and (c.valid_from is null or x.time > c.valid_from and x.time <= c.valid_to)
    join entity_part ep on ep.part = c.part
    where x.recorded_at > p_as_of and ep.entity = any (p_entities) and x.time > p_from and x.time <= p_to
    group by 1, 2, 3, 4
  ), known as (
    select t.*, t.quantity - coalesce(x.quantity, 0) as then_quantity,
           t.estimated - coalesce(x.estimated, 0) as then_estimated
    from totals_of(p_entities, p_grain, p_from, p_to, p_as_of) t
    left join correction_since x using (entity, bucket, class, carrier)
  )
  select t.entity, t.bucket, t.class, t.carrier, t.readings, t.then_quantity, t.then_estimated,
         t.then_quantity * k.value * 0.001, t.then_quantity * e.value * 0.001, t.coefficient, t.coefficient_month,
         t.kgce_coefficient
  from known t
  left join coefficient k on k.id = t.coefficient
  left join coefficient e on e.id = t.kgce_coefficient
$$;

-- As before, with the tree: a fuel meter that counts for its site displaces what would be inferred of that site's
-- electricity, a park's master of a fuel all that of the park. Where a site's electricity comes through another site's
-- meter it is displaced in that one's class; nothing inferred is below zero.
create or replace function inferred_of(
  p_entities int[], p_grain smallint, p_from timestamptz, p_to timestamptz, p_as_of timestamptz default 'infinity')
returns table (
  entity int, bucket timestamptz, class int, carrier smallint, quantity numeric, co2_kg numeric, kgce numeric,
  ratio bigint, coefficient bigint, kgce_coefficient bigint)
language sql stable as $$
  with fuel as materialized (
    -- a group is the tens of a carrier's number: gas, coal, oil, liquefied gas (schemas/carriers.py)
    select c.number, c.number / 10 as grp, c.co2_kind, 'ratio_' || c.id as kind
    from carrier c where exists (select from coefficient k where k.carrier = 1 and k.kind = 'ratio_' || c.id)
  ), electricity as materialized (
    select t.entity, t.bucket, t.class, t.quantity,
           date_trunc('month', t.bucket at time zone 'Asia/Shanghai')::date as month,
           row_number() over (partition by t.entity, t.bucket order by t.quantity desc, t.class) as rank
    from totals_as_of(case when exists (select from fuel) then p_entities end, p_grain, p_from, p_to, p_as_of) t
    where t.carrier = 1
  ), metering as materialized (
    select s.entity as site, ep.entity, m.carrier / 10 as grp, m.valid_from, m.valid_to, m.levels & 1 <> 0 as of_site
    from entity_part ep
    join site s on ep.part in (s.entity, s.enterprise, s.park, s.class)
    join meter_counts m on m.site_id = s.site_id and m.carrier / 10 in (select grp from fuel)
      and (m.levels & 1 <> 0 or m.levels & 4 <> 0 and ep.entity = s.park)
    where ep.entity = any (p_entities)
  ), displaced as (
    select g.entity, t.bucket, coalesce(e.class, l.class) as class, g.grp, sum(t.quantity) as quantity
    from totals_as_of(array(select distinct site from metering where of_site), p_grain, p_from, p_to, p_as_of) t
    cross join lateral (
      select distinct m.entity, m.grp from metering m
      where m.site = t.entity and m.of_site
        and m.valid_from < (date_trunc('month', t.bucket, 'Asia/Shanghai') + interval '1 month')
        and (m.valid_to is null or m.valid_to > date_trunc('month', t.bucket, 'Asia/Shanghai'))
    ) g
    left join electricity e on (e.entity, e.bucket, e.class) = (g.entity, t.bucket, t.class)
    left join electricity l on (l.entity, l.bucket, l.rank) = (g.entity, t.bucket, 1)
    where t.carrier = 1
    group by 1, 2, 3, 4
  ), resolved as materialized (
    select e.class, e.month, f.number, f.grp, r.id, r.value, k.id as coefficient, k.value as co2_value,
           c.id as kgce_coefficient, c.value as kgce_value
    from (select distinct class, month from electricity) e
    cross join fuel f
    cross join lateral coefficient_for(e.class, 1::smallint, f.kind, e.month, p_as_of) r
    left join lateral coefficient_for(e.class, f.number, f.co2_kind, e.month, p_as_of) k on true
    left join lateral coefficient_for(e.class, f.number, 'calorific', e.month, p_as_of) c on true
  )
  select e.entity, e.bucket, e.class, r.number, q.inferred, q.inferred * r.co2_value * 0.001,
         q.inferred * r.kgce_value * 0.001, r.id, r.coefficient, r.kgce_coefficient
  from electricity e
  join resolved r using (class, month)
  left join displaced d on d.entity = e.entity and d.bucket = e.bucket and d.class = e.class and d.grp = r.grp
  cross join lateral (select (e.quantity - coalesce(d.quantity, 0)) * r.value as inferred) q
  where e.quantity > coalesce(d.quantity, 0)
    and not exists (
      select from metering m where m.entity = e.entity and m.grp = r.grp and not m.of_site
        and m.valid_from < (date_trunc('month', e.bucket, 'Asia/Shanghai') + interval '1 month')
        and (m.valid_to is null or m.valid_to > date_trunc('month', e.bucket, 'Asia/Shanghai')))
$$;

create or replace function oldest_missing(p_entities int[], p_from timestamptz[], p_to timestamptz[])
returns table (entity int, since timestamptz, start timestamptz) language sql stable as $$
  with missing as materialized (
    select greatest(g.start, c.valid_from) as start, least(coalesce(g.until, p.looked_to), c.valid_to) as until, c.part
    from gap g
    join counted_part c on c.meter = g.meter
    cross join estimator_position p
  )
  select a.entity, a.since, min(greatest(g.start, a.since))
  from unnest(p_entities, p_from, p_to) as a (entity, since, upto)
  join entity_part e on e.entity = a.entity
  join missing g on g.part = e.part
  where g.start < a.upto and g.until > a.since and g.until > g.start
  group by 1, 2
$$;

-- A site is metered while one of its meters counts anywhere.
create or replace view metering as
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
    from meter_counts where levels <> 0 group by site_id
  ) as d using (site_id)
  group by 1, 2, 3;
grant select on counted_part to carbonstream_read;
