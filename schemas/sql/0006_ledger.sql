-- A held reading is known by (topic, partition, offset, row): a new epoch begins at offset 0 again.
alter table held
  add column source_topic text,
  add column outcome smallint;           -- what became of it when it was sent again
update held h set source_topic = case
  when (select max(epoch) from position) = 0
    then (select topic_id from layout where topic like '%meter.readings' order by topic limit 1)
  else 'before/' || gen_random_uuid() end;  -- cannot be told from one of an earlier epoch
alter table held alter column source_topic set not null, alter column value drop not null;
drop index held_origin;
create unique index held_origin on held (source_topic, partition, source_offset, row);
create index held_waiting on held (meter_id, end_ms) where released_at is null;
create index held_released on held (released_at) where released_at is not null;

-- When a rejected reading was sent again, as a new reading of source replay/rejects.
alter table reject
  add column number bigint generated always as identity,
  add column replayed_at timestamptz;
create unique index reject_number on reject (number);
create index reject_at on reject (rejected_at);
create index correction_at on correction (recorded_at);

-- What convert said of the readings, before the sink found which of them repeat or replace others: with it a
-- difference between the hops has a place. Of hop `accepted` always 0.
alter table ledger add column converted bigint not null default 0;
update ledger set converted = readings where hop = 'outcome';

-- Held readings that the ledger's own reader has seen sent again: their energy is counted once.
create table ledger_release (
  source_topic text not null,
  partition smallint not null,
  source_offset bigint not null,
  row int not null,
  counted_at timestamptz not null default now(),
  primary key (source_topic, partition, source_offset, row)
);
create index ledger_release_at on ledger_release (counted_at);

-- Numbers a source gave to frames that are not where they should stand in meter.readings.
create table ledger_gap (
  source text not null,
  mode text not null,
  shard smallint not null,
  first_seq bigint not null,
  last_seq bigint not null,
  partition smallint not null,
  source_offset bigint not null,         -- of the frame that came instead
  day date not null,                     -- its newest reading's local day
  found_at timestamptz not null default now(),
  primary key (source, mode, shard, first_seq)
);
create index ledger_gap_at on ledger_gap (found_at);
grant select on all tables in schema public to carbonstream_read;
