-- Publishing coefficients (one person submits, another decides), restatement, locked periods, figures as of a time.

-- What stands here stays as it is: who submitted what, who decided, what was reported.
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name;
end $$;

create table publication (
  id bigint generated always as identity primary key,
  file text not null,
  submitted_by text not null check (btrim(submitted_by) <> ''),
  submitted_at timestamptz not null
);
create table publication_entry (
  publication bigint not null references publication,
  line int not null,               -- of the file, or of the list that was posted
  carrier smallint not null references carrier,
  kind text not null,
  scope text not null,
  month date not null check (extract(day from month) = 1),
  value numeric not null check (value >= 0),
  unit text not null,
  components jsonb not null,
  document text not null,
  data_year smallint,
  primary key (publication, carrier, kind, scope, month)
);
create table publication_decision (
  publication bigint primary key references publication,
  decision text not null check (decision in ('approved', 'rejected')),
  decided_by text not null check (btrim(decided_by) <> ''),
  decided_at timestamptz not null, -- where approved: published_at of its coefficients
  reason text not null
);
-- An entity's month as it was submitted in a report.
create table locked_period (
  entity int not null references entity,
  month date not null check (extract(day from month) = 1),
  locked_by text not null check (btrim(locked_by) <> ''),
  document text not null,          -- the report
  locked_at timestamptz not null,
  co2_kg numeric,                  -- null: a coefficient was missing
  kgce numeric,
  parts jsonb not null,            -- by class and carrier: quantity, coefficient, figures; decimals as text
  primary key (entity, month)
);
create trigger append_only before update or delete on publication for each row execute function refuse_change();
create trigger append_only before update or delete on publication_entry for each row execute function refuse_change();
create trigger append_only before update or delete on publication_decision for each row execute function refuse_change();
create trigger append_only before update or delete on locked_period for each row execute function refuse_change();

-- Day and month totals that the relay tells again at leisure, a few entities of one local month a row.
create table restatement (
  id bigint generated always as identity primary key,
  publication bigint not null references publication,
  month date not null,
  entities int[] not null
);

create index coefficient_published on coefficient (published_at);
create index correction_recorded on correction (recorded_at);

create function month_index(p_day date) returns int language sql immutable parallel safe as $$
  select (extract(year from p_day) * 12 + extract(month from p_day))::int - 23641  -- local months since 1970-01
$$;

-- A coefficient as ref.coefficients carries it (schemas/reference_records.py).
create view coefficient_record as
select k.id, jsonb_build_object('id', k.id, 'carrier', k.carrier, 'kind', k.kind,
  'scope', k.scope, 'month', to_char(k.month, 'YYYY-MM'), 'value', k.value::text, 'unit', k.unit,
  'components', k.components, 'document', k.document, 'data_year', k.data_year, 'approver', k.approver,
  'published_ms', (extract(epoch from k.published_at) * 1000)::bigint) as record
from coefficient k;

create view pending_publication as
select p.* from publication p
where not exists (select from publication_decision d where d.publication = p.id);

-- Submit validated entries. CS409: another pending publication holds one of them.
create function submit_publication(p_file text, p_by text, p_entries jsonb)
returns bigint language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_id bigint;
  v_other bigint;
begin
  lock table publication in share row exclusive mode;
  select e.publication into v_other
  from pending_publication p join publication_entry e on e.publication = p.id
  join jsonb_to_recordset(p_entries) as n (carrier smallint, kind text, scope text, month date)
    using (carrier, kind, scope, month)
  limit 1;
  if found then
    raise exception 'publication % holds the same coefficient and is pending: approve or reject it first', v_other
      using errcode = 'CS409';
  end if;
  insert into publication (file, submitted_by, submitted_at) values (p_file, p_by, clock_timestamp())
  returning id into v_id;
  insert into publication_entry
  select v_id, n.* from jsonb_to_recordset(p_entries) as n (line int, carrier smallint, kind text, scope text,
    month date, value numeric, unit text, components jsonb, document text, data_year smallint);
  return v_id;
end $$;

-- Approve or reject. Approval is one insert: from its commit on every read resolves to the new coefficients.
-- CS404: no such publication; CS409: decided already; CS403: the person who submitted it.
create function decide_publication(p_id bigint, p_by text, p_decision text, p_reason text)
returns jsonb language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_publication publication;
  v_decided publication_decision;
  v_at timestamptz;
  v_restated jsonb;
begin
  lock table slot in share row exclusive mode;  -- loads and decisions one after the other, readers are not held up
  select * into v_publication from publication where id = p_id;
  if not found then
    raise exception 'there is no publication %', p_id using errcode = 'CS404';
  end if;
  select * into v_decided from publication_decision where publication = p_id;
  if found then
    raise exception 'publication % is % by % already', p_id, v_decided.decision, v_decided.decided_by
      using errcode = 'CS409';
  end if;
  if lower(btrim(p_by)) = lower(btrim(v_publication.submitted_by)) then
    raise exception '% submitted publication % and may not decide it: a second person must', p_by, p_id
      using errcode = 'CS403';
  end if;
  -- whole milliseconds, as ref.coefficients and as_of have them; later than what it revises, whatever the clock says
  select greatest(date_trunc('milliseconds', clock_timestamp()), max(k.published_at) + interval '1 millisecond')
  into v_at
  from publication_entry e left join coefficient k using (carrier, kind, scope, month)
  where e.publication = p_id;
  insert into publication_decision values (p_id, p_decision, btrim(p_by), v_at, p_reason);
  if p_decision = 'rejected' then
    return null;
  end if;

  insert into coefficient (carrier, scope, month, kind, value, unit, components, document, data_year, published_at,
                           approver)
  select carrier, scope, month, kind, value, unit, components, document, data_year, v_at, btrim(p_by)
  from publication_entry where publication = p_id order by line, month;
  insert into outbox (topic, shard_key, key, value)
  select 'ref.coefficients', r.id::text, r.id::text, r.record
  from coefficient k join coefficient_record r using (id)
  join publication_entry e using (carrier, kind, scope, month)
  where k.published_at = v_at and e.publication = p_id order by r.id;

  -- sites whose ladder holds a scope of it, and the local months from a coefficient's to the next one published
  create temporary table restated_month on commit drop as
  with span as (
    select e.scope, e.month as first, coalesce((
        select min(k.month) from coefficient k
        where (k.carrier, k.kind, k.scope) = (e.carrier, e.kind, e.scope) and k.month > e.month
      ), 'infinity') as until
    from publication_entry e where e.publication = p_id
  ), concerned as (
    select c.entity as class, null::int as enterprise, s.first, s.until from span s
    join class c on s.scope = any (c.scopes)
    union
    select distinct t.class, e.number, s.first, s.until from span s join entity e on e.id = s.scope
    join site t on t.enterprise = e.number
  )
  select distinct c.class, c.enterprise, date(t.bucket at time zone 'Asia/Shanghai') as month
  from concerned c join total_period t on t.entity = c.class and t.grain = 3
    and t.bucket >= c.first::timestamp at time zone 'Asia/Shanghai'
    and t.bucket < c.until::timestamp at time zone 'Asia/Shanghai';
  create temporary table restated_entity on commit drop as
  select distinct ep.entity
  from (select distinct class, enterprise from restated_month) r
  join site s on s.class = r.class and (r.enterprise is null or s.enterprise = r.enterprise)
  cross join lateral (values (s.entity), (s.enterprise), (s.park), (s.class)) as v (part)
  join entity_part ep on ep.part = v.part;

  -- the newest month first; a total that did not change is told again too: it is absolute
  insert into restatement (publication, month, entities)
  select p_id, m.month, b.entities
  from (select distinct month from restated_month) m
  cross join (
    select array_agg(entity order by entity) as entities
    from (select entity, (row_number() over (order by entity) - 1) / 100 as batch from restated_entity) n
    group by batch
  ) b
  order by m.month desc, b.entities[1];

  select jsonb_build_object(
    'publication', p_id,
    'coefficients', (select jsonb_agg(k.id order by k.id) from coefficient k
                     join publication_entry e using (carrier, kind, scope, month)
                     where k.published_at = v_at and e.publication = p_id),
    'carriers', (select jsonb_agg(distinct c.id) from publication_entry e join carrier c on c.number = e.carrier
                 where e.publication = p_id),
    'scopes', (select jsonb_agg(distinct scope) from publication_entry where publication = p_id),
    'months', coalesce((select jsonb_agg(distinct to_char(month, 'YYYY-MM')) from restated_month), '[]'),
    'classes', coalesce((select jsonb_agg(distinct class) from restated_month), '[]'),
    'entities', (select count(*) from restated_entity),
    'submitted_by', v_publication.submitted_by,
    'approved_by', btrim(p_by),
    'published_ms', (extract(epoch from v_at) * 1000)::bigint)
  into v_restated;
  insert into outbox (topic, shard_key, key, value)
  values ('carbon.totals', 'restated', 'restated|publication|' || p_id, v_restated);
  drop table restated_month, restated_entity;
  return v_restated;
end $$;

-- Totals as they were known at p_as_of: coefficients published by then, quantities less the corrections since.
create function totals_as_of(
  p_entities int[], p_grain smallint, p_from timestamptz, p_to timestamptz, p_as_of timestamptz)
returns table (
  entity int, bucket timestamptz, class int, carrier smallint, readings bigint, quantity numeric, estimated numeric,
  co2_kg numeric, kgce numeric, coefficient bigint, coefficient_month date, kgce_coefficient bigint)
language sql stable as $$
  with correction_since as materialized (
    -- rows are cut at local hours: the instant before a row's end lies in the buckets it counts to
    select ep.entity, date_trunc((array['hour', 'day', 'month'])[p_grain], x.time - interval '1 microsecond',
             'Asia/Shanghai') as bucket, s.class, m.carrier,
           sum(x.new_quantity - x.old_quantity) as quantity,
           sum(case when x.new_quality in (8, 9) then x.new_quantity else 0 end
               - case when x.old_quality in (8, 9) then x.old_quantity else 0 end) as estimated
    from correction x
    join meter m on m.number = x.meter and m.boundary
    join site s using (site_id)
    cross join lateral (values (s.entity), (s.enterprise), (s.park), (s.class)) as v (part)
    join entity_part ep on ep.part = v.part
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

-- Coal, oil and gas inferred from electricity (T/CEPPC 14-2023 6.4.1 a; T/CES 5.11, 5.15, 5.19): electricity of the
-- sites that meter no carrier of that group in the month, times the newest monthly ratio of fuel to electricity
-- (coefficient kind ratio_CARRIER). CES 5.15 prints the ratio upside down. Never part of totals_of: inferred is not metered.
create function inferred_of(
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
           date_trunc('month', t.bucket at time zone 'Asia/Shanghai')::date as month
    from totals_as_of(case when exists (select from fuel) then p_entities end, p_grain, p_from, p_to, p_as_of) t
    where t.carrier = 1
  ), metering as materialized (
    select s.entity as site, ep.entity, m.carrier / 10 as grp, m.valid_from, m.valid_to
    from entity_part ep
    join site s on ep.part in (s.entity, s.enterprise, s.park, s.class)
    join meter m on m.site_id = s.site_id and m.boundary and m.carrier / 10 in (select grp from fuel)
    where ep.entity = any (p_entities)
  ), displaced as (
    select g.entity, t.bucket, t.class, g.grp, sum(t.quantity) as quantity
    from totals_as_of(array(select distinct site from metering), p_grain, p_from, p_to, p_as_of) t
    cross join lateral (
      select distinct m.entity, m.grp from metering m
      where m.site = t.entity
        and m.valid_from < (date_trunc('month', t.bucket, 'Asia/Shanghai') + interval '1 month')
        and (m.valid_to is null or m.valid_to > date_trunc('month', t.bucket, 'Asia/Shanghai'))
    ) g
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
  where e.quantity <> coalesce(d.quantity, 0)
$$;

-- Keep a month as it was reported. CS404: no such entity; CS409: locked already; CS422: not over, or nothing stored.
create function lock_period(p_entity text, p_month date, p_by text, p_document text)
returns void language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_entity int;
  v_from timestamptz := p_month::timestamp at time zone 'Asia/Shanghai';
  v_to timestamptz := (p_month + interval '1 month')::timestamp at time zone 'Asia/Shanghai';
begin
  select number into v_entity from entity where id = p_entity;
  if not found then
    raise exception 'there is no entity %', p_entity using errcode = 'CS404';
  end if;
  if v_to > clock_timestamp() then
    raise exception 'month % is not over', to_char(p_month, 'YYYY-MM') using errcode = 'CS422';
  end if;
  if exists (select from locked_period where entity = v_entity and month = p_month) then
    raise exception '% of % is locked already', to_char(p_month, 'YYYY-MM'), p_entity using errcode = 'CS409';
  end if;
  insert into locked_period
  select v_entity, p_month, btrim(p_by), p_document, clock_timestamp(),
    case when bool_and(t.co2_kg is not null) then sum(t.co2_kg) end,
    case when bool_and(t.kgce is not null) then sum(t.kgce) end,
    jsonb_agg(jsonb_build_object('class', t.class, 'carrier', c.id, 'readings', t.readings,
      'quantity', (t.quantity * 0.001)::text, 'estimated', (t.estimated * 0.001)::text, 'co2_kg', t.co2_kg::text,
      'kgce', t.kgce::text, 'coefficient', t.coefficient, 'kgce_coefficient', t.kgce_coefficient)
      order by t.class, t.carrier)
  from totals_of(array[v_entity], 3::smallint, v_from, v_to) t join carrier c on c.number = t.carrier
  having count(*) > 0;
  if not found then
    raise exception '% of % holds no totals', to_char(p_month, 'YYYY-MM'), p_entity using errcode = 'CS422';
  end if;
end $$;

revoke execute on function submit_publication, decide_publication, lock_period from public;
grant execute on function submit_publication, decide_publication, lock_period to carbonstream_command;
grant select on all tables in schema public to carbonstream_read;
