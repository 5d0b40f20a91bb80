-- A multiplier that was wrong in the past: one person submits what was right, another decides, and the intervals are
-- computed once more from their stored indexes (processors/recomputing.py), as an edit through meter.readings.
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
