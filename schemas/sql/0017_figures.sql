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
-- electricity, a park's master of a fuel all that of the park; a meter of declared amounts in the months that are
-- declared (and were by p_as_of). Where a site's electricity comes through another site's
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
    select s.entity as site, ep.entity, m.carrier / 10 as grp, v.valid_from, v.valid_to, m.levels & 1 <> 0 as of_site
    from entity_part ep
    join site s on ep.part in (s.entity, s.enterprise, s.park, s.class)
    join meter_counts m on m.site_id = s.site_id and m.carrier / 10 in (select grp from fuel)
      and (m.levels & 1 <> 0 or m.levels & 4 <> 0 and ep.entity = s.park)
    cross join lateral (
      select m.valid_from, m.valid_to where not exists (select from declaration d where d.meter_id = m.meter_id)
      union all
      select d.first_day::timestamp at time zone 'Asia/Shanghai', (d.last_day + 1)::timestamp at time zone 'Asia/Shanghai'
      from declaration d where d.meter_id = m.meter_id and d.sent_at <= p_as_of
    ) v
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

-- Fuel that was declared for a month of which it had been inferred: what was shown, what is known now. One row a
-- declaration and local month; figures above the site follow by sums.
create table true_up (
  declaration bigint not null references declaration,
  month date not null,
  site int not null references entity,
  carrier smallint not null references carrier,
  declared bigint not null,        -- thousandths, of the declaration's days in the month
  co2_kg numeric,                  -- null: no coefficient
  kgce numeric,
  inferred jsonb not null,         -- by carrier of its group: quantity (base units), co2_kg, kgce; decimals as text
  inferred_co2_kg numeric,
  inferred_kgce numeric,
  recorded_at timestamptz not null,
  primary key (declaration, month)
);
create trigger append_only before update or delete on true_up for each row execute function refuse_change();
create index declaration_unsent on declaration (shard, seq) where approved_by is not null and sent_at is null;

-- Write a declaration down. CS404: no such meter; CS422: not a meter of its own, or days to come; CS409: overlaps.
create function submit_declaration(p_meter text, p_first date, p_last date, p_opening numeric, p_purchases numeric,
  p_closing numeric, p_amount numeric, p_unit text, p_thousandths bigint, p_document text, p_by text, p_shard smallint)
returns bigint language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_meter meter;
  v_other declaration;
  v_id bigint;
begin
  lock table declaration in share row exclusive mode;
  select * into v_meter from meter where meter_id = p_meter;
  if not found then
    raise exception 'no meter %', p_meter using errcode = 'CS404';
  end if;
  if (v_meter.kind, v_meter.multiplier, v_meter.interval_s) <> ('interval', 1, 86400) then
    raise exception 'declare for a meter of its own: kind interval, multiplier 1, interval_s 86400' using errcode = 'CS422';
  end if;
  if p_last < p_first or p_last >= (clock_timestamp() at time zone 'Asia/Shanghai')::date then
    raise exception 'last_day must be past and not before first_day' using errcode = 'CS422';
  end if;
  select * into v_other from declaration
  where meter_id = p_meter and first_day <= p_last and last_day >= p_first and (first_day, last_day) <> (p_first, p_last)
  limit 1;
  if found then
    raise exception 'overlaps declaration % of % to %: declare that period again, or another one', v_other.id,
      v_other.first_day, v_other.last_day using errcode = 'CS409';
  end if;
  insert into declaration (meter_id, first_day, last_day, opening, purchases, closing, amount, unit, thousandths,
    document, declared_by, declared_at, shard)
  values (p_meter, p_first, p_last, p_opening, p_purchases, p_closing, p_amount, p_unit, p_thousandths, p_document,
    btrim(p_by), clock_timestamp(), p_shard)
  returning id into v_id;
  return v_id;
end $$;

-- Approve a declaration as a second person: it gets the next number of its shard, and what had been inferred in its
-- place is recorded. CS404: no such declaration; CS409: approved already; CS403: the person who declared it.
create function approve_declaration(p_id bigint, p_by text)
returns void language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_found declaration;
begin
  lock table declaration in share row exclusive mode;
  select * into v_found from declaration where id = p_id;
  if not found then
    raise exception 'declaration % is not known: `carbonstream declare --list` shows them', p_id using errcode = 'CS404';
  end if;
  if v_found.approved_by is not null then
    raise exception 'declaration % is approved already, by %', p_id, v_found.approved_by using errcode = 'CS409';
  end if;
  if lower(btrim(p_by)) = lower(v_found.declared_by) then
    raise exception 'declaration % is %''s own: a second person has to approve it', p_id, p_by using errcode = 'CS403';
  end if;
  insert into true_up
  with day as (  -- as processors/declared.py spreads it
    select v_found.first_day + i as day, v_found.thousandths / n + case when i < v_found.thousandths % n then 1 else 0 end
             as part
    from (select v_found.last_day - v_found.first_day + 1 as n) c, generate_series(0, n - 1) i
  ), declared as (
    select date_trunc('month', d.day)::date as month, sum(d.part)::bigint as quantity from day d group by 1
  )
  select p_id, d.month, s.entity, m.carrier, d.quantity, d.quantity * k.value * 0.001, d.quantity * e.value * 0.001,
         i.inferred, i.co2_kg, i.kgce, clock_timestamp()
  from declared d
  join meter m on m.meter_id = v_found.meter_id
  join site s using (site_id)
  join carrier c on c.number = m.carrier
  cross join lateral (
    select jsonb_object_agg(f.id, jsonb_build_object('quantity', (t.quantity * 0.001)::text, 'co2_kg', t.co2_kg::text,
             'kgce', t.kgce::text)) as inferred,
           case when bool_and(t.co2_kg is not null) then sum(t.co2_kg) end as co2_kg,
           case when bool_and(t.kgce is not null) then sum(t.kgce) end as kgce
    from inferred_of(array[s.entity], 3::smallint, d.month::timestamp at time zone 'Asia/Shanghai',
           (d.month + interval '1 month')::timestamp at time zone 'Asia/Shanghai') t
    join carrier f on f.number = t.carrier and f.number / 10 = m.carrier / 10
  ) i
  left join lateral coefficient_for(s.class, m.carrier, c.co2_kind, d.month, 'infinity') k on true
  left join lateral coefficient_for(s.class, m.carrier, 'calorific', d.month, 'infinity') e on true
  where i.inferred is not null;
  update declaration set approved_by = btrim(p_by), approved_at = clock_timestamp(),
    seq = (select coalesce(max(seq), -1) + 1 from declaration where shard = v_found.shard)
  where id = p_id;
end $$;
revoke execute on function submit_declaration, approve_declaration from public;
grant execute on function submit_declaration, approve_declaration to carbonstream_command;
grant select on true_up to carbonstream_read;
