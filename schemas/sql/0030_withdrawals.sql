-- A declaration that was approved can be withdrawn: one person asks, a second one approves, and what was declared goes the
-- way of an edit through meter.readings. Nothing stands for its period then, and it may be declared anew.
create table declaration_withdrawal (
  id bigint generated always as identity primary key,
  declaration bigint not null references declaration,
  requested_by text not null check (person_key(requested_by) <> ''),
  requested_at timestamptz not null,
  reason text not null check (person_key(reason) <> ''),
  approved_by text check (person_key(approved_by) <> ''),
  approved_at timestamptz,
  rejected_by text check (person_key(rejected_by) <> ''),
  rejected_at timestamptz,
  rejection text check (person_key(rejection) <> ''),
  shard smallint not null,
  seq bigint,                      -- of its frame; given with the approval
  sent_at timestamptz,
  check ((approved_by is null) = (approved_at is null) and (approved_by is null) = (seq is null)),
  check ((rejected_by is null) = (rejected_at is null) and (rejected_by is null) = (rejection is null)),
  check (approved_by is null or rejected_by is null),
  check (sent_at is null or approved_by is not null)
);
create unique index declaration_withdrawal_open on declaration_withdrawal (declaration)
  where approved_by is null and rejected_by is null;
create unique index declaration_withdrawal_seq on declaration_withdrawal (shard, seq);
create index declaration_withdrawal_unsent on declaration_withdrawal (shard, seq)
  where approved_by is not null and sent_at is null;
-- What withdrew it: of all revisions of its period.
alter table declaration add column withdrawal bigint references declaration_withdrawal;

drop view declaration_state;
create view declaration_state as
select d.*, case when d.rejected_by is not null then 'rejected' when d.withdrawal is not null then 'withdrawn'
            when d.sent_at is not null then 'sent' when d.approved_by is not null then 'approved'
            else 'pending' end as state,
       case when w.sent_at is not null then 'sent' when w.approved_by is not null then 'approved'
            when w.rejected_by is not null then 'rejected' when w.id is not null then 'pending' end as withdrawal_state,
       w.requested_by as withdrawal_by, w.requested_at as withdrawal_at, w.reason as withdrawal_reason,
       coalesce(w.approved_by, w.rejected_by) as withdrawal_decided_by,
       coalesce(w.approved_at, w.rejected_at) as withdrawal_decided_at, w.rejection as withdrawal_rejection
from declaration d
left join lateral (
  select * from declaration_withdrawal w where w.id = d.withdrawal or w.declaration = d.id order by w.id desc limit 1
) w on true;
grant select on declaration_state, declaration_withdrawal to carbonstream_read;

-- Why a declaration cannot be withdrawn. CS404: no such declaration; CS409: it is not in force.
create function withdrawal_fault(p_id bigint) returns table (sqlstate_ text, remedy text) language plpgsql stable as $$
declare
  v_found declaration;
  v_later bigint;
begin
  select * into v_found from declaration where id = p_id;
  if not found then
    return query select 'CS404', format('declaration %s is not known: `carbonstream declare --list` shows them', p_id);
  elsif v_found.rejected_by is not null then
    return query select 'CS409', format('declaration %s is rejected, by %s: it counts nowhere', p_id, v_found.rejected_by);
  elsif v_found.approved_by is null then
    return query select 'CS409', format('declaration %s is pending: reject it instead', p_id);
  elsif v_found.withdrawal is not null then
    return query select 'CS409', format('declaration %s is withdrawn already', p_id);
  else
    select max(id) into v_later from declaration
    where (meter_id, first_day, last_day) = (v_found.meter_id, v_found.first_day, v_found.last_day) and id > p_id
      and approved_by is not null;
    if v_later is not null then
      return query select 'CS409', format('declaration %s took the place of %s: withdraw that one', v_later, p_id);
    end if;
  end if;
end $$;

-- Ask for a declaration in force to be withdrawn. CS404, CS409: as withdrawal_fault, or asked already; CS422: nobody, or
-- no reason.
create function request_withdrawal(p_id bigint, p_by text, p_reason text)
returns void language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_fault record;
begin
  lock table declaration in share row exclusive mode;
  if person_key(p_by) = '' or person_key(p_reason) = '' then
    raise exception 'say who withdraws declaration %, and why', p_id using errcode = 'CS422';
  end if;
  select * into v_fault from withdrawal_fault(p_id);
  if found then
    raise exception '%', v_fault.remedy using errcode = v_fault.sqlstate_;
  end if;
  if exists (select from declaration_withdrawal
             where declaration = p_id and approved_by is null and rejected_by is null) then
    raise exception 'the withdrawal of declaration % waits already: approve or reject it', p_id using errcode = 'CS409';
  end if;
  insert into declaration_withdrawal (declaration, requested_by, requested_at, reason, shard)
  select p_id, btrim(p_by), clock_timestamp(), btrim(p_reason), d.shard from declaration d where d.id = p_id;
end $$;

-- Decide a withdrawal that waits. Approving it, as another person than the one who asked: it gets the next number of its
-- shard, and all revisions of the period are withdrawn. Rejecting it needs a reason, and may be done by who asked.
-- CS404, CS409: as withdrawal_fault, or none waits; CS403: one's own; CS422: nobody, or no reason.
create function decide_withdrawal(p_id bigint, p_by text, p_is_approved boolean, p_reason text)
returns void language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_fault record;
  v_open declaration_withdrawal;
begin
  lock table declaration in share row exclusive mode;
  select * into v_fault from withdrawal_fault(p_id);
  if found then
    raise exception '%', v_fault.remedy using errcode = v_fault.sqlstate_;
  end if;
  select * into v_open from declaration_withdrawal
  where declaration = p_id and approved_by is null and rejected_by is null;
  if not found then
    raise exception 'no withdrawal of declaration % waits', p_id using errcode = 'CS409';
  end if;
  if not p_is_approved then
    if person_key(p_by) = '' or person_key(p_reason) = '' then
      raise exception 'say who rejects the withdrawal of declaration %, and why', p_id using errcode = 'CS422';
    end if;
    update declaration_withdrawal
    set rejected_by = btrim(p_by), rejected_at = clock_timestamp(), rejection = btrim(p_reason) where id = v_open.id;
    return;
  end if;
  perform second_person(p_by, v_open.requested_by, format('the withdrawal of declaration %s', p_id));
  update declaration_withdrawal set approved_by = btrim(p_by), approved_at = clock_timestamp(),
    seq = (select coalesce(max(seq), -1) + 1 from declaration_withdrawal where shard = v_open.shard)
  where id = v_open.id;
  update declaration d set withdrawal = v_open.id from declaration f
  where f.id = p_id and (d.meter_id, d.first_day, d.last_day) = (f.meter_id, f.first_day, f.last_day)
    and d.approved_by is not null and d.withdrawal is null;
end $$;
revoke execute on function request_withdrawal, decide_withdrawal from public;
grant execute on function request_withdrawal, decide_withdrawal to carbonstream_command;

-- As before; what is withdrawn blocks no period.
create or replace function declaration_fault(p_meter text, p_first date, p_last date)
returns table (sqlstate_ text, field text, remedy text) language sql stable as $$
  select 'CS409', 'first_day', format('overlaps declaration %s of %s to %s: declare that period again, or another one, '
           'or withdraw that one (reject it while it is pending)', d.id, d.first_day, d.last_day)
  from declaration d
  where d.meter_id = p_meter and d.rejected_by is null and d.withdrawal is null and d.first_day <= p_last and d.last_day >= p_first
    and (d.first_day, d.last_day) <> (p_first, p_last)
  union all
  select 'CS422', 'first_day', format('%s is valid from %s only: declare whole days from then on', p_meter,
           to_char(m.valid_from at time zone 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI'))
  from meter m where m.meter_id = p_meter and m.valid_from > p_first::timestamp at time zone 'Asia/Shanghai'
  union all
  select 'CS422', 'last_day', format('%s is valid until %s only: declare whole days until then', p_meter,
           to_char(m.valid_to at time zone 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI'))
  from meter m where m.meter_id = p_meter and m.valid_to < (p_last + 1)::timestamp at time zone 'Asia/Shanghai'
  limit 1
$$;

-- As before; a later revision that is withdrawn would not be overwritten.
create or replace function approve_declaration(p_id bigint, p_by text)
returns void language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_found declaration;
  v_later bigint;
  v_fault record;
begin
  lock table declaration in share row exclusive mode;
  select * into v_found from declaration where id = p_id;
  if not found then
    raise exception 'declaration % is not known: `carbonstream declare --list` shows them', p_id using errcode = 'CS404';
  end if;
  if v_found.rejected_by is not null then
    raise exception 'declaration % is rejected already, by %', p_id, v_found.rejected_by using errcode = 'CS409';
  end if;
  if v_found.approved_by is not null then
    raise exception 'declaration % is approved already, by %', p_id, v_found.approved_by using errcode = 'CS409';
  end if;
  perform second_person(p_by, v_found.declared_by, format('declaration %s', p_id));
  select max(id) into v_later from declaration
  where (meter_id, first_day, last_day) = (v_found.meter_id, v_found.first_day, v_found.last_day) and id > p_id
    and approved_by is not null and withdrawal is null;
  if v_later is not null then
    raise exception 'declaration % of the same period came later and is approved: reject %, or declare it again', v_later,
      p_id using errcode = 'CS409';
  end if;
  select * into v_fault from declaration_fault(v_found.meter_id, v_found.first_day, v_found.last_day);
  if found then  -- the meter's validity may have changed
    raise exception '%: %', v_fault.field, v_fault.remedy using errcode = v_fault.sqlstate_;
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

-- As before; what is withdrawn displaces nothing from the sending of its withdrawal on.
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
      select m.valid_from, m.valid_to where not exists (
        select from declaration d where d.meter_id = m.meter_id and d.rejected_by is null)
      union all
      select d.first_day::timestamp at time zone 'Asia/Shanghai', (d.last_day + 1)::timestamp at time zone 'Asia/Shanghai'
      from declaration d where d.meter_id = m.meter_id and d.sent_at <= p_as_of
        and not exists (select from declaration_withdrawal w where w.id = d.withdrawal and w.sent_at <= p_as_of)
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

-- An index that a register never showed, struck: asked for by one person, decided by another; the interval up to it goes
-- through meter.readings as an edit that leaves nothing to stand (processors/striking.py).
create table index_strike (
  id bigint generated always as identity primary key,
  meter int not null references meter (number),
  time timestamptz not null,
  raw_index bigint not null,       -- thousandths, before the multiplier
  reason text not null check (person_key(reason) <> ''),
  submitted_by text not null check (person_key(submitted_by) <> ''),
  submitted_at timestamptz not null
);
create table index_strike_decision (
  strike bigint primary key references index_strike,
  decision text not null check (decision in ('approved', 'rejected')),
  decided_by text not null check (person_key(decided_by) <> ''),
  decided_at timestamptz not null,
  reason text not null
);
-- The index stands no more.
create table index_strike_done (
  strike bigint primary key references index_strike,
  done_at timestamptz not null
);
create index index_strike_of on index_strike (meter, time);
create trigger append_only before update or delete on index_strike for each row execute function refuse_change();
create trigger append_only before update or delete on index_strike_decision
  for each row execute function refuse_change();
create trigger append_only before update or delete on index_strike_done for each row execute function refuse_change();
grant select on index_strike, index_strike_decision, index_strike_done to carbonstream_read;
