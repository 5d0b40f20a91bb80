-- What an approval tells again is what is stored. Under the meter tree a park metered by its master has no total of a
-- class, and a site below another's meter none but its own, so classes alone do not say which months there are.
create or replace function decide_publication(p_id bigint, p_by text, p_decision text, p_reason text)
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
  perform second_person(p_by, v_publication.submitted_by, format('publication %s', p_id));
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

  -- Stored months of what sums the sites whose ladder holds a scope of it, from a coefficient's month to the next one
  -- published; asked by entity, which is how totals are indexed.
  create temporary table restated_total on commit drop as
  with span as (
    select e.scope, daterange(e.month, coalesce((
        select min(k.month) from coefficient k
        where (k.carrier, k.kind, k.scope) = (e.carrier, e.kind, e.scope) and k.month > e.month
      ), 'infinity')) as months
    from publication_entry e where e.publication = p_id
  ), concerned as (
    select class, enterprise, range_agg(months) as months from (
      select c.entity as class, null::int as enterprise, s.months from span s join class c on s.scope = any (c.scopes)
      union all
      select distinct t.class, e.number, s.months from span s join entity e on e.id = s.scope
      join site t on t.enterprise = e.number
    ) n group by 1, 2
  ), summed as materialized (
    select distinct c.class, c.months, v.part
    from concerned c
    join site s on s.class = c.class and (c.enterprise is null or s.enterprise = c.enterprise)
    cross join lateral (values (s.entity), (s.enterprise), (s.park), (s.class)) as v (part)
    where v.part is not null
  )
  select distinct s.class, s.part, m.month
  from summed s
  join total_period t on t.entity = s.part and t.grain = 3 and t.class = s.class
    and t.bucket >= lower(s.months)::timestamp at time zone 'Asia/Shanghai'
  cross join lateral (select date(t.bucket at time zone 'Asia/Shanghai') as month) m
  where m.month <@ s.months;
  create temporary table restated_entity on commit drop as
  select distinct t.month, ep.entity from restated_total t join entity_part ep on ep.part = t.part;

  -- the newest month first; a total that did not change is told again too: it is absolute
  insert into restatement (publication, month, entities)
  select p_id, n.month, array_agg(n.entity order by n.entity)
  from (select month, entity, (row_number() over (partition by month order by entity) - 1) / 100 as batch
        from restated_entity) n
  group by n.month, n.batch order by n.month desc, n.batch;

  select jsonb_build_object(
    'publication', p_id,
    'coefficients', (select jsonb_agg(k.id order by k.id) from coefficient k
                     join publication_entry e using (carrier, kind, scope, month)
                     where k.published_at = v_at and e.publication = p_id),
    'carriers', (select jsonb_agg(distinct c.id) from publication_entry e join carrier c on c.number = e.carrier
                 where e.publication = p_id),
    'scopes', (select jsonb_agg(distinct scope) from publication_entry where publication = p_id),
    'months', coalesce((select jsonb_agg(distinct to_char(month, 'YYYY-MM')) from restated_total), '[]'),
    'classes', coalesce((select jsonb_agg(distinct class) from restated_total), '[]'),
    'entities', (select count(distinct entity) from restated_entity),
    'submitted_by', v_publication.submitted_by,
    'approved_by', btrim(p_by),
    'published_ms', (extract(epoch from v_at) * 1000)::bigint)
  into v_restated;
  insert into outbox (topic, shard_key, key, value)
  values ('carbon.totals', 'restated', 'restated|publication|' || p_id, v_restated);
  drop table restated_total, restated_entity;
  return v_restated;
end $$;
