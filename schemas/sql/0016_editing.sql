-- Editing (VEE). First: a multiplier that was wrong in the past. One person submits what was right, another decides, and the
-- intervals are computed once more from their indexes (processors/recomputing.py), as an edit through meter.readings.
create table multiplier_correction (
  id bigint generated always as identity primary key,
  meter_id text not null references meter,
  valid_from timestamptz,          -- of intervals that end after it; null: from the beginning
  valid_to timestamptz,            -- and at it at the latest; null: from now on too
  multiplier numeric(12, 3) not null check (multiplier > 0),
  document text not null,          -- what says so: a protocol of a site visit, a certificate of the transformer
  submitted_by text not null check (btrim(submitted_by) <> ''),
  submitted_at timestamptz not null,
  check (valid_to > valid_from)
);
create table multiplier_correction_decision (
  correction bigint primary key references multiplier_correction,
  decision text not null check (decision in ('approved', 'rejected')),
  decided_by text not null check (btrim(decided_by) <> ''),
  decided_at timestamptz not null,
  reason text not null
);
-- Everything an approved correction changes is stored.
create table multiplier_correction_done (
  correction bigint primary key references multiplier_correction,
  intervals int not null,
  done_at timestamptz not null
);
create trigger append_only before update or delete on multiplier_correction
  for each row execute function refuse_change();
create trigger append_only before update or delete on multiplier_correction_decision
  for each row execute function refuse_change();
create trigger append_only before update or delete on multiplier_correction_done
  for each row execute function refuse_change();

-- A superseded version is in force no more; rows that were computed by it still name it until they are recomputed.
alter table meter_multiplier
  add column correction bigint references multiplier_correction,     -- which gave it
  add column superseded_by bigint references multiplier_correction;
alter table meter_multiplier drop constraint meter_multiplier_meter_id_valid_from_key;
create unique index meter_multiplier_in_force on meter_multiplier (meter_id, valid_from) nulls not distinct
  where superseded_by is null;
grant select on multiplier_correction, multiplier_correction_decision, multiplier_correction_done to carbonstream_read;

-- What a person decided about a stored reading; the newest counts. `accepted`: it is right, whatever was found;
-- `estimated`: it is wrong. The service estimator brings the row in line.
create table reading_decision (
  id bigint generated always as identity primary key,
  meter int not null references meter (number),
  time timestamptz not null,       -- its end
  decision text not null check (decision in ('accepted', 'estimated')),
  decided_by text not null check (btrim(decided_by) <> ''),
  decided_at timestamptz not null,
  reason text not null check (btrim(reason) <> '')
);
create index reading_decision_of on reading_decision (meter, time, id desc);
create trigger append_only before update or delete on reading_decision for each row execute function refuse_change();
-- Findings that say that a reading is certainly wrong (schemas.codes: Check.SPIKE, Decision.REJECT): one interval three
-- times the highest that is normal in its hour, normal before and behind it.
create index finding_refused on finding (tick_ms) where "check" = 3 and decision = 3 and size >= 3;

-- The newest decision about each reading that has one.
create view reading_decided as
select distinct on (meter, time) meter, time, decision, decided_by, decided_at, reason
from reading_decision order by meter, time, id desc;

-- Stored readings of interval meters that are not as findings and decisions say: measured and refused, or estimated
-- and accepted. value: what was measured where it is to stand again. A reading that came again with another value than
-- the one refused stands. p_since: findings told since (UTC ms), every decision.
create function readings_to_edit(p_since bigint)
returns table (meter int, "end" timestamptz, value bigint) language sql stable as $$
  with concerned as (
    select f.meter, f.time from finding f where f."check" = 3 and f.decision = 3 and f.size >= 3 and f.tick_ms >= p_since
    union
    select d.meter, d.time from reading_decision d
  ), standing as (
    select c.meter, c.time, coalesce(d.decision, 'estimated') as decision, r.quality in (8, 9) as is_estimate,
           w.refused
    from concerned c
    join meter m on m.number = c.meter and m.kind = 'interval'
    join reading r on r.meter = c.meter and r.time = c.time
    left join reading_decided d on d.meter = c.meter and d.time = c.time
    left join lateral (  -- what the newest edit took the place of, all parts of the reading together
      select sum(p.old_quantity)::bigint as refused from (
        select distinct on (x.time) x.time, x.old_quantity from correction x
        where x.meter = c.meter and x.time > c.time - make_interval(secs => m.interval_s) and x.time <= c.time
          and x.old_quality not in (8, 9) and x.new_quality in (8, 9)
        order by x.time, x.recorded_at desc, x.source_offset desc
      ) p
    ) w on true
  )
  select s.meter, s.time, case when s.is_estimate then s.refused end
  from standing s
  where s.decision = 'accepted' and s.is_estimate and s.refused is not null
    or s.decision = 'estimated' and not s.is_estimate and (s.refused is null or s.refused = (
      select sum(p.quantity) from reading p join meter m on m.number = p.meter
      where p.meter = s.meter and p.time > s.time - make_interval(secs => m.interval_s) and p.time <= s.time))
  order by 1, 2
$$;
grant select on reading_decision, reading_decided to carbonstream_read;
