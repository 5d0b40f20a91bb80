-- What reference data say of a meter over time, and what the ledger remembers of a register's beginning.

-- Versions of a meter's multiplier, CT x PT; a meter without any here has had one, meter.multiplier: version 1.
create table meter_multiplier (
  meter_id text not null references meter,
  version smallint not null check (version > 0),  -- as in reading.multiplier_version
  valid_from timestamptz,          -- of intervals that end after it; null: from the beginning
  multiplier numeric(12, 3) not null check (multiplier > 0),
  loaded_at timestamptz not null default now(),
  primary key (meter_id, version),
  unique nulls not distinct (meter_id, valid_from)
);

-- At an instant one register of a meter ended and another began, or the same one was reset. In the meter's unit.
create table register_exchange (
  meter_id text not null references meter,
  at timestamptz not null,
  final_index numeric not null check (final_index >= 0),
  initial_index numeric not null check (initial_index >= 0),
  modulus numeric check (modulus > 0),  -- of the new register; null: as before
  loaded_at timestamptz not null default now(),
  primary key (meter_id, at)
);
grant select on meter_multiplier, register_exchange to carbonstream_read;

-- An index before a register's first one counts up to that. -1: the first one is not known.
alter table ledger_register
  add first_end_ms bigint not null default -1,
  add first_raw_index bigint not null default 0;
